"""What a look at the machine shows: the processes of one Airflow home, and the files of its package manager."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from airflow_package_manager.installer.directory import Directory
from testenv.airflow_home import Airflow


def processes(home: Path) -> dict[int, str]:
    """Return the command line of every process of an Airflow home by its process id.

    A process that renames itself (the api-server, a task) loses its readable environment, but holds files open.
    """
    found = {}
    for path in Path("/proc").iterdir():
        if path.name.isdigit() and int(path.name) != os.getpid() and (_started_for(path, home) or _uses(path, home)):
            command = _read(path / "cmdline").replace(b"\0", b" ").decode("utf-8", "replace").strip()
            if command:  # else it is a zombie
                found[int(path.name)] = command
    return found


def schedulers(home: Path) -> list[int]:
    """Return the process ids of the schedulers of a home, without what they forked."""
    alike = {
        pid
        for pid, command in processes(home).items()
        if " scheduler" in command and "airflow" in command and "airflow_package_manager" not in command
    }
    return sorted(pid for pid in alike if _parent(pid) not in alike)


def reports(airflow: Airflow) -> dict[str, dict[str, Any]]:
    """Return what the only supervisor of each component reports, by component."""
    found = {}
    for path in sorted((_directory(airflow) / "components").glob("*/*.json")):
        report = json.loads(path.read_text())
        found[str(report["component"])] = report
    return found


def children(airflow: Airflow) -> dict[str, int]:
    """Return the process id of each component that has a process at this moment."""
    found = {name: report["child_pid"] for name, report in reports(airflow).items()}
    return {name: int(pid) for name, pid in found.items() if pid is not None}


def stored(airflow: Airflow) -> dict[str, bytes]:
    """Return requirements, locks, `current` and stamps, byte by byte."""
    directory = _directory(airflow)
    paths = [directory / "requirements.txt", directory / "current", *directory.glob("lock.*")]
    paths += directory.glob("components/*/stamp")
    return {str(path.relative_to(directory)): path.read_bytes() for path in sorted(paths) if path.exists()}


def requirements(airflow: Airflow) -> str:
    """Return the requirements file, empty when there is none."""
    path = _directory(airflow) / "requirements.txt"
    return path.read_text() if path.exists() else ""


def write_requirements(airflow: Airflow, text: str) -> None:
    """Edit the requirements file by hand."""
    (_directory(airflow) / "requirements.txt").write_text(text)


def kill(pid: int) -> None:
    """Kill a process as a crash does."""
    os.kill(pid, signal.SIGKILL)


def nothing_is_left(airflow: Airflow) -> bool:
    """Tell whether no lock is held, no write unfinished, and no check before a rollout left behind."""
    directory = Directory(_directory(airflow))
    with directory.locked(patience=1):
        return not (directory.root / ".pending").exists() and not list(directory.preflight.iterdir())


@contextmanager
def supervised(python: Path, environ: Mapping[str, str]) -> Iterator[None]:
    """Run a supervisor with a light child: nothing is planned for a machine on which nothing runs."""
    home = Path(environ["AIRFLOW_HOME"])
    command = [str(python.parent / "airflow-package-manager"), "run", "--component", "scheduler", "--", "sleep", "600"]
    said = home / "supervisor.log"
    with said.open("wb") as log:
        supervisor = subprocess.Popen(command, env=environ, stdout=log, stderr=log)
    try:
        told = home / "package_manager" / "components" / "scheduler"
        until = time.monotonic() + 60
        while not any('"ready"' in report.read_text() for report in told.glob(f"*-{supervisor.pid}.json")):
            assert supervisor.poll() is None, said.read_text()
            assert time.monotonic() < until, said.read_text()
            time.sleep(0.1)
        yield
    finally:
        supervisor.terminate()
        supervisor.wait(30)


def _directory(airflow: Airflow) -> Path:
    return airflow.home / "package_manager"


def _started_for(process: Path, home: Path) -> bool:
    return f"AIRFLOW_HOME={home}".encode() in _read(process / "environ").split(b"\0")


def _uses(process: Path, home: Path) -> bool:
    try:
        return any(str(path.readlink()).startswith(f"{home}/") for path in (process / "fd").iterdir())
    except OSError:
        return False  # ended while we looked, or none of ours


def _parent(pid: int) -> int | None:
    stat = _read(Path(f"/proc/{pid}/stat"))
    return int(stat[stat.rindex(b")") + 2 :].split()[1]) if stat else None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
