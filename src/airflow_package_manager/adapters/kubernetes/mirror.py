"""List, then watch: keeps the trimmed objects of one kind and selector current, so that looking costs no request.

A daemon thread that ends by itself when nobody asked for a while, starts with the next question, and starts anew in a
forked child. What it cannot do is never hidden: the next `get` raises it, and old knowledge is not handed out.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from airflow_package_manager.adapters.kubernetes.api import Listing, WatchEvent
from airflow_package_manager.adapters.kubernetes.failures import Gone
from airflow_package_manager.adapters.kubernetes.kinds import Kind, Object
from airflow_package_manager.errors import ClusterUnavailable

_log = logging.getLogger(__name__)


class Lists(Protocol):
    """The two methods of `api.Api` that a mirror needs."""

    def list(
        self, kind: Kind, namespace: str, *, selector: str = "", trim: Callable[[Object], Object] = ...
    ) -> Listing:
        """Return all objects, trimmed."""
        ...

    def watch(
        self, kind: Kind, namespace: str, *, selector: str = "", since: str, seconds: float
    ) -> Iterator[WatchEvent]:
        """Yield the changes after a resourceVersion."""
        ...


@dataclass(frozen=True)
class Rhythm:
    """How often what happens, in seconds."""

    watch: float = 30.0
    """One watch request; a half-open connection is noticed a little after it should have ended."""
    relist: float = 300.0
    """Everything is listed anew, whatever the watch told."""
    idle: float = 120.0
    """Nobody asked for so long: the thread ends."""
    first: float = 30.0
    """How long a question waits for the first list."""
    certain: float = 10.0
    """A watch that is silent for longer may be a connection that is half open: nothing is built on what it told."""
    stale: float = 90.0
    """Without a sign of life of the server for so long, a question is refused."""
    pause: float = 1.0
    """Between a watch that broke and the next list."""


class Mirror:
    """What the server has of one kind, by uid; safe to share between threads."""

    def __init__(
        self,
        api: Lists,
        kind: Kind,
        namespace: str,
        *,
        selector: str = "",
        trim: Callable[[Object], Object] = lambda found: found,
        rhythm: Rhythm = Rhythm(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take what to keep and how to trim it; `trim` must leave ``metadata.uid``. Nothing starts before `get`."""
        self._api = api
        self._kind = kind
        self._namespace = namespace
        self._selector = selector
        self._trim = trim
        self._rhythm = rhythm
        self._clock = clock
        self._guard = threading.Lock()
        self._run: _Run | None = None
        self._process = os.getpid()

    def get(self, *, certain: bool = False) -> Mapping[str, Object]:
        """Return the objects by uid, as of `age()` seconds ago; waits for the first list.

        `certain`: where nothing was heard for longer than the rhythm calls certain, it begins anew. Raises what the
        thread met since the last question, and `ClusterUnavailable` when nothing was heard in time.
        """
        with self._guard:
            if self._process != os.getpid():  # forked: the thread is not here, and its lock may be held for ever
                self._run, self._process = None, os.getpid()
            run = self._run
            if run is None or not run.alive():
                self._run = None
                if run is not None and run.error is not None:
                    raise run.error
                self._run = run = self._start()
            elif certain and self._rhythm.certain < run.age() < float("inf"):
                run.stop()
                self._run = run = self._start()
        return run.objects()

    def age(self) -> float:
        """Return the seconds since the server was last heard; infinite before the first list."""
        run = self._run
        return run.age() if run is not None else float("inf")

    def close(self) -> None:
        """Let the thread end; it does so with the next event, or when its watch is over."""
        with self._guard:
            if self._run is not None:
                self._run.stop()
                self._run = None

    def _start(self) -> _Run:
        def list_all() -> Listing:
            return self._api.list(self._kind, self._namespace, selector=self._selector, trim=self._trim)

        def watch(since: str) -> Iterator[WatchEvent]:
            return self._api.watch(
                self._kind, self._namespace, selector=self._selector, since=since, seconds=self._rhythm.watch
            )

        run = _Run(
            f"mirror of {self._kind.resource}", list_all, watch, trim=self._trim, rhythm=self._rhythm, clock=self._clock
        )
        run.start()
        return run


