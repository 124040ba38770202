"""Airflow's own database commands beside our tables: they work, and what survives a reset ends cleanly."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from airflow_package_manager.adapters.sql.events import SqlEvents
from airflow_package_manager.adapters.sql.operations import SqlOperations
from airflow_package_manager.adapters.sql.tables import ensure_tables
from airflow_package_manager.domain.operation import State
from testenv import airflows, postgres
from tests.contract import sample_operations as samples

pytestmark = pytest.mark.airflow


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'airflow.db'}"
        return
    with postgres.server() as server:
        yield server.url()


@pytest.mark.parametrize(
    ("version", "database"), [("3.3", "sqlite"), ("2.11", "sqlite"), ("2.11", "postgresql")], indirect=["database"]
)
def test_migrate_check_and_reset_leave_our_rows_and_the_next_driver_ends_them(
    version: str, database: str, tmp_path: Path
) -> None:
    where = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database}
    airflow = airflows.prepare(version, tmp_path / "home", dags={}, settings=where)
    engine = create_engine(database)
    ensure_tables(engine)
    operations, events = SqlOperations(engine), SqlEvents(engine)
    now = time.time()
    active = samples.accept(operations, samples.add_planned(operations, at=now), now=now)

    for command in (["migrate"], ["check-migrations"], ["reset", "--yes"]):
        done = airflow.run(str(airflow.python), "-m", "airflow", "db", *command)
        assert done.returncode == 0, f"db {command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"

    assert operations.get(active.id).state is State.ACCEPTED
    resumed = airflow.run(*airflow.command("resume"))
    ended = operations.get(active.id)
    assert (ended.state, resumed.returncode) == (State.FAILED, 1), resumed.stdout + resumed.stderr
    assert ended.problem is not None
    assert ended.problem["code"] == "stale-plan"
    assert operations.active() is None
    assert [event.kind for event in events.of_operation(active.id, after=0, limit=10)][-1] == "operation.failed"
    engine.dispose()
