"""What uv is asked: our own serialisation of names, extras, specifiers and markers, one line each, nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from packaging.requirements import Requirement
from packaging.version import Version

from airflow_package_manager.domain.lock import normalised
from airflow_package_manager.domain.resolution import ResolutionRequest
from airflow_package_manager.refusals import InvalidRequirement

_HARMLESS = re.compile(r"""[A-Za-z0-9][A-Za-z0-9 ._\-\[\],<>=!~*+;()'"]*""", re.ASCII)
"""No line end, `#`, `$`, `@`, `/` or backslash: nothing that a requirements file reads as more than a requirement."""


def lines(request: ResolutionRequest, seen: Mapping[str, str], extra: Iterable[str] = ()) -> list[str]:
    """Return the roots: protected distributions pinned, all others of the image by name, then the requirements.

    `seen` is what the planning environment shows. Raises `InvalidRequirement` for what cannot be one harmless line.
    """
    roots = []
    for name, distribution in request.image.distributions.items():
        if name in seen:
            roots.append(f"{name}=={distribution.version}" if name in request.protected else name)
    return [*roots, *map(serialised, request.requirements), *extra]


def serialised(requirement: Requirement) -> str:
    """Return one line for uv; raises `InvalidRequirement`."""
    line = str(requirement)
    if requirement.url is not None or not _HARMLESS.fullmatch(line):
        raise InvalidRequirement(
            f"The requirement for {normalised(requirement.name)} holds a character that no resolver may be given.",
            field="requirements",
            requirement=line[:200],
        )
    return line


def pre_releases(request: ResolutionRequest, seen: Mapping[str, str]) -> list[str]:
    """Return the projects whose pre-releases may be used: those that are there already, and those asked for by name."""
    there = {name for name, version in seen.items() if Version(version).is_prerelease}
    asked = {normalised(wanted.name) for wanted in request.requirements if wanted.specifier.prereleases}
    return sorted(there | asked)


def applying(request: ResolutionRequest) -> list[Requirement]:
    """Return the requirements whose marker holds for this image."""
    environment = {**request.image.markers, "extra": ""}
    return [wanted for wanted in request.requirements if wanted.marker is None or wanted.marker.evaluate(environment)]
