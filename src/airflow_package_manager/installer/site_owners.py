"""What the wheels of one site may do to each other: nothing that replaces another one's code unseen.

uv lets the last wheel win where two bring the same path, and believes what a RECORD says of its files; a path that a
RECORD does not name it adds, without a digest.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from airflow_package_manager.installer.site_marker import recorded

MODULE = re.compile(r"\.(?:py|pyc|(?:[A-Za-z0-9_.-]+\.)?so|(?:[A-Za-z0-9_.-]+\.)?pyd)")
"""What follows a module's name in the names of the files it can be imported from."""
_CACHE = "__pycache__"


@dataclass(frozen=True)
class Refusal:
    """Why a site may not be used."""

    path: str
    """Within the site."""
    reason: str
    """One sentence for people that names path and owner."""


def conflict(site: str) -> Refusal | None:
    """Return the first path by which one wheel would replace what another one brings, None when there is none."""
    owners: dict[str, tuple[str, str]] = {}
    shared: dict[str, str] = {}
    for name, path, digest in _rows(site):
        if path.startswith("/") or ".." in path.split("/"):
            return Refusal(path, f"{path!r} leads out of the site (from {name}).")
        other = owners.setdefault(path, (name, digest))
        if other[0] != name:
            shared[path] = name
            if other[1] != digest:
                return _different(path, other[0], name)
    for path, name in shared.items():
        if not _is(f"{site}/{path}", owners[path][1]):  # a RECORD may say what it likes
            return _different(path, owners[path][0], name)
    return _bytecode(owners, shared) or _hidden(owners)


def _different(path: str, one: str, other: str) -> Refusal:
    return Refusal(path, f"{path!r} is in both {one} and {other}, with different content.")


def _bytecode(owners: dict[str, tuple[str, str]], shared: Collection[str]) -> Refusal | None:
    """Return bytecode for the source of another wheel: Python may take it for that source without looking."""
    for path, (name, _digest) in owners.items():
        folder, slash, file = path.rpartition("/")
        if _CACHE not in folder.split("/"):
            continue
        package = folder.removesuffix(_CACHE)
        source = f"{package}{file.partition('.')[0]}.py"
        whose = owners.get(source)
        if not slash or package == folder or whose is None or whose[0] != name or source in shared:
            owner = f"which {whose[0]} brings too" if whose else "which no wheel brings"
            return Refusal(path, f"{path!r} (from {name}) would stand for {source!r}, {owner}.")
    return None


def _hidden(owners: dict[str, tuple[str, str]]) -> Refusal | None:
    """Return a file that would be imported instead of, or besides, another wheel's of the same module."""
    modules: dict[str, tuple[str, str]] = {}
    for path, (name, _digest) in owners.items():
        module = _module(path)
        if module is not None:
            other, first = modules.setdefault(module, (name, path))
            if other != name:
                return Refusal(path, f"{path!r} (from {name}) and {first!r} (from {other}) are the same module.")
    return None


def _module(path: str) -> str | None:
    """Return what the path is imported as, None for data."""
    folder, _, file = path.rpartition("/")
    stem = file.partition(".")[0]
    if not MODULE.fullmatch(file[len(stem) :]) or folder.partition("/")[0] == "bin":
        return None
    return folder if stem == "__init__" else f"{folder}/{stem}".lstrip("/")


def _is(path: str, digest: str) -> bool:
    try:
        with open(path, "rb") as stream:  # noqa: PTH123 - called for each file that two wheels bring
            actual = hashlib.sha256(stream.read()).digest()
    except OSError:
        return False
    return digest == "sha256=" + base64.urlsafe_b64encode(actual).rstrip(b"=").decode()


def _rows(site: str) -> Iterator[tuple[str, str, str]]:
    """Yield (distribution, path, digest) of every RECORD."""
    for record in _records(site):
        for path, digest in recorded(text_of(f"{site}/{record}/RECORD")):
            yield record.partition("-")[0], path, digest


def owner_in(site: str, path: str) -> str:
    """Return the distribution of the site that brought the path, for people."""
    for record in _records(site):
        if any(path == known for known, _digest in recorded(text_of(f"{site}/{record}/RECORD"))):
            return record.removesuffix(".dist-info").replace("-", " ")
    return "no distribution"


def _records(site: str) -> list[str]:
    return sorted(
        name
        for name in names_in(site)
        if name.endswith(".dist-info") and os.path.isfile(f"{site}/{name}/RECORD")  # noqa: PTH113 - many at once
    )


def names_in(folder: str) -> list[str]:
    """Return what a directory holds, nothing where there is none."""
    try:
        return os.listdir(folder)  # noqa: PTH208 - called for each directory
    except (FileNotFoundError, NotADirectoryError):
        return []


def text_of(path: str) -> str:
    """Return the text of a file; raises `OSError`."""
    with open(path, encoding="utf-8", errors="replace") as stream:  # noqa: PTH123 - as above
        return stream.read()
