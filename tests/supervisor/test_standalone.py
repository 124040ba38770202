from __future__ import annotations

import configparser
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_package_manager.errors import InvalidSetting
from airflow_package_manager.installer import processes, task_patience
from airflow_package_manager.installer.generation import AIRFLOW_2, AIRFLOW_3, Generation, installed
from airflow_package_manager.installer.standalone import environment_of, standalone
from airflow_package_manager.settings import load
from tests.supervisor.house import HERE, SOURCE, eventually

START = """
import sys
from airflow_package_manager import settings
from airflow_package_manager.installer import generation
from airflow_package_manager.installer.standalone import standalone
airflow = [sys.executable, sys.argv[1], sys.argv[2]]
sys.exit(standalone(
    settings.load(), host="127.0.0.1", port=int(sys.argv[3]), airflow=airflow,
    generation=getattr(generation, sys.argv[4]),
))
"""


class Standalone:
    def __init__(self, home: Path, port: int, generation: Generation = AIRFLOW_3, **environment: str) -> None:
        self.log = home / "airflow.log"
        self.generation = generation
        name = "AIRFLOW_2" if generation is AIRFLOW_2 else "AIRFLOW_3"
        self.process = subprocess.Popen(
            [sys.executable, "-c", START, str(HERE / "light_airflow.py"), str(self.log), str(port), name],
            env={**os.environ, "PYTHONPATH": str(SOURCE), "AIRFLOW_HOME": str(home), **environment},
        )

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []

    def all_up(self) -> list[dict[str, Any]]:
        return eventually(lambda: found if len(found := self.events()) > len(self.generation.components) else None, 20)

    def below(self) -> tuple[processes.Process, ...]:
        return processes.descendants(self.process.pid)


@pytest.fixture
def port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(params=[AIRFLOW_3, AIRFLOW_2], ids=["airflow3", "airflow2"])
def running(tmp_path: Path, port: int, request: pytest.FixtureRequest) -> Iterator[Standalone]:
    found = Standalone(tmp_path, port, request.param)
    below: tuple[processes.Process, ...] = ()
    try:
        found.all_up()
        below = found.below()
        yield found
    finally:
        found.process.kill()
        found.process.wait()
        processes.end_all((*below, *found.below()), 5)


def test_everything_starts_after_the_migration(running: Standalone, port: int) -> None:
    events, generation = running.events(), running.generation
    assert events[0]["argv"] == ["db", "migrate"]
    wanted = sorted([name, *options] for name, options in generation.components.items())
    assert sorted(event["argv"] for event in events[1:]) == wanted
    section = "API" if generation is AIRFLOW_3 else "WEBSERVER"
    for event in events[1:]:
        assert event["environment"][f"AIRFLOW__{section}__BASE_URL"] == f"http://127.0.0.1:{port}"
        assert event["environment"][generation.port] == str(port)
        assert event["environment"].get("AIRFLOW__WORKERS__EXECUTION_API_RETRIES") == (
            "101" if generation is AIRFLOW_3 else None
        ), "only where tasks call the web server"
        assert os.getsid(event["pid"]) == event["pid"]


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_leaves_no_process(running: Standalone, signum: int) -> None:
    below = running.below()
    assert len(below) == 2 * len(running.generation.components)
    running.process.send_signal(signum)
    assert running.process.wait(15) == 0
    assert [found for found in below if processes.is_alive(found)] == []


def test_what_was_started_dies_with_it(running: Standalone) -> None:
    below = running.below()
    running.process.kill()
    running.process.wait()
    eventually(lambda: not [found for found in below if processes.is_alive(found)])


def test_a_component_that_ends_is_started_again(running: Standalone) -> None:
    scheduler = next(event["pid"] for event in running.events() if event["argv"][0] == "scheduler")
    os.kill(scheduler, signal.SIGKILL)
    again = eventually(lambda: next(iter(running.events()[len(running.generation.components) + 1 :]), None), 15)
    assert again["argv"][0] == "scheduler"


def test_a_failed_migration_starts_nothing(tmp_path: Path, port: int) -> None:
    found = Standalone(tmp_path, port, LIGHT_MIGRATE="4")
    assert found.process.wait(10) == 4
    assert [event["argv"] for event in found.events()] == [["db", "migrate"]]


