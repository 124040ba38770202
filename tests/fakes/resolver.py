"""A resolver without uv: newest version that fits, one after another, never a step back."""

from __future__ import annotations

from collections.abc import Callable

from packaging.requirements import Requirement
from packaging.version import Version

from airflow_package_manager.domain.lock import Lock, Pin, normalised, pins_by_name
from airflow_package_manager.domain.resolution import Resolution, ResolutionRequest, ResolvedDistribution
from airflow_package_manager.errors import PlanAbandoned
from airflow_package_manager.refusals import NoWheel, ResolutionImpossible, UnknownProject, UnknownVersion
from tests.fakes.index import FakeIndex

STEPS = ("building the planning environment", "working out the versions", "locking the files by hash")


class FakeResolver:
    """Implements `Resolver` over a `FakeIndex`; `failure` is raised instead when it is set."""

    def __init__(self, index: FakeIndex) -> None:
        self.index = index
        self.failure: Exception | None = None
        self.meanwhile: Callable[[], object] = lambda: None
        """What somebody else does while versions are worked out."""
        self.requests: list[ResolutionRequest] = []

    def resolve(
        self, request: ResolutionRequest, step: Callable[[str], None], cancelled: Callable[[], bool]
    ) -> Resolution:
        self.requests.append(request)
        for text in STEPS:
            step(text)
            self.meanwhile()
            if cancelled():
                raise PlanAbandoned("The plan was cancelled while versions were worked out.")
        if self.failure is not None:
            raise self.failure
        pins = self._pins(request)
        lock = Lock(
            python=request.image.python,
            platform=request.image.platform,
            image=request.image.fingerprint(),
            requirements=request.requirements_digest,
            pins=tuple(sorted(pins.values())),
        )
        return Resolution(lock, {name: self._described(pin) for name, pin in pins.items()}, {"resolution": 0.0})

    def _pins(self, request: ResolutionRequest) -> dict[str, Pin]:
        pins: dict[str, Pin] = {}
        open_ends = list(request.requirements)
        while open_ends:
            wanted = open_ends.pop(0)
            name = normalised(wanted.name)
            there = request.image.distributions.get(name)
            if not _holds(wanted, request, ("",)):
                continue
            if name in pins:
                if not wanted.specifier.contains(pins[name].version, prereleases=True):
                    raise self._impossible(name)
                continue
            if there is not None and wanted.specifier.contains(there.version, prereleases=True):
                continue
            if there is not None and self._forbidden(request, wanted):
                raise self._impossible(name)
            pins[name] = self._pin(wanted, request)
            metadata = self.index.metadata(name, pins[name].version, pins[name].hashes)
            for need in map(Requirement, metadata.requires if metadata else ()):
                if _holds(need, request, ("", *wanted.extras)):
                    need.marker = None
                    open_ends.append(need)
        return pins

    def _pin(self, wanted: Requirement, request: ResolutionRequest) -> Pin:
        name = normalised(wanted.name)
        current = request.current if request.current and request.current.python == request.image.python else None
        known = pins_by_name(current.pins if current else ()).get(name)
        own = request.hashes.get(name)
        if known and wanted.specifier.contains(known.version, prereleases=True) and own is None:
            return known
        try:
            project = self.index.project(name)
        except UnknownProject as error:
            error.context["suggestions"] = [other for other in request.image.distributions if other[:4] == name[:4]]
            raise
        early = bool(wanted.specifier.prereleases)
        fitting = [found for found in project.releases if wanted.specifier.contains(found.version, prereleases=early)]
        fitting = [release for release in fitting if release.yanked is None] or fitting
        if not fitting:
            raise UnknownVersion(
                f"no version of {name} fits",
                project=name,
                available=[release.version for release in project.releases],
            )
        usable = [release for release in fitting if release.has_wheel]
        python = request.image.python_version
        usable = [
            r
            for r in usable
            if not r.requires_python or Requirement(f"x{r.requires_python}").specifier.contains(python)
        ]
        if not usable:
            raise NoWheel(f"no wheel of {name}", project=name)
        version = str(max(Version(release.version) for release in usable))
        wheels = [wheel for wheel in self.index.wheels(name, version) if own is None or wheel.sha256 in own]
        if not wheels:
            raise NoWheel(f"no wheel of {name} has one of these --hash values", project=name)
        return Pin(name, version, tuple(sorted(wheel.sha256 for wheel in wheels)))

    def _described(self, pin: Pin) -> ResolvedDistribution:
        metadata = self.index.metadata(pin.name, pin.version, pin.hashes)
        wheels = [wheel for wheel in self.index.wheels(pin.name, pin.version) if wheel.sha256 in pin.hashes]
        return ResolvedDistribution(
            name=pin.name,
            version=pin.version,
            requires=metadata.requires if metadata else None,
            entry_points=metadata.entry_points if metadata else None,
            yanked=wheels[0].yanked if wheels else None,
            size=wheels[0].size if wheels else None,
            summary=metadata.summary if metadata else "",
        )

    @staticmethod
    def _forbidden(request: ResolutionRequest, wanted: Requirement) -> bool:
        """Tell whether the image's copy is protected, or a protected distribution needs it as it is."""
        name = normalised(wanted.name)
        if name in request.protected:
            return True
        there = request.image.distributions[name]
        for other in request.protected:
            for line in request.image.distributions[other].requires:
                need = Requirement(line)
                if normalised(need.name) == name and need.specifier.contains(there.version):
                    return True
        return False

    @staticmethod
    def _impossible(name: str) -> ResolutionImpossible:
        return ResolutionImpossible(f"no version of {name} fits all", causes=[], resolver=f"{name} does not fit")


def _holds(wanted: Requirement, request: ResolutionRequest, extras: tuple[str, ...]) -> bool:
    """Tell whether the marker holds with one of these extras."""
    return wanted.marker is None or any(
        wanted.marker.evaluate({**request.image.markers, "extra": extra}) for extra in extras
    )
