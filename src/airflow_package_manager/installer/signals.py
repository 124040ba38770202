"""Signals of the supervisor: some mean stop, others are passed on to its child's main process."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

STOP = (signal.SIGTERM, signal.SIGINT)
"""Ctrl-C too: SIGINT would fail every running task, so the child gets SIGTERM for it."""
PASSED_ON = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGQUIT)


class Signals:
    """A context in which signals are remembered instead of acting at once."""

    def __init__(self) -> None:
        self.stop: int | None = None
        """The first signal that asked to stop."""
        self.hurry = False
        """Asked by a second Ctrl-C: wait for nothing more."""
        self._passed_on: list[int] = []
        self._before: dict[int, Any] = {}

    def take(self, send: Callable[[int], object]) -> None:
        """Pass on what came in since the last call."""
        while self._passed_on:
            send(self._passed_on.pop(0))

    def __enter__(self) -> None:
        """Begin; must be called in the main thread."""
        for signum in (*STOP, *PASSED_ON):
            self._before[signum] = signal.signal(signum, self._remember)

    def __exit__(self, *_: object) -> None:
        """Give the signals back to whoever had them."""
        for signum, handler in self._before.items():
            signal.signal(signum, handler)

    def _remember(self, signum: int, _frame: FrameType | None) -> None:
        if signum not in STOP:
            self._passed_on.append(signum)
        elif self.stop is None:
            self.stop = signum
        elif signum == signal.SIGINT:
            self.hurry = True
