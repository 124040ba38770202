"""Who supervises which child: `components/<component>/<host>-<pid>.child`, for the supervisor that comes next.

Two lines: ``supervisor <pid> <start> <world>``, written by the supervisor before each start, and ``child <pid>
<start>``, appended by the child itself before it becomes its command (`launch`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from airflow_package_manager.installer.directory import Directory, host_name
from airflow_package_manager.installer.processes import Process
from airflow_package_manager.installer.small_files import read_bounded

SUFFIX = ".child"
_LIMIT = 1024


@dataclass(frozen=True)
class ChildRecord:
    """What one record says."""

    supervisor: Process
    world: str
    """Kernel run and process namespace in which the numbers mean something."""
    child: Process | None


def record_path(directory: Directory, component: str, host: str, pid: int) -> Path:
    """Return the path of the record of the supervisor with this process id on this host."""
    return directory.component(component) / f"{host_name(host)}-{pid}{SUFFIX}"


def records_of_host(directory: Directory, component: str, host: str) -> tuple[Path, ...]:
    """Return the records of all supervisors of the component on this host, dead ones included."""
    prefix = f"{host_name(host)}-"
    found = []
    for path in directory.component(component).iterdir():
        pid = path.name.removeprefix(prefix).removesuffix(SUFFIX)
        if path.name == f"{prefix}{pid}{SUFFIX}" and pid.isascii() and pid.isdigit():
            found.append(path)
    return tuple(sorted(found))


def write_record(directory: Directory, path: Path, supervisor: Process, world: str) -> None:
    """Write the first line; the next child appends the second."""
    directory.write(path, f"supervisor {supervisor.pid} {supervisor.start} {world}\n".encode())


def read_record(path: Path) -> ChildRecord | None:
    """Return the record, None when it is not one of ours; raises `OSError`."""
    try:
        lines = (read_bounded(path, _LIMIT) or b"").decode("ascii").splitlines()
        word, pid, start, world = lines[0].split(" ")
        supervisor = Process(int(pid), int(start))
        child = None
        for line in lines[1:]:
            kind, number, begun = line.split(" ")
            child = Process(int(number), int(begun)) if kind == "child" else None
    except (ValueError, IndexError):
        return None
    return ChildRecord(supervisor, world, child) if word == "supervisor" else None
