"""Operations and events as the adapters keep them, with each event handed to a mirror after its commit.

The mirror is a copy for other readers (Airflow's audit log, the server's log). It may fail without failing what was
done; that it failed is an event itself.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence

from airflow_package_manager.domain.access import Identity
from airflow_package_manager.domain.events import Kind, event
from airflow_package_manager.domain.operation import Event, Operation, State
from airflow_package_manager.endings import Endings
from airflow_package_manager.errors import PackageManagerError
from airflow_package_manager.ports import Clock, EventLog, OperationRepository

log = logging.getLogger(__name__)

Mirror = Callable[[Event], None]


class Copies:
    """Hands events on, one by one, and keeps going when one fails."""

    def __init__(self, mirror: Mirror, record: EventLog, clock: Clock) -> None:
        """Take the mirror, and the record (not mirrored) that is told when it fails."""
        self._mirror = mirror
        self._record = record
        self._clock = clock

    def of(self, events: Iterable[Event]) -> None:
        """Hand them on; never raises."""
        for found in events:
            try:
                self._mirror(found)
            except Exception as error:
                log.exception("The event %s could not be mirrored", found.kind)
                self._remember(found, error)

    def _remember(self, found: Event, error: Exception) -> None:
        failed = event(
            Kind.MIRROR_FAILED,
            self._clock(),
            details={"kind": found.kind, "operation": found.operation_id, "error": type(error).__name__},
            kind_of_event=found.kind,
            error=type(error).__name__,
        )
        try:
            self._record.append(failed)
        except PackageManagerError:
            log.exception("That the event %s could not be mirrored could not be recorded either", found.kind)


class MirroredEvents:
    """Implements `ports.EventLog`."""

    def __init__(self, inner: EventLog, copies: Copies) -> None:
        self._inner = inner
        self._copies = copies

    def append(self, event: Event) -> None:
        """Record it, then mirror it."""
        self._inner.append(event)
        self._copies.of([event])

    def of_operation(self, operation_id: str, *, after: int, limit: int) -> tuple[Event, ...]:
        """Return what the record has."""
        return self._inner.of_operation(operation_id, after=after, limit=limit)

    def all(self, *, before: int | None, limit: int) -> tuple[tuple[Event, ...], int | None]:
        """Return what the record has."""
        return self._inner.all(before=before, limit=limit)


class MirroredOperations:
    """Implements `ports.OperationRepository`."""

    def __init__(self, inner: OperationRepository, copies: Copies, endings: Endings) -> None:
        self._inner = inner
        self._copies = copies
        self._endings = endings

    def add(
        self, operation: Operation, events: Sequence[Event], *, per_principal: int, in_all: int, since: float
    ) -> None:
        """Insert it, then mirror its events."""
        self._inner.add(operation, events, per_principal=per_principal, in_all=in_all, since=since)
        self._copies.of(events)

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
        """Accept it, then mirror the event."""
        accepted = self._inner.accept(
            operation_id, token_hash=token_hash, owner=owner, digest=digest, now=now, at_least=at_least, event=event
        )
        self._copies.of([event])
        return accepted

    def save(self, operation: Operation, events: Sequence[Event], *, holder: str | None = None) -> Operation:
        """Write it, then mirror its events, and tell its end."""
        saved = self._inner.save(operation, events, holder=holder)
        self._copies.of(events)
        self._endings.of(saved)
        return saved

    def request_cancel(self, operation_id: str, event: Event) -> Operation:
        """Ask for it, then mirror the event."""
        asked = self._inner.request_cancel(operation_id, event)
        self._copies.of([event])
        return asked

    def adopt_text(self, operation: Operation, event: Event) -> bool:
        """Insert it once, and mirror the event if this call did."""
        adopted = self._inner.adopt_text(operation, event)
        if adopted:
            self._copies.of([event])
        return adopted

    def get(self, operation_id: str) -> Operation:
        """Return what the repository has."""
        return self._inner.get(operation_id)

    def claim(self, operation_id: str, holder: str, *, now: float, seconds: float) -> bool:
        """Take or renew the lease."""
        return self._inner.claim(operation_id, holder, now=now, seconds=seconds)

    def release(self, operation_id: str, holder: str) -> None:
        """Give the lease up."""
        self._inner.release(operation_id, holder)

    def active(self) -> Operation | None:
        """Return what the repository has."""
        return self._inner.active()

    def history(
        self, *, before: str | None = None, limit: int = 50, state: State | None = None
    ) -> tuple[tuple[Operation, ...], str | None]:
        """Return what the repository has."""
        return self._inner.history(before=before, limit=limit, state=state)

    def revisions(self) -> tuple[Operation, ...]:
        """Return what the repository has."""
        return self._inner.revisions()

    def revision(self, number: int) -> Operation:
        """Return what the repository has."""
        return self._inner.revision(number)

    def highest_revision(self) -> int:
        """Return what the repository has."""
        return self._inner.highest_revision()
