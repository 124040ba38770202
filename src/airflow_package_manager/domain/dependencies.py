"""Who requires whom, by name, worked out only for the names that are asked for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from packaging.requirements import InvalidRequirement, Requirement

from airflow_package_manager.domain.lock import normalised
from airflow_package_manager.domain.requirements import RequirementsFile
from airflow_package_manager.domain.resolution import Image, Resolution

_HEAD = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[([^\]]*)\])?", re.ASCII)


@dataclass(frozen=True)
class Need:
    """One distribution's requirement of another."""

    name: str
    """Normalised name of the one that needs."""
    version: str
    requirement: Requirement


class Dependencies:
    """The requirements of a set of distributions, indexed by what they need.

    Reading hundreds of requirements takes half a second, so only the head of each line is read at first.
    """

    def __init__(
        self,
        distributions: Mapping[str, tuple[str, Iterable[str]]],
        markers: Mapping[str, str],
        extras: Mapping[str, frozenset[str]] | None = None,
    ) -> None:
        """Take normalised name → (version, Requires-Dist lines), and extras asked for by name from outside."""
        self._markers = dict(markers)
        self._versions = {name: version for name, (version, _lines) in distributions.items()}
        self._lines: dict[str, list[tuple[str, str]]] = {}
        self._extras: dict[str, set[str]] = {name: set(found) for name, found in (extras or {}).items()}
        self._needs: dict[str, tuple[Need, ...]] = {}
        for name, (_version, lines) in distributions.items():
            for line in lines:
                target, wanted = _head(line)
                if target:
                    self._lines.setdefault(target, []).append((name, line))
                if wanted:
                    self._extras.setdefault(target, set()).update(wanted)

    @classmethod
    def of_image(cls, image: Image) -> Dependencies:
        """Return those of an image; kept for the few images that a process meets."""
        return _of_image(_ByFingerprint(image.fingerprint(), image))

    @classmethod
    def after(cls, image: Image, resolution: Resolution, requested: RequirementsFile) -> Dependencies:
        """Return those of the image with the site of a resolution before it."""
        found: dict[str, tuple[str, Iterable[str]]] = {
            name: (item.version, item.requires) for name, item in image.distributions.items()
        }
        for name, item in resolution.distributions.items():
            found[name] = (item.version, item.requires or ())
        extras: dict[str, frozenset[str]] = {}
        for entry in requested.entries:
            wanted = frozenset(map(normalised, entry.requirement.extras))
            extras[entry.name] = extras.get(entry.name, frozenset()) | wanted
        return cls(found, image.markers, extras)

    def needs(self, name: str) -> tuple[Need, ...]:
        """Return who needs this project here, with what; requirements of other environments left out."""
        if name not in self._needs:
            found = []
            for owner, line in self._lines.get(name, ()):
                requirement = _parsed(line)
                if requirement is not None and self._applies(owner, requirement):
                    found.append(Need(owner, self._versions[owner], requirement))
            self._needs[name] = tuple(found)
        return self._needs[name]

    def required_by(self, name: str) -> tuple[str, ...]:
        """Return the normalised names of those that need this project, sorted."""
        needs = self.needs(name)
        return tuple(sorted({need.name for need in needs} - {name})) if needs else ()

    def _applies(self, owner: str, requirement: Requirement) -> bool:
        if requirement.marker is None:
            return True
        return any(
            requirement.marker.evaluate({**self._markers, "extra": extra})
            for extra in ("", *self._extras.get(owner, ()))
        )


@dataclass(frozen=True)
class _ByFingerprint:
    fingerprint: str
    image: Image = field(hash=False)


@lru_cache(maxsize=8)
def _of_image(key: _ByFingerprint) -> Dependencies:
    found = {name: (item.version, item.requires) for name, item in key.image.distributions.items()}
    return Dependencies(found, key.image.markers)


@lru_cache(maxsize=16_384)
def _head(line: str) -> tuple[str, frozenset[str]]:
    """Return normalised name and extras; an empty name for a line that is not PEP 508."""
    head = _HEAD.match(line)
    if head is None:
        return "", frozenset()
    extras = frozenset(normalised(part.strip()) for part in head[2].split(",")) if head[2] else frozenset()
    return normalised(head[1]), extras


@lru_cache(maxsize=16_384)
def _parsed(line: str) -> Requirement | None:
    try:
        return Requirement(line)
    except InvalidRequirement:
        return None
