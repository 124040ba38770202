"""The single-machine directory: its paths, its file lock, and atomic reading and writing of its small files.

Whoever shares this directory (supervisors, installers, the store, containers on one volume) needs no daemon and no
socket: every file is replaced by a rename, so a reader sees the old content or the new one, never a torn one. What a
component says of itself is read with suspicion: a report that is not a small regular file of a trusted owner is None.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from airflow_package_manager.domain import report as reports
from airflow_package_manager.domain.report import InstanceReport
from airflow_package_manager.errors import InvalidSetting, StampConflict
from airflow_package_manager.installer.small_files import read_bounded, replace_file

MAXIMUM_BYTES = 1_048_576
"""Bound of the requirements text, of each lock, and of both together (1 MiB)."""
_SMALL_BYTES = 4096
_LOCK_POLL = 0.01
_COMPONENT = re.compile(r"[a-z][a-z0-9-]{0,62}", re.ASCII)
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)
_NUMBER = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)
_STAMP = re.compile(r"(-|[1-9][0-9]{0,8}) (0|[1-9][0-9]{0,17})\n", re.ASCII)
_WITHOUT_SITE = "off"


@dataclass(frozen=True)
class StampFile:
    """What `components/<component>/stamp` says: one line, the revision (``-`` for none) and a counter."""

    revision: int | None
    counter: int
    """Grows with every write, also one that goes back to an earlier revision; 0 where there is no file."""


@dataclass(frozen=True)
class LastGood:
    """The site on which a component was last proven to work."""

    digest: str | None
    """Lock digest; None: proven without a site."""


class Directory:
    """Paths of one shared directory, and the few ways in which its files are read and written."""

    def __init__(self, root: Path | str) -> None:
        """Take the absolute path; nothing is created before `prepare`."""
        self.root = Path(root)
        self.requirements = self.root / "requirements.txt"
        self.current = self.root / "current"
        self.active = self.root / "active"
        self.sites = self.root / "sites"
        self.cache = self.root / "cache"
        self.tmp = self.root / "tmp"
        self.preflight = self.root / "preflight"
        self.components = self.root / "components"

    def prepare(self) -> None:
        """Create what is missing; raises `OSError`."""
        for path in (self.root, self.sites, self.cache, self.tmp, self.preflight, self.components):
            path.mkdir(parents=True, exist_ok=True)

    # --- paths ---------------------------------------------------------------------------------------------------

    def lock(self, revision: int) -> Path:
        """Return the path of `lock.<revision>`."""
        return self.root / f"lock.{revision}"

    def site(self, digest: str) -> Path:
        """Return the path of the site of a lock digest; raises `ValueError` for what is no SHA-256."""
        if not _DIGEST.fullmatch(digest):
            raise ValueError(f"not a lock digest: {digest!r}")
        return self.sites / digest

    def preflight_of(self, revision: int) -> Path:
        """Return the directory of one throw-away check."""
        return self.preflight / str(revision)

    def component(self, name: str) -> Path:
        """Return the directory of a component; raises `InvalidSetting` for a name that is none."""
        return self.components / checked_component(name)

    def stamp_path(self, component: str) -> Path:
        """Return the path of a component's stamp."""
        return self.component(component) / "stamp"

    def report_path(self, component: str, host: str, pid: int) -> Path:
        """Return where the supervisor with this process id on this host reports."""
        return self.component(component) / f"{host_name(host)}-{pid}.json"

    def component_names(self) -> tuple[str, ...]:
        """Return the components that have a directory, sorted; what else lies there is not ours."""
        return tuple(sorted(name for name in _names(self.components) if _COMPONENT.fullmatch(name)))

    def site_digests(self) -> tuple[str, ...]:
        """Return the digests of all sites, sorted."""
        return tuple(sorted(name for name in _names(self.sites) if _DIGEST.fullmatch(name)))

    def revisions(self) -> tuple[int, ...]:
        """Return the revisions that have a lock, ascending."""
        numbers = (name.removeprefix("lock.") for name in _names(self.root) if name.startswith("lock."))
        return tuple(sorted(int(number) for number in numbers if _NUMBER.fullmatch(number)))

    # --- requirements, locks, current ------------------------------------------------------------------------------

    @contextlib.contextmanager
    def locked(self, *, patience: float = 10.0) -> Iterator[None]:
        """Hold the only right to change requirements, locks, `current` and stamps.

        Waits at most `patience` seconds for whoever holds it, then raises `BlockingIOError`. The kernel gives it up
        when the holder dies, so no lock is ever left behind. Not re-entrant.
        """
        descriptor = os.open(self.root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o660)
        try:
            until = time.monotonic() + patience
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= until:
                        raise BlockingIOError(f"another process holds {self.root / '.lock'}") from None
                    time.sleep(_LOCK_POLL)
            yield
        finally:
            os.close(descriptor)

    def read_lock(self, revision: int) -> str | None:
        """Return the text of `lock.<revision>`, None when it is not there; raises `OSError`, `ValueError`."""
        content = read_bounded(self.lock(revision), MAXIMUM_BYTES)
        return None if content is None else content.decode()

    def read_current(self) -> int | None:
        """Return the revision of the last success, None without one; raises `OSError`, `ValueError`."""
        content = read_bounded(self.current, _SMALL_BYTES)
        if content is None:
            return None
        text = content.decode("ascii", "replace").strip()
        if not _NUMBER.fullmatch(text):
            raise ValueError(f"{self.current} holds no revision")
        return int(text)

    def write_current(self, revision: int) -> None:
        """Move `current`; call it under `locked`."""
        self.write(self.current, f"{revision}\n".encode())

    def point_active(self, digest: str) -> None:
        """Let `active` be a link to the site of this digest, atomically."""
        import tempfile  # noqa: PLC0415 - the installer with everything present saves its cost

        self.site(digest)
        fresh = Path(tempfile.mkdtemp(dir=self.tmp)) / "active"
        fresh.symlink_to(Path("sites") / digest)
        fresh.replace(self.active)
        fresh.parent.rmdir()

    # --- stamps ----------------------------------------------------------------------------------------------------

    def read_stamp(self, component: str) -> StampFile:
        """Return what the component was told; raises `OSError`, and `ValueError` for what we did not write."""
        content = read_bounded(self.stamp_path(component), _SMALL_BYTES)
        if content is None:
            return StampFile(None, 0)
        match = _STAMP.fullmatch(content.decode("ascii", "replace"))
        if match is None:
            raise ValueError(f"{self.stamp_path(component)} is not a stamp of ours")
        return StampFile(None if match[1] == "-" else int(match[1]), int(match[2]))

    def write_stamp(self, component: str, revision: int | None, expected_counter: int) -> StampFile:
        """Stamp the component on condition of the counter; raises `StampConflict` when somebody else did."""
        with self.locked():
            found = self.read_stamp(component)
            if found.counter != expected_counter:
                raise StampConflict(
                    f"{component} was stamped with revision {found.revision or 'none'} at the same moment.",
                    component=component,
                )
            stamp = StampFile(revision, found.counter + 1)
            shown = "-" if revision is None else str(revision)
            self.write(self.stamp_path(component), f"{shown} {stamp.counter}\n".encode())
            return stamp

    # --- last good, reports ----------------------------------------------------------------------------------------

    def read_last_good(self, component: str) -> LastGood | None:
        """Return the site that last worked, None when none ever did or the file is not ours; raises `OSError`."""
        content = read_bounded(self.component(component) / "last-good", _SMALL_BYTES)
        text = "" if content is None else content.decode("ascii", "replace").strip()
        if text == _WITHOUT_SITE:
            return LastGood(None)
        return LastGood(text) if _DIGEST.fullmatch(text) else None

    def write_last_good(self, component: str, good: LastGood) -> None:
        """Remember the site that works."""
        self.write(self.component(component) / "last-good", f"{good.digest or _WITHOUT_SITE}\n".encode())

    def write_report(self, report: InstanceReport) -> None:
        """Replace the report of this supervisor."""
        path = self.report_path(report.component, report.host, report.pid)
        self.write(path, reports.dump(report).encode() + b"\n")

    def report_paths(self, component: str) -> tuple[Path, ...]:
        """Return where instances of the component report, sorted by name."""
        folder = self.component(component)
        return tuple(sorted(folder / name for name in _names(folder) if name.endswith(".json")))

    def read_report(self, path: Path) -> InstanceReport | None:
        """Return the report; None for a link, a foreign owner, a large or torn file, or another instance's words."""
        try:
            text = read_bounded(path, _SMALL_BYTES + 1, owners=self._trusted_owners())
        except (OSError, ValueError):
            return None
        try:
            report = reports.load_instance((text or b"").decode().removesuffix("\n"))
        except UnicodeDecodeError:
            return None
        if report is None or path.parent.name != report.component:
            return None
        same = path.name == f"{host_name(report.host)}-{report.pid}.json"
        return report if same else None

    def _trusted_owners(self) -> frozenset[int]:
        return frozenset({0, os.geteuid(), self.root.stat().st_uid})

    def write(self, path: Path, content: bytes) -> None:
        """Replace the file atomically; raises `OSError`."""
        replace_file(path, content, self.tmp)


def checked_component(name: str) -> str:
    """Return the name; raises `InvalidSetting` when it cannot be a component (it becomes a directory's name)."""
    if not _COMPONENT.fullmatch(name):
        raise InvalidSetting(
            f"{name!r} is not the name of a component.",
            next_action="Name one as Airflow does, for example scheduler or dag-processor.",
            setting="component",
            allowed="lower-case letters, digits and hyphens, 63 at most",
        )
    return name


def host_name(host: str) -> str:
    """Return the host's name as it may stand in a file name."""
    return re.sub(r"[^A-Za-z0-9.-]", "-", host).strip(".-")[:100] or "host"


def _names(folder: Path) -> list[str]:
    try:
        return [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return []
