"""From a resolution to the plan that a person sees: what would happen, what restarts, what to know before applying."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from packaging.version import Version

from airflow_package_manager.domain import lock as locks
from airflow_package_manager.domain import rollout
from airflow_package_manager.domain.components import WEB_SERVERS
from airflow_package_manager.domain.dependencies import Dependencies
from airflow_package_manager.domain.lock import Lock
from airflow_package_manager.domain.plan import (
    Action,
    Change,
    ChangeSet,
    Effect,
    PackageChange,
    Plan,
    PlanWarning,
    StoreSnapshot,
)
from airflow_package_manager.domain.plan_warnings import plan_warnings
from airflow_package_manager.domain.policy import Policy
from airflow_package_manager.domain.requirements import RequirementsFile
from airflow_package_manager.domain.resolution import Image, Resolution
from airflow_package_manager.domain.rollout import ComponentStatus
from airflow_package_manager.domain.undecodable import readable
from airflow_package_manager.refusals import (
    AcknowledgementRequired,
    AcknowledgementUnknown,
    ImageDiffers,
    NoComponents,
    NothingToChange,
)

ENTRY_POINTS_OF_THE_WEB_SERVER = frozenset({"airflow.plugins", "apache_airflow_provider"})
"""Groups that the web server loads once, at its start."""


@dataclass(frozen=True)
class PlanInputs:
    """Everything a plan is made of; whoever gathers it has asked policy and resolver before."""

    snapshot: StoreSnapshot
    proposed_text: str
    change_set: ChangeSet
    resolution: Resolution
    image: Image
    """Of the interpreter that plans."""
    current_lock: Lock | None
    """None: there is none, or it cannot be read (then `snapshot.current` says so)."""
    policy: Policy
    statuses: Mapping[str, ComponentStatus]
    """Every component that the target has, as observed now."""
    configured_components: tuple[str, ...]
    """The setting `components`; empty means auto."""
    order: tuple[str, ...]
    """The setting `rollout_order`."""
    current_entry_points: Mapping[str, tuple[str, ...] | None] = field(default_factory=dict)
    """Entry-point groups of the current lock's distributions; one that is absent counts as unknown."""
    running_tasks: int | None = None
    """None where nobody knows."""
    seconds_once: int = 0
    """At most, before the first restart and after the last one."""
    seconds_per_component: int = 0
    """At most, until a component gives a sign of life once its instances are ready."""
    seconds_per_instance: int = 0
    """At most, to install and start one instance; how long it may take to stop is what its status tells."""
    further_warnings: tuple[PlanWarning, ...] = ()
    """What only the caller knows, for example ``restored-resolved-anew``."""


def make_plan(inputs: PlanInputs) -> Plan:
    """Return the plan.

    Raises `ImageDiffers`, `NothingToChange`, `AcknowledgementRequired`, `AcknowledgementUnknown`, and `NoComponents`
    when something must restart and there is nothing to restart.
    """
    require_same_image(inputs.statuses, inputs.image)
    snapshot, lock, image = inputs.snapshot, inputs.resolution.lock, inputs.image
    base_lock_digest = lock_digest_in_use(snapshot, inputs.current_lock, image)
    lock_changes = lock.digest() != base_lock_digest
    edited = edited_by_hand(snapshot, inputs.current_lock)
    text_changes = inputs.proposed_text != snapshot.text
    if not (text_changes or lock_changes or edited):
        raise NothingToChange("The requirements and the lock would both stay as they are.")
    acknowledgements = _acknowledgements(inputs)
    changes = inputs.change_set.changes or changes_between(snapshot.text, inputs.proposed_text)
    package_changes = changes_of_packages(inputs)
    components = components_to_restart(inputs, package_changes, changes) if lock_changes else ()
    if lock_changes and not components:
        raise NoComponents("The change needs a restart, and no component of Airflow is known to restart.")
    return Plan(
        base_digest=snapshot.digest(),
        base_text=snapshot.text,
        proposed_text=inputs.proposed_text,
        changes=changes,
        package_changes=package_changes,
        lock=lock,
        base_lock_digest=base_lock_digest,
        components=components,
        warnings=plan_warnings(
            proposed=RequirementsFile.parse(inputs.proposed_text),
            edited=edited,
            manager=snapshot.manager,
            package_changes=package_changes,
            distributions=inputs.resolution.distributions,
            components=components,
            statuses=inputs.statuses,
            running_tasks=inputs.running_tasks,
            lock_unreadable=snapshot.current is not None and inputs.current_lock is None,
            web_servers_left_out=sorted(set(inputs.statuses).intersection(WEB_SERVERS).difference(components))
            if lock_changes and concerns_web_server(inputs, package_changes)
            else (),
        )
        + inputs.further_warnings,
        acknowledgements=acknowledgements,
        directs=RequirementsFile.parse(inputs.proposed_text).names(),
        longest_seconds=longest_seconds(inputs, components),
        adopted=edited and not text_changes,
    )


