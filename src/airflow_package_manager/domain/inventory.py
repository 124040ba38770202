"""Requested, locked and installed: three columns for every project, with "unknown" as an honest value."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from airflow_package_manager.domain.resolution import Project


class Badge(str, enum.Enum):
    """What a row is, at a glance."""

    DIRECT = "direct"
    TRANSITIVE = "transitive"
    IMAGE = "image"
    SHADOWS = "shadows-image"
    PROTECTED = "protected"
    PENDING = "pending"
    """Requested, but not part of the current lock and not in the image: edited by hand, or never applied."""
    UNKNOWN = "unknown"
    """At least one component does not say what it has."""


class Source(str, enum.Enum):
    """Where a component has a distribution from."""

    SITE = "site"
    IMAGE = "image"
    ABSENT = "absent"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class InstalledIn:
    """One cell: what one component has."""

    component: str
    version: str | None
    source: Source


@dataclass(frozen=True)
class PackageRow:
    """One project."""

    name: str
    """Normalised."""
    summary: str
    requested: str | None
    """The requirement as the file has it; None when the file does not name it."""
    locked: str | None
    """Version in the current lock."""
    image: str | None
    """Version in the image."""
    installed: tuple[InstalledIn, ...]
    """One per component."""
    badges: tuple[Badge, ...]
    required_by: tuple[str, ...]
    """Normalised names of locked or image distributions that need it."""


class LineKind(str, enum.Enum):
    """What a line of the file is, when it is no requirement that we edit."""

    OPTION = "option"
    """`--index-url`, `--hash` alone, `--no-binary` …"""
    FILE = "file"
    """`-r` or `-c`."""
    EDITABLE = "editable"
    DIRECT_REFERENCE = "direct-reference"
    """`name @ https://…`, a URL, a path, or a VCS reference."""
    INVALID = "invalid"


@dataclass(frozen=True)
class KeptLine:
    """A line that is shown as what it is, never edited and never used."""

    number: int
    """1-based, of its first physical line."""
    kind: LineKind
    text: str
    """As it stands, credentials masked."""


@dataclass(frozen=True, eq=False)
class Inventory:
    """Everything the first view of the page needs; compared by identity, as what is made of it is remembered."""

    rows: tuple[PackageRow, ...]
    kept_lines: tuple[KeptLine, ...]
    components: tuple[str, ...]
    revision: int | None
    """The current one."""
    edited_by_hand: bool
    """The text is not the one that the current lock was made for."""
    requirements_digest: str


@dataclass(frozen=True)
class PackageDetail:
    """One project with what the index knows."""

    row: PackageRow
    requires: tuple[str, ...]
    project: Project | None
    index_problem: str | None
    """Why the index gave nothing, for people."""


@dataclass(frozen=True)
class Requirements:
    """The file as it is."""

    text: str
    digest: str
    edited_by_hand: bool
    kept_lines: tuple[KeptLine, ...]
    manager: str | None = None
    """Who else writes it and may take a change back, where the store can tell."""


class CheckStatus(str, enum.Enum):
    """The outcome of one check of `doctor`."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Check:
    """One thing that users get wrong, looked at."""

    name: str
    """Stable, for example ``index-reachable``."""
    status: CheckStatus
    cause: str
    """What was found."""
    next_action: str = ""
