"""What there is of a node on the machine, and what is the machine's own and must stay as it is."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

MACHINE = (
    "/run/containerd",
    "/var/lib/kubelet",
    "/var/lib/cni",
    "/var/log/containers",
    "/var/log/pods",
    "/opt/containerd",
)
KERNEL = ("vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops")


def machine() -> dict[str, object]:
    """Return what a kubelet and a containerd change on a machine that is theirs."""
    places: dict[str, object] = {place: Path(place).exists() for place in MACHINE}
    return places | {name: Path("/proc/sys", name).read_text() for name in KERNEL}


def of(name: str) -> list[object]:
    """Return what there is of a directory by its name: processes, control groups, mounts."""
    return [*processes(name), *control_groups(name), *mounts(name)]


def processes(name: str) -> list[str]:
    """Return the processes whose command line or control group speaks of this directory."""
    return [f"{process.name} {said!r}" for process, said in _processes(name)]


def network_namespaces(name: str) -> set[str]:
    """Return those in which the directory's processes are."""
    found = set()
    for process, _ in _processes(name):
        with contextlib.suppress(OSError):  # it has ended
            found.add(str((process / "ns" / "net").readlink()))
    return found


def mounts(name: str) -> list[str]:
    """Return the mounts that this process sees of the directory."""
    return [line for line in Path("/proc/mounts").read_text().splitlines() if name in line]


def control_groups(name: str) -> list[str]:
    """Return the control groups of the directory."""
    return [path for path, _, _ in os.walk("/sys/fs/cgroup") if name in path]


def _processes(name: str) -> Iterator[tuple[Path, bytes]]:
    for process in Path("/proc").iterdir():
        if process.name.isdecimal() and int(process.name) != os.getpid():
            try:
                said = (process / "cmdline").read_bytes() + (process / "cgroup").read_bytes()
            except OSError:  # it has ended
                continue
            if name.encode() in said:
                yield process, said
