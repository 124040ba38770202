"""A plan: what was asked, what would happen, and the digest that a token is bound to."""

from __future__ import annotations

import enum
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from airflow_package_manager.domain import lock as locks
from airflow_package_manager.domain.lock import Lock


class Action(str, enum.Enum):
    """What a person may ask of one project."""

    ADD = "add"
    UPDATE = "update"
    REMOVE = "remove"


class Effect(str, enum.Enum):
    """What would happen to one distribution."""

    NEW = "new"
    UPGRADED = "upgraded"
    DOWNGRADED = "downgraded"
    REMOVED = "removed"
    UNCHANGED_IMAGE = "in-image"
    """The image fulfils a requirement already: nothing is installed."""


@dataclass(frozen=True)
class StoreSnapshot:
    """What the store holds now."""

    text: str
    """`requirements.txt`, byte for byte; an absent file is an empty text."""
    locks: Mapping[int, str]
    """Lock text per revision."""
    current: int | None
    """The revision of the last success."""
    version: str
    """Opaque: a write is conditional on it."""
    manager: str | None = None
    """Who else writes the text, where the store knows and it is not us; for example ``argocd-controller``."""

    def digest(self) -> str:
        """Return the SHA-256 of text, `current`, and the current lock's digest (a torn lock counts as its text)."""
        lock_text = self.locks.get(self.current, "") if self.current is not None else ""
        try:
            lock_digest = locks.parse(lock_text).digest() if lock_text else ""
        except locks.InvalidLock:
            lock_digest = locks.text_digest(lock_text)
        parts = [locks.text_digest(self.text), "" if self.current is None else str(self.current), lock_digest]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def current_lock(self) -> Lock | None:
        """Return the lock of the last success, None when there is none; raises `InvalidLock` when it is torn."""
        if self.current is None or self.current not in self.locks:
            return None
        return locks.parse(self.locks[self.current])

    def usable_lock(self) -> Lock | None:
        """Return the lock of the last success, None when there is none or it is torn."""
        try:
            return self.current_lock()
        except locks.InvalidLock:
            return None


@dataclass(frozen=True)
class Change:
    """What a person asked for, of one project."""

    action: Action
    requirement: str
    """PEP 508, as packaging re-serialises it; for REMOVE the name alone."""


@dataclass(frozen=True)
class PackageChange:
    """What would happen to one distribution in the components."""

    name: str
    effect: Effect
    before: str | None
    """Version now, from the current lock or else the image."""
    after: str | None
    direct: bool
    """Named in the requirements file."""
    image_version: str | None
    """What the image has, when it has it: the change shadows it, or uncovers it again."""
    shadows: bool
    """After the change the site's copy hides the image's."""
    required_by: tuple[str, ...] = ()
    summary: str = ""
    size: int | None = None
    """Bytes to download, where the index says."""


@dataclass(frozen=True)
class PlanWarning:
    """Something a person should know before applying; stops nothing."""

    code: str
    """yanked, pre-release, downgrade, edited-by-hand, image-unknown, running-tasks, goes-down, metadata-unknown,
    runs-at-start, own-lines-kept, gitops-owner, api-server-not-restarted, restored-resolved-anew …"""
    message: str


@dataclass(frozen=True)
class Plan:
    """A value: nothing in it is recomputed between being seen and being applied."""

    base_digest: str
    """`StoreSnapshot.digest` of what the plan was made against."""
    base_text: str
    proposed_text: str
    changes: tuple[Change, ...]
    package_changes: tuple[PackageChange, ...]
    lock: Lock
    """Without a revision."""
    base_lock_digest: str
    """Digest of the lock in use when planned; without one, of an empty lock for this Python and platform."""
    components: tuple[str, ...]
    """What restarts, in order; empty when the lock stays as it is."""
    warnings: tuple[PlanWarning, ...] = ()
    acknowledgements: tuple[str, ...] = ()
    """Given and needed, for example ``shadows:protobuf``."""
    directs: tuple[str, ...] = ()
    """Normalised names that the proposed text names."""
    longest_seconds: int | None = None
    """How long it may take at most; when it has to go back, as long again."""
    usual_seconds: int | None = None
    """How long such a change took here before; None when nothing was ever restarted."""
    adopted: bool = False
    """The text was edited outside and is adopted as it is."""
    tasks: tuple[str, ...] = ()
    """What the restarts mean for tasks, a sentence for each executor."""

    def lock_changes(self) -> bool:
        """Tell whether components must restart for it."""
        return self.lock.digest() != self.base_lock_digest

    def digest(self) -> str:
        """Return the SHA-256 of everything that was shown; the revision is not part of it."""
        return hashlib.sha256(json.dumps(to_json(self), sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@dataclass(frozen=True)
class ChangeSet:
    """The whole question of a person: exactly one of the three, and what they accept by name."""

    changes: tuple[Change, ...] = ()
    requirements: str | None = None
    """A whole new text."""
    restore: int | None = None
    """A revision."""
    acknowledge: frozenset[str] = field(default_factory=frozenset)


def to_json(plan: Plan) -> dict[str, Any]:
    """Return the plan as JSON values; `from_json` reads it back equal."""
    values = asdict(plan)
    values["lock"] = plan.lock.render()
    return values


def from_json(values: Mapping[str, Any]) -> Plan:
    """Return the plan that `to_json` wrote."""
    return Plan(
        **{
            **values,
            "changes": tuple(Change(Action(row["action"]), row["requirement"]) for row in values["changes"]),
            "package_changes": tuple(
                PackageChange(**{**row, "effect": Effect(row["effect"]), "required_by": tuple(row["required_by"])})
                for row in values["package_changes"]
            ),
            "warnings": tuple(PlanWarning(**row) for row in values["warnings"]),
            "lock": locks.parse(values["lock"]),
            "components": tuple(values["components"]),
            "acknowledgements": tuple(values["acknowledgements"]),
            "directs": tuple(values["directs"]),
            "tasks": tuple(values.get("tasks", ())),
        }
    )
