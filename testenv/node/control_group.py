"""The control group of a node: below the one that asks for it, so that its limits hold for the node too."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
JOIN = 'while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs"; shift; done; shift; exec "$@"'
"""A shell script: joins the groups before `--`, then becomes the command behind it."""


@dataclass(frozen=True)
class Group:
    """The node's group in one hierarchy."""

    directory: Path
    hierarchy: Path
    """Where the hierarchy is mounted."""


def planned(name: str) -> tuple[Group, ...]:
    """Return where a group of this name belongs in each hierarchy; makes nothing."""
    groups = []
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        number, controllers, path = line.split(":", 2)
        hierarchy = _mounted(number, controllers)
        if hierarchy is None:
            continue
        # In the second version a group with processes cannot hand its controllers down: only the root can.
        parent = hierarchy if hierarchy == ROOT else hierarchy / path.strip("/")
        groups.append(Group(parent / name, hierarchy))
    return tuple(groups)


def make(group: Group) -> None:
    """Make the group."""
    group.directory.mkdir()
    if (group.hierarchy / "cgroup.controllers").exists():
        return
    for setting in ("cpuset.cpus", "cpuset.mems"):
        if (group.directory / setting).exists():  # empty at first in the first version, and then nothing may join
            (group.directory / setting).write_text((group.directory.parent / setting).read_text())


def _mounted(number: str, controllers: str) -> Path | None:
    """Return where a hierarchy of `/proc/self/cgroup` is mounted, None for one that is not."""
    if number == "0":
        found = [ROOT] if (ROOT / "cgroup.controllers").exists() else [ROOT / "unified"]
    else:
        found = [ROOT / controllers, ROOT / controllers.removeprefix("name=")]
    return next((path for path in found if (path / "cgroup.procs").exists()), None)
