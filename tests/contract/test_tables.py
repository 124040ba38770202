from __future__ import annotations

import dataclasses
import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, create_engine, inspect, select, text, update
from sqlalchemy.dialects import mysql
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.event import listens_for
from sqlalchemy.schema import CreateTable

from airflow_package_manager.adapters.sql import tables, transactions
from airflow_package_manager.adapters.sql.events import SqlEvents
from airflow_package_manager.adapters.sql.operations import SqlOperations
from airflow_package_manager.domain.operation import Progress, State
from airflow_package_manager.errors import DatabaseBusy, PackageManagerError, StoreUnavailable
from testenv.postgres import Postgres
from tests.contract.conftest import postgresql_engine
from tests.contract.sample_operations import accept, add, add_planned, event, planning
from tests.fakes.clock import ManualClock

ENSURE = """
import sys
from sqlalchemy import create_engine
from airflow_package_manager.adapters.sql.tables import ensure_tables
engine = create_engine(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
ensure_tables(engine)
engine.dispose()
"""
NAMES = {"package_manager_operation", "package_manager_event", "package_manager_schema"}


def rendered(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=False)


def test_eight_processes_create_the_tables_at_once(engine: Engine) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    command = [sys.executable, "-W", "error", "-c", ENSURE, rendered(engine)]
    pipe = subprocess.PIPE
    started = [
        subprocess.Popen(command, env=environment, text=True, stdin=pipe, stdout=pipe, stderr=pipe) for _ in range(8)
    ]
    try:
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in started:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        errors = [process.communicate(timeout=60)[1] for process in started]
    finally:
        for process in started:
            process.kill()
            process.wait()
    assert errors == [""] * 8
    assert [process.returncode for process in started] == [0] * 8
    assert set(inspect(engine).get_table_names()) >= NAMES
    assert SqlOperations(engine).highest_revision() == 0


def test_tables_are_ensured_again_and_again(engine: Engine) -> None:
    tables.ensure_tables(engine)
    operation = add(SqlOperations(engine), planning(), event())
    tables.ensure_tables(engine)
    assert SqlOperations(engine).get(operation.id) == operation


def test_older_tables_get_what_is_missing_and_keep_their_rows(engine: Engine) -> None:
    tables.ensure_tables(engine)
    operation = add(SqlOperations(engine), planning(), event())
    with engine.begin() as connection:
        connection.execute(text("DROP INDEX ix_package_manager_operation_state"))
        connection.execute(text("ALTER TABLE package_manager_operation DROP COLUMN lease_until"))
        connection.execute(text("DROP TABLE package_manager_event"))
        connection.execute(update(tables.schema).where(tables.schema.c.name == tables.VERSION).values(value=0))
    tables.ensure_tables(engine)
    assert SqlOperations(engine).get(operation.id) == operation
    assert SqlOperations(engine).claim(operation.id, "driver", now=1.0, seconds=15)
    SqlEvents(engine).append(event())
    assert "ix_package_manager_operation_state" in {
        index["name"] for index in inspect(engine).get_indexes("package_manager_operation")
    }
    with engine.connect() as connection:
        found = connection.execute(select(tables.schema.c.value).where(tables.schema.c.name == tables.VERSION))
        assert found.scalar() == tables.SCHEMA_VERSION


def test_a_lost_schema_table_comes_back_without_giving_a_revision_twice(engine: Engine) -> None:
    tables.ensure_tables(engine)
    operations = SqlOperations(engine)
    running = accept(operations, add_planned(operations), at_least=6)
    operations.save(dataclasses.replace(running, state=State.FAILED), [])
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE package_manager_schema"))
    tables.ensure_tables(engine)
    assert accept(operations, add_planned(operations)).revision == 8


def test_what_is_added_later_needs_no_value_in_old_rows() -> None:
    first = {
        "package_manager_schema": {"name", "value"},
        "package_manager_operation": {
            *("number", "id", "state", "active", "version", "last_sequence", "owner_auth_manager", "owner_id"),
            *("owner_name", "request", "summary", "created_at", "updated_at", "expires_at", "accepted_at", "ended_at"),
            *("token_hash", "plan", "plan_digest", "revision", "cancel_requested", "problem", "step", "progress"),
            *("holder", "lease_until"),
        },
        "package_manager_event": {
            *("id", "operation_id", "sequence", "kind", "at", "message", "auth_manager", "identity_id"),
            *("identity_name", "address", "state", "component", "details"),
        },
    }
    for table in tables.metadata.sorted_tables:
        assert {column.name for column in table.columns} >= first[table.name]
        for column in table.columns:
            assert column.name in first[table.name] or column.nullable or column.server_default is not None