def longest_seconds(inputs: PlanInputs, components: tuple[str, ...]) -> int:
    """Return how long the change may take when it does not go back; going back may take as long again."""
    if not components:
        return 0
    longest = inputs.seconds_once
    for status in (inputs.statuses[name] for name in components):
        each = inputs.seconds_per_instance + math.ceil(status.stopping)
        longest += inputs.seconds_per_component + max(1, len(status.instances)) * each
    return longest


def edited_by_hand(snapshot: StoreSnapshot, current_lock: Lock | None) -> bool:
    """Tell whether the text is another than the one that the current lock was made for (without a lock: not empty)."""
    applied = locks.text_digest("") if current_lock is None else current_lock.requirements
    return locks.text_digest(snapshot.text) != applied


def lock_digest_in_use(snapshot: StoreSnapshot, current_lock: Lock | None, image: Image) -> str:
    """Return the digest that a new lock must differ from to restart anything."""
    if current_lock is not None:
        return current_lock.digest()
    if snapshot.current is not None and snapshot.current in snapshot.locks:
        return locks.text_digest(snapshot.locks[snapshot.current])  # torn: equal to no lock, so that it is replaced
    return Lock(python=image.python, platform=image.platform, image="", requirements="").digest()


def changes_between(before: str, after: str) -> tuple[Change, ...]:
    """Return what a whole new text asks for, project by project."""
    old, new = _requirements_by_name(before), _requirements_by_name(after)
    changes = []
    for name in sorted(old.keys() | new.keys()):
        if name not in new:
            changes.append(Change(Action.REMOVE, name))
        elif name not in old:
            changes += [Change(Action.ADD, line) for line in new[name]]
        elif old[name] != new[name]:
            changes += [Change(Action.UPDATE, line) for line in new[name]]
    return tuple(changes)


def changes_of_packages(inputs: PlanInputs) -> tuple[PackageChange, ...]:
    """Return what would happen to each distribution, sorted by name; those that stay as they are not named."""
    image = {name: found.version for name, found in inputs.image.distributions.items()}
    old = {pin.name: pin.version for pin in inputs.current_lock.pins} if inputs.current_lock else {}
    new = {pin.name: pin.version for pin in inputs.resolution.lock.pins}
    directs = set(RequirementsFile.parse(inputs.proposed_text).names())
    asked = _requirements_by_name(inputs.snapshot.text), _requirements_by_name(inputs.proposed_text)
    newly_asked = {name for name, lines in asked[1].items() if asked[0].get(name) != lines}
    required_by = Dependencies.after(inputs.image, inputs.resolution, RequirementsFile.parse(inputs.proposed_text))
    changes = []
    for name in sorted(old.keys() | new.keys() | (newly_asked & image.keys())):
        before, after = old.get(name, image.get(name)), new.get(name, image.get(name))
        hidden_before, hidden_after = name in old, name in new
        if before == after and hidden_before == hidden_after and (name in new or name not in newly_asked):
            continue
        known = inputs.resolution.distributions.get(name)
        changes.append(
            PackageChange(
                name=name,
                effect=_effect(before, after),
                before=before,
                after=after,
                direct=name in directs,
                image_version=image.get(name),
                shadows=hidden_after and name in image,
                required_by=required_by.required_by(name),
                summary=known.summary if known else "",
                size=known.size if known else None,
            )
        )
    return tuple(changes)


