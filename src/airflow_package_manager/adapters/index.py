"""The package index by the Simple API: releases for people to choose from, wheels for who writes a lock."""

from __future__ import annotations

import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from packaging.tags import Tag, sys_tags
from packaging.version import Version

from airflow_package_manager.adapters import index_page
from airflow_package_manager.adapters.index_http import IndexClient
from airflow_package_manager.adapters.index_page import ListedFile
from airflow_package_manager.adapters.wheel_metadata import WheelReader
from airflow_package_manager.adapters.wheelhouse import Wheelhouse
from airflow_package_manager.domain.lock import normalised
from airflow_package_manager.domain.resolution import Project, Release, Wheel, WheelMetadata
from airflow_package_manager.errors import IndexRefused, IndexUnavailable
from airflow_package_manager.index_access import IndexAccess
from airflow_package_manager.refusals import UnknownProject

_MAXIMUM_PAGE = 64 * 1024 * 1024
_MAXIMUM_KEPT = 200
_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*", re.ASCII)


@dataclass(frozen=True)
class _Listing:
    files: tuple[ListedFile, ...]
    host: str


class SimpleIndex:
    """Implements `PackageIndex` and `WheelSource`; safe for many threads."""

    def __init__(
        self,
        access: IndexAccess,
        *,
        default_index: Callable[[], str],
        directory: Path,
        timeout: float = 10.0,
        keep_seconds: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
        tags: Iterable[Tag] | None = None,
    ) -> None:
        """Take whom to ask.

        `default_index` gives the address of uv's own default, asked once when `access` names none. `directory` keeps
        what wheels say of themselves; `keep_seconds` is how long a listing is believed; `tags` are those of this
        interpreter when None.
        """
        self._access = access
        self._default_index = default_index
        self._client = IndexClient(access, timeout=timeout)
        self._wheelhouse = Wheelhouse(Path(access.wheelhouse)) if access.wheelhouse else None
        self._reader = WheelReader(self._wheelhouse or self._client, directory)
        self._keep_seconds = keep_seconds
        self._clock = clock
        self._ranks = {tag: rank for rank, tag in enumerate(sys_tags() if tags is None else tags)}
        self._lock = threading.Lock()
        self._listings: OrderedDict[str, tuple[float, _Listing]] = OrderedDict()
        self._addresses: tuple[str, ...] | None = None

    def project(self, name: str) -> Project:
        """Return all releases, newest first; raises `UnknownProject`, `IndexRefused`, `IndexUnavailable`."""
        listing = self._listing(normalised(name))
        by_version: dict[Version, list[ListedFile]] = {}
        for file in listing.files:
            by_version.setdefault(file.version, []).append(file)
        releases = tuple(self._release(version, by_version[version]) for version in sorted(by_version, reverse=True))
        return Project(normalised(name), releases, listing.host)

    def wheels(self, name: str, version: str) -> tuple[Wheel, ...]:
        """Return the wheels that this interpreter can install, best first; raises as `project`."""
        files = self._usable(self._listing(normalised(name)).files, Version(version))
        return tuple(Wheel(file.filename, self._sha256(file), file.size, file.yanked) for file in files)

    def metadata(self, name: str, version: str, hashes: Collection[str]) -> WheelMetadata | None:
        """Return what the best wheel with one of `hashes` says of itself, None when it cannot be read."""
        for sha256 in sorted(hashes):
            kept = self._reader.kept(sha256)
            if kept is not None:
                return kept
        try:
            for file in self._usable(self._listing(normalised(name)).files, Version(version)):
                sha256 = self._sha256(file)
                if sha256 in hashes:
                    return self._reader.read(file.url, sha256)
        except (UnknownProject, IndexRefused, IndexUnavailable, ValueError, OSError):
            return None  # "unknown" is the answer: the plan says so, and counts it as bringing entry points
        return None

    def _release(self, version: Version, files: list[ListedFile]) -> Release:
        usable = self._usable(files, version)
        best = usable[0] if usable else None
        reference = best or files[0]
        yanked = all(file.yanked is not None for file in files)
        times = sorted(file.uploaded_at for file in files if file.uploaded_at)
        return Release(
            version=str(version),
            yanked=next((file.yanked for file in files if file.yanked), "") if yanked else None,
            requires_python=reference.requires_python,
            uploaded_at=times[0] if times else None,
            has_wheel=bool(usable),
            size=best.size if best else None,
        )

    def _usable(self, files: Iterable[ListedFile], version: Version) -> list[ListedFile]:
        ranked = []
        for file in files:
            ranks = [self._ranks[tag] for tag in file.tags or () if tag in self._ranks]
            if file.version == version and ranks:
                ranked.append((min(ranks), file.filename, file))
        return [file for _, _, file in sorted(ranked, key=lambda row: row[:2])]

    def _sha256(self, file: ListedFile) -> str:
        return file.sha256 or self._reader.sha256(file.url)

    def _listing(self, name: str) -> _Listing:
        now = self._clock()
        with self._lock:
            expires, listing = self._listings.get(name, (now, None))
            if listing is not None and now < expires:
                self._listings.move_to_end(name)
                return listing
        listing = self._ask(name)
        with self._lock:
            self._listings[name] = (now + self._keep_seconds, listing)
            self._listings.move_to_end(name)
            while len(self._listings) > _MAXIMUM_KEPT:
                self._listings.popitem(last=False)
        return listing

    def _ask(self, name: str) -> _Listing:
        """Ask each index in uv's order: the first that knows the name is the only one believed."""
        if self._wheelhouse is not None:
            return self._in_wheelhouse(self._wheelhouse, name)
        if _NAME.fullmatch(name):
            for address in self._indexes():
                answer = self._client.get(
                    f"{address.rstrip('/')}/{name}/",
                    limit=_MAXIMUM_PAGE,
                    headers={"Accept": index_page.ACCEPT, "Accept-Encoding": "gzip"},
                )
                if answer is not None:
                    files = index_page.parse(answer.body, answer.kind, answer.url)
                    return _Listing(files, urlsplit(address).hostname or address)
        raise UnknownProject(f"The package index does not know a project named {name}.", project=name, suggestions=[])

    @staticmethod
    def _in_wheelhouse(wheelhouse: Wheelhouse, name: str) -> _Listing:
        files = wheelhouse.listing(name)
        if not files:
            raise UnknownProject(
                f"There is no wheel of {name} in {wheelhouse.directory}.",
                next_action="Check the spelling, or put its wheels there.",
                project=name,
                suggestions=[],
            )
        return _Listing(files, str(wheelhouse.directory))

    def _indexes(self) -> tuple[str, ...]:
        if self._addresses is None:
            default = self._access.index_url or self._default_index()
            self._addresses = (*self._access.extra_index_urls, *([default] if default else []))
        return self._addresses
