"""A private PostgreSQL server for tests: Debian's binaries, a temporary directory, a free port on loopback.

`with server() as postgres: create_engine(postgres.url())`. Anybody on this machine may connect while it runs (trust
on loopback), and nothing of it survives: durability is off, the directory is removed, the process stopped by its id.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PACKAGES = Path("/usr/lib/postgresql")
"""Where Debian puts `<major>/bin/postgres`."""
SECONDS_TO_START = 60.0
SECONDS_TO_STOP = 20.0
_UNPRIVILEGED = "postgres"
"""The user that Debian's package creates; PostgreSQL refuses to run as root."""
_ATTEMPTS = 3
_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "shared_buffers": "32MB",
    "max_connections": "100",
}


class PostgresMissing(RuntimeError):
    """Debian's packages are not installed, or the server does not start; says what to do."""


@dataclass(frozen=True)
class Postgres:
    """A running server."""

    port: int
    pid: int

    def url(self, database: str = "postgres") -> str:
        """Return the SQLAlchemy address of one of its databases."""
        return f"postgresql+psycopg2://{_UNPRIVILEGED}@127.0.0.1:{self.port}/{database}"


def binaries() -> Path:
    """Return the directory of the newest installed `initdb` and `postgres`; raises `PostgresMissing`."""
    found = [path.parent for path in PACKAGES.glob("*/bin/initdb") if (path.parent / "postgres").exists()]
    if not found:
        raise PostgresMissing(
            f"There is no PostgreSQL under {PACKAGES}: run 'apt-get install -y --no-install-recommends postgresql'."
        )
    return max(found, key=lambda path: int(path.parent.name))


@contextmanager
def server() -> Iterator[Postgres]:
    """Start a server, and stop it and remove all it left at the end, whatever happens; raises `PostgresMissing`.

    Call it from the main thread: the server is told to stop when the thread that started it ends.
    """
    programs = binaries()
    home = Path(tempfile.mkdtemp(prefix="package-manager-postgres-"))
    try:
        if os.geteuid() == 0:
            owner = pwd.getpwnam(_UNPRIVILEGED)
            os.chown(home, owner.pw_uid, owner.pw_gid)
        data = home / "data"
        _initialise(programs, data)
        process, port = _start(programs, data, home / "log")
        try:
            yield Postgres(port, process.pid)
        finally:
            _stop(process)
    finally:
        shutil.rmtree(home)


def _as_server_user(command: list[str]) -> list[str]:
    """Return the command as the unprivileged user when we are root; its child dies with us either way."""
    bound = ["setpriv", "--pdeathsig", "INT"]
    if os.geteuid() == 0:
        bound += [f"--reuid={_UNPRIVILEGED}", f"--regid={_UNPRIVILEGED}", "--init-groups"]
    return [*bound, "--", *command]


def _initialise(programs: Path, data: Path) -> None:
    command = [str(programs / "initdb"), "-D", str(data), "-U", _UNPRIVILEGED, "-A", "trust", "-E", "UTF8"]
    command += ["--locale=C", "--no-sync"]
    done = subprocess.run(_as_server_user(command), cwd="/", capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise PostgresMissing(f"initdb failed: {done.stderr.strip() or done.stdout.strip()}")


def _start(programs: Path, data: Path, log: Path) -> tuple[subprocess.Popen[bytes], int]:
    for _ in range(_ATTEMPTS):  # between choosing the port and using it, somebody else may take it
        port = _free_port()
        command = [str(programs / "postgres"), "-D", str(data), "-p", str(port)]
        for name, value in _OPTIONS.items():
            command += ["-c", f"{name}={value}"]
        with log.open("wb") as output:
            process = subprocess.Popen(
                _as_server_user(command), cwd="/", stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        answers = False
        try:
            answers = _answers(process, programs, port)
        finally:
            if not answers:
                _stop(process)
        if answers:
            return process, port
    raise PostgresMissing(f"PostgreSQL does not start: {log.read_text(errors='replace')[-2000:]}")


def _answers(process: subprocess.Popen[bytes], programs: Path, port: int) -> bool:
    question = [str(programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
    deadline = time.monotonic() + SECONDS_TO_START
    while process.poll() is None and time.monotonic() < deadline:
        if subprocess.run(question, timeout=10, check=False).returncode == 0:
            return True
        time.sleep(0.1)
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Stop it: connections are cut, then, if it does not listen, it is killed."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
