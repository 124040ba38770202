"""Celery's workers, asked by a real Airflow with its Celery provider, over a real redis."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from airflow_package_manager.plugin.celery_workers import EXECUTOR, alive
from airflow_package_manager.plugin.executors import names
from testenv import airflow_environment, airflow_home, postgres, redis
from testenv.airflow_home import Airflow
from testenv.node import airflow_image
from testenv.node.machine import MachineUnfit
from testenv.node.versions import NEWEST

SOURCE = Path(__file__).resolve().parents[2] / "src"
ASK = """
import json, sys, time
before = "celery" in sys.modules
from airflow_package_manager.plugin.facts import AirflowDatabaseFacts
facts = AirflowDatabaseFacts()
lazy = "celery" not in sys.modules or before
rows = []
for instances in json.loads(sys.argv[1]):
    began = time.time()
    found = facts.heartbeats("worker", instances)
    beats = None if found is None else [[beat.host, beat.at, beat.started_at] for beat in found]
    rows.append({"beats": beats, "took": time.time() - began})
print(json.dumps({"rows": rows, "lazy": lazy}))
"""


@dataclass
class Desk:
    """An Airflow whose workers can be asked, and the environment in which it is asked."""

    python: Path
    environment: dict[str, str]

    @property
    def airflows(self) -> tuple[Airflow, ...]:
        """Return the one that it is."""
        return (Airflow(Path(self.environment["AIRFLOW_HOME"]), self.python, 0, {}, self.environment),)

    def ask(self, *instances: int, **settings: str) -> tuple[list[dict[str, Any]], str]:
        """Return what each question found, and what the process logged."""
        ended = subprocess.run(
            [str(self.python), "-c", ASK, json.dumps(instances)],
            env={**self.environment, **settings},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        *logged, answer = ended.stdout.splitlines()
        found = json.loads(answer)
        assert found["lazy"]
        rows: list[dict[str, Any]] = found["rows"]
        return rows, "\n".join(logged) + ended.stderr

    @contextmanager
    def worker(self, name: str) -> Iterator[float]:
        """Start a worker and wait until it answers; gives the time before its start (Unix seconds)."""
        command = [str(self.python.parent / "airflow"), "celery", "worker", "--skip-serve-logs", "--concurrency", "1"]
        began = time.time()
        with (Path(self.environment["HOME"]) / f"{name}.log").open("w") as log:
            running = subprocess.Popen(
                [*command, "--celery-hostname", f"{name}@here"],
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            while name not in {row[0].partition("@")[0] for row in self.ask(1)[0][0]["beats"]}:
                assert time.time() < began + 120, log.name
            yield began
        finally:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait(30)


def _of_pods() -> Path:
    try:
        return airflow_image.environment(NEWEST.pins) / "bin" / "python"
    except MachineUnfit as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="module", params=["3.3", pytest.param("2.11", marks=pytest.mark.every_airflow)])
def desk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    if shutil.which("redis-server") is None:
        pytest.skip("there is no redis-server (Debian: redis-server)")
    python = airflow_environment.build("2.11-celery") if request.param == "2.11" else _of_pods()
    home = tmp_path_factory.mktemp("airflow")
    with redis.server() as broker, postgres.server() if request.param == "2.11" else nullcontext() as database:
        values = {
            "PATH": f"{python.parent}:/usr/bin:/bin",
            "PYTHONPATH": str(SOURCE),
            "HOME": str(home),
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CELERY__BROKER_URL": broker.url,
            "AIRFLOW__CELERY__RESULT_BACKEND": broker.url,
            "C_FORCE_ROOT": "1",
        }
        if database is not None:  # Airflow 2 refuses SQLite with this executor
            values["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = database.url()
            airflow_home.migrate(Airflow(home, python, 0, {}, values))
        yield Desk(python, values)


def test_a_worker_says_since_when_it_runs(desk: Desk) -> None:
    with desk.worker("one") as began:
        rows, _ = desk.ask(1, 1, 2)
        for row in rows:
            ((host, at, started_at),) = row["beats"]
            assert host == "one@here"
            # never younger than it is, also when others were waited for in vain, and hardly older
            assert began - 2 <= started_at < at
            assert started_at <= began + 60
        assert rows[1]["took"] < 2  # nobody is waited for once all have answered
        assert rows[2]["took"] > 4
        starts = [row["beats"][0][2] for row in rows]
        assert max(starts) - min(starts) < 2


def test_nobody_answers_is_no_sign_of_life(desk: Desk) -> None:
    rows, _ = desk.ask(1)
    assert rows[0]["beats"] == []


def test_a_broker_that_cannot_be_reached_is_said_and_not_waited_for(desk: Desk) -> None:
    rows, logged = desk.ask(1, AIRFLOW__CELERY__BROKER_URL="redis://:secret@127.0.0.1:1/0")
    assert rows[0]["beats"] is None
    assert "not verified: the broker cannot be asked" in logged
    assert "secret" not in logged


def test_a_broker_that_hangs_keeps_one_thread_and_nobody(desk: Desk) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        rows, logged = desk.ask(1, 1, AIRFLOW__CELERY__BROKER_URL=address)
    assert [row["beats"] for row in rows] == [None, None]
    assert rows[0]["took"] < 20  # an import, and 8 s
    assert rows[1]["took"] < 1
    assert "still hangs" in logged


def test_another_executor_is_not_asked(desk: Desk) -> None:
    rows, logged = desk.ask(1, AIRFLOW__CORE__EXECUTOR="LocalExecutor")
    assert rows[0]["beats"] is None
    assert rows[0]["took"] < 1
    assert "not verified" not in logged


@pytest.mark.parametrize(
    ("executors", "expected"),
    [
        ("CeleryExecutor", True),
        ("LocalExecutor, CeleryExecutor", True),
        ("LocalExecutor;team1=CeleryExecutor", True),
        ("airflow.providers.celery.executors.celery_executor.CeleryExecutor", True),
        ("mine:airflow.providers.celery.executors.celery_executor.CeleryExecutor", True),
        ("mine:CeleryExecutor", True),
        ("CeleryKubernetesExecutor", True),
        ("airflow.providers.celery.executors.celery_kubernetes_executor.CeleryKubernetesExecutor", True),
        ("LocalExecutor", False),
        ("LocalKubernetesExecutor", False),
        ("KubernetesExecutor,my.CeleryExecutorLike", False),
        ("", False),
    ],
)
def test_celery_is_asked_where_it_is_configured(executors: str, *, expected: bool) -> None:
    assert (EXECUTOR in names(executors)) is expected


def test_an_executor_that_hands_tasks_to_one_of_two_is_told_as_both() -> None:
    assert names("CeleryKubernetesExecutor") == ("CeleryExecutor", "KubernetesExecutor")
    assert names("LocalKubernetesExecutor,KubernetesExecutor") == ("LocalExecutor", "KubernetesExecutor")


def test_what_does_not_tell_its_uptime_is_no_heartbeat() -> None:
    beats = alive({"a@b": {"uptime": 10}, "c@d": {}, "e@f": {"error": "no"}, "g@h": "odd"}, 100.0)
    assert [(beat.host, beat.at, beat.started_at) for beat in beats] == [("a@b", 100.0, 89.0)]
