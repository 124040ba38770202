"""Which modules of a distribution its users import, told from the paths of its RECORD."""

from __future__ import annotations

import re
from collections.abc import Iterable

_MODULE = re.compile(r"\.(?:py|(?:[A-Za-z0-9_-]+\.)*so)")
_NOT_FOR_USERS = frozenset(
    {"tests", "test", "testing", "docs", "doc", "examples", "benchmarks", "scripts", "bin", "share", "etc", "include"}
)
_NEVER_AT_TOP = frozenset({"setup", "conftest", "noxfile", "versioneer"})
MAXIMUM = 50
"""So many modules of one distribution at most: namespace packages of loose modules may have thousands."""


def top_level_modules(paths: Iterable[str]) -> tuple[str, ...]:
    """Return dotted names to import, sorted.

    A package counts by its topmost `__init__`; directories above one without `__init__` (namespace packages such as
    ``google``) are gone through; single-file modules count; tests, stubs, data and scripts do not.
    """
    starts: set[tuple[str, ...]] = set()
    modules: set[tuple[str, ...]] = set()
    for path in paths:
        *folders, name = path.split("/")
        stem, dot, _ = name.partition(".")
        if stem.startswith("lib") and name == f"{stem}.so":
            continue  # a library for the linker, not a module
        if not dot or not _MODULE.fullmatch(name[len(stem) :]) or not _importable(folders):
            continue
        if stem == "__init__" and folders:
            starts.add(tuple(folders))
        elif stem.isidentifier() and not (not folders and (stem in _NEVER_AT_TOP | _NOT_FOR_USERS)):
            modules.add((*folders, stem))
    wanted = {start for start in starts if not any(start[:length] in starts for length in range(1, len(start)))}
    wanted |= {
        module
        for module in modules
        if module[-1] != "__main__" and not any(module[:length] in starts for length in range(1, len(module)))
    }
    return tuple(sorted(".".join(parts) for parts in wanted)[:MAXIMUM])


def _importable(folders: list[str]) -> bool:
    if folders and folders[0] in _NOT_FOR_USERS:
        return False
    return all(folder.isidentifier() for folder in folders)
