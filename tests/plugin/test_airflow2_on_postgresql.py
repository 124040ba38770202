"""Airflow 2.11 with PostgreSQL as its database and the LocalExecutor: our tables, an operation, what the page asks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine, inspect

from airflow_package_manager.adapters.sql.tables import metadata
from airflow_package_manager.web.endpoints import ENDPOINTS
from testenv import airflow_home, airflows, postgres
from testenv.airflow_home import API
from tests.conftest import QUICK
from tests.plugin import journey, machine

if TYPE_CHECKING:
    from testenv.airflow_home import Airflow
    from testenv.package_index import PackageIndexServer

pytestmark = pytest.mark.airflow

DAG = "needs_good_package"
FILE = Path(__file__).parents[1] / "data" / "dags" / f"{DAG}.py"


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
        "AIRFLOW__PACKAGE_MANAGER__INDEX_URL": package_index.url,
    }
    home = tmp_path_factory.mktemp("airflow2")
    prepared = airflows.prepare("2.11", home, dags={FILE.name: FILE.read_text()}, settings=settings)
    with airflow_home.running(prepared) as started:
        yield started
    assert not machine.processes(home)


def test_a_package_is_added_and_the_dag_that_needs_it_runs(airflow: Airflow, database: str) -> None:
    token = airflow.token("admin")
    journey.until(lambda: FILE.name in journey.import_errors(airflow, token) or None, "the import error", 90)
    planned, secret = journey.plan(airflow, token, "add good-package")
    assert [told.partition(":")[0] for told in planned["plan"]["tasks"]] == ["LocalExecutor"]
    status, answer = journey.apply(airflow, token, planned, secret)
    assert status == 202, answer
    done = journey.ended(airflow, token, planned["id"])
    assert done["state"] == "SUCCEEDED", done["problem"]
    assert [event["kind"] for event in journey.events(airflow, token, done["id"])][-1] == "operation.succeeded"
    journey.until(lambda: FILE.name not in journey.import_errors(airflow, token) or None, "no import error", 90)
    assert journey.finished(airflow, token, DAG, journey.run_dag(airflow, token, DAG)) == "success"
    engine = create_engine(database)
    assert set(metadata.tables) <= set(inspect(engine).get_table_names())
    engine.dispose()


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
