"""The audit record in SQL: append-only, numbered per operation, in no way tied to the operation's row."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import insert, select, update
from sqlalchemy.engine import Connection, Engine

from airflow_package_manager.adapters.sql import rows, tables, transactions, verdicts
from airflow_package_manager.domain.operation import Event

_EVENT = tables.event
_OPERATION = tables.operation


class SqlEvents:
    """Implements `ports.EventLog`."""

    def __init__(self, engine: Engine) -> None:
        """Take the engine of the database that holds our tables."""
        self._engine = engine

    def append(self, event: Event) -> None:
        """Record an event; of an operation that is not there (any more) it keeps the id and gets no sequence."""

        def work(connection: Connection) -> None:
            last = None
            if event.operation_id is not None:
                last = take_sequences(connection, event.operation_id, 1)
            insert_events(connection, event.operation_id, [event], last=last)

        transactions.write(self._engine, work)

    def of_operation(self, operation_id: str, *, after: int, limit: int) -> tuple[Event, ...]:
        """Return events with a sequence greater than `after`, in order."""
        wanted = (
            select(_EVENT)
            .where(
                _EVENT.c.operation_id == rows.storable(operation_id), _EVENT.c.sequence > min(after, verdicts.LARGEST)
            )
            .order_by(_EVENT.c.sequence)
            .limit(limit)
        )

        def work(connection: Connection) -> tuple[Event, ...]:
            return tuple(rows.event_from(row) for row in connection.execute(wanted).mappings())

        return transactions.read(self._engine, work)

    def all(self, *, before: int | None, limit: int) -> tuple[tuple[Event, ...], int | None]:
        """Return events newest first, and the cursor of the next page (None on the last)."""
        wanted = select(_EVENT).order_by(_EVENT.c.id.desc()).limit(limit + 1)
        if before is not None:
            wanted = wanted.where(_EVENT.c.id < min(before, verdicts.LARGEST))

        def work(connection: Connection) -> tuple[Event, ...]:
            return tuple(rows.event_from(row) for row in connection.execute(wanted).mappings())

        found = transactions.read(self._engine, work)
        page = found[:limit]
        return page, page[-1].id if len(found) > limit else None


def take_sequences(connection: Connection, operation_id: str, count: int) -> int | None:
    """Take `count` numbers under the operation's row, which stays locked until the transaction ends.

    Returns the last of them, None when there is no such operation.
    """
    mine = _OPERATION.c.id == rows.storable(operation_id)
    connection.execute(update(_OPERATION).where(mine).values(last_sequence=_OPERATION.c.last_sequence + count))
    last: int | None = connection.execute(select(_OPERATION.c.last_sequence).where(mine)).scalar()
    return last


def insert_events(
    connection: Connection, operation_id: str | None, events: Sequence[Event], *, last: int | None
) -> None:
    """Insert the events of an operation; `last` is the number of the last one, None for events without numbers."""
    for remaining, event in zip(range(len(events) - 1, -1, -1), events, strict=True):
        sequence = None if last is None else last - remaining
        connection.execute(
            insert(_EVENT).values(**rows.event_values(event, operation_id=operation_id, sequence=sequence))
        )
