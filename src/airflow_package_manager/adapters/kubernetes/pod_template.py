"""What a pod template must have so that the lock is read, installed, and used: which it lacks, in words. Pure.

A path means a place: the volume that is mounted there, and the path inside of it. Two containers share what is at the
same place, whatever their own paths are.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import PurePosixPath
from typing import NamedTuple

from airflow_package_manager.adapters.kubernetes.kinds import Object
from airflow_package_manager.adapters.kubernetes.preflight_job import OPTION_ACTIVE, OPTION_LOCKS, SITE_VARIABLE, option
from airflow_package_manager.adapters.kubernetes.stamping import Workload

_MODULE = "airflow_package_manager.installer"
_DIRECTORY = "--directory"
_OFF = "off"


class Place(NamedTuple):
    """Where a path of a container is."""

    volume: str
    inside: str
    """The path in that volume."""
    mount: Object

    def is_same(self, other: Place | None) -> bool:
        """Tell whether both are one place."""
        return other is not None and (self.volume, self.inside) == (other.volume, other.inside)


def installer_of(workload: Workload, installer: str) -> Object | None:
    """Return the init container that installs, None where the template has none of this name."""
    found = workload.template["spec"].get("initContainers") or ()
    return next((one for one in found if one.get("name") == installer), None)


def main_of(workload: Workload) -> Object:
    """Return the container that is the component."""
    found: Object = workload.template["spec"]["containers"][0]
    return found


def unknown(workload: Workload, installer: str) -> str | None:
    """Return why nobody can tell whether the volumes are right, None where one can."""
    init = installer_of(workload, installer)
    if init is None:
        return None  # that the container is missing is another check
    words = [str(word) for word in (*(init.get("command") or ()), *(init.get("args") or ()))]
    if _MODULE not in words:
        return f"its init container {installer} does not start {_MODULE} by itself"
    if option(init, _DIRECTORY) is None:
        return f"its init container {installer} names no {_DIRECTORY}"
    paths = (option(init, name) or "" for name in (_DIRECTORY, OPTION_LOCKS, OPTION_ACTIVE))
    if any("$(" in path for path in paths):
        return f"its init container {installer} takes its paths from variables"
    row = _variable(main_of(workload))
    if row is not None and (row.get("value") is None or "$(" in str(row["value"])):
        return f"its {SITE_VARIABLE} comes from somewhere else than the template"
    return None


def lacks(workload: Workload, installer: str, locks: str) -> tuple[str, ...]:
    """Return what is wrong with the volumes and mounts of a template that `unknown` knows; `locks`: the ConfigMap."""
    init = installer_of(workload, installer)
    if init is None or unknown(workload, installer) is not None:
        return ()
    directory = option(init, _DIRECTORY) or ""
    return (
        *_locks(workload, init, option(init, OPTION_LOCKS) or directory, locks),
        *_site(workload, init, directory),
        *_activation(workload, init, directory),
    )


def unused(workload: Workload, installer: str) -> str | None:
    """Return why the component may not use what its init container installed and reported, None where nothing says so.

    The report is the init container's: it says nothing about a container with another image, or with another site.
    """
    init = installer_of(workload, installer)
    if init is None:
        return None  # then nobody reports
    main = main_of(workload)
    if main.get("image") != init.get("image"):
        return f"its container {main['name']} runs another image than its init container {installer}"
    if _variable(main) is None:
        return f"its container {main['name']} has no variable {SITE_VARIABLE}"
    if unknown(workload, installer) is not None:
        return None
    directory = option(init, _DIRECTORY) or ""
    return next(chain(_site(workload, init, directory), _activation(workload, init, directory)), None)


def _locks(workload: Workload, init: Object, path: str, locks: str) -> Iterator[str]:
    """Yield what keeps the init container from reading the locks."""
    place = _place(init, path)
    if place is None:
        yield f"its init container {init['name']} mounts no volume at {path}, where it looks for locks"
        return
    if place.mount.get("subPath") or place.mount.get("subPathExpr"):
        yield f"its init container {init['name']} mounts {path} with a subPath, where a new lock never shows"
    volume = _volume(workload, place.volume)
    sources = [volume["configMap"]] if "configMap" in volume else []
    sources += [one["configMap"] for one in (volume.get("projected") or {}).get("sources") or () if "configMap" in one]
    of_locks = next((one for one in sources if one.get("name") == locks), None)
    if of_locks is None:
        yield f"its volume {place.volume} at {path} is {_kind(volume)}, not the ConfigMap {locks}"
    elif not of_locks.get("optional"):
        yield f"its volume {place.volume} is not optional: without the ConfigMap {locks} no pod starts"
    elif of_locks.get("items"):
        yield f"its volume {place.volume} shows chosen keys of {locks} only, and not the next lock"


def _site(workload: Workload, init: Object, directory: str) -> Iterator[str]:
    """Yield what keeps the init container from writing sites that outlive it."""
    place = _place(init, directory)
    if place is None:
        yield (
            f"its init container {init['name']} installs into {directory}, where no volume is mounted: it is gone with"
            " that container"
        )
        return
    volume = _volume(workload, place.volume)
    if place.mount.get("readOnly") or {"configMap", "secret", "projected", "downwardAPI"} & set(volume):
        yield f"its init container {init['name']} cannot write to {directory} (volume {place.volume})"


def _activation(workload: Workload, init: Object, directory: str) -> Iterator[str]:
    """Yield what keeps the main container from using what was installed."""
    main = main_of(workload)
    row, active = _variable(main), option(init, OPTION_ACTIVE)
    if row is None:
        return  # that the variable is missing is another check
    value = str(row["value"])
    if value == _OFF:
        yield f"its {SITE_VARIABLE} is off, so no package that was added is used"
        return
    used = _place(main, value)
    if used is None:
        yield f"its {SITE_VARIABLE} names {value}, and its container {main['name']} mounts no volume there"
        return
    if active is None:
        yield f"its init container {init['name']} names no {OPTION_ACTIVE}, so nothing makes {value}"
        return
    made = _place(init, active)
    if made is None or not made.is_same(used):
        there = "no volume" if made is None else f"volume {made.volume}"
        yield (
            f"its init container {init['name']} makes the link {active} on {there}, and its container {main['name']}"
            f" looks for {value} on volume {used.volume}"
        )
    elif not PurePosixPath(active).is_relative_to(directory):  # then the link leads to a path as the installer sees it
        sites = _place(init, directory)
        if sites is not None and not sites.is_same(_place(main, directory)):
            yield (
                f"its container {main['name']} does not mount volume {sites.volume} at {directory}, where the link"
                f" {value} leads"
            )


def _variable(main: Object) -> Object | None:
    """Return the row that counts: of two with one name, Kubernetes takes the last."""
    rows = [row for row in main.get("env") or () if row.get("name") == SITE_VARIABLE]
    return rows[-1] if rows else None


def _place(container: Object, path: str) -> Place | None:
    """Return where a path is; None where the container's own file system has it, which no other container sees."""
    wanted = PurePosixPath(path)
    mounts = [
        one for one in container.get("volumeMounts") or () if wanted.is_relative_to(PurePosixPath(one["mountPath"]))
    ]
    if not wanted.is_absolute() or not mounts:
        return None
    mount = max(mounts, key=lambda one: len(PurePosixPath(one["mountPath"]).parts))
    below = wanted.relative_to(mount["mountPath"])
    inside = PurePosixPath("/", str(mount.get("subPath") or mount.get("subPathExpr") or ""), below)
    return Place(str(mount["name"]), str(inside), mount)


def _volume(workload: Workload, name: str) -> Object:
    """Return a volume of the template; a claim of a StatefulSet is one too."""
    found = workload.template["spec"].get("volumes") or ()
    volume: Object = next((one for one in found if one.get("name") == name), {"persistentVolumeClaim": {}})
    return volume


def _kind(volume: Object) -> str:
    if "configMap" in volume:
        return f"the ConfigMap {volume['configMap'].get('name')}"
    return "of the kind " + next((key for key in volume if key != "name"), "unknown")
