"""Which site a preflight looks at: on a machine it is made now, in a pod the init container has made it."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from airflow_package_manager import settings
from airflow_package_manager.domain import lock as locks
from airflow_package_manager.domain import report
from airflow_package_manager.domain.lock import Lock
from airflow_package_manager.installer import mounted_locks, site_marker
from airflow_package_manager.installer.directory import Directory
from airflow_package_manager.installer.install import install
from airflow_package_manager.installer.preflight_record import SITE_MISSING


@dataclass(frozen=True)
class Subject:
    """What is checked, and where the check may write."""

    site: Path
    names: tuple[str, ...]
    """Of the lock."""
    scratch: Path


class NoSubject(Exception):
    """There is nothing to check."""

    def __init__(self, code: str, message: str, detail: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.detail = detail


def made_now(directory: Directory, revision: int) -> Subject:
    """Install `lock.<revision>`; raises `NoSubject`."""
    try:
        text = directory.read_lock(revision)
    except (OSError, ValueError) as error:
        raise NoSubject("lock-invalid", f"The staged lock cannot be read: {error}.") from error
    if text is None:
        raise NoSubject("lock-missing", f"{directory.lock(revision)} is not there.")
    answer, site = install(directory, text, revision=revision, in_flight=True, settings=settings.load)
    if site is None:
        raise NoSubject(answer.code or report.FAILED, answer.cause or "The installation failed.", answer.tail)
    return Subject(site, _names(locks.parse(text)), directory.tmp)


def made_before(active: Path, mounted: str, revision: int) -> Subject:
    """Return what `active` leads to, which must be the site of `lock.<revision>`; raises `NoSubject`.

    Neither the site nor the locks (where their ConfigMap is `mounted`) are written to.
    """
    try:
        text = mounted_locks.look(mounted, revision).texts.get(revision)
        lock = None if text is None else locks.parse(text)
    except (OSError, ValueError) as error:
        raise NoSubject("lock-invalid", f"The staged lock cannot be read: {error}.") from error
    if lock is None:
        raise NoSubject("lock-missing", f"There is no lock.{revision} in {mounted}.")
    if not os.path.lexists(active):
        raise NoSubject(SITE_MISSING, f"There is no {active}: the installer of this pod made no site.")
    site = Path(os.path.realpath(active))
    if site.name != lock.digest() or not site_marker.holds(site, lock.digest()):
        raise NoSubject(SITE_MISSING, f"{active} leads to {site}, which is no complete site of revision {revision}.")
    return Subject(site, _names(lock), _scratch())


def _names(lock: Lock) -> tuple[str, ...]:
    return tuple(pin.name for pin in lock.pins)


def _scratch() -> Path:
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError:
        return Path("/dev/shm")  # noqa: S108 - every container has it, a read-only root file system or not
