"""What a store that lost or tore its locks gets back from the record: what succeeded is in the database, whole."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from airflow_package_manager.domain import lock as locks
from airflow_package_manager.domain.lock import Lock
from airflow_package_manager.domain.operation import Operation
from airflow_package_manager.domain.plan import StoreSnapshot


@dataclass(frozen=True)
class Repair:
    """What is to be written back."""

    locks: Mapping[int, str]
    """Revision → its lock, of those that are missing, torn, or not as recorded."""
    current: int | None
    """The revision of the last success, when the store says an earlier one, none, or one that has no whole lock."""

    def is_needed(self) -> bool:
        """Tell whether anything is to be written."""
        return bool(self.locks) or self.current is not None

    def __str__(self) -> str:
        """Return it as a list of keys."""
        keys = [f"lock.{revision}" for revision in sorted(self.locks)]
        return ", ".join([*keys, *([] if self.current is None else [f"current = {self.current}"])])


def needed(snapshot: StoreSnapshot, succeeded: Iterable[Operation], stamps: Collection[int | None]) -> Repair:
    """Return what the store lacks of what must be there: the last success, and each success that a component carries.

    A whole lock that is newer than every success stays current: there the database is what was put back to an old copy.
    `succeeded` are the SUCCEEDED operations, revision 0 (what was found, which has no lock of its own) among them. Must
    not be asked while an operation is active: it moves both.
    """
    recorded = {
        operation.revision: operation.plan.lock.with_revision(operation.revision)
        for operation in succeeded
        if operation.revision and operation.plan is not None
    }
    if not recorded:
        return Repair({}, None)
    last = max(recorded)
    wanted = {last, *(stamp for stamp in stamps if stamp in recorded and stamp is not None)}
    lacking = {
        revision: recorded[revision].render()
        for revision in wanted
        if not _holds(snapshot, revision, recorded[revision])
    }
    ahead = snapshot.current is not None and snapshot.current >= last and snapshot.usable_lock() is not None
    return Repair(lacking, None if ahead or snapshot.current == last else last)


def _holds(snapshot: StoreSnapshot, revision: int, lock: Lock) -> bool:
    try:
        return locks.parse(snapshot.locks.get(revision, "")).digest() == lock.digest()
    except locks.InvalidLock:
        return False
