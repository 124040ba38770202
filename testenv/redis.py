"""A private redis for tests: Debian's program, a free port on loopback, nothing written to a disk."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from testenv.airflow_home import free_port
from testenv.cluster.server import Server, Starter

SECONDS_TO_START = 30.0
_NOBODY = 65534


@dataclass(frozen=True)
class Redis:
    """A running server."""

    port: int

    @property
    def url(self) -> str:
        """Return its address as a Celery broker."""
        return f"redis://127.0.0.1:{self.port}/0"


@contextmanager
def server() -> Iterator[Redis]:
    """Start a server, and stop it whatever happens; raises `cluster.server.StartFailed` with the end of its log."""
    home = Path(tempfile.mkdtemp(prefix="package-manager-redis-"))
    starter = Starter()
    port = free_port()
    command = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]
    if os.geteuid() == 0:
        os.chown(home, _NOBODY, _NOBODY)
        unprivileged = ["setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups", "--pdeathsig=KILL"]
        command = [*unprivileged, *command]
    running = Server(starter, command, home / "redis.log")
    try:
        running.start()
        running.await_answer(lambda: _answers(port), SECONDS_TO_START)
        yield Redis(port)
    finally:
        running.stop(at_once=True)
        starter.close()
        shutil.rmtree(home)


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
        connection.sendall(b"PING\r\n")
        return connection.recv(16).startswith(b"+PONG")
    return False
