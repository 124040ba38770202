"""An index of whatever files a test names, without a socket."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Collection, Iterable

from packaging.tags import sys_tags
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import Version

from airflow_package_manager.domain.lock import normalised
from airflow_package_manager.domain.resolution import Project, Release, Wheel, WheelMetadata
from airflow_package_manager.errors import PackageManagerError
from airflow_package_manager.refusals import UnknownProject
from testenv.wheels import IndexFile


class FakeIndex:
    """Implements `PackageIndex` and `WheelSource` over files in memory."""

    def __init__(self, files: Iterable[IndexFile] = (), *, host: str = "packages.example.com") -> None:
        self.files = list(files)
        self.host = host
        self.failures: dict[str, PackageManagerError] = {}
        """Normalised name → what asking for it raises."""
        self.asked: list[str] = []
        self._tags = frozenset(sys_tags())

    def project(self, name: str) -> Project:
        files = self._of(name)
        versions = sorted({Version(file.version) for file in files}, reverse=True)
        return Project(
            normalised(name), tuple(self._release(normalised(name), version, files) for version in versions), self.host
        )

    def wheels(self, name: str, version: str) -> tuple[Wheel, ...]:
        return tuple(
            Wheel(file.filename, file.sha256, len(file.content), file.yanked)
            for file in self._of(name)
            if Version(file.version) == Version(version) and self._fits(file)
        )

    def metadata(self, name: str, version: str, hashes: Collection[str]) -> WheelMetadata | None:
        del version
        file = next((file for file in self.files if file.project == normalised(name) and file.sha256 in hashes), None)
        if file is None:
            return None
        lines = file.metadata.splitlines()
        requires = tuple(line.removeprefix("Requires-Dist: ") for line in lines if line.startswith("Requires-Dist: "))
        summary = next((line.removeprefix("Summary: ") for line in lines if line.startswith("Summary: ")), "")
        with zipfile.ZipFile(io.BytesIO(file.content)) as archive:
            at_start = tuple(sorted(name for name in archive.namelist() if "/" not in name and name.endswith(".pth")))
        return WheelMetadata(file.metadata, requires, tuple(sorted(file.entry_points)), summary, at_start)

    def _release(self, name: str, version: Version, files: list[IndexFile]) -> Release:
        own = [file for file in files if Version(file.version) == version]
        wheels = self.wheels(name, str(version))
        yanked = all(file.yanked is not None for file in own)
        return Release(
            str(version),
            next((file.yanked for file in own if file.yanked), "") if yanked else None,
            own[0].requires_python,
            own[0].uploaded_at,
            bool(wheels),
            wheels[0].size if wheels else None,
        )

    def _of(self, name: str) -> list[IndexFile]:
        self.asked.append(normalised(name))
        if normalised(name) in self.failures:
            raise self.failures[normalised(name)]
        found = [file for file in self.files if file.project == normalised(name)]
        if not found:
            raise UnknownProject(
                f"The package index does not know a project named {normalised(name)}.",
                project=normalised(name),
                suggestions=[],
            )
        return found

    def _fits(self, file: IndexFile) -> bool:
        try:
            return bool(parse_wheel_filename(file.filename)[3] & self._tags)
        except InvalidWheelFilename:
            return False
