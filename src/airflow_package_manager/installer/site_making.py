"""Makes a site: into a temporary directory beside the others, through the gate, marked, and only then named.

The rename is the commit: whoever sees a site under its name sees a whole one. Of installers that start together one
does the work while the others wait for it and find it done.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from airflow_package_manager.domain.lock import Lock
from airflow_package_manager.installer import gate, site_marker
from airflow_package_manager.installer.directory import Directory
from airflow_package_manager.installer.failure import InstallFailure
from airflow_package_manager.installer.image import MARKER, ImageDistribution
from airflow_package_manager.installer.uv_install import uv_install
from airflow_package_manager.settings import Settings

_WORK = ".new-"
_POLL = 0.02
_UNSUPPORTED = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS})


def make(
    directory: Directory,
    lock: Lock,
    digest: str,
    image: Mapping[str, ImageDistribution],
    fingerprint: str,
    *,
    settings: Callable[[], Settings],
    timeout: float | None,
) -> bool:
    """Make the site of the lock, or find that another installer has; tell whether it was made here.

    A site that is torn or was tampered with is replaced. Raises `InstallFailure`, `OSError`, `PackageManagerError`.
    """
    sites = directory.sites
    sites.mkdir(parents=True, exist_ok=True)
    values = settings()
    limit = values.install_timeout if timeout is None else timeout
    deadline = time.monotonic() + limit
    site = directory.site(digest)
    with _only_one(sites, deadline) as alone:
        if site_marker.holds(site, digest, fingerprint):
            return False
        if site_marker.holds(site, digest):  # whole, but the image changed since it passed the gate
            _pass_gate(site, lock, image)
            site_marker.write(site, digest, fingerprint)
            return False
        if alone:
            _remove_left_over(sites)
        work = Path(tempfile.mkdtemp(prefix=_WORK, dir=sites))
        try:
            work.chmod(0o770)  # pods of several users share a group: any of them may have to clean up after this one
            fresh = work / "site"
            _set_aside(directory, site, work)
            fresh.mkdir()
            if lock.pins:
                uv_install(lock, target=fresh, cache=directory.cache, work=work, settings=values, deadline=deadline)
            _pass_gate(fresh, lock, image)
            site_marker.write(fresh, digest, fingerprint)
            return _commit(fresh, site, digest)
        finally:
            remove_tree(work)


def remove_site(site: Path) -> None:
    """Remove a site so that nobody ever takes what is left of it for a whole one; harmless when there is none."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        (site / MARKER).unlink()
    remove_tree(site)


def remove_tree(path: Path) -> None:
    """Remove a directory or whatever stands in its place, links not followed; another remover does not disturb."""
    try:
        kind = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(kind):
        path.unlink(missing_ok=True)
        return
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(path)


def _pass_gate(site: Path, lock: Lock, image: Mapping[str, ImageDistribution]) -> None:
    refusal = gate.refusal(str(site), lock, image)
    if refusal is not None:
        raise InstallFailure("gate", refusal.reason)


def _commit(fresh: Path, site: Path, digest: str) -> bool:
    try:
        fresh.rename(site)
    except OSError as error:
        # Without a working file lock another installer may have been quicker.
        if error.errno in {errno.ENOTEMPTY, errno.EEXIST} and site_marker.holds(site, digest):
            return False
        raise
    descriptor = os.open(site.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return True


def _set_aside(directory: Directory, site: Path, work: Path) -> None:
    """Move what stands under the site's name out of the way; it is no whole site."""
    if not os.path.lexists(site):
        return
    was_complete = not site.is_symlink() and (site / MARKER).is_file()
    site.rename(work / "broken")
    if was_complete and directory.cache.is_dir():
        # Somebody changed an installed file, and the cache shares its files with the site (hard links).
        directory.cache.rename(work / "cache")


@contextlib.contextmanager
def _only_one(sites: Path, deadline: float) -> Iterator[bool]:
    """Hold the only right to make sites here; yields False where the file system has no locks (renames still hold)."""
    descriptor = os.open(sites / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o660)
    try:
        yield _wait_for(descriptor, deadline)
    finally:
        os.close(descriptor)


def _wait_for(descriptor: int, deadline: float) -> bool:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise InstallFailure(
                    "install-timeout", "Another installation in this directory did not end in time.", retryable=True
                ) from None
            time.sleep(_POLL)
        except OSError as error:
            if error.errno in _UNSUPPORTED:
                return False
            raise
        else:
            return True


def _remove_left_over(sites: Path) -> None:
    for path in sites.iterdir():
        if path.name.startswith(_WORK):
            with contextlib.suppress(PermissionError):  # of another user: an eyesore, not an obstacle
                remove_tree(path)
