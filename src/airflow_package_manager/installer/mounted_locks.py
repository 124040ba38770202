"""Reads locks where a ConfigMap is mounted: every file is a link through `..data`, and the kubelet swaps that link.

One look reads everything from one directory behind `..data`, so it never mixes two states of the ConfigMap. A plain
directory without `..data` is read as it is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from airflow_package_manager.installer.directory import MAXIMUM_BYTES
from airflow_package_manager.installer.small_files import read_bounded

_REVISION = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)
_SMALL_BYTES = 4096


@dataclass(frozen=True)
class MountedLocks:
    """What one look found."""

    current: int | None
    texts: Mapping[int, str]
    """Of the stamp's revision and of the current one, as far as they are there."""
    problem: str = ""
    """Why `current` is not known although something stands there."""


def revision_of(text: str) -> int | None:
    """Return the revision that the text names, None when it names none."""
    return int(text) if _REVISION.fullmatch(text) else None


def look(folder: str, stamp: int | None) -> MountedLocks:
    """Return what is mounted at `folder` now; an absent ConfigMap is an empty one. Raises `OSError`, `ValueError`."""
    while True:
        source = _source(folder)
        found = _read(source, stamp)
        if _source(folder) == source:
            return found


def _source(folder: str) -> str:
    data = f"{folder}/..data"
    return os.path.realpath(data) if os.path.lexists(data) else folder


def _read(source: str, stamp: int | None) -> MountedLocks:
    content = read_bounded(f"{source}/current", _SMALL_BYTES)
    text = "" if content is None else content.decode("ascii", "replace").strip()
    current = revision_of(text)
    texts = {}
    for revision in (stamp, current):
        lock = None if revision is None else read_bounded(f"{source}/lock.{revision}", MAXIMUM_BYTES)
        if revision is not None and lock is not None:
            texts[revision] = lock.decode("utf-8", "replace")
    problem = "" if content is None or current is not None else f"{source}/current holds no revision."
    return MountedLocks(current, texts, problem)
