"""The resolver: real uv on a planning environment, then a lock with hashes of what differs from the image."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from packaging.version import InvalidVersion, Version

from airflow_package_manager import uv_command
from airflow_package_manager.adapters.uv import contradictions, diagnosis, planning_environment, question
from airflow_package_manager.adapters.uv.limits import Run
from airflow_package_manager.domain.lock import Lock, Pin, pins_by_name
from airflow_package_manager.domain.resolution import (
    Resolution,
    ResolutionRequest,
    ResolvedDistribution,
    Wheel,
)
from airflow_package_manager.errors import PackageManagerError
from airflow_package_manager.index_access import IndexAccess
from airflow_package_manager.ports import PackageIndex, WheelSource
from airflow_package_manager.refusals import NoWheel, ResolutionImpossible

_REMOVING = frozenset({"uninstalled", "removed"})
_ADDING = frozenset({"installed", "reinstalled"})


class UvResolver:
    """Implements `Resolver`; safe for many threads."""

    def __init__(
        self,
        *,
        uv: Callable[[], Path],
        access: IndexAccess,
        index: PackageIndex,
        wheels: WheelSource,
        timeout: float,
        cache: Path | None = None,
        workdir: Path | None = None,
    ) -> None:
        """Take how to find uv, whom it may ask, and the index for what uv does not say.

        `timeout` in seconds for one whole resolution; `cache` is uv's cache directory (its own choice when None),
        `workdir` holds the throw-away planning environments (the usual temporary directory when None).
        """
        self._uv = uv
        self._access = access
        self._index = index
        self._wheels = wheels
        self._timeout = timeout
        self._cache = cache
        self._workdir = workdir

    def resolve(
        self, request: ResolutionRequest, step: Callable[[str], None], cancelled: Callable[[], bool]
    ) -> Resolution:
        """Return the pins; raises as `ports.Resolver` says."""
        run = Run(self._timeout, step, cancelled)
        if self._workdir is not None:
            self._workdir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="plan-", dir=self._workdir) as directory:
            with run.timed("planning environment"):
                environment = self._environment(Path(directory), request, run)
            with run.timed("resolution"):
                versions = self._versions(environment, request, run)
        differing = {
            name: version
            for name, version in versions.items()
            if name not in request.image.distributions or not _same(version, request.image.distributions[name].version)
        }
        with run.timed("lock"):
            locked = self._locked(differing, request, run)
        with run.timed("metadata"):
            described = self._described(locked, run)
        lock = Lock(
            python=request.image.python,
            platform=request.image.platform,
            image=request.image.fingerprint(),
            requirements=request.requirements_digest,
            pins=tuple(sorted(pin for pin, _ in locked)),
        )
        return Resolution(lock, described, run.seconds)

    def _environment(self, directory: Path, request: ResolutionRequest, run: Run) -> _Environment:
        run.step("building the planning environment")
        current = [pin for pin in _current_pins(request) if pin.name not in request.image.distributions]
        known = run.each(current, lambda pin: self._wheels.metadata(pin.name, pin.version, pin.hashes))
        pins = {pin.name: (pin.version, metadata) for pin, metadata in zip(current, known, strict=True)}
        return _Environment(directory, planning_environment.build(directory / "site", request.image, pins))

    def _versions(self, environment: _Environment, request: ResolutionRequest, run: Run) -> dict[str, str]:
        """Return name → version of all that the components would have."""
        run.step("working out the versions")
        versions = self._ask(environment, request, run, ())
        moved = _moved_shadows(versions, request)
        if not moved:
            return versions
        # The image's copy was shown to uv, so it could not know which version hides it now: ask to leave that alone.
        run.step("keeping what is there already")
        try:
            return self._ask(environment, request, run, moved)
        except ResolutionImpossible:
            return versions

    def _ask(
        self, environment: _Environment, request: ResolutionRequest, run: Run, extra: Sequence[str]
    ) -> dict[str, str]:
        requirements = environment.directory / "requirements.in"
        requirements.write_text("\n".join(question.lines(request, environment.seen, extra)) + "\n", encoding="utf-8")
        arguments = ["pip", "install", "--dry-run", "--exact", "--output-format", "json", "--no-build"]
        arguments += ["--prerelease", "disallow"]
        arguments += [f"--prerelease-package={name}=allow" for name in question.pre_releases(request, environment.seen)]
        arguments += ["--python", request.image.executable, "--target", str(environment.directory / "site")]
        outcome = uv_command.run(
            self._uv(),
            [*arguments, "-r", str(requirements)],
            directory=environment.directory,
            timeout=run.remaining(),
            access=self._access,
            cache=self._cache,
            cancelled=run.cancelled,
        )
        run.check(outcome.ended)
        if outcome.status != 0:
            run.step("asking the index what is wrong")
            error = diagnosis.why(request, outcome.messages, outcome.status, self._index)
            if isinstance(error, ResolutionImpossible):
                run.step("looking for what forbids it")
                causes = contradictions.find(request, self._index, self._wheels, run.cancelled)
                error.context["causes"] = [{**asdict(cause), "fits": list(cause.fits)} for cause in causes]
            raise error
        return _applied(environment.seen, outcome.output, self._access.redact)

    def _locked(
        self, versions: Mapping[str, str], request: ResolutionRequest, run: Run
    ) -> list[tuple[Pin, Wheel | None]]:
        """Return each pin, with the wheel for this platform where the index was asked for it."""
        run.step("locking the files by hash")
        current = pins_by_name(_current_pins(request))

        def lock(item: tuple[str, str]) -> tuple[Pin, Wheel | None]:
            name, version = item
            own = request.hashes.get(name)
            known = current.get(name)
            if known is not None and known.version == version and (own is None or set(known.hashes) <= own):
                return known, None
            wheels = self._wheels.wheels(name, version)
            if not wheels:
                raise NoWheel(
                    f"{name} {version} has no wheel for Python {request.image.python_version} on"
                    f" {request.image.platform}.",
                    project=name,
                    versions=[version],
                )
            allowed = [wheel for wheel in wheels if own is None or wheel.sha256 in own]
            if not allowed:
                raise NoWheel(
                    f"None of the --hash values of {name} is that of a wheel of version {version} for this Python and"
                    " platform.",
                    next_action="Correct the hashes, or remove them from the requirement.",
                    project=name,
                    versions=[version],
                    existing=[wheel.sha256 for wheel in wheels],
                )
            return Pin(name, version, tuple(sorted({wheel.sha256 for wheel in allowed}))), allowed[0]

        return run.each(sorted(versions.items()), lock)

    def _described(self, locked: Sequence[tuple[Pin, Wheel | None]], run: Run) -> dict[str, ResolvedDistribution]:
        run.step("reading what the packages need and bring")

        def describe(item: tuple[Pin, Wheel | None]) -> ResolvedDistribution:
            pin, wheel = item
            hashes = (wheel.sha256,) if wheel is not None else pin.hashes
            known = self._wheels.metadata(pin.name, pin.version, hashes)
            return ResolvedDistribution(
                name=pin.name,
                version=pin.version,
                requires=known.requires if known else None,
                entry_points=known.entry_points if known else None,
                yanked=wheel.yanked if wheel else None,
                size=wheel.size if wheel else None,
                summary=known.summary if known else "",
                at_start=known.at_start if known else (),
            )

        return {found.name: found for found in run.each(locked, describe)}


@dataclass(frozen=True)
class _Environment:
    directory: Path
    seen: Mapping[str, str]


def _current_pins(request: ResolutionRequest) -> tuple[Pin, ...]:
    """Return the pins of the current lock where they mean this Python and platform."""
    current = request.current
    same = current is not None and (current.python, current.platform) == (request.image.python, request.image.platform)
    return current.pins if current is not None and same else ()


def _moved_shadows(versions: Mapping[str, str], request: ResolutionRequest) -> list[str]:
    """Return pins for what hides the image's copy now and would hide it in another version."""
    moved = []
    for pin in _current_pins(request):
        there = request.image.distributions.get(pin.name)
        after = versions.get(pin.name)
        if there is not None and after is not None and after not in {pin.version, there.version}:
            moved.append(f"{pin.name}=={pin.version}")
    return moved


def _applied(seen: Mapping[str, str], output: str, redact: Callable[[str], str]) -> dict[str, str]:
    versions = dict(seen)
    try:
        changes = [(row["action"], row["name"], row["version"]) for row in json.loads(output)["changes"]]
    except (ValueError, KeyError, TypeError) as error:
        raise PackageManagerError(
            "uv answered in a form that is not understood.", output=redact(output)[:2000]
        ) from error
    for action, name, _ in changes:
        if action not in _REMOVING | _ADDING:
            raise PackageManagerError(f"uv speaks of an action {action!r} that is not understood.", project=name)
        if action in _REMOVING:
            versions.pop(name, None)
    for action, name, version in changes:
        if action in _ADDING:
            versions[name] = str(Version(version))
    return versions


def _same(one: str, other: str) -> bool:
    try:
        return Version(one) == Version(other)
    except InvalidVersion:
        return one == other
