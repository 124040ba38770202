"""DAG files that stopped importing: which of them this change broke."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from airflow_package_manager.domain.lock import normalised

_MISSING = re.compile(r"ModuleNotFoundError: No module named ['\"]([A-Za-z_][A-Za-z0-9_.]*)['\"]")


@dataclass(frozen=True)
class FailedImport:
    """One DAG file that cannot be imported now."""

    file: str
    at: float
    """Unix seconds: when it was parsed."""
    message: str


@dataclass(frozen=True)
class ImportVerdict:
    """What the change did to the DAGs."""

    new: tuple[str, ...]
    """Files that could be imported before the rollout."""
    broken: tuple[str, ...]
    """Of these, the ones that miss a module of a package that the operation changed."""


def judge(
    failures: Iterable[FailedImport], baseline: Collection[str], since: float, changed: Collection[str]
) -> ImportVerdict:
    """Judge the failures of files parsed at or after `since` (Unix seconds) that were not in `baseline`.

    `changed` are the normalised names of the packages that the operation changed; a module belongs to the one whose
    name it carries (a package that brings modules of another name is only warned about).
    """
    fresh = [failure for failure in failures if failure.at >= since and failure.file not in baseline]
    broken = [failure for failure in fresh if any(name in changed for name in _missing(failure.message))]
    return ImportVerdict(
        tuple(sorted({failure.file for failure in fresh})), tuple(sorted({failure.file for failure in broken}))
    )


def _missing(message: str) -> list[str]:
    """Return every name that a missing module's package may have: `a.b` may come from `a-b` or from `a`."""
    names = []
    for module in _MISSING.findall(message):
        parts = module.split(".")
        names += [normalised("-".join(parts[:count])) for count in range(1, len(parts) + 1)]
    return names
