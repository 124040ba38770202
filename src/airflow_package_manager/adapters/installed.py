"""The distributions of the interpreter that plans, and of the sites, told apart as the installer tells them."""

from __future__ import annotations

import dataclasses
import platform
import sys
import threading
from collections.abc import Mapping
from email.message import Message
from email.parser import HeaderParser
from importlib.metadata import PathDistribution
from pathlib import Path

from packaging.markers import default_environment

from airflow_package_manager.domain.resolution import Image, InstalledDistribution
from airflow_package_manager.installer import image as installed_image
from airflow_package_manager.installer.image import ImageDistribution


class InterpreterDistributions:
    """Implements `InstalledDistributions`; an image does not change under a running process, so it is read once."""

    def __init__(self, sites: Path) -> None:
        """Take the directory of the sites."""
        self._sites = sites
        self._image: Image | None = None
        self._site: tuple[str, Mapping[str, InstalledDistribution]] = ("", {})
        self._lock = threading.Lock()

    def image(self) -> Image:
        """Return the image; its names and versions are exactly those of the installer's fingerprint."""
        with self._lock:
            if self._image is None:
                self._image = _read_image()
            return self._image

    def site(self, digest: str) -> Mapping[str, InstalledDistribution]:
        """Return what the site of a lock digest holds; the last one asked for is remembered, a site never changes."""
        with self._lock:
            if self._site[0] != digest:
                found = _read_site(self._sites / digest)
                if not found:
                    return {}
                self._site = (digest, found)
            return self._site[1]


def _read_site(site: Path) -> dict[str, InstalledDistribution]:
    if not (site / installed_image.MARKER).is_file():
        return {}
    return {name: _read_with_entry_points(found) for name, found in installed_image.distributions(str(site)).items()}


def _read_with_entry_points(found: ImageDistribution) -> InstalledDistribution:
    groups = {entry_point.group for entry_point in PathDistribution(Path(found.metadata)).entry_points}
    return dataclasses.replace(_read(found), entry_points=tuple(sorted(groups)))


def _read_image() -> Image:
    return Image(
        distributions={name: _read(found) for name, found in installed_image.image().items()},
        python=installed_image.python_tag(),
        platform=installed_image.platform_tag(),
        python_version=platform.python_version(),
        executable=sys.executable,
        markers={key: str(value) for key, value in default_environment().items()},
    )


def _read(found: ImageDistribution) -> InstalledDistribution:
    path = Path(found.metadata) / "METADATA"
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return _read_old(found)
    # The description is most of the file and nothing of it is wanted.
    headers = HeaderParser().parsestr(text.replace("\r\n", "\n").partition("\n\n")[0])
    requires = tuple(" ".join(line.split()) for line in headers.get_all("Requires-Dist", ()))
    return InstalledDistribution(found.name, found.version, requires, str(path), _summary(headers))


def _read_old(found: ImageDistribution) -> InstalledDistribution:
    """Read an `.egg-info`, whose requirements stand in a file of their own, in a form of their own."""
    distribution = PathDistribution(Path(found.metadata))
    requires = tuple(distribution.requires or ()) if Path(found.metadata).is_dir() else ()
    return InstalledDistribution(found.name, found.version, requires)


def _summary(headers: Message) -> str:
    return " ".join(str(headers.get("Summary", "")).split())
