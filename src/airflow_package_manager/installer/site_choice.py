"""Which revision a component wants, and which site its child gets: the supervisor's decisions, as pure functions."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from airflow_package_manager.domain.report import FAILED, NO_SITE, InstallReport
from airflow_package_manager.installer.directory import LastGood


@dataclass(frozen=True)
class Run:
    """What a child runs on."""

    digest: str | None
    """Lock digest of its site; None without a site."""
    fell_back: bool = False
    """It is not what was wanted."""
    failed_digest: str | None = None
    """The wanted lock digest that failed, where it is known."""
    message: str = ""
    """Why it fell back, for people."""


def wanted_revision(stamp: int | None, current: int | None, locks: Container[int]) -> int | None:
    """Return the revision whose lock the component uses; None: there is none, it runs on its image alone.

    Its stamp, else `current`. A stamp below `current` whose lock was removed meanwhile (the component was down while
    others moved on) is a retired one: `current` is the tested successor.
    """
    if stamp is None:
        return current
    if current is not None and stamp < current and stamp not in locks:
        return current
    return stamp


def first_run(report: InstallReport, wanted_digest: str | None, last_good: LastGood | None) -> Run:
    """Return what to start on after the installer's answer at the supervisor's own start.

    A refused or unreachable lock is no outage: the last good site if there is one, else the image alone, loudly.
    """
    if report.outcome == NO_SITE:
        return Run(None)
    if report.outcome != FAILED:
        return Run(report.lock_digest)
    good = last_good.digest if last_good is not None else None
    return Run(good, fell_back=True, failed_digest=wanted_digest, message=install_failure(report))


def after_failure(run: Run, last_good: LastGood | None, *, proven: bool, why: str) -> Run | None:
    """Return what to start on after the child ended or did not become ready; None: nothing better is known.

    A site on which the component was proven once is not to blame; then the status is passed on and whoever started
    the supervisor decides. The same when it has nothing to go back to.
    """
    if proven or run.fell_back or run.digest is None or last_good is None or last_good.digest == run.digest:
        return None
    return Run(last_good.digest, fell_back=True, failed_digest=run.digest, message=why)


def install_failure(report: InstallReport) -> str:
    """Return the sentence that a report shows for a failed installation."""
    return f"installing revision {report.revision} failed ({report.code}): {report.cause or 'no cause given'}"
