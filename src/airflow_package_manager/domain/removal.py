"""What is left of the package manager where it ran, and how far its removal is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Remnant:
    """One thing of ours that is there and can be removed."""

    what: str
    """For people: its name and what it holds."""
    name: str = ""
    """As its owner knows it."""
    version: str = ""
    """Its removal is on condition of it."""


@dataclass(frozen=True)
class Removed:
    """One thing was removed just now."""

    what: str


@dataclass(frozen=True)
class Unsettled:
    """Nothing was removed: a component still restarts, and its new instances may need what is left."""

    component: str
    message: str
    failed: bool
    """It will not settle by itself."""
