"""The commands of `deploy/docker-compose.yaml`, run as plain processes that share a directory instead of a volume."""

from __future__ import annotations

import contextlib
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from testenv import airflow_environment, airflow_home
from testenv.airflow_home import STOP_SECONDS, Airflow
from testenv.package_index import PackageIndexServer
from tests.plugin import journey, machine

pytestmark = pytest.mark.airflow

FILE = airflow_environment.REPOSITORY / "deploy" / "docker-compose.yaml"
COMPONENTS = {"api-server", "scheduler", "dag-processor", "triggerer"}
SECRETS = {
    "AIRFLOW_FERNET_KEY": "cGxlYXNlLW1ha2UteW91ci1vd24ta2V5LTEyMzQ1Ng==",
    "AIRFLOW_SECRET_KEY": "secret-of-the-test",
    "AIRFLOW_JWT_SECRET": "another-secret-of-the-test-that-is-long-enough-for-a-signature-0123456789",
    "POSTGRES_PASSWORD": "unused",
}
QUICK = {"AIRFLOW__PACKAGE_MANAGER__SOAK": "2", "AIRFLOW__CORE__PARALLELISM": "2"}


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(FILE.read_text())["services"]
    return found


@pytest.fixture(scope="module")
def composed(
    services: dict[str, Any], tmp_path_factory: pytest.TempPathFactory, package_index: PackageIndexServer
) -> Iterator[Airflow]:
    """Run `prepare` to its end and then all components, as compose would."""
    home, python = tmp_path_factory.mktemp("composed"), airflow_environment.build()
    port = airflow_home.free_port()
    # What a container gives by itself: a home, addresses, a database server.
    outside = {
        "PATH": f"{python.parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__PACKAGE_MANAGER__INDEX_URL": package_index.url,
        **QUICK,
    }
    inside = {name: _outside(str(value), home, port) for name, value in services["scheduler"]["environment"].items()}
    inside["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = f"sqlite:///{home / 'airflow.db'}"
    environment = {**inside, **outside}
    airflow = Airflow(home, python, port, {}, environment, log=home / "composed.log")
    prepared = airflow.run(*_command(services["prepare"], home, port))
    assert prepared.returncode == 0, prepared.stderr
    commands = [_command(services[name], home, port) for name in sorted(COMPONENTS)]
    with _running(commands, environment, airflow.log):
        airflow.wait_until_healthy()
        journey.until(lambda: set(machine.reports(airflow)) == COMPONENTS or None, "all reports", 60)
        yield airflow
    assert not machine.processes(home)


def test_every_component_is_supervised_and_shares_one_volume(services: dict[str, Any]) -> None:
    supervised = {
        name: service for name, service in services.items() if " run --component " in str(service.get("command"))
    }
    assert set(supervised) == COMPONENTS
    for name, service in supervised.items():
        assert f"--component {name} " in service["command"]
        assert "packages:/opt/airflow/package_manager" in service["volumes"]
        assert service["environment"]["AIRFLOW__PACKAGE_MANAGER__DIRECTORY"] == "/opt/airflow/package_manager"


def test_a_package_is_added_and_every_component_reports_it(composed: Airflow) -> None:
    added = journey.command(composed, "add", "--yes", "good-plugin", components=",".join(sorted(COMPONENTS)))
    assert added.returncode == 0, added.stdout + added.stderr + composed.log_end()
    reports = machine.reports(composed)
    assert set(reports) == COMPONENTS
    assert len({report["lock_digest"] for report in reports.values()}) == 1
    assert {report["install"]["packages"] for report in reports.values()} == {1}
    assert {report["state"] for report in reports.values()} == {"ready"}


def _outside(value: str, home: Path, port: int) -> str:
    """Replace what only exists between containers: secrets of `.env`, names of hosts, the volume, the port."""
    value = re.sub(r"\$\{(\w+):\?[^}]*\}", lambda found: SECRETS[found[1]], value)
    value = re.sub(r"http://(?:localhost|api-server):8080", f"http://127.0.0.1:{port}", value)
    return value.replace("/opt/airflow/", f"{home}/")


def _command(service: Mapping[str, Any], home: Path, port: int) -> list[str]:
    return shlex.split(_outside(service["command"], home, port))


@contextlib.contextmanager
def _running(commands: list[list[str]], environment: Mapping[str, str], log: Path) -> Iterator[None]:
    """Run all of them, and stop all at once; what does not go by itself is killed."""
    with contextlib.ExitStack() as started:
        output = started.enter_context(log.open("ab"))
        processes: list[subprocess.Popen[bytes]] = []
        started.callback(_stop, processes)
        processes.extend(
            subprocess.Popen(
                command,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
            for command in commands
        )
        yield


def _stop(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.send_signal(signal.SIGTERM)
    end = time.monotonic() + STOP_SECONDS
    for process in processes:
        try:
            process.wait(max(0.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
