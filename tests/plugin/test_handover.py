"""A task of the LocalExecutor goes on under a new scheduler, which takes it over before Airflow would start it anew."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from testenv import airflow_home, airflows
from tests.conftest import QUICK
from tests.plugin import journey, machine, patient_task

if TYPE_CHECKING:
    from testenv.airflow_home import Airflow
    from testenv.package_index import PackageIndexServer

pytestmark = [pytest.mark.airflow, pytest.mark.every_airflow]


@pytest.fixture(params=["3.3", "3.2", "3.1"])
def airflow(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, package_index: PackageIndexServer
) -> Iterator[Airflow]:
    settings = {
        **QUICK,
        "AIRFLOW__PACKAGE_MANAGER__INDEX_URL": package_index.url,
        # Soon after the handover Airflow looks for tasks of schedulers that are gone, and would start them anew.
        "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
    }
    home = tmp_path_factory.mktemp("airflow")
    dags = {patient_task.FILE.name: patient_task.FILE.read_text()}
    with airflow_home.running(airflows.prepare(request.param, home, dags=dags, settings=settings)) as started:
        yield started
    assert not machine.processes(home)


def test_a_running_task_is_taken_over(airflow: Airflow) -> None:
    token = airflow.token("admin")
    run = patient_task.begin(airflow, token)
    before = machine.children(airflow)["scheduler"]
    done = journey.change(airflow, token, "add good-package")
    assert done["state"] == "SUCCEEDED", done["problem"]
    assert machine.children(airflow)["scheduler"] != before
    time.sleep(30)  # Airflow looks several times for whom it has not heard of for 15 s
    (began,) = patient_task.written(airflow)
    patient_task.go_on(airflow)
    assert journey.finished(airflow, token, patient_task.DAG, run) == "success"
    assert patient_task.written(airflow) == [began, {**began, "what": "ended"}], "one run, in one process"
    assert not began["has_package"]
