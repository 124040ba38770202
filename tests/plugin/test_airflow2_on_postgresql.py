"""Airflow 2.11 with PostgreSQL as its database and the LocalExecutor: our tables, an operation, what the page asks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import create_engine, inspect, text

from airflow_package_manager.adapters.sql.tables import metadata
from airflow_package_manager.installer import processes
from airflow_package_manager.web.endpoints import ENDPOINTS
from testenv import airflow_home, airflows, postgres
from testenv.airflow_home import API
from tests.conftest import QUICK
from tests.plugin import journey, machine, patient_task

if TYPE_CHECKING:
    from testenv.airflow_home import Airflow
    from testenv.package_index import PackageIndexServer

pytestmark = pytest.mark.airflow

DAG = "needs_good_package"
FILE = Path(__file__).parents[1] / "data" / "dags" / f"{DAG}.py"


@dataclass(frozen=True)
class Changed:
    """One change, applied while a task was running that does not end by itself."""

    planned: dict[str, Any]
    done: dict[str, Any]
    patient: str
    """Run of the task that went on all the while."""
    scheduler: int
    """Process of the scheduler that started it."""


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with postgres.server() as server:
        yield server.url()


@pytest.fixture(scope="module")
def airflow(
    database: str, tmp_path_factory: pytest.TempPathFactory, package_index: PackageIndexServer
) -> Iterator[Airflow]:
    settings = {
        **QUICK,
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database,
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        # Soon after the handover Airflow looks for tasks of schedulers that are gone, and would start them anew.
        "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
        "AIRFLOW__PACKAGE_MANAGER__INDEX_URL": package_index.url,
    }
    home = tmp_path_factory.mktemp("airflow2")
    dags = {path.name: path.read_text() for path in (FILE, patient_task.FILE)}
    prepared = airflows.prepare("2.11", home, dags=dags, settings=settings)
    with airflow_home.running(prepared) as started:
        yield started
    assert not machine.processes(home)


@pytest.fixture(scope="module")
def changed(airflow: Airflow) -> Changed:
    token = airflow.token("admin")
    patient = patient_task.begin(airflow, token)
    scheduler = machine.children(airflow)["scheduler"]
    journey.until(lambda: FILE.name in journey.import_errors(airflow, token) or None, "the import error", 90)
    planned, secret = journey.plan(airflow, token, "add good-package")
    assert planned["state"] == "PLANNED", planned["problem"]
    status, answer = journey.apply(airflow, token, planned, secret)
    assert status == 202, answer
    return Changed(planned, journey.ended(airflow, token, planned["id"]), patient, scheduler)


def test_a_package_is_added_and_the_dag_that_needs_it_runs(airflow: Airflow, changed: Changed, database: str) -> None:
    token, done = airflow.token("admin"), changed.done
    assert done["state"] == "SUCCEEDED", done["problem"]
    assert [event["kind"] for event in journey.events(airflow, token, done["id"])][-1] == "operation.succeeded"
    journey.until(lambda: FILE.name not in journey.import_errors(airflow, token) or None, "no import error", 90)
    assert journey.finished(airflow, token, DAG, journey.run_dag(airflow, token, DAG)) == "success"
    engine = create_engine(database)
    assert set(metadata.tables) <= set(inspect(engine).get_table_names())
    engine.dispose()


def test_a_running_task_goes_on_under_a_new_scheduler_as_the_plan_says(
    airflow: Airflow, changed: Changed, database: str
) -> None:
    """After the test above: another task has begun and ended meanwhile, on the new packages."""
    token = airflow.token("admin")
    assert "running-tasks" in {warning["code"] for warning in changed.planned["plan"]["warnings"]}
    (told,) = changed.planned["plan"]["tasks"]
    assert told.startswith("LocalExecutor: its tasks are processes of the scheduler; those that run go on with")
    assert machine.children(airflow)["scheduler"] != changed.scheduler
    assert len(machine.schedulers(airflow.home)) == 1
    journey.until(lambda: _given_up(database) or None, "Airflow's look for schedulers that are gone", 60)
    assert journey.running(airflow, token, patient_task.DAG, changed.patient)
    (began,) = patient_task.written(airflow)
    patient_task.go_on(airflow)
    assert journey.finished(airflow, token, patient_task.DAG, changed.patient) == "success"
    assert patient_task.written(airflow) == [began, {**began, "what": "ended"}], "one run, in one process"
    assert not began["has_package"]
    journey.until(lambda: not processes.members(changed.scheduler) or None, "the end of the old processes", 60)


def test_whatever_the_page_asks_is_answered(airflow: Airflow) -> None:
    """After the operation above."""
    browser = {"Cookie": airflow.cookie("admin"), "Sec-Fetch-Site": "same-origin"}
    status, history = airflow.request("GET", f"{API}operations", headers=browser)
    assert status == 200
    values = {"id": history["operations"][0]["id"], "name": "good-package", "n": "1"}
    for endpoint in ENDPOINTS:
        if endpoint.method == "GET":
            status, answer = airflow.request("GET", API + endpoint.path.format(**values), headers=browser)
            assert status == 200, (endpoint.path, answer)
    assert airflow.request("GET", "/package-manager/", headers=browser)[0] == 200


def _given_up(database: str) -> bool:
    """Tell whether Airflow has noticed that the first scheduler is no more; it did not stop by itself."""
    engine = create_engine(database)
    with engine.connect() as connection:
        found = connection.scalar(text("SELECT count(*) FROM job WHERE job_type = 'SchedulerJob' AND state = 'failed'"))
    engine.dispose()
    return bool(found)
