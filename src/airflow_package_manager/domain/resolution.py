"""What a resolver is asked and what it answers, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from packaging.requirements import Requirement

from airflow_package_manager.domain.lock import Lock, image_fingerprint


@dataclass(frozen=True)
class InstalledDistribution:
    """One distribution that an interpreter has."""

    name: str
    """Normalised."""
    version: str
    requires: tuple[str, ...]
    """Its Requires-Dist lines."""
    metadata_path: str | None = None
    """The `METADATA` file, where known: a planning environment links it."""
    summary: str = ""
    entry_points: tuple[str, ...] | None = None
    """Groups, sorted; None where nobody looked."""


@dataclass(frozen=True)
class Image:
    """What an interpreter has without us."""

    distributions: Mapping[str, InstalledDistribution]
    """Keyed by normalised name."""
    python: str
    """Tag, for example ``cp311``."""
    platform: str
    """Tag, for example ``linux_x86_64``."""
    python_version: str
    """For example ``3.11.7``."""
    executable: str
    """Absolute path of the interpreter."""
    markers: Mapping[str, str]
    """The PEP 508 marker environment."""

    def fingerprint(self) -> str:
        """Return the SHA-256 that names this image."""
        versions = {name: found.version for name, found in self.distributions.items()}
        return image_fingerprint(versions, self.python, self.platform)


@dataclass(frozen=True)
class ResolutionRequest:
    """One question to the resolver."""

    requirements: tuple[Requirement, ...]
    """Already judged by policy; re-serialised by the resolver, never the person's text."""
    image: Image
    current: Lock | None
    """Adding one package moves no pin of it."""
    protected: frozenset[str]
    """Normalised names of the image's distributions that may not move."""
    hashes: Mapping[str, frozenset[str]]
    """A person's own `--hash` (SHA-256 hex digits) per normalised name: narrows the lock to them."""
    requirements_digest: str
    """SHA-256 of the proposed text, for the lock's header."""


@dataclass(frozen=True)
class ResolvedDistribution:
    """What is known of one pin of the new lock."""

    name: str
    version: str
    requires: tuple[str, ...] | None
    """Requires-Dist lines; None when the wheel's metadata could not be read."""
    entry_points: tuple[str, ...] | None
    """Entry-point groups that it brings, for example ``airflow.plugins``; None when unknown."""
    yanked: str | None = None
    """The reason given, or an empty text, when the release was yanked."""
    size: int | None = None
    """Bytes of the wheel for this platform, where the index says."""
    summary: str = ""
    at_start: tuple[str, ...] = ()
    """Files that Python would run at every start; the installer refuses them."""


@dataclass(frozen=True)
class Resolution:
    """A set of pins that fits, as the difference to the image."""

    lock: Lock
    distributions: Mapping[str, ResolvedDistribution]
    """One per pin, keyed by normalised name."""
    seconds: Mapping[str, float]
    """How long each step took."""


@dataclass(frozen=True)
class Cause:
    """One reason why a requirement cannot be met, with names and versions."""

    project: str
    """Normalised name of what is wanted."""
    wanted: str
    """The specifier asked for."""
    forbidden_by: str
    """Name and version of what forbids it, for example ``apache-airflow-core 3.3.2``."""
    needs: str
    """What that one needs, for example ``sqlalchemy>=2.0.50``."""
    fits: tuple[str, ...] = ()
    """Existing versions that would fit everything known, newest first."""
    message: str = ""
    """The sentence for people."""


@dataclass(frozen=True)
class Release:
    """One version of a project on the index."""

    version: str
    yanked: str | None
    requires_python: str | None
    uploaded_at: str | None
    """ISO 8601, None where the index does not say."""
    has_wheel: bool | None
    """For this Python and platform; None when unknown."""
    size: int | None
    """Bytes of the wheel that would be used."""


@dataclass(frozen=True)
class Project:
    """One project as the index knows it."""

    name: str
    releases: tuple[Release, ...]
    """Newest first."""
    index: str
    """Host of the index that answered, without credentials."""


@dataclass(frozen=True)
class Wheel:
    """One file of a release that this Python and platform can install."""

    filename: str
    sha256: str
    """64 hex digits."""
    size: int | None
    """Bytes, where the index says."""
    yanked: str | None
    """The reason given, or an empty text, when it was yanked."""


@dataclass(frozen=True)
class WheelMetadata:
    """What a wheel says of itself."""

    headers: str
    """The headers of its METADATA file, without the description."""
    requires: tuple[str, ...]
    """Requires-Dist lines."""
    entry_points: tuple[str, ...]
    """Entry-point groups, sorted."""
    summary: str
    at_start: tuple[str, ...] = ()
    """Files that Python would run at every start (`x.pth`, `sitecustomize.py`), sorted; no site may hold them."""