def test_a_port_in_use_is_refused_at_once(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(InvalidSetting, match=f"port {port}"):
            standalone(load({"AIRFLOW_HOME": str(tmp_path)}), host="127.0.0.1", port=port)


@pytest.mark.parametrize("port", [-1, 0, 65_536, 99_999])
def test_a_port_that_cannot_be_is_refused(tmp_path: Path, port: int) -> None:
    with pytest.raises(InvalidSetting, match="1 to 65535"):
        standalone(load({"AIRFLOW_HOME": str(tmp_path)}), host="127.0.0.1", port=port)
    assert list(tmp_path.iterdir()) == []


def test_what_is_configured_is_not_overruled(tmp_path: Path) -> None:
    home = {"AIRFLOW_HOME": str(tmp_path)}
    found = load(home)
    made = environment_of(home, found, "127.0.0.1", 9, AIRFLOW_3)
    assert made["AIRFLOW__API__BASE_URL"] == "http://127.0.0.1:9"
    (tmp_path / "airflow.cfg").write_text(
        "[api]\nbase_url = http://example.com/team\n[workers]\nmax_failed_heartbeats=9"
    )
    assert "AIRFLOW__API__BASE_URL" not in environment_of(home, found, "127.0.0.1", 9, AIRFLOW_3)
    given = environment_of({**home, "AIRFLOW__WORKERS__EXECUTION_API_RETRIES": "3"}, found, "127.0.0.1", 9, AIRFLOW_3)
    assert given["AIRFLOW__WORKERS__EXECUTION_API_RETRIES"] == "3"
    assert "AIRFLOW__WORKERS__MAX_FAILED_HEARTBEATS" not in given
    assert given["AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT"] == "530"


def test_what_airflow_itself_wrote_into_its_file_was_chosen_by_nobody(tmp_path: Path) -> None:
    """It writes its own values for everything into the file that it makes; tasks would not outlive a restart then."""
    home = {"AIRFLOW_HOME": str(tmp_path)}
    fresh = environment_of(home, load(home), "127.0.0.1", 9, AIRFLOW_3)
    made = configparser.ConfigParser()
    for (section, name), value in task_patience.SHIPPED.items():
        made.read_dict({section: {name: str(float(value))}})
    with (tmp_path / "airflow.cfg").open("w") as file:
        made.write(file)
    assert environment_of(home, load(home), "127.0.0.1", 9, AIRFLOW_3) == fresh
    assert int(fresh["AIRFLOW__WORKERS__EXECUTION_API_RETRIES"]) > task_patience.SHIPPED[task_patience.RETRIES]


def test_the_address_that_airflow_2_wrote_into_its_file_was_chosen_by_nobody(tmp_path: Path) -> None:
    home = {"AIRFLOW_HOME": str(tmp_path)}
    file = tmp_path / "airflow.cfg"
    for found, made in {"http://localhost:8080": "http://127.0.0.1:9", "http://airflow.example.com": None}.items():
        file.write_text(f"[webserver]\nbase_url = {found}\n")
        variables = environment_of(home, load(home), "127.0.0.1", 9, AIRFLOW_2)
        assert variables.get("AIRFLOW__WEBSERVER__BASE_URL") == made


def test_the_dag_processor_of_airflow_2_runs_by_itself_where_it_is_configured_to() -> None:
    nothing, file = configparser.ConfigParser(), configparser.ConfigParser()
    file.read_string("[scheduler]\nstandalone_dag_processor = True")
    variable = "AIRFLOW__SCHEDULER__STANDALONE_DAG_PROCESSOR"
    assert list(AIRFLOW_2.commands({}, nothing)) == ["webserver", "scheduler", "triggerer"]
    assert "dag-processor" in AIRFLOW_2.commands({}, file)
    assert "dag-processor" in AIRFLOW_2.commands({variable: "1"}, nothing)
    assert "dag-processor" not in AIRFLOW_2.commands({variable: "False"}, file)
    assert "dag-processor" in AIRFLOW_3.commands({}, nothing)


def test_the_generation_is_that_of_the_installed_airflow() -> None:
    assert installed() is AIRFLOW_3


@pytest.mark.parametrize(
    ("generation", "name", "address"),
    [
        (AIRFLOW_3, "AIRFLOW__API__SSL_CERT", "AIRFLOW__API__BASE_URL"),
        (AIRFLOW_3, "AIRFLOW__WEBSERVER__WEB_SERVER_SSL_CERT", "AIRFLOW__API__BASE_URL"),
        (AIRFLOW_2, "AIRFLOW__WEBSERVER__WEB_SERVER_SSL_CERT", "AIRFLOW__WEBSERVER__BASE_URL"),
    ],
)
def test_a_web_server_with_a_certificate_is_called_by_https(
    tmp_path: Path, generation: Generation, name: str, address: str
) -> None:
    home = {"AIRFLOW_HOME": str(tmp_path)}
    found = load(home)
    made = environment_of({**home, name: "/srv/airflow.crt"}, found, "127.0.0.1", 9, generation)
    assert made[address] == "https://127.0.0.1:9"
    assert environment_of({**home, name: ""}, found, "127.0.0.1", 9, generation)[address] == "http://127.0.0.1:9"
    section, _, key = name.removeprefix("AIRFLOW__").partition("__")
    (tmp_path / "airflow.cfg").write_text(f"[{section.lower()}]\n{key.lower()} = /srv/airflow.crt\n")
    assert environment_of(home, found, "127.0.0.1", 9, generation)[address] == "https://127.0.0.1:9"