def components_to_restart(
    inputs: PlanInputs, package_changes: tuple[PackageChange, ...], changes: tuple[Change, ...]
) -> tuple[str, ...]:
    """Return the components in the order of their restart, for a lock that changes."""
    present = set(inputs.statuses)
    if inputs.configured_components:
        present &= set(inputs.configured_components)
    elif (others := present.difference(WEB_SERVERS)) and not concerns_web_server(inputs, package_changes):
        present = others
    removing = bool(changes) and all(change.action is Action.REMOVE for change in changes)
    return rollout.in_order(present, inputs.order, removing=removing)


def concerns_web_server(inputs: PlanInputs, package_changes: tuple[PackageChange, ...]) -> bool:
    """Tell whether plugins or providers come, go or change; what cannot be read counts as bringing them."""
    old = {pin.name for pin in inputs.current_lock.pins} if inputs.current_lock else set()
    for change in package_changes:
        if change.effect is Effect.UNCHANGED_IMAGE:
            continue
        known = inputs.resolution.distributions.get(change.name)
        groups = [known.entry_points if known else None] if change.name in _names(inputs.resolution.lock) else []
        if change.name in old:
            groups.append(inputs.current_entry_points.get(change.name))
        if any(found is None or not ENTRY_POINTS_OF_THE_WEB_SERVER.isdisjoint(found) for found in groups):
            return True
    return False


def text_difference(before: str, after: str, *, before_name: str = "before", after_name: str = "after") -> str:
    """Return a unified diff; empty when the texts are equal. A difference of the line ends alone is shown too."""
    if before == after:
        return ""
    lines = difflib.unified_diff(_shown(before), _shown(after), before_name, after_name, lineterm="")
    return "\n".join(lines) + "\n"


def _shown(text: str) -> list[str]:
    """Return the lines with visible carriage returns, and diff's own words for a missing final newline."""
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    else:
        lines[-1] += "\n\\ No newline at end of file"
    return [readable(line).replace("\r", "\\r") for line in lines]


def _effect(before: str | None, after: str | None) -> Effect:
    if before is None:
        return Effect.NEW
    if after is None:
        return Effect.REMOVED
    if Version(after) == Version(before):
        return Effect.UNCHANGED_IMAGE
    return Effect.UPGRADED if Version(after) > Version(before) else Effect.DOWNGRADED


def _requirements_by_name(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for entry in RequirementsFile.parse(text).entries:
        found.setdefault(entry.name, []).append(entry.written)
    return found


def _names(lock: Lock) -> frozenset[str]:
    return frozenset(pin.name for pin in lock.pins)


def _acknowledgements(inputs: PlanInputs) -> tuple[str, ...]:
    needed = inputs.policy.needed_acknowledgements(inputs.resolution.lock, inputs.image, inputs.current_lock)
    missing = sorted(needed - inputs.change_set.acknowledge)
    if missing:
        raise AcknowledgementRequired(
            "Packages of the image would be hidden by other versions: "
            + ", ".join(name.partition(":")[2] for name in missing)
            + ".",
            acknowledgements=missing,
        )
    unknown = sorted(inputs.change_set.acknowledge - needed)
    if unknown:
        raise AcknowledgementUnknown("This plan needs no such acknowledgement.", acknowledgements=unknown)
    return tuple(sorted(needed))


def require_same_image(statuses: Mapping[str, ComponentStatus], image: Image) -> None:
    """Raise `ImageDiffers` for components whose live instances report another image; silence is no difference."""
    wanted = image.fingerprint()
    differing = sorted(
        name
        for name, status in statuses.items()
        if any(instance.alive and instance.image not in (None, wanted) for instance in status.instances)
    )
    if differing:
        raise ImageDiffers(
            f"{', '.join(differing)}: another Airflow environment than the one that plans (other packages, Python or"
            " platform).",
            components=differing,
        )