def test_tables_of_a_newer_version_are_left_alone(engine: Engine) -> None:
    tables.ensure_tables(engine)
    with engine.begin() as connection:
        connection.execute(update(tables.schema).where(tables.schema.c.name == tables.VERSION).values(value=99))
    with pytest.raises(tables.SchemaTooNew) as caught:
        tables.ensure_tables(engine)
    assert caught.value.context == {"found": 99, "understood": tables.SCHEMA_VERSION}
    assert "airflow-package-manager" in caught.value.next_action


def test_without_tables_the_error_says_so(engine: Engine) -> None:
    with pytest.raises(StoreUnavailable) as caught:
        SqlOperations(engine).active()
    assert "doctor" in caught.value.next_action
    with pytest.raises(StoreUnavailable):
        SqlEvents(engine).append(event())


def test_what_survives_a_reset_of_airflow_can_be_found_and_ended(engine: Engine) -> None:
    airflow = MetaData()
    Table("dag", airflow, Column("dag_id", String(250), primary_key=True), Column("paused", Integer))
    airflow.create_all(engine)
    tables.ensure_tables(engine)
    running = accept(SqlOperations(engine), add_planned(SqlOperations(engine)))

    airflow.drop_all(engine)
    airflow.create_all(engine)
    tables.ensure_tables(engine)

    operations = SqlOperations(engine)
    assert operations.active() == running
    assert operations.claim(running.id, "driver", now=running.created_at + 9999, seconds=15)
    operations.save(dataclasses.replace(running, state=State.FAILED), [event("operation.failed")])
    assert operations.active() is None
    assert accept(operations, add_planned(operations)).revision == 2


@contextmanager
def row_held(engine: Engine) -> Iterator[None]:
    """Another writer that does not end."""
    with engine.connect() as other:
        transaction = other.begin()
        other.execute(update(tables.operation).values(step="held"))
        yield
        transaction.rollback()


@pytest.fixture
def impatient(engine: Engine) -> Engine:
    """The same database, whose driver waits 0.2 s for a lock."""
    if engine.dialect.name == "sqlite":

        @listens_for(engine, "connect")
        def shorten(connection: sqlite3.Connection, _record: object) -> None:
            connection.execute("PRAGMA busy_timeout=200")

    tables.ensure_tables(engine)
    add(SqlOperations(engine), planning())
    return engine


def test_a_lock_that_does_not_go_is_busy_and_not_for_ever(impatient: Engine) -> None:
    with row_held(impatient), pytest.raises(DatabaseBusy):
        transactions.write(impatient, take_step, attempts=2, lock_seconds=0.2)
    assert transactions.write(impatient, take_step) == 1


def test_a_lock_that_goes_is_waited_for_longer_than_one_attempt(impatient: Engine) -> None:
    attempts = 0

    def work(connection: Connection) -> int:
        nonlocal attempts
        attempts += 1
        return take_step(connection)

    with ThreadPoolExecutor(1) as pool, row_held(impatient):
        answer = pool.submit(transactions.write, impatient, work, attempts=50, lock_seconds=0.1)
        time.sleep(0.5)
        assert not answer.done()
    assert answer.result() == 1
    assert attempts > 1 or impatient.dialect.name == "sqlite"  # there the work has not begun while it waits


def take_step(connection: Connection) -> int:
    return connection.execute(update(tables.operation).values(step="taken")).rowcount


def test_what_work_raises_leaves_nothing_behind(engine: Engine) -> None:
    tables.ensure_tables(engine)

    def work(connection: Connection) -> None:
        connection.execute(update(tables.schema).values(value=7))
        raise KeyboardInterrupt

    for _ in range(20):  # more often than the pool has connections: each comes back without a transaction
        with pytest.raises(KeyboardInterrupt):
            transactions.write(engine, work)
    assert SqlOperations(engine).highest_revision() == 0


