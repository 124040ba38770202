"""Airflow 2.11 with the CeleryExecutor: a supervised worker lets its task end, restarts, and runs the new DAG."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from testenv import airflow_environment, airflow_home, airflows, postgres, redis
from tests.conftest import QUICK
from tests.plugin import journey, machine, patient_task

if TYPE_CHECKING:
    from testenv.airflow_home import Airflow
    from testenv.package_index import PackageIndexServer

pytestmark = [pytest.mark.airflow, pytest.mark.every_airflow]

DAG = Path(__file__).parents[1] / "data" / "dags" / "needs_good_package.py"
STOP_TIMEOUT = 180


@dataclass(frozen=True)
class Changed:
    """One change, applied while the worker had a task that does not end by itself."""

    planned: dict[str, Any]
    done: dict[str, Any]
    patient: str
    """Run of that task."""
    worker: int
    """Process that the change had to restart."""
    waited: bool
    """The worker was still there, told to stop, when its task was allowed to end."""


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory, package_index: PackageIndexServer) -> Iterator[Airflow]:
    """All its components supervised, each restarted by a change."""
    if shutil.which("redis-server") is None:
        pytest.skip("there is no redis-server (Debian: redis-server)")
    home = tmp_path_factory.mktemp("airflow2")
    with postgres.server() as database, redis.server() as broker:
        settings = {
            **QUICK,
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database.url(),
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__CELERY__BROKER_URL": broker.url,
            "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{database.url()}",
            "AIRFLOW__PACKAGE_MANAGER__INDEX_URL": package_index.url,
            "AIRFLOW__PACKAGE_MANAGER__STOP_TIMEOUT": str(STOP_TIMEOUT),
            "C_FORCE_ROOT": "1",
        }
        prepared = airflows.prepare(
            "2.11",
            home,
            dags={path.name: path.read_text() for path in (DAG, patient_task.FILE)},
            settings=settings,
            python=airflow_environment.build("2.11-celery"),
        )
        with airflow_home.running(prepared) as started, _worker(started):
            journey.until(lambda: machine.reports(started).get("worker", {}).get("state") == "ready" or None, "ready")
            yield started
    assert not machine.processes(home)


@pytest.fixture(scope="module")
def changed(airflow: Airflow) -> Changed:
    token = airflow.token("admin")
    patient = patient_task.begin(airflow, token)
    worker = machine.children(airflow)["worker"]
    journey.until(lambda: DAG.name in journey.import_errors(airflow, token) or None, "the import error", 90)
    planned, secret = journey.plan(airflow, token, "add good-package")
    assert planned["state"] == "PLANNED", planned["problem"]
    status, answer = journey.apply(airflow, token, planned, secret)
    assert status == 202, answer

    def stopping() -> bool | None:
        return machine.reports(airflow)["worker"]["message"] == "stopping the old child" or None

    journey.until(stopping, "the worker that is told to stop", 120, every=0.1)
    with contextlib.suppress(TimeoutError):  # it shall not be there: a worker waits for its tasks
        journey.until(lambda: machine.children(airflow).get("worker") != worker or None, "another worker", 15)
    waited = machine.children(airflow).get("worker") == worker
    patient_task.go_on(airflow)
    return Changed(planned, journey.ended(airflow, token, planned["id"]), patient, worker, waited)


def test_the_plan_says_what_the_worker_does(airflow: Airflow, changed: Changed) -> None:
    plan = changed.planned["plan"]
    assert plan["components"] == ["scheduler", "worker", "triggerer"]
    (told,) = plan["tasks"]
    assert told.startswith("CeleryExecutor: a worker that is told to stop takes no new task, and lets those that run")
    assert told.endswith("within its stop_timeout.")
    assert "running-tasks" in {warning["code"] for warning in plan["warnings"]}
    assert machine.children(airflow)["worker"] != changed.worker


def test_a_running_task_is_waited_for_and_keeps_its_packages(airflow: Airflow, changed: Changed) -> None:
    token = airflow.token("admin")
    assert changed.waited
    assert journey.finished(airflow, token, patient_task.DAG, changed.patient) == "success"
    began, ended = patient_task.written(airflow)
    assert ended == {**began, "what": "ended"}, "one run, in one process"
    assert not began["has_package"]


def test_the_worker_is_verified_and_runs_the_dag_that_needs_the_package(airflow: Airflow, changed: Changed) -> None:
    token = airflow.token("admin")
    assert changed.done["state"] == "SUCCEEDED", changed.done["problem"]
    (verdict,) = (row for row in changed.done["components"] if row["name"] == "worker")
    assert (verdict["verified"], verdict["unverified"]) == ("heartbeat", None)
    journey.until(lambda: DAG.name not in journey.import_errors(airflow, token) or None, "no import error", 90)
    assert journey.finished(airflow, token, DAG.stem, journey.run_dag(airflow, token, DAG.stem)) == "success"
    status, found = airflow.api("GET", "components", token=token)
    assert status == 200
    (row,) = (row for row in found["components"] if row["name"] == "worker")
    assert row["status"] == "Current"
    assert len(row["instances"]) == 1


@contextlib.contextmanager
def _worker(airflow: Airflow) -> Iterator[None]:
    """Run one under its supervisor, beside those of `standalone`, which has none."""
    celery = (str(airflow.python.parent / "airflow"), "celery", "worker", "--skip-serve-logs", "--concurrency", "2")
    with (airflow.home / "worker.log").open("wb") as log:
        supervisor = subprocess.Popen(
            airflow.command("run", "--component", "worker", "--", *celery),
            env=airflow.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield
    finally:
        supervisor.terminate()
        supervisor.wait(STOP_TIMEOUT)
