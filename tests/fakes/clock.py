"""A clock that only moves when told to."""

from __future__ import annotations

import threading


class ManualClock:
    """Unix seconds that stand still; `sleep` moves them, so nothing ever waits."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self._now = now
        self._guard = threading.Lock()

    def __call__(self) -> float:
        with self._guard:
            return self._now

    def advance(self, seconds: float) -> None:
        """Move on."""
        with self._guard:
            self._now += seconds

    sleep = advance
