"""Databases for the contract suites of `OperationRepository` and `EventLog`; PostgreSQL starts when first asked for."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import create_engine, delete, event, text
from sqlalchemy.engine import Engine
from sqlalchemy.pool import NullPool, QueuePool

from airflow_package_manager.adapters.sql import tables
from airflow_package_manager.adapters.sql.events import SqlEvents
from airflow_package_manager.adapters.sql.operations import SqlOperations
from airflow_package_manager.ports import EventLog, OperationRepository
from testenv.postgres import Postgres, server
from tests.fakes.clock import ManualClock
from tests.fakes.repository import MemoryRepository


@dataclass(frozen=True)
class Journal:
    """Both ports over one database, and what a test may do behind their back."""

    operations: OperationRepository
    events: EventLog
    delete: Callable[[str], object]
    """Delete an operation's row, as a clean-up would."""
    clock: ManualClock


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with server() as running:
        yield running


@contextmanager
def sqlite_engine(directory: Path) -> Iterator[Engine]:
    """An engine over a file, made as Airflow makes its own, connect listener included."""
    engine = create_engine(
        f"sqlite:///{directory / 'airflow.db'}",
        connect_args={"check_same_thread": False},
        poolclass=QueuePool,
        pool_size=5,
        max_overflow=10,
        pool_pre_ping=True,
    )

    @event.listens_for(engine, "connect")
    def set_pragma(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA foreign_keys=ON")

    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def postgresql_engine(running: Postgres) -> Iterator[Engine]:
    """An engine over a schema of its own in the shared server."""
    space = f"test_{uuid.uuid4().hex}"
    admin = create_engine(running.url(), isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with admin.connect() as connection:  # before the first connection of the other one, which looks for it
        connection.execute(text(f"CREATE SCHEMA {space}"))
    url = f"{running.url()}?options=-csearch_path%3D{space}"
    engine = create_engine(url, pool_size=5, max_overflow=10, pool_pre_ping=True)
    try:
        yield engine
    finally:
        engine.dispose()
        with admin.connect() as connection:
            connection.execute(text(f"DROP SCHEMA {space} CASCADE"))


def _opened(kind: str, request: pytest.FixtureRequest) -> AbstractContextManager[Engine]:
    if kind == "sqlite":
        return sqlite_engine(request.getfixturevalue("tmp_path"))
    return postgresql_engine(request.getfixturevalue("postgres"))


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """An empty database."""
    with _opened(request.param, request) as opened:
        yield opened


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def journal(request: pytest.FixtureRequest) -> Iterator[Journal]:
    """An empty repository and event log."""
    clock = ManualClock()
    if request.param == "memory":
        memory = MemoryRepository(clock=clock)
        yield Journal(memory, memory, memory.forget, clock)
        return
    with _opened(request.param, request) as opened:
        tables.ensure_tables(opened)

        def remove(operation_id: str) -> None:
            with opened.begin() as connection:
                connection.execute(delete(tables.operation).where(tables.operation.c.id == operation_id))

        yield Journal(SqlOperations(opened, clock=clock), SqlEvents(opened), remove, clock)
