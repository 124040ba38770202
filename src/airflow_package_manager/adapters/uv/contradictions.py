"""What the packages that somebody wants need themselves, and the image forbids: read from their wheels, newest first.

uv proves that nothing fits, in the order of its own search. People ask which package wants what, and who forbids it.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable

from packaging.requirements import Requirement

from airflow_package_manager.adapters.uv.question import applying
from airflow_package_manager.domain.explain import explain_release
from airflow_package_manager.domain.lock import normalised
from airflow_package_manager.domain.resolution import Cause, ResolutionRequest
from airflow_package_manager.errors import PackageManagerError
from airflow_package_manager.ports import PackageIndex, WheelSource

_RELEASES_READ = 20
"""A refusal must not take longer than the search that led to it."""

_log = logging.getLogger(__name__)


def find(
    request: ResolutionRequest, index: PackageIndex, wheels: WheelSource, stopped: Callable[[], bool]
) -> tuple[Cause, ...]:
    """Return what the newest fitting release of each wanted project needs in vain, and of what those need in turn.

    Looks at a bounded number of releases and stops at the first that explain something; what cannot be read explains
    nothing.
    """
    waiting = deque(wanted for wanted in applying(request) if not _held(wanted, request))
    seen: set[str] = set()
    causes: list[Cause] = []
    while waiting and len(seen) < _RELEASES_READ and not stopped():
        wanted = waiting.popleft()
        name = normalised(wanted.name)
        if name in seen:
            continue
        seen.add(name)
        try:
            found = _newest(wanted, index, wheels)
        except PackageManagerError as error:
            _log.info("What %s needs is not known: %s", name, error.detail)
            continue
        if found is None:
            continue
        contents = explain_release(wanted, found[0], found[1], request)
        causes.extend(contents.causes)
        waiting.extend(contents.further)
    return tuple(dict.fromkeys(causes))


def _held(wanted: Requirement, request: ResolutionRequest) -> bool:
    there = request.image.distributions.get(normalised(wanted.name))
    return there is not None and wanted.specifier.contains(there.version, prereleases=True)


def _newest(wanted: Requirement, index: PackageIndex, wheels: WheelSource) -> tuple[str, tuple[str, ...]] | None:
    """Return version and Requires-Dist lines of the newest release that could be chosen, None when none can be read."""
    for release in index.project(wanted.name).releases:
        if release.yanked is None and release.has_wheel is not False and wanted.specifier.contains(release.version):
            files = wheels.wheels(normalised(wanted.name), release.version)
            known = wheels.metadata(normalised(wanted.name), release.version, {file.sha256 for file in files})
            return None if known is None else (release.version, known.requires)
    return None
