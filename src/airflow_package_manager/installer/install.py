"""Installs one lock: decides, answers at once where the site is there already, else has it made.

Only the standard library is imported here, and little of it: with everything present this is what each start of a
component waits for.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from airflow_package_manager.domain import lock as locks
from airflow_package_manager.domain import report
from airflow_package_manager.domain.lock import Lock
from airflow_package_manager.domain.report import InstallReport
from airflow_package_manager.errors import PackageManagerError
from airflow_package_manager.installer import image as images
from airflow_package_manager.installer import site_marker
from airflow_package_manager.installer.directory import Directory
from airflow_package_manager.installer.failure import InstallFailure
from airflow_package_manager.installer.image import ImageDistribution

TYPE_CHECKING = False  # importing typing would cost each start of a component 4 ms
if TYPE_CHECKING:
    from airflow_package_manager.settings import Settings  # costs 10 ms, and mostly nobody needs them


def install(
    directory: Directory,
    lock_text: str,
    *,
    revision: int | None,
    in_flight: bool,
    settings: Callable[[], Settings],
    timeout: float | None = None,
) -> tuple[InstallReport, Path | None]:
    """Return what happened, and the site (None unless there is one to use). Raises nothing for what the lock does.

    `revision` is only reported. `in_flight`: the lock was never promoted, so an image that differs is a failure.
    `settings` is called only when something must be installed; `timeout` (seconds) overrides `install_timeout`.
    """
    started = time.monotonic()
    digest: str | None = None
    packages = 0
    image = images.image()
    fingerprint = images.fingerprint(image)
    try:
        lock = _parse(lock_text)
        digest, packages = lock.digest(), len(lock.pins)
        outcome, site = _install(
            directory, lock, digest, image, fingerprint, in_flight=in_flight, settings=settings, timeout=timeout
        )
    except InstallFailure as failure:
        answer = InstallReport(
            report.FAILED,
            code=failure.code,
            cause=failure.cause,
            tail=failure.tail,
            retryable=failure.retryable,
        )
        site = None
    except OSError as error:
        answer, site = InstallReport(report.FAILED, code="disk", cause=disk_sentence(error)), None
    except PackageManagerError as error:
        answer, site = InstallReport(report.FAILED, code="install-failed", cause=error.detail), None
    else:
        answer = InstallReport(outcome)
    seconds = round(time.monotonic() - started, 3)
    fields = {"revision": revision, "lock_digest": digest, "packages": packages, "seconds": seconds}
    return InstallReport(**{**vars(answer), **fields, "image": fingerprint}), site


def _parse(text: str) -> Lock:
    try:
        return locks.parse(text)
    except locks.InvalidLock as error:
        raise InstallFailure("lock-invalid", f"The lock cannot be read: {error}.") from error


def _install(
    directory: Directory,
    lock: Lock,
    digest: str,
    image: Mapping[str, ImageDistribution],
    fingerprint: str,
    *,
    in_flight: bool,
    settings: Callable[[], Settings],
    timeout: float | None,
) -> tuple[str, Path]:
    python, platform = images.python_tag(), images.platform_tag()
    if (lock.python, lock.platform) != (python, platform):
        raise InstallFailure(
            "wrong-platform",
            f"The lock is for {lock.python} on {lock.platform}, this is {python} on {platform}; plan again here.",
        )
    _require_unprotected(lock, image)
    changed = fingerprint != lock.image
    if changed and in_flight:
        raise InstallFailure(
            "image-differs",
            "The lock was planned for another image than this component's; bring all components to the same Airflow"
            " environment, then plan again.",
        )
    site = directory.site(digest)
    outcome = report.PRESENT
    if not site_marker.holds(site, digest, fingerprint):
        # Imported here: these modules cost more time than all of the above, and mostly nobody needs them.
        from airflow_package_manager.installer import site_making  # noqa: PLC0415

        if in_flight:  # what runs already keeps running, whatever is protected since then
            _require_not_named(lock, settings().protected_packages)
        made = site_making.make(directory, lock, digest, image, fingerprint, settings=settings, timeout=timeout)
        outcome = report.INSTALLED if made else report.PRESENT
    if changed:
        outcome = report.IMAGE_CHANGED
    elif not lock.pins:
        outcome = report.EMPTY
    return outcome, site


def _require_unprotected(lock: Lock, image: Mapping[str, ImageDistribution]) -> None:
    for pin in lock.pins:
        if pin.name in locks.RESERVED or (pin.name.startswith(locks.AIRFLOW_PREFIX) and pin.name in image):
            raise InstallFailure(
                "lock-invalid", f"The lock would replace {pin.name}, which belongs to Airflow or to this plugin."
            )


def _require_not_named(lock: Lock, protected: Iterable[str]) -> None:
    names = {locks.normalised(name) for name in protected}
    for pin in lock.pins:
        if pin.name in names:
            raise InstallFailure(
                "lock-invalid",
                f"The lock would bring {pin.name}, which the setting protected_packages of this"
                " component names; plan again where that setting is the same.",
            )


def disk_sentence(error: OSError) -> str:
    """Return for people why the directory cannot be written."""
    where = f" ({error.filename})" if error.filename else ""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return f"There is no space left for the packages{where}."
    return f"The packages cannot be written: {os.strerror(error.errno) if error.errno else error}{where}."
