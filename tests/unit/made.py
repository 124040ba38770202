"""Small images, locks and resolutions for the tests of pure rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from packaging.markers import default_environment

from airflow_package_manager.domain.lock import Lock, Pin, text_digest
from airflow_package_manager.domain.resolution import Image, InstalledDistribution, Resolution, ResolvedDistribution
from airflow_package_manager.domain.rollout import ComponentStatus, Instance, Status

PYTHON, PLATFORM = "cp311", "linux_x86_64"


def image(distributions: Mapping[str, str], requires: Mapping[str, Iterable[str]] | None = None) -> Image:
    """Return an image from name → version, and name → Requires-Dist lines."""
    return Image(
        distributions={
            name: InstalledDistribution(name, version, tuple((requires or {}).get(name, ())))
            for name, version in distributions.items()
        },
        python=PYTHON,
        platform=PLATFORM,
        python_version="3.11.7",
        executable="/usr/bin/python3",
        markers={key: str(value) for key, value in default_environment().items()},
    )


def lock(pins: Mapping[str, str], *, text: str = "", of: Image | None = None, revision: int | None = None) -> Lock:
    """Return a lock from name → version."""
    return Lock(
        python=PYTHON,
        platform=PLATFORM,
        image=(of or image({})).fingerprint(),
        requirements=text_digest(text),
        pins=tuple(Pin(name, version, (text_digest(name + version),)) for name, version in sorted(pins.items())),
        revision=revision,
    )


def resolution(made: Lock, **known: ResolvedDistribution) -> Resolution:
    """Return a resolution in which every pin brings nothing to Airflow, unless `known` says otherwise."""
    distributions = {pin.name: ResolvedDistribution(pin.name, pin.version, (), ()) for pin in made.pins}
    distributions.update({item.name: item for item in known.values()})
    return Resolution(made, distributions, {})


def status(
    name: str, *, lock_digest: str | None = None, image_print: str | None = None, alive: bool = True
) -> ComponentStatus:
    """Return a component with one instance."""
    return component(name, instance(f"{name}-1", lock_digest=lock_digest, image_print=image_print, alive=alive))


def component(name: str, *instances: Instance) -> ComponentStatus:
    """Return a component with the instances."""
    return ComponentStatus(name, Status.CURRENT, "", instances)


def instance(
    name: str,
    *,
    lock_digest: str | None = None,
    image_print: str | None = None,
    alive: bool = True,
    state: Status = Status.CURRENT,
) -> Instance:
    """Return an instance as a target would report it."""
    return Instance(
        name=name,
        status=state,
        message="",
        stamp=None,
        lock_digest=lock_digest,
        image=image_print,
        python=PYTHON,
        platform=PLATFORM,
        started_at=1.0,
        restarts=0,
        reported_at=2.0,
        alive=alive,
    )
