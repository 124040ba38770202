"""A `RequirementStore` in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import MappingProxyType

from airflow_package_manager.domain.plan import StoreSnapshot
from airflow_package_manager.errors import StoreConflict
from airflow_package_manager.ports import StoreChanges
from airflow_package_manager.refusals import StoreTooLarge
from tests.fakes.faults import Faults

MAXIMUM_BYTES = 1_048_576


class MemoryStore:
    """Text, locks and `current`, with a version that grows; effects ``store.read``, ``store.check_write`` and
    ``store.write``.

    `faults.fail("store.write", StoreConflict(...))`, `faults.lose_answer(...)` and so on script misbehaviour;
    `edit` is another hand.
    """

    def __init__(self, text: str = "", *, faults: Faults | None = None) -> None:
        self.faults = faults or Faults()
        self.watchers: list[Callable[[StoreSnapshot, StoreSnapshot], object]] = []
        """Each hears of every write through the port: before, after."""
        self._guard = threading.RLock()
        self._text = text
        self._locks: dict[int, str] = {}
        self._current: int | None = None
        self._version = 1
        self._manager: str | None = None

    def read(self) -> StoreSnapshot:
        return self.faults.around("store.read", self.peek)

    def check_write(self) -> None:
        self.faults.around("store.check_write", lambda: None)

    def write(self, changes: StoreChanges, expected_version: str) -> StoreSnapshot:
        return self.faults.around("store.write", lambda: self._write(changes, expected_version))

    def peek(self) -> StoreSnapshot:
        """Return what is there, without any scripted fault."""
        with self._guard:
            return StoreSnapshot(
                self._text, MappingProxyType(dict(self._locks)), self._current, str(self._version), self._manager
            )

    def edit(self, text: str, *, manager: str | None = None) -> None:
        """Somebody else edits the text, by a tool whose name the store knows, if any."""
        with self._guard:
            self._text, self._manager = text, manager
            self._version += 1

    def touch(self) -> None:
        """Somebody else changes something that is not ours (a label): only the version moves."""
        with self._guard:
            self._version += 1

    def set_lock(self, revision: int, text: str, *, current: bool = True) -> None:
        """Put a lock there as an earlier success would have."""
        with self._guard:
            self._locks[revision] = text
            if current:
                self._current = revision
            self._version += 1

    def lose_locks(self) -> None:
        """Somebody deletes all locks, and which of them is current."""
        with self._guard:
            self._locks, self._current = {}, None
            self._version += 1

    def _write(self, changes: StoreChanges, expected_version: str) -> StoreSnapshot:
        if changes.text is not None and (changes.put_locks or changes.delete_locks or changes.current is not None):
            raise ValueError("text and locks are never written together")
        with self._guard:
            if expected_version != str(self._version):
                raise StoreConflict("The store was written by somebody else.")
            before = self.peek()
            locks = {number: text for number, text in self._locks.items() if number not in changes.delete_locks}
            locks.update(changes.put_locks)
            text = self._text if changes.text is None else changes.text
            size = sum(len(part.encode("utf-8", "surrogatepass")) for part in (text, *locks.values()))
            if size > MAXIMUM_BYTES:
                raise StoreTooLarge(f"Text and locks would take {size} bytes of {MAXIMUM_BYTES}.", size=size)
            self._text, self._locks = text, locks
            if changes.text is not None:
                self._manager = None
            if changes.current is not None:
                self._current = changes.current
            self._version += 1
            after = self.peek()
            for watcher in self.watchers:
                watcher(before, after)
            return after
