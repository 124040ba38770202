"""A directory of wheels in the place of a package index, for where there is no network."""

from __future__ import annotations

import hashlib
import io
import threading
from pathlib import Path
from urllib.parse import unquote, urlsplit

from airflow_package_manager.adapters import index_page
from airflow_package_manager.adapters.index_page import ListedFile
from airflow_package_manager.domain.lock import normalised
from airflow_package_manager.errors import IndexUnavailable

_CHUNK = 1024 * 1024


class Wheelhouse:
    """Lists the files and opens the wheels of one directory; what lies in directories below it does not count."""

    def __init__(self, directory: Path) -> None:
        """Take the absolute path; it need not be there yet."""
        self.directory = directory
        self._lock = threading.Lock()
        self._digests: dict[tuple[str, int, int], str] = {}

    def listing(self, name: str) -> tuple[ListedFile, ...]:
        """Return the files of a project (normalised name); raises `IndexUnavailable`."""
        try:
            paths = [path for path in sorted(self.directory.iterdir()) if _project(path) == name and path.is_file()]
            rows = [
                {
                    "filename": path.name,
                    "url": path.as_uri(),
                    "size": path.stat().st_size,
                    "hashes": {"sha256": self._sha256(path)},
                }
                for path in paths
            ]
        except OSError as error:
            raise IndexUnavailable(
                f"The wheelhouse {self.directory} cannot be read: {error.strerror}.",
                next_action="Check the setting wheelhouse and that the directory is mounted here.",
                index=str(self.directory),
            ) from error
        files = (index_page.listed(row, "") for row in rows)
        return tuple(file for file in files if file is not None)

    def file(self, url: str, *, limit: int) -> LocalFile:  # noqa: ARG002 - a file is read in place, never held
        """Open a wheel that `listing` named; raises `IndexUnavailable` for anything else."""
        path = self.directory / Path(unquote(urlsplit(url).path)).name
        try:
            return LocalFile(path)
        except OSError as error:
            raise IndexUnavailable(f"{path} cannot be read: {error.strerror}.", index=str(self.directory)) from error

    def _sha256(self, path: Path) -> str:
        found = path.stat()
        key = (path.name, found.st_size, found.st_mtime_ns)
        with self._lock:
            known = self._digests.get(key)
        if known is None:
            digest = hashlib.sha256()
            with path.open("rb") as stream:
                while chunk := stream.read(_CHUNK):
                    digest.update(chunk)
            known = digest.hexdigest()
            with self._lock:
                self._digests[key] = known
        return known


class LocalFile(io.FileIO):
    """A wheel that lies here, read where it lies."""

    def whole(self) -> bytes:
        """Return all of it."""
        self.seek(0)
        return self.read()

    def held_whole(self) -> bytes | None:
        """Return None: its hash was computed from the very file."""
        return None


def _project(path: Path) -> str | None:
    if path.name.endswith(".whl"):
        return normalised(path.name.partition("-")[0])
    return normalised(path.name.rpartition("-")[0]) if path.name.endswith((".tar.gz", ".zip")) else None
