"""One short transaction per call, on an engine that belongs to somebody else, with bounded patience.

The engine is Airflow's own, so nothing of it is changed: no listener, no option that outlives the call.

* SQLite: a transaction that reads and then writes fails at once when somebody else wrote in between (the busy
  timeout does not apply to it), so each begins with BEGIN IMMEDIATE, on a connection whose driver begins none.
* PostgreSQL and MySQL: READ COMMITTED whatever the engine says, so that a conditional UPDATE which waited for a row
  judges the row as it is now.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, NoResultFound, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from airflow_package_manager.errors import DatabaseBusy, PackageManagerError, StoreConflict, StoreUnavailable

ATTEMPTS = 5
PATIENCE = 12.0
"""Seconds after which no further attempt is begun."""
LOCK_SECONDS = 5.0
"""How long one attempt waits for a lock on PostgreSQL; SQLite's driver does the same, MySQL waits as it is set up."""

_POSTGRESQL_CONTENTION = frozenset({"40001", "40P01", "55P03"})
"""serialization_failure, deadlock_detected, lock_not_available"""
_MYSQL_CONTENTION = frozenset({1205, 1213, 3572})
"""Lock wait timeout, deadlock, NOWAIT refused"""
_MYSQL_NO_TABLE = 1146
_POSTGRESQL_NO_TABLE = "42P01"

_POSTGRESQL_REFUSED = frozenset({"42501", "25006", "3F000"})
"""insufficient_privilege, read_only_sql_transaction, and a schema that the user may not even look into"""
_MYSQL_REFUSED = frozenset({1044, 1142, 1290, 1792, 1836})
"""No right on the database, no right on the table, a server or transaction that only reads"""

T = TypeVar("T")


class Clash(StoreConflict):
    """A UNIQUE rule of our tables forbids it: which one, the caller knows; nothing was written."""


class RaceLost(Exception):
    """The row changed between two statements of a transaction: the same call may find another answer."""


def write(
    engine: Engine, work: Callable[[Connection], T], *, attempts: int = ATTEMPTS, lock_seconds: float = LOCK_SECONDS
) -> T:
    """Run `work` in one write transaction and return what it returns; what it raises rolls everything back.

    Contention is tried again, so `work` may run several times. Raises `DatabaseBusy` when that does not help, and
    `Clash`.
    """
    deadline = time.monotonic() + PATIENCE
    attempt = 1
    while True:
        try:
            return _attempt(engine, work, lock_seconds)
        except IntegrityError as error:
            raise Clash("What is to be written contradicts what the database holds already.") from error
        except (SQLAlchemyError, RaceLost) as error:
            again = isinstance(error, RaceLost) or _contention(error)
            if not again or attempt >= attempts or time.monotonic() >= deadline:
                raise _translated(error) from error
            attempt += 1


def read(engine: Engine, work: Callable[[Connection], T]) -> T:
    """Run `work`, which only reads, and return what it returns; raises `DatabaseBusy`."""
    attempt = 1
    while True:
        try:
            with engine.connect() as connection:
                return work(connection)
        except SQLAlchemyError as error:
            if not _contention(error) or attempt >= ATTEMPTS:
                raise _translated(error) from error
            attempt += 1


def _attempt(engine: Engine, work: Callable[[Connection], T], lock_seconds: float) -> T:
    sqlite = engine.dialect.name == "sqlite"
    with engine.connect() as plain:
        # the pool gives the connection back its own level afterwards
        connection = plain.execution_options(isolation_level="AUTOCOMMIT" if sqlite else "READ COMMITTED")
        with connection.begin():
            if sqlite:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            elif engine.dialect.name == "postgresql":
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{lock_seconds * 1000:.0f}ms'")
            result = work(connection)
            if sqlite:
                connection.exec_driver_sql("COMMIT")
        return result


def _contention(error: SQLAlchemyError) -> bool:
    """Tell whether the database rolled the transaction back because of somebody else's."""
    if not isinstance(error, DBAPIError) or error.connection_invalidated:
        return False  # a lost connection may have committed: repeating it would do it twice
    cause = error.orig
    if isinstance(cause, sqlite3.OperationalError):
        return "locked" in str(cause) or "busy" in str(cause)
    return _sqlstate(cause) in _POSTGRESQL_CONTENTION or _errno(cause) in _MYSQL_CONTENTION


def _translated(error: Exception) -> PackageManagerError:
    """Return our error; the text of SQLAlchemy's own stays out of it, for it repeats the statement's values."""
    cause = error.orig if isinstance(error, DBAPIError) else None
    if isinstance(error, NoResultFound) or _names_missing_table(cause):
        return StoreUnavailable(
            "The package manager's tables are not there, or not complete, in Airflow's database.",
            next_action="Restart Airflow's web server, which creates them; 'airflow-package-manager doctor' looks.",
        )
    if _may_not_write(cause):
        return StoreUnavailable(
            "Airflow's database does not let this process create or write the package manager's tables.",
            next_action="Connect to the primary and not to a read-only copy, and give Airflow's database user the right"
            " to create tables and write them.",
        )
    if isinstance(error, (OperationalError, InterfaceError, PoolTimeoutError, RaceLost)):
        return DatabaseBusy("The database did not answer in time, or is locked by another writer.")
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return DatabaseBusy("The connection to the database was lost.")
    return PackageManagerError(f"The database refused a statement ({type(error).__name__}).")


def _names_missing_table(cause: BaseException | None) -> bool:
    if isinstance(cause, sqlite3.OperationalError):
        return "no such table" in str(cause)
    return _sqlstate(cause) == _POSTGRESQL_NO_TABLE or _errno(cause) == _MYSQL_NO_TABLE


def _may_not_write(cause: BaseException | None) -> bool:
    if isinstance(cause, sqlite3.OperationalError):
        return "readonly" in str(cause)
    return _sqlstate(cause) in _POSTGRESQL_REFUSED or _errno(cause) in _MYSQL_REFUSED


def _sqlstate(cause: BaseException | None) -> str | None:
    return getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)


def _errno(cause: BaseException | None) -> object:
    return cause.args[0] if cause is not None and cause.args else None
