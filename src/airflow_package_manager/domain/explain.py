"""Why the image forbids a requirement, with names and versions, before and beside what a resolver says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from airflow_package_manager.domain.dependencies import Dependencies, Need
from airflow_package_manager.domain.lock import normalised
from airflow_package_manager.domain.requirement_door import applies
from airflow_package_manager.domain.resolution import Cause, Image, ResolutionRequest

_FITS_SHOWN = 5


@dataclass(frozen=True)
class Contents:
    """What one release needs, as far as it matters here."""

    causes: tuple[Cause, ...]
    """What the image forbids."""
    further: tuple[Requirement, ...]
    """What the image does not hold and nothing known forbids: whoever asks may look there next."""


def explain(
    request: ResolutionRequest,
    releases: Callable[[str], tuple[str, ...]] | None = None,
    *,
    movable: bool = False,
) -> tuple[Cause, ...]:
    """Return every requirement that a distribution of the image contradicts directly; none known: empty.

    By default only protected distributions count: they cannot move, so each cause is final and no resolver needs to
    be asked. With `movable` every other distribution of the image counts too; a resolver may still find a way by
    moving it, so those explain a refusal and do not make one. `releases` gives a project's versions by normalised
    name (asked for conflicting projects only) and fills `Cause.fits`; without it that stays empty.
    """
    index = Dependencies.of_image(request.image)
    causes = []
    for wanted in request.requirements:
        name = normalised(wanted.name)
        if not applies(wanted, request.image.markers):
            continue
        needs = [need for need in index.needs(name) if need.name != name]
        fixed = [need for need in needs if need.name in request.protected]
        against = [
            need
            for need in (needs if movable else fixed)
            if not _may_meet(wanted.specifier, need.requirement.specifier)
        ]
        if against:
            fits = _fitting(name, fixed if not movable else needs, releases)
            causes += [_cause(wanted, need, request.image, fits) for need in against]
    return tuple(dict.fromkeys(causes))  # metadata may name a need twice, once per extra


def explain_release(wanted: Requirement, version: str, requires: Iterable[str], request: ResolutionRequest) -> Contents:
    """Return what one release of a wanted project needs that the image can never give, and what else it needs.

    `requires` are its Requires-Dist lines. Only protected distributions count, which cannot move, so each cause is
    final for this release.
    """
    index, image = Dependencies.of_image(request.image), request.image
    asker = f"{normalised(wanted.name)} {version}"
    causes, further = [], []
    for need in _needed(requires, wanted.extras, image):
        name = normalised(need.name)
        there = image.distributions.get(name)
        if there is not None and need.specifier.contains(there.version, prereleases=True):
            continue
        if there is not None and name in request.protected:
            causes.append(_cause_of(asker, need, f"{name} {there.version}", f"{name}=={there.version}", image))
            continue
        against = [
            other
            for other in index.needs(name)
            if other.name in request.protected and not _may_meet(need.specifier, other.requirement.specifier)
        ]
        for other in against:
            needs = f"{name}{other.requirement.specifier}"
            causes.append(_cause_of(asker, need, f"{other.name} {other.version}", needs, image))
        if not against:
            further.append(need)
    return Contents(tuple(dict.fromkeys(causes)), tuple(further))


def what_fits(name: str, image: Image, protected: frozenset[str], releases: Iterable[str]) -> tuple[str, ...]:
    """Return the stable versions among `releases` that no protected distribution of the image forbids, newest first."""
    needs = [need for need in Dependencies.of_image(image).needs(name) if need.name in protected]
    return _versions_within(releases, SpecifierSet(",".join(str(need.requirement.specifier) for need in needs)))


def _fitting(name: str, needs: list[Need], releases: Callable[[str], tuple[str, ...]] | None) -> tuple[str, ...]:
    if releases is None:
        return ()
    everything = SpecifierSet(",".join(filter(None, (str(need.requirement.specifier) for need in needs))))
    return _versions_within(releases(name), everything)[:_FITS_SHOWN]


def _versions_within(releases: Iterable[str], specifier: SpecifierSet) -> tuple[str, ...]:
    versions = []
    for release in releases:
        try:
            version = Version(release)
        except InvalidVersion:
            continue  # an old index lists names that are no versions; nothing can ask for them
        if not version.is_prerelease and specifier.contains(version):
            versions.append(version)
    return tuple(str(version) for version in sorted(versions, reverse=True))


def _cause(wanted: Requirement, need: Need, image: Image, fits: tuple[str, ...]) -> Cause:
    name = normalised(wanted.name)
    needs = f"{name}{need.requirement.specifier}"
    message = f"{need.name} {need.version} needs {needs}; you ask for {name}{wanted.specifier}."
    there = image.distributions.get(name)
    if there is not None:
        message += f" The image has {name} {there.version}."
    return Cause(
        project=name,
        wanted=str(wanted.specifier),
        forbidden_by=f"{need.name} {need.version}",
        needs=needs,
        fits=fits,
        message=message,
    )


def _needed(requires: Iterable[str], extras: Iterable[str], image: Image) -> Iterator[Requirement]:
    """Yield what applies in this environment; a line that is no requirement needs nothing that could be named."""
    for line in requires:
        try:
            need = Requirement(line)
        except InvalidRequirement:
            continue
        environments = ({**image.markers, "extra": extra} for extra in ("", *extras))
        if need.marker is None or any(need.marker.evaluate(environment) for environment in environments):
            yield need


def _cause_of(asker: str, need: Requirement, forbidden_by: str, needs: str, image: Image) -> Cause:
    name = normalised(need.name)
    there = image.distributions.get(name)
    if there is not None and needs == f"{name}=={there.version}":
        message = f"{asker} needs {name}{need.specifier}; the image has {forbidden_by}, which is protected."
    else:
        message = f"{asker} needs {name}{need.specifier}; {forbidden_by} needs {needs}."
        message += f" The image has {name} {there.version}." if there is not None else ""
    return Cause(name, str(need.specifier), forbidden_by, needs, message=message)


def _may_meet(first: SpecifierSet, second: SpecifierSet) -> bool:
    """Tell whether some version could satisfy both; in doubt it says yes, so that a refusal is never wrong.

    Specifiers change their mind only at, just before and just after the versions they name, so a version is tried in
    each of these places. Pre-releases count.
    """
    specifiers = [*first, *second]
    if any(specifier.operator == "===" for specifier in specifiers):
        texts = [specifier.version for specifier in specifiers if specifier.operator == "==="]
        return any(_arbitrary(first, text) and _arbitrary(second, text) for text in texts)
    both = SpecifierSet(",".join(filter(None, (str(first), str(second)))))
    places = [_places(specifier.version.removesuffix(".*")) for specifier in specifiers]
    return any(both.contains(version, prereleases=True) for version in chain([Version("0")], *places))


def _arbitrary(specifier: SpecifierSet, text: str) -> bool:
    try:
        return specifier.contains(Version(text), prereleases=True)
    except InvalidVersion:
        return all(part.operator == "===" and part.version.lower() == text.lower() for part in specifier)


def _places(text: str) -> Iterable[Version]:
    """Yield a version and its neighbours on both sides, near and far."""
    version = Version(text)
    public = version.public
    base = f"{version.epoch}!" if version.epoch else ""
    release = list(version.release)
    yield version
    yield Version(public)
    yield Version("0.dev0")
    for suffix in (".dev0", "a0", "rc99999", "", "+local", ".post0.dev0", ".post0", ".post99999"):
        yield Version(base + ".".join(map(str, release)) + suffix)
    pre = "".join(map(str, version.pre)) if version.pre else ""
    post = f".post{version.post}" if version.post is not None else ""
    exact = base + ".".join(map(str, release)) + pre
    yield from (Version(exact + post + ".dev0"), Version(exact + ".post0"))
    if version.post is not None:
        yield Version(f"{exact}.post{version.post + 1}")
    if version.dev is not None:
        yield Version(f"{exact}{post}.dev{version.dev + 1}")
    if version.pre is not None:
        yield Version(f"{base}{'.'.join(map(str, release))}{version.pre[0]}{version.pre[1] + 1}")
    for depth in range(1, 4):
        yield Version(base + ".".join(map(str, [*release, *[0] * (depth - 1), 1])))
    for position in range(len(release)):
        nearer = [*release[:position], release[position] + 1]
        for suffix in (".dev0", "a0", "", ".0.1"):
            yield Version(base + ".".join(map(str, nearer)) + suffix)
    yield Version(f"{version.epoch + 1}!0")
