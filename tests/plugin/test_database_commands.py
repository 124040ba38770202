"""Airflow's own database commands beside our tables: they work, and what survives a reset ends cleanly."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from airflow_package_manager.adapters.sql.events import SqlEvents
from airflow_package_manager.adapters.sql.operations import SqlOperations
from airflow_package_manager.adapters.sql.tables import ensure_tables
from airflow_package_manager.domain.operation import State
from testenv import airflow_environment, airflow_home
from tests.contract import sample_operations as samples

pytestmark = pytest.mark.airflow


def test_migrate_check_and_reset_leave_our_rows_and_the_next_driver_ends_them(tmp_path: Path) -> None:
    airflow = airflow_home.prepare(tmp_path / "home", airflow_environment.build(), dags={})
    engine = create_engine(f"sqlite:///{airflow.home / 'airflow.db'}")
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
