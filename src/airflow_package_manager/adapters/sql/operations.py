"""Operations in SQL: every change is one conditional UPDATE in one short transaction, with its events."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import insert, or_, select, update
from sqlalchemy.engine import Connection, Engine, RowMapping
from sqlalchemy.sql import ColumnElement

from airflow_package_manager.adapters.sql import rows, tables, transactions, verdicts
from airflow_package_manager.adapters.sql.events import insert_events
from airflow_package_manager.domain.access import Identity
from airflow_package_manager.domain.operation import ACTIVE, TERMINAL, Event, Operation, State
from airflow_package_manager.errors import DatabaseBusy, StoreConflict
from airflow_package_manager.ports import Clock

_ROW = tables.operation
_HELD = 1
"""The one value of the column `active`: its UNIQUE constraint makes it a slot."""
_SLOT_ATTEMPTS = 3


class SqlOperations:
    """Implements `ports.OperationRepository`."""

    def __init__(self, engine: Engine, *, clock: Clock = time.time) -> None:
        """Take the engine of the database that holds our tables, and the clock that judges a lease."""
        self._engine = engine
        self._clock = clock

    # --- from question to acceptance -----------------------------------------------------------------------------

    def add(
        self, operation: Operation, events: Sequence[Event], *, per_principal: int, in_all: int, since: float
    ) -> None:
        """Insert a PLANNING operation; raises `TooManyPlans`."""

        def work(connection: Connection) -> None:
            _lock_counter(connection, tables.VERSION)  # two parallel adds must count one after the other
            planning = select(_ROW.c.owner_auth_manager, _ROW.c.owner_id, _ROW.c.owner_name, _ROW.c.created_at).where(
                _ROW.c.state == State.PLANNING.value, _ROW.c.created_at > since
            )
            found = [(Identity(*row[:3]), row[3]) for row in connection.execute(planning)]
            verdicts.require_room(
                found, rows.storable_identity(operation.owner), per_principal=per_principal, in_all=in_all, since=since
            )
            _insert(connection, operation, events)

        try:
            transactions.write(self._engine, work)
        except transactions.Clash as error:
            raise StoreConflict(f"There is an operation {operation.id} already.") from error

    def accept(
        self,
        operation_id: str,
        *,
        token_hash: str,
        owner: Identity,
        digest: str,
        now: float,
        at_least: int,
        event: Event,
    ) -> Operation:
        """Use the token up, take the only active slot and allocate the revision, by one conditional UPDATE."""
        owner = rows.storable_identity(owner)
        digest = rows.storable(digest)
        allowed = (
            _ROW.c.id == rows.storable(operation_id),
            _ROW.c.state == State.PLANNED.value,
            _ROW.c.token_hash == token_hash,
            _ROW.c.owner_auth_manager == owner.auth_manager,
            _ROW.c.owner_id == owner.id,
            _ROW.c.owner_name == owner.name,
            _ROW.c.plan_digest == digest,
            _ROW.c.expires_at > now,
        )

        def work(connection: Connection) -> Operation:
            revision = max(at_least, _lock_counter(connection, tables.REVISION)) + 1
            taking = {
                "state": State.ACCEPTED.value,
                "active": _HELD,
                "revision": revision,
                "accepted_at": now,
                "updated_at": now,
            }
            if not _change(connection, allowed, taking, events=1):
                found = _find(connection, _ROW.c.id == rows.storable(operation_id), lock=True)
                reason = verdicts.acceptance_refusal(found, token_hash=token_hash, owner=owner, digest=digest, now=now)
                raise reason or transactions.RaceLost
            counter = tables.schema.c.name == tables.REVISION
            connection.execute(update(tables.schema).where(counter).values(value=revision))
            accepted = dataclasses.replace(
                event, details={**event.details, "revision": revision, "plan_digest": digest}
            )
            return _record(connection, operation_id, [accepted])

        for _ in range(_SLOT_ATTEMPTS):
            try:
                return transactions.write(self._engine, work)
            except transactions.Clash as error:  # the slot is taken, and nothing was written: the token is unspent
                running = self.active()
                if running is not None:
                    raise verdicts.in_progress(running) from error
        raise DatabaseBusy("Other operations started and ended at the same moment.")

    def request_cancel(self, operation_id: str, event: Event) -> Operation:
        """Set the column that the engine reads; a PLANNED operation is CANCELLED at once."""
        mine = _ROW.c.id == rows.storable(operation_id)

        def work(connection: Connection) -> Operation:
            found = _find(connection, mine, lock=True)
            if found is None:
                raise verdicts.not_found(operation_id)
            verdicts.require_cancellable(found)
            if found.state is State.PLANNED:
                ending = {"state": State.CANCELLED.value, "updated_at": event.at, "ended_at": event.at}
                _change(connection, (mine,), {**ending, "cancel_requested": True}, events=1)
            else:  # the version stays: it belongs to whoever drives the operation
                _change(connection, (mine,), {"cancel_requested": True}, events=1, version=False)
            return _record(connection, operation_id, [event])

        return transactions.write(self._engine, work)

    # --- driving -------------------------------------------------------------------------------------------------

    def save(self, operation: Operation, events: Sequence[Event], *, holder: str | None = None) -> Operation:
        """Write the row on condition of its `version` (and of a live lease of `holder`, when given)."""
        allowed = [_ROW.c.id == operation.id, _ROW.c.version == operation.version]
        if holder is not None:
            allowed += [_ROW.c.holder == holder, _ROW.c.lease_until > self._clock()]
        values = rows.saved_values(operation)
        if operation.state in ACTIVE:
            allowed.append(_ROW.c.active == _HELD)  # only accept() hands the slot out
        else:
            values["active"] = None
        if operation.state in TERMINAL and operation.ended_at is None:
            values["ended_at"] = self._clock()

        def work(connection: Connection) -> Operation:
            if not _change(connection, allowed, values, events=len(events)):
                raise StoreConflict(f"The operation {operation.id} was changed, or is held, by somebody else.")
            return _record(connection, operation.id, events)

        return transactions.write(self._engine, work)

    def claim(self, operation_id: str, holder: str, *, now: float, seconds: float) -> bool:
        """Take or renew the lease when it is free, expired or ours; tell whether we hold it."""
        free = _ROW.c.holder.is_(None) | (_ROW.c.holder == holder) | (_ROW.c.lease_until <= now)
        taking = (
            update(_ROW)
            .where(_ROW.c.id == rows.storable(operation_id), free)
            .values(holder=holder, lease_until=now + seconds)
        )
        return transactions.write(self._engine, lambda connection: connection.execute(taking).rowcount == 1)

    def release(self, operation_id: str, holder: str) -> None:
        """Give the lease up; harmless when it is not ours."""
        ours = (_ROW.c.id == rows.storable(operation_id), _ROW.c.holder == holder)
        giving = update(_ROW).where(*ours).values(holder=None, lease_until=None)
        transactions.write(self._engine, lambda connection: connection.execute(giving).rowcount)

    def adopt_text(self, operation: Operation, event: Event) -> bool:
        """Insert the text found before the first accepted operation as revision 0, once."""

        def work(connection: Connection) -> bool:
            _lock_counter(connection, tables.REVISION)
            if _find(connection, _ROW.c.revision == 0) is not None:
                return False
            _insert(connection, dataclasses.replace(operation, revision=0), [event])
            return True

        try:
            return transactions.write(self._engine, work)
        except transactions.Clash as error:
            raise StoreConflict(f"There is an operation {operation.id} already.") from error

    # --- reading -------------------------------------------------------------------------------------------------

    def get(self, operation_id: str) -> Operation:
        """Return it; raises `NotFound`."""
        found = self._one(_ROW.c.id == rows.storable(operation_id))
        if found is None:
            raise verdicts.not_found(operation_id)
        return found

    def active(self) -> Operation | None:
        """Return the operation that holds the only active slot."""
        return self._one(_ROW.c.active == _HELD)

    def history(
        self, *, before: str | None = None, limit: int = 50, state: State | None = None
    ) -> tuple[tuple[Operation, ...], str | None]:
        """Return operations newest first, and the cursor of the next page (None on the last).

        Newest is what was inserted last: the clocks of several hosts may disagree. Revision 0 is what was there before
        all of them, so it comes last. Raises `Malformed` for a cursor that this did not return.
        """
        oldest = select(_ROW).where(_ROW.c.revision == 0)
        wanted = select(_ROW).order_by(_ROW.c.number.desc()).limit(limit + 1)
        wanted = wanted.where(or_(_ROW.c.revision.is_(None), _ROW.c.revision != 0))
        if before is not None:
            wanted = wanted.where(_ROW.c.number < verdicts.cursor_number(before))
        if state is not None:
            wanted, oldest = (query.where(_ROW.c.state == state.value) for query in (wanted, oldest))

        def work(connection: Connection) -> list[RowMapping]:
            found = [*connection.execute(wanted).mappings()]
            return found if len(found) > limit else [*found, *connection.execute(oldest).mappings()]

        found = transactions.read(self._engine, work)
        page = found[:limit]
        following = str(page[-1]["number"]) if len(found) > limit else None
        return tuple(map(rows.operation_from, page)), following

    def revisions(self) -> tuple[Operation, ...]:
        """Return the SUCCEEDED operations that have a revision, newest first (revision 0 included)."""
        succeeded = (_ROW.c.state == State.SUCCEEDED.value, _ROW.c.revision.is_not(None))
        wanted = select(_ROW).where(*succeeded).order_by(_ROW.c.revision.desc())
        found = transactions.read(self._engine, lambda connection: connection.execute(wanted).mappings().all())
        return tuple(map(rows.operation_from, found))

    def revision(self, number: int) -> Operation:
        """Return the operation that was accepted as this revision; raises `NotFound`."""
        found = self._one(_ROW.c.revision == number) if verdicts.revision_exists_at_all(number) else None
        if found is None:
            raise verdicts.revision_not_found(number)
        return found

    def highest_revision(self) -> int:
        """Return the highest revision ever allocated, 0 when none."""
        return transactions.read(self._engine, lambda connection: _counter(connection, tables.REVISION))

    def _one(self, condition: ColumnElement[bool]) -> Operation | None:
        return transactions.read(self._engine, lambda connection: _find(connection, condition))


def _find(connection: Connection, condition: ColumnElement[bool], *, lock: bool = False) -> Operation | None:
    wanted = select(_ROW).where(condition)
    found = connection.execute(wanted.with_for_update() if lock else wanted).mappings().first()
    return None if found is None else rows.operation_from(found)


def _insert(connection: Connection, operation: Operation, events: Sequence[Event]) -> None:
    values = {**rows.new_values(operation), "last_sequence": len(events)}
    connection.execute(insert(_ROW).values(**values))
    insert_events(connection, operation.id, events, last=len(events))


def _change(
    connection: Connection,
    allowed: Sequence[ColumnElement[bool]],
    values: Mapping[str, Any],
    *,
    events: int,
    version: bool = True,
) -> bool:
    """Change the one row that all conditions allow and take numbers for its events; tell whether there was one."""
    growing = {"last_sequence": _ROW.c.last_sequence + events}
    if version:
        growing["version"] = _ROW.c.version + 1
    return connection.execute(update(_ROW).where(*allowed).values(**values, **growing)).rowcount == 1


def _record(connection: Connection, operation_id: str, events: Sequence[Event]) -> Operation:
    """Insert the events of the row that this transaction just changed, and return it as it is now."""
    row = connection.execute(select(_ROW).where(_ROW.c.id == rows.storable(operation_id))).mappings().one()
    insert_events(connection, operation_id, events, last=row["last_sequence"])
    return rows.operation_from(row)


def _counter(connection: Connection, name: str, *, lock: bool = False) -> int:
    wanted = select(tables.schema.c.value).where(tables.schema.c.name == name)
    value: int = connection.execute(wanted.with_for_update() if lock else wanted).scalar_one()
    return value


def _lock_counter(connection: Connection, name: str) -> int:
    """Return the counter and keep every other process from it until the transaction ends."""
    return _counter(connection, name, lock=True)
