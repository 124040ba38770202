"""One server process of the control plane: started, watched, stopped by its id, and never left behind."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SECONDS_TO_STOP = 10.0
_TICK = 0.05
_END = 3000
"""Characters of a log that are shown."""


class StartFailed(RuntimeError):
    """A server ended or did not answer in time; shows the end of its log."""


class Starter:
    """Starts processes that the kernel kills when this process dies, whoever asks for them.

    The kernel watches the *thread* that started a process, not the process: so one thread starts them all and stays
    until `close`. Close it after the servers are stopped.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="starts-servers")

    def start(self, command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
        """Start the command in a session of its own; what it prints is appended to the log."""
        return self._thread.submit(self._start, command, log).result()

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown()

    @staticmethod
    def _start(command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
        bound = ["setpriv", "--pdeathsig", "KILL", "--"] if sys.platform == "linux" else []
        with log.open("ab") as output:
            return subprocess.Popen(
                [*bound, *command],
                cwd=log.parent,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )


class Server:
    """A program with its arguments, which may be stopped and started again."""

    def __init__(self, starter: Starter, command: Sequence[str], log: Path) -> None:
        self.log = log
        self.command = tuple(command)
        self._starter = starter
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Return its process id while it is started."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start it; does not wait for anything."""
        if self._process is None:
            self._process = self._starter.start(self.command, self.log)

    def await_answer(self, answers: Callable[[], bool], seconds: float) -> None:
        """Wait until it answers; raises `StartFailed` when it ends before, or takes longer."""
        deadline = time.monotonic() + seconds
        while not answers():
            status = None if self._process is None else self._process.poll()
            if self._process is None or status is not None:
                raise StartFailed(f"{self._name} ended with {status}:\n{self.log_end()}")
            if time.monotonic() > deadline:
                raise StartFailed(f"{self._name} does not answer after {seconds:.0f} s:\n{self.log_end()}")
            time.sleep(_TICK)

    def stop(self, *, at_once: bool = False) -> None:
        """Stop it: it is asked first, then, when it does not listen or shall go `at_once`, killed.

        Harmless when it is not running.
        """
        process, self._process = self._process, None
        if process is None:
            return
        if not at_once:
            process.terminate()
            try:
                process.wait(SECONDS_TO_STOP)
            except subprocess.TimeoutExpired:
                at_once = True
        if at_once:
            process.kill()
        process.wait()

    def log_end(self) -> str:
        """Return the end of what it printed."""
        return self.log.read_text(errors="replace")[-_END:] if self.log.exists() else ""

    @property
    def _name(self) -> str:
        return Path(self.command[0]).name
