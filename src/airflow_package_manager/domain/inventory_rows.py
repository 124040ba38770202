"""Requested, locked and installed put side by side, from values that were read before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from airflow_package_manager.domain import lock as locks
from airflow_package_manager.domain.dependencies import Dependencies
from airflow_package_manager.domain.inventory import Badge, InstalledIn, Inventory, PackageRow, Source
from airflow_package_manager.domain.lock import InvalidLock, Lock
from airflow_package_manager.domain.plan import StoreSnapshot
from airflow_package_manager.domain.planning import edited_by_hand
from airflow_package_manager.domain.requirements import RequirementsFile
from airflow_package_manager.domain.resolution import Image, InstalledDistribution
from airflow_package_manager.domain.rollout import ComponentStatus, Instance


@dataclass(frozen=True)
class InventoryInputs:
    """Everything that the rows are made of."""

    snapshot: StoreSnapshot
    image: Image
    """Of the interpreter that asks."""
    statuses: Mapping[str, ComponentStatus]
    """Every component, in the order of the columns."""
    protected: frozenset[str]
    """`Policy.protected_in` of the image."""
    known: Mapping[str, InstalledDistribution]
    """What is known of the current lock's distributions (metadata of the active site); may be empty."""


_Contents = tuple[Mapping[str, str] | None, Mapping[str, str] | None]
"""What one instance has, name → version: of its site, and of its image; None where that is not known."""


def rows(inputs: InventoryInputs) -> Inventory:
    """Return one row per project that is requested, locked, or in the image, sorted by name."""
    file = RequirementsFile.parse(inputs.snapshot.text)
    entries = file.entries
    number = inputs.snapshot.current
    current = None if number is None else _read_lock(inputs.snapshot.locks.get(number, ""))
    locked = {pin.name: pin for pin in current.pins} if current else {}
    requested: dict[str, list[str]] = {}
    for entry in entries:
        requested.setdefault(entry.name, []).append(entry.written)
    image = {name: found.version for name, found in inputs.image.distributions.items()}
    contents = _contents(inputs, image)
    by_image = Dependencies.of_image(inputs.image)
    by_site = Dependencies(
        {name: (found.version, found.requires) for name, found in inputs.known.items() if name in locked},
        inputs.image.markers,
        {entry.name: frozenset(map(locks.normalised, entry.requirement.extras)) for entry in entries},
    )
    in_sites = {name for views in contents.values() for site, _image in views if site for name in site}
    everything = sorted(requested.keys() | locked.keys() | image.keys() | in_sites)
    found = []
    for name in everything:
        pin = locked.get(name)
        cells = tuple([_cell(component, name, views) for component, views in contents.items()])
        owners = [owner for owner in by_image.required_by(name) if owner not in locked]
        described = (inputs.known.get(name) if pin else None) or inputs.image.distributions.get(name)
        found.append(
            PackageRow(
                name=name,
                summary=described.summary if described else "",
                requested=" | ".join(requested[name]) if name in requested else None,
                locked=pin.version if pin else None,
                image=image.get(name),
                installed=cells,
                badges=_badges(
                    requested=name in requested,
                    locked=pin is not None,
                    in_image=name in image,
                    protected=name in inputs.protected,
                    unknown=any(cell.source is Source.UNKNOWN for cell in cells),
                ),
                required_by=tuple(sorted({*owners, *by_site.required_by(name)})),
            )
        )
    return Inventory(
        rows=tuple(found),
        kept_lines=file.kept_lines(),
        components=tuple(inputs.statuses),
        revision=inputs.snapshot.current,
        edited_by_hand=edited_by_hand(inputs.snapshot, current),
        requirements_digest=locks.text_digest(inputs.snapshot.text),
    )


def _contents(inputs: InventoryInputs, image: Mapping[str, str]) -> dict[str, tuple[_Contents, ...]]:
    """Return for each component what its instances have, each different view once; none at all is not known."""
    empty = Lock(python=inputs.image.python, platform=inputs.image.platform, image="", requirements="")
    sites: dict[str | None, Mapping[str, str]] = {None: {}, empty.digest(): {}}
    for text in inputs.snapshot.locks.values():
        found = _read_lock(text)
        if found is not None:
            sites[found.digest()] = {pin.name: pin.version for pin in found.pins}
    fingerprint = inputs.image.fingerprint()

    def view(instance: Instance) -> tuple[str | None, bool, bool]:
        knows_site = instance.alive and instance.lock_digest in sites
        return instance.lock_digest, knows_site, instance.alive and instance.image == fingerprint

    contents = {}
    for component, status in inputs.statuses.items():
        views = dict.fromkeys(view(instance) for instance in status.instances)
        contents[component] = tuple(
            (sites[digest] if knows_site else None, image if knows_image else None)
            for digest, knows_site, knows_image in views
        ) or ((None, None),)
    return contents


@lru_cache(maxsize=32)
def _read_lock(text: str) -> Lock | None:
    """Return a lock, None for a damaged one (a lock's text never changes, so this is remembered)."""
    try:
        return locks.parse(text)
    except InvalidLock:
        return None


def _cell(component: str, name: str, views: tuple[_Contents, ...]) -> InstalledIn:
    """Return what a component has of a project; instances that disagree make it unknown."""
    version, source = _of_view(name, views[0])
    for view in views[1:]:
        if _of_view(name, view) != (version, source):
            return InstalledIn(component, None, Source.UNKNOWN)
    return InstalledIn(component, version, source)


def _of_view(name: str, view: _Contents) -> tuple[str | None, Source]:
    site, image = view
    if site is None:
        return None, Source.UNKNOWN
    if name in site:
        return site[name], Source.SITE
    if image is None:
        return None, Source.UNKNOWN
    return (image[name], Source.IMAGE) if name in image else (None, Source.ABSENT)


@lru_cache(maxsize=32)
def _badges(*, requested: bool, locked: bool, in_image: bool, protected: bool, unknown: bool) -> tuple[Badge, ...]:
    held = {
        Badge.DIRECT: requested,
        Badge.TRANSITIVE: locked and not requested,
        Badge.IMAGE: in_image and not locked,
        Badge.SHADOWS: in_image and locked,
        Badge.PROTECTED: protected,
        Badge.PENDING: requested and not locked and not in_image,
        Badge.UNKNOWN: unknown,
    }
    return tuple(badge for badge, holds in held.items() if holds)
