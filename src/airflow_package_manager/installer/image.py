"""The image: what this interpreter has without the site, told from directory names in a few milliseconds.

Looks into every `site-packages` and `dist-packages` of `sys.path` and the directories of `PYTHONPATH`, in the order of
`sys.path`, never into a site, the working directory or a script's directory: a web server, a scheduler and the
installer of one image must give one fingerprint.
"""

from __future__ import annotations

import os
import re
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass

from airflow_package_manager.domain.lock import image_fingerprint, normalised

MARKER = ".airflow-package-manager-site"
"""The file that makes a directory a complete site; `airflow_package_manager_site` knows the same name."""
_PROJECT = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*", re.ASCII)


@dataclass(frozen=True)
class ImageDistribution:
    """One distribution of the image."""

    name: str
    """Normalised."""
    version: str
    directory: str
    """Where it is imported from."""
    metadata: str
    """Its `.dist-info` directory, or `.egg-info` (a directory or a file)."""


def python_tag() -> str:
    """Return the tag of this interpreter, for example ``cp311`` (``cp313t`` when it is free-threaded)."""
    kind = {"cpython": "cp", "pypy": "pp"}.get(sys.implementation.name, sys.implementation.name)
    return f"{kind}{sys.version_info.major}{sys.version_info.minor}{'t' if 't' in getattr(sys, 'abiflags', '') else ''}"


def platform_tag() -> str:
    """Return the tag of this platform, for example ``linux_x86_64``."""
    return sysconfig.get_platform().replace("-", "_").replace(".", "_").lower()


def image_directories() -> tuple[str, ...]:
    """Return the directories that hold the image's distributions, first come first imported."""
    extra = {os.path.realpath(part) for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part}
    found: dict[str, None] = {}
    for entry in sys.path:
        if not entry:
            continue
        path = os.path.realpath(entry)
        last = os.path.basename(path)  # noqa: PTH119 - pathlib costs what this function saves
        if last not in {"site-packages", "dist-packages"} and path not in extra:
            continue
        if not os.path.lexists(f"{path}/{MARKER}"):
            found[path] = None
    return tuple(found)


def image() -> dict[str, ImageDistribution]:
    """Return the image's distributions by normalised name; of two with one name the first on `sys.path` counts."""
    found: dict[str, ImageDistribution] = {}
    for directory in image_directories():
        found = distributions(directory) | found
    return found


def distributions(directory: str) -> dict[str, ImageDistribution]:
    """Return what one directory holds by normalised name; of two with one name the first in order counts."""
    found: dict[str, ImageDistribution] = {}
    for name in _entries(directory):
        distribution = _distribution(directory, name)
        if distribution is not None:
            found.setdefault(distribution.name, distribution)
    return found


def image_distributions() -> dict[str, str]:
    """Return normalised name → version of all that the image holds."""
    return {name: distribution.version for name, distribution in image().items()}


def fingerprint(known: Mapping[str, ImageDistribution] | None = None) -> str:
    """Return the image's fingerprint (see `domain.lock.image_fingerprint`); `known` is `image()` when it was asked."""
    found = image() if known is None else known
    versions = {name: distribution.version for name, distribution in found.items()}
    return image_fingerprint(versions, python_tag(), platform_tag())


def metadata_of(name: str, path: str) -> tuple[str, str] | None:
    """Return normalised name and version of a `.dist-info` or `.egg-info` called `name` at `path`, None without."""
    stem, dot, kind = name.rpartition(".")
    if not dot or kind not in {"dist-info", "egg-info"}:
        return None
    parts = stem.split("-")
    # A directory name in canonical form says it all; whatever else looks like one is opened.
    if kind == "dist-info" and len(parts) == 2 and parts[1][:1].isdigit() and "_" not in parts[1]:  # noqa: PLR2004
        return normalised(parts[0]), parts[1]
    for candidate in (f"{path}/METADATA", f"{path}/PKG-INFO", path):
        headers = headers_of(candidate)
        if headers is not None:
            return headers
    return None


def _distribution(directory: str, name: str) -> ImageDistribution | None:
    path = f"{directory}/{name}"
    known = metadata_of(name, path)
    if known is None or not _PROJECT.fullmatch(known[0]):
        return None  # pip leaves `~name-1.0.dist-info` when an upgrade breaks off; no resolver takes such a name
    return ImageDistribution(known[0], known[1], directory, path)


def _entries(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))  # noqa: PTH208 - pathlib costs what this function saves
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []  # sys.path may name what is not there


def headers_of(path: str) -> tuple[str, str] | None:
    """Return normalised name and version that a METADATA or PKG-INFO file says, None when it says none."""
    name = version = ""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:  # noqa: PTH123 - as above
            for line in stream:
                if line.startswith("Name:"):
                    name = line[5:].strip()
                elif line.startswith("Version:"):
                    version = line[8:].strip()
                elif not line.strip():
                    break
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError):
        return None
    return (normalised(name), version) if name and version else None
