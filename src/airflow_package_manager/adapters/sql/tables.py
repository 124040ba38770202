"""Our three tables, and how they come to be when many processes start at once.

Times are Unix seconds as double precision: they are only ever compared with each other, and a timestamp type means
something else (zone, precision, rounding) on each of the three databases. JSON is kept as ASCII text: it can hold
NUL and lone surrogates, which no text type of PostgreSQL can, and needs no JSON type of any database. On MySQL every
text is compared byte by byte (`utf8mb4_bin`): its default collation takes `Admin` for `admin`.

No table refers to another, and none to Airflow's: `airflow db reset` and a clean-up of operations leave the audit
record whole. Upgrades only add (tables, nullable columns, indexes), so an older process beside us keeps working.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    func,
    insert,
    inspect,
    select,
    update,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.schema import CreateColumn

from airflow_package_manager.adapters.sql import transactions
from airflow_package_manager.errors import DatabaseBusy, StoreUnavailable

SCHEMA_VERSION = 1
"""Raise it with every addition to the tables below."""

VERSION = "version"
REVISION = "revision"
_POSTGRESQL_KEY = 7_358_229_904_611_523_841
"""Any number that nobody else takes for an advisory lock."""
_MYSQL_LOCK = "SHA1(CONCAT(DATABASE(), '.package_manager_schema'))"
"""Lock names are one space per server, at most 64 characters long."""

metadata = MetaData()

_UNIX_SECONDS = Float(53)
_NUMBER = BigInteger().with_variant(Integer(), "sqlite")  # SQLite numbers rows by itself for INTEGER only
_LONG = Text().with_variant(mysql.LONGTEXT(), "mysql").with_variant(mysql.LONGTEXT(), "mariadb")
_OPTIONS: dict[str, Any] = {
    "sqlite_autoincrement": True,  # a number that was a cursor once is never given out again
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
    "mariadb_collate": "utf8mb4_bin",
}

schema = Table(
    "package_manager_schema",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("value", BigInteger, nullable=False),
    **{key: value for key, value in _OPTIONS.items() if key != "sqlite_autoincrement"},
)
"""Rows `version` (of the schema; locked while plans are counted) and `revision` (the highest ever given)."""

operation = Table(
    "package_manager_operation",
    metadata,
    Column("number", _NUMBER, primary_key=True, autoincrement=True),
    Column("id", String(32), nullable=False),
    Column("state", String(32), nullable=False),
    Column("active", SmallInteger),
    Column("version", Integer, nullable=False),
    Column("last_sequence", Integer, nullable=False),
    Column("owner_auth_manager", Text, nullable=False),
    Column("owner_id", Text, nullable=False),
    Column("owner_name", Text, nullable=False),
    Column("request", _LONG, nullable=False),
    Column("summary", _LONG, nullable=False),
    Column("created_at", _UNIX_SECONDS, nullable=False),
    Column("updated_at", _UNIX_SECONDS, nullable=False),
    Column("expires_at", _UNIX_SECONDS, nullable=False),
    Column("accepted_at", _UNIX_SECONDS),
    Column("ended_at", _UNIX_SECONDS),
    Column("token_hash", String(64), nullable=False),
    Column("plan", _LONG),
    Column("plan_digest", String(64)),
    Column("revision", Integer),
    Column("cancel_requested", Boolean, nullable=False),
    Column("problem", _LONG),
    Column("step", _LONG, nullable=False),
    Column("progress", _LONG, nullable=False),
    Column("holder", String(255)),
    Column("lease_until", _UNIX_SECONDS),
    UniqueConstraint("id", name="uq_package_manager_operation_id"),
    # NULL differs from NULL in a UNIQUE constraint on all three databases: at most one row holds the slot
    UniqueConstraint("active", name="uq_package_manager_operation_active"),
    UniqueConstraint("revision", name="uq_package_manager_operation_revision"),
    Index("ix_package_manager_operation_state", "state", "created_at"),
    **_OPTIONS,
)
"""One row per operation; `active` is 1 while it holds the only slot, NULL otherwise."""

event = Table(
    "package_manager_event",
    metadata,
    Column("id", _NUMBER, primary_key=True, autoincrement=True),
    Column("operation_id", String(64)),
    Column("sequence", Integer),
    Column("kind", String(64), nullable=False),
    Column("at", _UNIX_SECONDS, nullable=False),
    Column("message", _LONG, nullable=False),
    Column("auth_manager", Text),
    Column("identity_id", Text),
    Column("identity_name", Text),
    Column("address", Text),
    Column("state", String(32)),
    Column("component", String(255)),
    Column("details", _LONG, nullable=False),
    UniqueConstraint("operation_id", "sequence", name="uq_package_manager_event_sequence"),
    **_OPTIONS,
)
"""One row per event, never updated and never deleted by us; who, from where and what are copied into it."""


class SchemaTooNew(StoreUnavailable):
    """The tables were extended by a newer version than this one; `found` and `understood` are schema versions."""

    title = "The package manager's tables are of a newer version"
    retryable = False
    default_next_action = "Install the newer airflow-package-manager here too: all Airflow processes need the same one."


def ensure_tables(engine: Engine) -> None:
    """Create our tables or extend them to this version; harmless when they are as they should be.

    Raises `SchemaTooNew`, `DatabaseBusy`.
    """
    if transactions.read(engine, _found_version) == SCHEMA_VERSION:
        return
    transactions.write(engine, _create_or_extend)


def _found_version(connection: Connection) -> int | None:
    """Return the schema version of the database, None when there is none; raises `SchemaTooNew`."""
    if not inspect(connection).has_table(schema.name):
        return None
    found: int | None = connection.execute(select(schema.c.value).where(schema.c.name == VERSION)).scalar()
    if found is not None and found > SCHEMA_VERSION:
        raise SchemaTooNew(
            f"The package manager's tables are of schema version {found}; this version understands {SCHEMA_VERSION}.",
            found=found,
            understood=SCHEMA_VERSION,
        )
    return found


def _create_or_extend(connection: Connection) -> None:
    with _alone(connection):
        if _found_version(connection) == SCHEMA_VERSION:  # another process was first
            return
        metadata.create_all(connection, checkfirst=True)
        _add_missing_columns_and_indexes(connection)
        highest = connection.execute(select(func.max(operation.c.revision))).scalar() or 0
        for name, value in ((VERSION, SCHEMA_VERSION), (REVISION, highest)):
            present = connection.execute(select(schema.c.name).where(schema.c.name == name)).first()
            if present is None:
                connection.execute(insert(schema).values(name=name, value=value))
        connection.execute(update(schema).where(schema.c.name == VERSION).values(value=SCHEMA_VERSION))


def _add_missing_columns_and_indexes(connection: Connection) -> None:
    """Extend tables of an older version; a column that is added later must be nullable or have a server default."""
    inspector = inspect(connection)
    quote = connection.dialect.identifier_preparer.quote
    for table in metadata.sorted_tables:
        columns = {column["name"] for column in inspector.get_columns(table.name)}
        for column in table.columns:
            if column.name not in columns:
                definition = CreateColumn(column).compile(dialect=connection.dialect)
                connection.exec_driver_sql(f"ALTER TABLE {quote(table.name)} ADD COLUMN {definition}")
        indexes = {index["name"] for index in inspector.get_indexes(table.name)}
        for index in table.indexes:
            if index.name not in indexes:
                index.create(connection)


@contextmanager
def _alone(connection: Connection) -> Iterator[None]:
    """Keep every other process out; on SQLite the transaction itself, begun by BEGIN IMMEDIATE, does."""
    dialect = connection.dialect.name
    if dialect == "postgresql":
        connection.exec_driver_sql("SET LOCAL lock_timeout = '30s'")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_POSTGRESQL_KEY})")
        yield
    elif dialect in {"mysql", "mariadb"}:
        if connection.exec_driver_sql(f"SELECT GET_LOCK({_MYSQL_LOCK}, 30)").scalar() != 1:
            raise DatabaseBusy("Another process is creating the package manager's tables.")
        try:
            yield
            connection.exec_driver_sql("COMMIT")  # before the lock goes, or the next process would not see it
        finally:
            connection.exec_driver_sql(f"SELECT RELEASE_LOCK({_MYSQL_LOCK})")
    else:
        yield
