"""Requested, locked and installed put side by side, from values that were read before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
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
_View = tuple[str | None, bool, bool]
"""Lock digest that an instance reports, whether that site is known, whether its image is the one that asks."""


@dataclass(frozen=True)
class _Question:
    """What the rows depend on and nothing else: a heartbeat of an instance changes no row."""

    text: str
    locks: tuple[tuple[int, str], ...]
    current: int | None
    image: str
    """Fingerprint."""
    views: tuple[tuple[str, tuple[_View, ...]], ...]
    protected: frozenset[str]
    known: frozenset[str]
    """Names: what is known of them follows from the current lock, whose site never changes."""
    inputs: InventoryInputs = field(compare=False)


def rows(inputs: InventoryInputs) -> Inventory:
    """Return one row per project that is requested, locked, or in the image, sorted by name.

    Asked again while nothing has changed, it returns the same object: a page that polls costs no second reckoning.
    """
    return _rows(
        _Question(
            text=inputs.snapshot.text,
            locks=tuple(sorted(inputs.snapshot.locks.items())),
            current=inputs.snapshot.current,
            image=inputs.image.fingerprint(),
            views=tuple(_views(inputs).items()),
            protected=inputs.protected,
            known=frozenset(inputs.known),
            inputs=inputs,
        )
    )


@lru_cache(maxsize=2)
def _rows(question: _Question) -> Inventory:
    inputs = question.inputs
    file = RequirementsFile.parse(inputs.snapshot.text)
    entries = file.entries
    number = inputs.snapshot.current
    current = None if number is None else _read_lock(inputs.snapshot.locks.get(number, ""))
    locked = {pin.name: pin for pin in current.pins} if current else {}
    requested: dict[str, list[str]] = {}
    for entry in entries:
        requested.setdefault(entry.name, []).append(entry.written)
    image = {name: found.version for name, found in inputs.image.distributions.items()}
    contents = _contents(question, image)
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


def _views(inputs: InventoryInputs) -> dict[str, tuple[_View, ...]]:
    """Return for each component the different views of its instances, each once; none at all is not known."""
    sites = _sites(inputs)
    fingerprint = inputs.image.fingerprint()

    def view(instance: Instance) -> _View:
        knows_site = instance.alive and instance.lock_digest in sites
        return instance.lock_digest, knows_site, instance.alive and instance.image == fingerprint

    unknown: _View = (None, False, False)
    return {
        component: tuple(dict.fromkeys(view(instance) for instance in status.instances)) or (unknown,)
        for component, status in inputs.statuses.items()
    }


def _sites(inputs: InventoryInputs) -> dict[str | None, Mapping[str, str]]:
    """Return the contents, name → version, of every site whose lock is at hand, by lock digest."""
    empty = Lock(python=inputs.image.python, platform=inputs.image.platform, image="", requirements="")
    sites: dict[str | None, Mapping[str, str]] = {None: {}, empty.digest(): {}}
    for text in inputs.snapshot.locks.values():
        found = _read_lock(text)
        if found is not None:
            sites[found.digest()] = {pin.name: pin.version for pin in found.pins}
    return sites


def _contents(question: _Question, image: Mapping[str, str]) -> dict[str, tuple[_Contents, ...]]:
    """Return for each component what its instances have, one entry per view."""
    sites = _sites(question.inputs)
    return {
        component: tuple(
            (sites[digest] if knows_site else None, image if knows_image else None)
            for digest, knows_site, knows_image in views
        )
        for component, views in question.views
    }


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
