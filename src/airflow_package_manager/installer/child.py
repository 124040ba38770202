"""One child process of the supervisor: started in its own session, ended in one of two ways."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from airflow_package_manager.installer import launch, processes

_TICK = 0.05


class Child:
    """A running command; signals go to its main process only, so LocalExecutor tasks do not see them."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], record: Path | None) -> None:
        """Start it. Must be called from the main thread: the kernel ends it when the *thread* that started it dies."""
        self._popen = subprocess.Popen(
            launched(command, record), stdin=subprocess.DEVNULL, env=dict(environment), start_new_session=True
        )
        self.pid = self._popen.pid
        self.started_at = time.time()

    def exit_status(self) -> int | None:
        """Return its exit status as a shell would (128 + n for signal n), None while it runs."""
        status = self._popen.poll()
        return status if status is None or status >= 0 else 128 - status

    def send(self, signum: int) -> None:
        """Send a signal to its main process; harmless when it has ended."""
        self._popen.send_signal(signum)

    def end(self, patience: Callable[[float], bool], waiting: Callable[[], object]) -> int:
        """Send SIGTERM, wait while `patience(seconds waited)` holds, then SIGKILL; return the exit status.

        Only the main process is ended: what it leaves in its session is `leftovers`. `waiting` is called all the while.
        """
        self.send(signal.SIGTERM)
        since = time.monotonic()
        while self.exit_status() is None and patience(time.monotonic() - since):
            waiting()
            time.sleep(_TICK)
        if self.exit_status() is None:
            self.send(signal.SIGKILL)
        self._popen.wait()
        status = self.exit_status()
        return 0 if status is None else status

    def leftovers(self) -> tuple[processes.Process, ...]:
        """Return the living processes of its session other than itself."""
        return tuple(found for found in processes.members(self.pid) if found.pid != self.pid)


def launched(command: Sequence[str], record: Path | None, *, detached: bool = False) -> list[str]:
    """Return the command wrapped so that it dies with this process, or not at all when `detached` (see `launch`)."""
    script = str(Path(launch.__file__).absolute())
    parent = launch.DETACHED if detached else os.getpid()
    return [sys.executable, "-I", "-S", script, str(parent), str(record or "-"), *command]
