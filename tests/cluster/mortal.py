"""Drivers in real processes of their own, which a signal of their own stops at one recorded moment.

They fork from a server that has imported everything already: importing the client anew in each would take longer than
what it is to be killed in.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Mapping
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

from airflow_package_manager.domain.operation import ACTIVE
from airflow_package_manager.driver import Pace
from tests.cluster.line import silent
from tests.cluster.preparing import application, eventually

PACE = Pace(lease=1.5, renew=0.5, watch=0.1, poll=0.15)
PATIENCE = 90.0
_GUARD = threading.Lock()
"""Whenever a process is started, multiprocessing looks after all others: two threads that read how one ended, of which
there is one copy, leave one of them with 255."""


def drive(environ: Mapping[str, str], moment: str, fate: int) -> None:
    """Drive the active operation; at the moment this process sends itself the signal.

    On a busy machine its lease may end before the moment, and it with it: then it adopts the operation again.
    """
    met: list[str] = []

    def hear(now: str) -> None:
        if now == moment and not met:
            met.append(now)
            os.kill(os.getpid(), fate)

    with application(environ, hear, PACE) as (app, _):
        app.driver.adopt_orphan()
        while not met and (found := app.driver._repository.active()) is not None and found.state in ACTIVE:
            time.sleep(PACE.watch)
            app.driver.adopt_orphan()


def adopt(environ: Mapping[str, str]) -> None:
    """Adopt what nobody drives, as the watch of a server does, until it has ended."""
    with application(environ, silent, PACE) as (app, _):
        while (found := app.driver._repository.active()) is not None and found.state in ACTIVE:
            app.driver.adopt_orphan()
            time.sleep(PACE.watch)


class Processes:
    """Where drivers come from."""

    def __init__(self) -> None:
        self._context: ForkServerContext = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([__name__, "kubernetes.client", "kubernetes.config"])

    def driver(self, environ: Mapping[str, str], moment: str, fate: int) -> ForkServerProcess:
        """Start a driver that meets its fate at the moment."""
        return self._started(drive, environ, moment, fate)

    def adopted(self, environ: Mapping[str, str]) -> None:
        """Let another process drive the operation to its end."""
        process = self._started(adopt, environ)
        ended(process)
        assert process.exitcode == 0

    def _started(self, target: object, *arguments: object) -> ForkServerProcess:
        process = self._context.Process(target=target, args=arguments, daemon=True)  # type: ignore[arg-type]
        with _GUARD:
            process.start()
        return process


def ended(process: ForkServerProcess) -> None:
    """Wait until the process has ended; one that does not is killed, and the test fails."""
    deadline = time.monotonic() + PATIENCE
    while _exit_status(process) is None:
        if time.monotonic() > deadline:
            process.kill()
            raise AssertionError("a driver did not end")
        time.sleep(0.05)


def _exit_status(process: ForkServerProcess) -> int | None:
    with _GUARD:
        return process.exitcode


def until_stopped(process: ForkServerProcess) -> None:
    """Wait until a process is stopped by SIGSTOP."""

    def is_stopped() -> bool:
        status = _exit_status(process)
        assert status is None, f"it ended with {status} before its moment"
        state = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state == "T"

    eventually(is_stopped, "its moment", seconds=PATIENCE)


def goes_on(process: ForkServerProcess) -> None:
    assert process.pid is not None
    os.kill(process.pid, signal.SIGCONT)
