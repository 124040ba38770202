"""Work that goes on after the answer: one daemon thread per key, started on first use, so after any fork."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)


class Background:
    """Runs a function per key; a key that is at work already is not started a second time.

    A page that polls an orphaned operation asks for its driver once a second; this keeps it at one thread.
    """

    def __init__(self, name: str, work: Callable[[str], object]) -> None:
        """Take a name for the threads, and what to do with a key."""
        self._name = name
        self._work = work
        self._guard = threading.Lock()
        self._running: dict[str, threading.Thread] = {}

    def soon(self, key: str) -> None:
        """Start the work and return at once."""
        with self._guard:
            if key in self._running:
                return
            thread = threading.Thread(target=self._run, args=(key,), name=f"{self._name}-{key[:8]}", daemon=True)
            self._running[key] = thread
            thread.start()

    def join(self, seconds: float) -> None:
        """Wait for what is at work, at most so long for each."""
        with self._guard:
            threads = list(self._running.values())
        for thread in threads:
            thread.join(seconds)

    def _run(self, key: str) -> None:
        try:
            self._work(key)
        except Exception:
            # The border of a thread: nobody else would hear of it. The work itself keeps its state in the database,
            # where the watch of any process finds it again.
            log.exception("%s of %s ended by an unexpected error", self._name, key)
        finally:
            with self._guard:
                del self._running[key]
