"""Why uv found nothing: one exit status for a typo, a refusing index and a conflict, told apart by asking the index.

uv's own words are used only to learn which further project to ask about, and to recognise a broken connection.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator

from packaging.requirements import Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version

from airflow_package_manager.adapters.uv.question import applying
from airflow_package_manager.domain.lock import normalised
from airflow_package_manager.domain.resolution import Project, Release, ResolutionRequest
from airflow_package_manager.errors import IndexRefused, IndexUnavailable, PackageManagerError
from airflow_package_manager.ports import PackageIndex
from airflow_package_manager.refusals import NoWheel, ResolutionImpossible, UnknownProject, UnknownVersion

_SHOWN = 10
_MAXIMUM_TEXT = 20_000
_MAXIMUM_ASKED = 8
_NOT_FOUND = re.compile(r"\b([a-z0-9][a-z0-9-]*) was not found in the (?:package registry|provided package locations)")
_NO_WHEELS = re.compile(r"\b([a-z0-9][a-z0-9-]*)(?:[=<>!~]\S*)? ha(?:s|ve) no (?:usable wheels|wheels with)")
_REFUSED = re.compile(r"401 Unauthorized|403 Forbidden")
_UNREACHABLE = re.compile(
    r"Failed to (?:fetch|download)|error sending request|tcp connect error|dns error|HTTP status server error"
    r"|operation timed out|connection (?:closed|reset)",
    re.IGNORECASE,
)
_NOISE = re.compile(r"^(?:Using C?Python|Resolved ).*\n", re.MULTILINE)


def why(request: ResolutionRequest, messages: str, status: int, index: PackageIndex) -> PackageManagerError:
    """Return the error to raise for a run of uv that failed with these (redacted) messages."""
    text = _NOISE.sub("", messages).strip()[-_MAXIMUM_TEXT:]
    try:
        for wanted in applying(request):
            _judge(wanted, request, index, text)
        for name in _further(_NOT_FOUND, text, request):
            _known(name, request, index)
        for name in _further(_NO_WHEELS, text, request):
            project = index.project(name)
            if not any(_usable(release, request) for release in project.releases):
                return _no_wheel(project, list(project.releases), "", request, text)
    except (UnknownProject, UnknownVersion, NoWheel, IndexRefused, IndexUnavailable) as answer:
        return answer
    if _REFUSED.search(text):
        return IndexRefused("The package index refused access while versions were worked out.", resolver=text)
    if _UNREACHABLE.search(text):
        return IndexUnavailable("The package index could not be reached while versions were worked out.", resolver=text)
    if status == 1:
        return ResolutionImpossible(
            "No set of versions fulfils these requirements together with what Airflow's environment needs.",
            causes=[],
            resolver=text,
        )
    return PackageManagerError("uv ended in a way that is not understood.", status=status, resolver=text)


def usable_versions(project: Project) -> list[str]:
    """Return the newest versions, stable ones first, for a person to choose from."""
    versions = [release.version for release in project.releases]
    stable = [version for version in versions if not Version(version).is_prerelease]
    return (stable or versions)[:_SHOWN]


def _judge(wanted: Requirement, request: ResolutionRequest, index: PackageIndex, text: str) -> None:
    """Raise what is wrong with one direct requirement, whatever else is wrong; nothing when it could be met alone."""
    name = normalised(wanted.name)
    there = request.image.distributions.get(name)
    if there is not None and wanted.specifier.contains(there.version, prereleases=True):
        return
    project = _known(name, request, index)
    early = bool(wanted.specifier.prereleases)
    matching = [found for found in project.releases if wanted.specifier.contains(found.version, prereleases=early)]
    if not matching:
        versions = usable_versions(project)
        newest = Version(versions[0]) if versions else None
        hint = (
            f" Only pre-releases exist; ask for one by its version, such as {name}=={newest}."
            if newest is not None and newest.is_prerelease and not wanted.specifier
            else ""
        )
        raise UnknownVersion(
            f"The package index has no version of {name} that fits {name}{wanted.specifier}.{hint}",
            project=name,
            wanted=str(wanted.specifier),
            available=versions,
            resolver=text,
        )
    if not any(_usable(release, request) for release in matching):
        raise _no_wheel(project, matching, str(wanted.specifier), request, text)


def _known(name: str, request: ResolutionRequest, index: PackageIndex) -> Project:
    try:
        return index.project(name)
    except UnknownProject as error:
        names = {*request.image.distributions, *(pin.name for pin in (request.current.pins if request.current else ()))}
        alike = difflib.get_close_matches(name, sorted(names), n=3, cutoff=0.75)
        error.context["suggestions"] = alike
        if alike:
            error.next_action = f"Did you mean {' or '.join(alike)}? Otherwise {_lower(error.default_next_action)}"
        raise


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


def _usable(release: Release, request: ResolutionRequest) -> bool:
    return release.has_wheel is not False and _python_fits(release.requires_python, request.image.python_version)


def _python_fits(specifier: str | None, version: str) -> bool:
    try:
        return specifier is None or SpecifierSet(specifier).contains(version, prereleases=True)
    except InvalidSpecifier:
        return True  # what nobody can read forbids nothing


def _no_wheel(
    project: Project, releases: Iterable[Release], wanted: str, request: ResolutionRequest, text: str
) -> NoWheel:
    image = request.image
    candidates = list(releases)
    pythons = sorted({release.requires_python or "" for release in candidates if release.has_wheel is not False} - {""})
    reason = f"; it needs Python {' or '.join(pythons)}" if pythons else ""
    return NoWheel(
        f"No version of {project.name}{wanted} has a wheel for Python {image.python_version} on {image.platform}"
        f"{reason}.",
        project=project.name,
        versions=[release.version for release in candidates][:_SHOWN],
        usable=[release.version for release in project.releases if _usable(release, request)][:_SHOWN],
        resolver=text,
    )


def _further(pattern: re.Pattern[str], text: str, request: ResolutionRequest) -> Iterator[str]:
    names = dict.fromkeys(match[1] for match in pattern.finditer(text))
    yield from [name for name in names if name not in request.image.distributions][:_MAXIMUM_ASKED]
