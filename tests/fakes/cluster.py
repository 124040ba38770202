"""An API server in memory, as far as `adapters.kubernetes.api.Api` is used for plain objects.

No controller, no validation, no permission: it exists to cut watches at chosen events. What it does beyond that passes
the same contract as the real server.
"""

from __future__ import annotations

import copy
import itertools
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from airflow_package_manager.adapters.kubernetes.api import Listing, WatchEvent
from airflow_package_manager.adapters.kubernetes.failures import Absent, AlreadyThere, Conflict, Gone, Invalid
from airflow_package_manager.adapters.kubernetes.kinds import Kind, Object

State = frozenset[tuple[str, str]]
"""uid and resourceVersion of every object at one moment."""


class MemoryApi:
    """Objects with uid and resourceVersion, and everything that ever happened to them.

    `cuts` holds, for each watch that is opened, after how many events it ends, and with which error (None: quietly).
    """

    def __init__(self) -> None:
        self.cuts: deque[tuple[int, Exception | None]] = deque()
        self.refusals: deque[Exception | None] = deque()
        """What each list raises instead of an answer; None lets it through."""
        self.owners: tuple[str, ...] = ()
        """Who owns whatever one would apply."""
        self.states: list[State] = [frozenset()]
        self.lists = 0
        self.watches = 0
        self._changed = threading.Condition()
        self._versions = itertools.count(1)
        self._version = 0
        self._objects: dict[tuple[Kind, str, str], Object] = {}
        self._history: list[tuple[int, Kind, str, str, Object]] = []
        self._forgotten = 0

    def get(self, kind: Kind, namespace: str, name: str) -> Object:
        with self._changed:
            return copy.deepcopy(self._found(kind, namespace, name))

    def list(
        self, kind: Kind, namespace: str, *, selector: str = "", trim: Callable[[Object], Object] = lambda found: found
    ) -> Listing:
        with self._changed:
            self.lists += 1
            refusal = self.refusals.popleft() if self.refusals else None
            if refusal is not None:
                raise refusal
            items = tuple(
                trim(copy.deepcopy(found))
                for (of_kind, inside, _), found in sorted(self._objects.items(), key=lambda row: row[0][2])
                if of_kind == kind and inside == namespace and _selected(found, selector)
            )
            return Listing(items, str(self._version))

    def create(self, kind: Kind, namespace: str, body: Object, *, dry_run: bool = False) -> Object:
        with self._changed:
            key = (kind, namespace, body["metadata"]["name"])
            if key in self._objects:
                raise AlreadyThere(f"{key[2]} exists")
            made = {"apiVersion": kind.api_version, "kind": kind.name, **copy.deepcopy(body)}
            made["metadata"] |= {"namespace": namespace, "uid": str(uuid.uuid4())}
            return self._keep("ADDED", key, made, dry_run=dry_run)

    def patch(
        self, kind: Kind, namespace: str, name: str, body: Object | Sequence[Object], *, dry_run: bool = False
    ) -> Object:
        with self._changed:
            found = self._found(kind, namespace, name)
            if isinstance(body, dict):
                wanted = body.get("metadata", {}).get("resourceVersion")
                if wanted is not None and wanted != found["metadata"]["resourceVersion"]:
                    raise Conflict(f"{name} changed")
                made = _merged(copy.deepcopy(found), body)
            else:
                made = _edited(copy.deepcopy(found), body)
            if made["metadata"]["uid"] != found["metadata"]["uid"]:
                raise Invalid("metadata.uid: field is immutable")
            if made == found:
                return copy.deepcopy(found)
            return self._keep("MODIFIED", (kind, namespace, name), made, dry_run=dry_run)

    def apply(
        self, kind: Kind, namespace: str, name: str, body: Object, *, dry_run: bool = True, manager: str
    ) -> Object:
        assert dry_run, "the fake knows no owners, so it can only try"
        del manager
        if self.owners:
            raise Conflict("conflict with " + ", ".join(self.owners), self.owners)
        return self.patch(kind, namespace, name, body, dry_run=True)

    def delete(
        self, kind: Kind, namespace: str, name: str, *, uid: str | None = None, propagation: str | None = None
    ) -> None:
        del propagation  # nothing here has dependents
        with self._changed:
            found = self._objects.get((kind, namespace, name))
            if found is None:
                return
            if uid is not None and found["metadata"]["uid"] != uid:
                raise Conflict("another uid")
            self._keep("DELETED", (kind, namespace, name), copy.deepcopy(found), dry_run=False)

    def watch(
        self, kind: Kind, namespace: str, *, selector: str = "", since: str, seconds: float
    ) -> Iterator[WatchEvent]:
        with self._changed:
            self.watches += 1
            after, error = self.cuts.popleft() if self.cuts else (None, None)
            seen = int(since)
        told = 0
        while True:
            if told == after:
                if error is not None:
                    raise error
                return
            event = self._await(kind, namespace, selector, seen, seconds)
            seen = int(event.object["metadata"]["resourceVersion"])
            told += 1
            yield event
            if event.type == "BOOKMARK":
                return

    def allowed(self, kind: Kind, namespace: str, verb: str, name: str = "") -> bool:
        del kind, namespace, verb, name
        return True

    def forget(self) -> None:
        """Forget what happened so far: who watches from an earlier moment is too late."""
        with self._changed:
            self._forgotten = self._version
            self._history.clear()

    def _await(self, kind: Kind, namespace: str, selector: str, seen: int, seconds: float) -> WatchEvent:
        """Return what happened next, or a bookmark after so many seconds without anything."""
        with self._changed:
            self._changed.wait_for(
                lambda: seen < self._forgotten or self._next(kind, namespace, selector, seen) is not None, seconds
            )
            if seen < self._forgotten:
                raise Gone(f"{seen} is too old")
            # A bookmark says that nothing happened until now, so it is made while nothing can happen.
            bookmark = WatchEvent("BOOKMARK", {"metadata": {"resourceVersion": str(self._version)}})
            return self._next(kind, namespace, selector, seen) or bookmark

    def _next(self, kind: Kind, namespace: str, selector: str, seen: int) -> WatchEvent | None:
        for version, of_kind, inside, type_, found in self._history:
            if version > seen and of_kind == kind and inside == namespace and _selected(found, selector):
                return WatchEvent(type_, copy.deepcopy(found))
        return None

    def _found(self, kind: Kind, namespace: str, name: str) -> Object:
        found = self._objects.get((kind, namespace, name))
        if found is None:
            raise Absent(f"there is no {name}", plural=kind.plural, name=name)
        return found

    def _keep(self, type_: str, key: tuple[Kind, str, str], made: Object, *, dry_run: bool) -> Object:
        if dry_run:
            return made
        self._version = next(self._versions)
        made["metadata"]["resourceVersion"] = str(self._version)
        if type_ == "DELETED":
            del self._objects[key]
        else:
            self._objects[key] = made
        self._history.append((self._version, key[0], key[1], type_, made))
        self.states.append(
            frozenset((row["metadata"]["uid"], row["metadata"]["resourceVersion"]) for row in self._objects.values())
        )
        self._changed.notify_all()
        return copy.deepcopy(made)


def _selected(found: Object, selector: str) -> bool:
    labels = found["metadata"].get("labels") or {}
    pairs = (part.split("=", 1) for part in selector.split(",") if part)
    return all(labels.get(key) == value for key, value in pairs)


def _merged(target: Object, patch: Object) -> Object:
    """Return RFC 7386's result, for objects within objects."""
    made = dict(target)
    for key, value in patch.items():
        if value is None:
            made.pop(key, None)
        elif isinstance(value, dict):
            made[key] = _merged(made.get(key) or {}, value)
        else:
            made[key] = value
    return made


def _edited(target: Object, operations: Sequence[Object]) -> Object:
    """Return RFC 6902's result, for objects within objects."""
    for operation in operations:
        *parents, last = (part.replace("~1", "/").replace("~0", "~") for part in str(operation["path"]).split("/")[1:])
        inside = target
        for part in parents:
            if part not in inside:
                raise Invalid(f"there is no {part}")
            inside = inside[part]
        name = operation["op"]
        if name == "test":
            if inside.get(last) != operation["value"]:
                raise Invalid(f"testing path {operation['path']} failed")
        elif name == "remove":
            inside.pop(last)
        else:
            inside[last] = operation["value"]
    return target
