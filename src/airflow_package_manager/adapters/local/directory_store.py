"""Requirements and locks in the single-machine directory.

Every write is conditional on the digest of all that was read, so a hand edit is seen however it was made. A write of
several files is written down first (`.pending`) and finished by whoever comes next if its writer dies in the middle.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator
from types import MappingProxyType
from typing import Any

from airflow_package_manager.domain import lock as locks
from airflow_package_manager.domain.plan import StoreSnapshot
from airflow_package_manager.errors import StoreConflict, StoreUnavailable
from airflow_package_manager.installer.directory import MAXIMUM_BYTES, Directory
from airflow_package_manager.installer.small_files import read_bounded
from airflow_package_manager.ports import StoreChanges
from airflow_package_manager.refusals import StoreTooLarge


class DirectoryStore:
    """Implements `ports.RequirementStore`."""

    def __init__(self, directory: Directory) -> None:
        """Take the directory; it is created when first needed."""
        self._directory = directory
        self._pending = directory.root / ".pending"

    def read(self) -> StoreSnapshot:
        """Return what is there."""
        with self._right():
            return self._snapshot()

    def check_write(self) -> None:
        """Take the right to write, and give it back."""
        with self._right():
            return

    def write(self, changes: StoreChanges, expected_version: str) -> StoreSnapshot:
        """Write all of `changes` or nothing; `active` moves right after `current`."""
        if changes.text is not None and (changes.put_locks or changes.delete_locks or changes.current is not None):
            raise ValueError("one write changes either the text, or locks and current")
        with self._right():
            found = self._snapshot()
            if found.version != expected_version:
                raise StoreConflict("The requirements or locks were changed by somebody else at the same moment.")
            _require_room(found, changes)
            self._directory.write(self._pending, _render(changes, locks.text_digest(found.text)))
            self._finish()
            return self._snapshot()

    @contextlib.contextmanager
    def _right(self) -> Iterator[None]:
        """Hold the right to write, with nothing left unfinished; turns what goes wrong into our errors."""
        try:
            self._directory.prepare()
            with self._directory.locked():
                self._finish()
                yield
        except (OSError, ValueError) as error:
            raise StoreUnavailable(
                f"The requirements in {self._directory.root} cannot be read or written: {error}."
            ) from error

    def _snapshot(self) -> StoreSnapshot:
        directory = self._directory
        text = _decode(read_bounded(directory.requirements, MAXIMUM_BYTES))
        found = {
            revision: _decode(content)
            for revision in directory.revisions()
            if (content := read_bounded(directory.lock(revision), MAXIMUM_BYTES)) is not None
        }
        current = directory.read_current()
        parts = [text, str(current), *(f"{revision}\n{found[revision]}" for revision in sorted(found))]
        digests = (hashlib.sha256(_encode(part)).hexdigest() for part in parts)
        version = hashlib.sha256("\n".join(digests).encode()).hexdigest()
        return StoreSnapshot(text, MappingProxyType(found), current, version)

    def _finish(self) -> None:
        """Do what was written down and not finished, this write's or a dead writer's; every step may be repeated."""
        directory = self._directory
        written = read_bounded(self._pending, 16 * MAXIMUM_BYTES)
        if written is None:
            return
        changes: dict[str, Any] = json.loads(written)
        for revision, text in changes["put_locks"].items():
            directory.write(directory.lock(int(revision)), _encode(text))
        if changes["text"] is not None:
            found = locks.text_digest(_decode(read_bounded(directory.requirements, MAXIMUM_BYTES)))
            if found == changes["base"]:  # else it is done already, or somebody edited it meanwhile: theirs
                directory.write(directory.requirements, _encode(changes["text"]))
        if changes["current"] is not None:
            directory.write_current(changes["current"])
            self._activate(changes["current"])
        for revision in changes["delete_locks"]:
            directory.lock(revision).unlink(missing_ok=True)
        self._pending.unlink()

    def _activate(self, revision: int) -> None:
        """Point `active` at the site of the lock; a lock without pins needs none, a torn one has none."""
        directory = self._directory
        try:
            lock = locks.parse(directory.read_lock(revision) or "")
        except ValueError:
            directory.active.unlink(missing_ok=True)
            return
        if lock.pins or directory.site(lock.digest()).is_dir():
            directory.point_active(lock.digest())
        else:
            directory.active.unlink(missing_ok=True)


def _require_room(found: StoreSnapshot, changes: StoreChanges) -> None:
    kept = {revision: text for revision, text in found.locks.items() if revision not in changes.delete_locks}
    kept.update(changes.put_locks)
    text = found.text if changes.text is None else changes.text
    size = sum(len(text.encode("utf-8", "surrogatepass")) for text in (text, *kept.values()))
    if size > MAXIMUM_BYTES:
        raise StoreTooLarge(f"Requirements and locks would take {size} bytes of {MAXIMUM_BYTES}.", size=size)


def _render(changes: StoreChanges, base: str) -> bytes:
    values = {
        "base": base,
        "text": changes.text,
        "put_locks": {str(revision): text for revision, text in changes.put_locks.items()},
        "delete_locks": sorted(changes.delete_locks - set(changes.put_locks)),
        "current": changes.current,
    }
    return json.dumps(values).encode("ascii")


def _decode(content: bytes | None) -> str:
    """Return the text; bytes that are no UTF-8 survive as lone surrogates, so they are written back as they were."""
    return (content or b"").decode("utf-8", "surrogateescape")


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