def test_the_engine_is_as_it_was(engine: Engine) -> None:
    """Airflow's own sessions must find their connections in the isolation level they know."""
    with engine.connect() as connection:
        before = connection.get_isolation_level()
    tables.ensure_tables(engine)
    add(SqlOperations(engine), planning(), event())
    with engine.connect() as connection:
        assert connection.get_isolation_level() == before
        transaction = connection.begin()
        connection.execute(update(tables.schema).values(value=7))
        transaction.rollback()
    assert SqlOperations(engine).highest_revision() == 0


def test_a_connection_that_was_lost_is_busy_and_the_next_call_works(postgres: Postgres) -> None:
    with postgresql_engine(postgres) as engine:
        tables.ensure_tables(engine)
        with pytest.raises(DatabaseBusy):
            transactions.write(
                engine, lambda connection: connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
            )
        assert SqlOperations(engine).highest_revision() == 0


def test_no_error_repeats_the_values_of_a_statement(engine: Engine) -> None:
    tables.ensure_tables(engine)
    broken = text("SELECT no_such_column FROM package_manager_schema WHERE name = :name")
    with pytest.raises(PackageManagerError) as caught:
        transactions.read(engine, lambda connection: connection.execute(broken, {"name": "hash-of-a-token"}))
    assert "hash-of-a-token" not in str(caught.value)


def test_mysql_compares_byte_by_byte_and_takes_long_texts() -> None:
    statements = {
        table.name: str(CreateTable(table).compile(dialect=mysql.dialect())) for table in tables.metadata.sorted_tables
    }
    for statement in statements.values():
        assert "CHARSET=utf8mb4" in statement.replace(" ", "")
        assert "COLLATE utf8mb4_bin" in statement or "COLLATE=utf8mb4_bin" in statement
        assert "ENGINE=InnoDB" in statement
    for column in ("request", "plan", "progress", "problem"):
        assert f"{column} LONGTEXT" in statements["package_manager_operation"]
    assert "details LONGTEXT" in statements["package_manager_event"]
    assert "number BIGINT NOT NULL AUTO_INCREMENT" in statements["package_manager_operation"]
    assert "created_at FLOAT(53)" in statements["package_manager_operation"]  # 25 to 53 bits are a DOUBLE there


def test_names_fit_every_database() -> None:
    for table in tables.metadata.sorted_tables:
        rules = [rule.name for rule in table.constraints if rule.name]
        names = [table.name, *rules, *(index.name for index in table.indexes)]
        assert all(0 < len(str(name)) <= 63 for name in names)
        assert not table.foreign_keys


def test_a_database_that_may_not_be_written_says_so_and_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "airflow.db"
    sqlite3.connect(path).close()
    engine = create_engine(f"sqlite:///file:{path}?mode=ro&uri=true")
    try:
        with pytest.raises(StoreUnavailable, match="does not let this process create") as found:
            tables.ensure_tables(engine)
    finally:
        engine.dispose()
    assert "read-only copy" in found.value.next_action


def test_a_copy_of_postgresql_that_only_reads_is_named_as_such(postgres: Postgres) -> None:
    with postgresql_engine(postgres) as engine:
        reading = create_engine(f"{rendered(engine)}%20-cdefault_transaction_read_only%3Don")
        try:
            with pytest.raises(StoreUnavailable, match="does not let this process create"):
                tables.ensure_tables(reading)
        finally:
            reading.dispose()


def test_a_row_of_an_earlier_version_still_loads(engine: Engine) -> None:
    """`progress` is JSON: what a later version remembers beside it is not there in rows that were written before."""
    tables.ensure_tables(engine)
    operations = SqlOperations(engine, clock=ManualClock())
    operation = accept(operations, add_planned(operations))
    written = {
        "stamps": {"scheduler": 3},
        "waiting_since": None,
        "baseline_errors": ["a.py"],
        "started_at": {"scheduler": 1.5},
        "verified": {},
        "reason": None,
        "preflight": True,
        "passed": True,
    }
    with engine.begin() as connection:
        connection.execute(tables.operation.update().values(progress=json.dumps(written)))
    found = operations.get(operation.id)
    assert found.progress == Progress(
        stamps={"scheduler": 3}, baseline_errors=("a.py",), started_at={"scheduler": 1.5}, preflight=True, passed=True
    )
    assert (found.progress.templates, found.progress.promoted) == ({}, False)
    saved = dataclasses.replace(found, progress=dataclasses.replace(found.progress, templates={"scheduler": "f"}))
    assert operations.save(saved, []).progress.templates == {"scheduler": "f"}
