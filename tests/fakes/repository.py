"""The repository and the event log in memory, thread-safe; rows pass through the same mapping as in a database."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Concatenate, ParamSpec, TypeVar

from airflow_package_manager.adapters.sql import rows, verdicts
from airflow_package_manager.domain.access import Identity
from airflow_package_manager.domain.operation import ACTIVE, TERMINAL, Event, Operation, State
from airflow_package_manager.errors import StoreConflict
from airflow_package_manager.ports import Clock
from tests.fakes.faults import Faults

Row = dict[str, Any]
P = ParamSpec("P")
Answer = TypeVar("Answer")


def effect(
    method: Callable[Concatenate[MemoryRepository, P], Answer],
) -> Callable[Concatenate[MemoryRepository, P], Answer]:
    """Let the method suffer what is scripted for ``repository.<its name>``."""

    @functools.wraps(method)
    def scripted(self: MemoryRepository, /, *args: P.args, **kwargs: P.kwargs) -> Answer:
        return self.faults.around(f"repository.{method.__name__}", lambda: method(self, *args, **kwargs))

    return scripted


class MemoryRepository:
    """Implements `ports.OperationRepository` and `ports.EventLog`."""

    def __init__(self, *, clock: Clock = time.time, faults: Faults | None = None) -> None:
        self.faults = faults or Faults()
        self._clock = clock
        self._lock = threading.RLock()
        self._operations: dict[str, Row] = {}
        self._events: list[Row] = []
        self._revision = 0
        self._number = 0

    @effect
    def add(
        self, operation: Operation, events: Sequence[Event], *, per_principal: int, in_all: int, since: float
    ) -> None:
        with self._lock:
            planning = [
                (found.owner, found.created_at)
                for found in self._all()
                if found.state is State.PLANNING and found.created_at > since
            ]
            owner = rows.storable_identity(operation.owner)
            verdicts.require_room(planning, owner, per_principal=per_principal, in_all=in_all, since=since)
            self._insert(operation, events)

    def get(self, operation_id: str) -> Operation:
        with self._lock:
            if operation_id not in self._operations:
                raise verdicts.not_found(operation_id)
            return rows.operation_from(self._operations[operation_id])

    @effect
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
        with self._lock:
            row = self._operations.get(operation_id)
            reason = verdicts.acceptance_refusal(
                None if row is None else rows.operation_from(row),
                token_hash=token_hash,
                owner=rows.storable_identity(owner),
                digest=digest,
                now=now,
            )
            if reason is not None:
                raise reason
            running = self.active()
            if running is not None:
                raise verdicts.in_progress(running)
            self._revision = max(at_least, self._revision) + 1
            taking = {"state": State.ACCEPTED.value, "active": 1, "revision": self._revision}
            details = {**event.details, "revision": self._revision, "plan_digest": digest}
            return self._change(
                operation_id, {**taking, "accepted_at": now, "updated_at": now}, [replace(event, details=details)]
            )

    @effect
    def save(self, operation: Operation, events: Sequence[Event], *, holder: str | None = None) -> Operation:
        with self._lock:
            row = self._operations.get(operation.id)
            if row is None or row["version"] != operation.version:
                raise StoreConflict(f"The operation {operation.id} was changed by somebody else.")
            live = row["lease_until"] is not None and row["lease_until"] > self._clock()
            if holder is not None and not (row["holder"] == holder and live):
                raise StoreConflict(f"The operation {operation.id} is held by somebody else.")
            values = rows.saved_values(operation)
            if operation.state not in ACTIVE:
                values["active"] = None
            elif row["active"] is None:
                raise StoreConflict(f"The operation {operation.id} does not hold the active slot.")
            if operation.state in TERMINAL and operation.ended_at is None:
                values["ended_at"] = self._clock()
            return self._change(operation.id, values, events)

    @effect
    def request_cancel(self, operation_id: str, event: Event) -> Operation:
        with self._lock:
            found = self.get(operation_id)
            verdicts.require_cancellable(found)
            if found.state is State.PLANNED:
                ending = {"state": State.CANCELLED.value, "updated_at": event.at, "ended_at": event.at}
                return self._change(operation_id, {**ending, "cancel_requested": True}, [event])
            return self._change(operation_id, {"cancel_requested": True}, [event], version=False)

    @effect
    def claim(self, operation_id: str, holder: str, *, now: float, seconds: float) -> bool:
        with self._lock:
            row = self._operations.get(operation_id)
            if row is None or not (row["holder"] in {None, holder} or row["lease_until"] <= now):
                return False
            row.update(holder=holder, lease_until=now + seconds)
            return True

    @effect
    def release(self, operation_id: str, holder: str) -> None:
        with self._lock:
            row = self._operations.get(operation_id)
            if row is not None and row["holder"] == holder:
                row.update(holder=None, lease_until=None)

    def active(self) -> Operation | None:
        with self._lock:
            return next((rows.operation_from(row) for row in self._operations.values() if row["active"] == 1), None)

    def history(
        self, *, before: str | None = None, limit: int = 50, state: State | None = None
    ) -> tuple[tuple[Operation, ...], str | None]:
        with self._lock:
            found = [
                row
                for row in sorted(self._operations.values(), key=lambda row: (row["revision"] == 0, -row["number"]))
                if (before is None or row["revision"] == 0 or row["number"] < verdicts.cursor_number(before))
                and (state is None or row["state"] == state.value)
            ]
            page = found[:limit]
            following = str(page[-1]["number"]) if len(found) > limit else None
            return tuple(map(rows.operation_from, page)), following

    def revisions(self) -> tuple[Operation, ...]:
        succeeded = self._where(lambda row: row["state"] == State.SUCCEEDED.value and row["revision"] is not None)
        return tuple(sorted(succeeded, key=lambda found: found.revision or 0, reverse=True))

    def revision(self, number: int) -> Operation:
        found = self._where(lambda row: row["revision"] == number)
        if not found:
            raise verdicts.revision_not_found(number)
        return found[0]

    def highest_revision(self) -> int:
        with self._lock:
            return self._revision

    @effect
    def adopt_text(self, operation: Operation, event: Event) -> bool:
        with self._lock:
            if self._where(lambda row: row["revision"] == 0):
                return False
            self._insert(replace(operation, revision=0), [event])
            return True

    # --- the event log -------------------------------------------------------------------------------------------

    @effect
    def append(self, event: Event) -> None:
        with self._lock:
            row = self._operations.get(event.operation_id or "")
            if row is None:
                self._write(event, event.operation_id, None)
            else:
                self._change(row["id"], {}, [event], version=False)

    def of_operation(self, operation_id: str, *, after: int, limit: int) -> tuple[Event, ...]:
        with self._lock:
            mine = [row for row in self._events if row["operation_id"] == operation_id and row["sequence"] is not None]
            later = sorted((row for row in mine if row["sequence"] > after), key=lambda row: int(row["sequence"]))
            return tuple(map(rows.event_from, later[:limit]))

    def all(self, *, before: int | None, limit: int) -> tuple[tuple[Event, ...], int | None]:
        with self._lock:
            found = [row for row in reversed(self._events) if before is None or row["id"] < before]
            page = found[:limit]
            return tuple(map(rows.event_from, page)), page[-1]["id"] if len(found) > limit else None

    def forget(self, operation_id: str) -> None:
        """Delete the operation's row, as a clean-up of the database would."""
        with self._lock:
            del self._operations[operation_id]

    # --- rows ----------------------------------------------------------------------------------------------------

    def _all(self) -> tuple[Operation, ...]:
        return self._where(lambda _: True)

    def _where(self, condition: Callable[[Row], bool]) -> tuple[Operation, ...]:
        with self._lock:
            return tuple(rows.operation_from(row) for row in self._operations.values() if condition(row))

    def _insert(self, operation: Operation, events: Sequence[Event]) -> None:
        if operation.id in self._operations:
            raise StoreConflict(f"There is an operation {operation.id} already.")
        self._number += 1
        self._operations[operation.id] = {**rows.new_values(operation), "number": self._number}
        self._change(operation.id, {}, events, version=False)

    def _change(self, operation_id: str, values: Row, events: Sequence[Event], *, version: bool = True) -> Operation:
        row = self._operations[operation_id]
        written = [rows.event_values(event, operation_id=operation_id, sequence=None) for event in events]
        row.update(values, version=row["version"] + int(version))
        for values_of_event in written:
            row["last_sequence"] += 1
            self._events.append({**values_of_event, "sequence": row["last_sequence"], "id": len(self._events) + 1})
        return rows.operation_from(row)

    def _write(self, event: Event, operation_id: str | None, sequence: int | None) -> None:
        values = rows.event_values(event, operation_id=operation_id, sequence=sequence)
        self._events.append({**values, "id": len(self._events) + 1})
