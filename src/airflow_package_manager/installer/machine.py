"""The installer on one machine: which lock a component uses, by its stamp in the shared directory."""

from __future__ import annotations

import time
from collections.abc import Callable

from airflow_package_manager.domain import report
from airflow_package_manager.domain.report import InstallReport
from airflow_package_manager.installer.directory import Directory
from airflow_package_manager.installer.install import install
from airflow_package_manager.installer.site_choice import wanted_revision

TYPE_CHECKING = False  # importing typing would cost each start of a component 4 ms
if TYPE_CHECKING:
    from airflow_package_manager.settings import Settings

_POLL = 0.2


def choose(
    directory: Directory, *, component: str | None = None, revision: int | None = None
) -> tuple[int | None, bool]:
    """Return the revision given, else the component's stamp, else `current`; and whether it was never promoted.

    None: there is none, so the instance runs on its image alone.

    Raises `OSError`, and `ValueError` for a stamp or `current` that we did not write.
    """
    current = directory.read_current()
    if revision is None:
        stamp = directory.read_stamp(component).revision if component is not None else None
        revision = wanted_revision(stamp, current, directory.revisions())
    return revision, revision is not None and revision > (current or 0)


def run(
    directory: Directory,
    *,
    component: str | None,
    revision: int | None,
    wait: float,
    settings: Callable[[], Settings],
) -> InstallReport:
    """Choose, wait up to `wait` seconds for the lock, install, and return the report."""
    deadline = time.monotonic() + wait
    while True:
        try:
            wanted, in_flight = choose(directory, component=component, revision=revision)
            if wanted is None:
                return InstallReport(report.NO_SITE)
            text = directory.read_lock(wanted)
        except (OSError, ValueError) as error:
            return InstallReport(report.FAILED, revision, code="lock-invalid", cause=f"{error}.")
        if text is not None:
            answer, _site = install(
                directory,
                text,
                revision=wanted,
                in_flight=in_flight,
                settings=settings,
            )
            return answer
        if time.monotonic() >= deadline:
            return InstallReport(
                report.FAILED,
                wanted,
                code="lock-missing",
                cause=f"{directory.lock(wanted)} is not there (yet).",
                retryable=True,
            )
        time.sleep(min(_POLL, max(0.0, deadline - time.monotonic())))
