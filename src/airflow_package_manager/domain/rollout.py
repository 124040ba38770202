"""What components and their instances look like, and how many views become one verdict (kstatus' words).

Order and aggregation are pure; a target only observes.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from airflow_package_manager.domain.components import WEB_SERVERS


class Status(str, enum.Enum):
    """The words of kstatus, as they are."""

    IN_PROGRESS = "InProgress"
    CURRENT = "Current"
    FAILED = "Failed"
    TERMINATING = "Terminating"
    NOT_FOUND = "NotFound"
    UNKNOWN = "Unknown"


@dataclass(frozen=True)
class Stamp:
    """The revision that a component was told to use."""

    revision: int | None
    version: str
    """Opaque: restart and restore act only on condition that it is still this one."""
    template: str = ""
    """Digest of what the component's instances are made from, our stamp left out; empty where the target has none."""


@dataclass(frozen=True)
class Instance:
    """One process or pod of a component."""

    name: str
    """Unique within the component, for example ``host-4711``."""
    status: Status
    message: str
    stamp: int | None
    lock_digest: str | None
    """What it reports it runs on; None without a site."""
    image: str | None
    """Fingerprint of its image; None where it does not say."""
    python: str | None
    platform: str | None
    started_at: float | None
    """Unix seconds."""
    restarts: int
    reported_at: float | None
    """Unix seconds of its last sign of life."""
    alive: bool
    """False when its supervisor no longer beats."""
    install_outcome: str | None = None
    install_code: str | None = None
    install_cause: str | None = None
    node: str | None = None
    """The machine that it runs on, where the target has several."""
    reason: str | None = None
    """The target's own word for how it stands, for example ``ImagePullBackOff``."""


@dataclass(frozen=True)
class ComponentStatus:
    """A component as observed now, against one wanted lock digest."""

    name: str
    status: Status
    message: str
    instances: tuple[Instance, ...]
    final: bool = False
    """A FAILED that waiting cannot mend: the installer refused, or the child fell back."""
    infrastructure: bool = False
    """What keeps it from being current is no package's fault: image, quota, admission, room on the nodes."""
    unverified: str | None = None
    """Why CURRENT says nothing about packages: nobody runs, nobody reports what was installed, or it may be unused."""
    down: str | None = None
    """Why nothing of it runs for a while whenever it restarts; None where something does, or the target cannot tell."""
    stopping: float = 0.0
    """Seconds that one instance may take to stop before the next one starts, where the target knows."""

    def current_instances(self) -> int:
        """Return how many instances are current."""
        return sum(instance.status is Status.CURRENT for instance in self.instances)


@dataclass(frozen=True)
class PreflightStatus:
    """The throw-away check before anything is restarted."""

    status: Status
    """IN_PROGRESS, CURRENT (passed), FAILED, NOT_FOUND (never started, or lost with its host)."""
    message: str
    warnings: tuple[str, ...] = ()
    code: str | None = None
    """When FAILED: the installer's or the check's code."""
    detail: str | None = None
    """The redacted end of what it printed."""
    infrastructure: bool = False
    """What keeps it from passing is no package's fault."""


def aggregate(name: str, instances: Sequence[Instance]) -> ComponentStatus:
    """Return one verdict: any Failed, Unknown or NotFound, then InProgress or Terminating, then all Current.

    No instance at all is NotFound, never success.
    """
    if not instances:
        return ComponentStatus(name, Status.NOT_FOUND, "no instance of this component is known", ())
    for status in (Status.FAILED, Status.UNKNOWN, Status.NOT_FOUND, Status.IN_PROGRESS, Status.TERMINATING):
        for instance in instances:
            if instance.status is status:
                return ComponentStatus(name, status, instance.message, tuple(instances))
    count = len(instances)
    return ComponentStatus(name, Status.CURRENT, f"{count} of {count} current", tuple(instances))


def in_order(present: Iterable[str], order: Sequence[str], *, removing: bool) -> tuple[str, ...]:
    """Return the components in the order of restart.

    `removing` turns the order round (what parses before what executes); the web server, which may run the driver,
    is last both ways. Raises `ValueError` for a component that `order` does not know.
    """
    names = set(present)
    unknown = sorted(names.difference(order))
    if unknown:
        raise ValueError(f"the rollout order does not know {', '.join(unknown)}")
    known = sorted(names, key=order.index)
    if removing:
        known.reverse()
    return tuple(sorted(known, key=WEB_SERVERS.__contains__))