class _Run:
    """One life of the thread; a later life never meets what an earlier one still writes."""

    def __init__(
        self,
        name: str,
        list_all: Callable[[], Listing],
        watch: Callable[[str], Iterator[WatchEvent]],
        *,
        trim: Callable[[Object], Object],
        rhythm: Rhythm,
        clock: Callable[[], float],
    ) -> None:
        self.error: Exception | None = None
        self._name = name
        self._list_all = list_all
        self._watch = watch
        self._trim = trim
        self._rhythm = rhythm
        self._clock = clock
        self._changed = threading.Condition()
        self._objects: dict[str, Object] | None = None
        self._asked = self._heard = clock()
        self._over = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._live, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()

    def alive(self) -> bool:
        """Tell whether it may be asked; keeps it from ending for want of questions."""
        with self._changed:
            self._asked = self._clock()
            return not self._over and self._thread.is_alive()

    def age(self) -> float:
        with self._changed:
            return float("inf") if self._objects is None else self._clock() - self._heard

    def objects(self) -> Mapping[str, Object]:
        with self._changed:
            self._changed.wait_for(lambda: self._objects is not None or self._over, self._rhythm.first)
            if self.error is not None:
                error, self.error = self.error, None
                raise error
            silent = self._clock() - self._heard
            if self._objects is None or silent > self._rhythm.stale:
                raise ClusterUnavailable(f"The {self._name} heard nothing from the API server for {silent:.0f} s.")
            return MappingProxyType(dict(self._objects))

    def _live(self) -> None:
        try:
            while not self._ends():
                self._follow()
        except Exception as error:  # noqa: BLE001  whoever asks next gets it
            _log.info("The %s ends: %s", self._name, error)
            with self._changed:
                self.error = error
        finally:
            with self._changed:
                self._over = True
                self._changed.notify_all()

    def _ends(self) -> bool:
        """Tell whether it is time to end, and if so let no question count on us any more."""
        with self._changed:
            if self._stopping.is_set() or self._clock() - self._asked > self._rhythm.idle:
                self._over = True
            return self._over

    def _follow(self) -> None:
        """List, then watch from there until it is time to list anew."""
        listing = self._list_all()
        self._hear({str(found["metadata"]["uid"]): found for found in listing.items})
        since, listed = listing.resource_version, self._clock()
        while self._clock() - listed < self._rhythm.relist:
            try:
                for event in self._watch(since):
                    since = self._take(event)
                    if self._ends():
                        return
            except Gone:
                _log.info("The %s fell too far behind; listing anew.", self._name)
                return
            except ClusterUnavailable as error:
                # The list that follows tells whether the server is there; what it raises is what `get` raises.
                _log.info("The %s was cut off: %s", self._name, error)
                self._stopping.wait(self._rhythm.pause)
                return
            self._hear(None)
            if self._ends():
                return

    def _take(self, event: WatchEvent) -> str:
        """Carry a change over and return its resourceVersion."""
        metadata = event.object["metadata"]
        version = str(metadata["resourceVersion"])
        if event.type == "BOOKMARK":
            self._hear(None)
            return version
        uid = str(metadata["uid"])
        kept = self._trim(event.object) if event.type != "DELETED" else None
        with self._changed:
            objects = self._objects or {}  # a list comes before every watch
            if kept is None:
                objects.pop(uid, None)
            else:
                objects[uid] = kept
            self._objects = objects
            self._heard = self._clock()
        return version

    def _hear(self, objects: dict[str, Object] | None) -> None:
        with self._changed:
            if objects is not None:
                self._objects = objects
            self._heard = self._clock()
            self._changed.notify_all()
