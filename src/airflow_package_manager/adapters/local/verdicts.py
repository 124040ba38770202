"""What a supervisor's report means, as kstatus words: pure functions."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_package_manager.domain import report as reports
from airflow_package_manager.domain.report import InstallReport, InstanceReport
from airflow_package_manager.domain.rollout import ComponentStatus, Instance, Status, aggregate


@dataclass(frozen=True)
class Verdict:
    """One instance's standing."""

    status: Status
    message: str
    final: bool = False


def judge(
    report: InstanceReport, *, stamp: int | None, wanted: str | None, alive: bool, at_next_start: int | None = None
) -> Verdict:
    """Return how an instance stands against the wanted lock digest, given the stamp that its component carries now.

    `at_next_start` is the revision that a component takes when it starts next, where nobody ever told it to restart:
    until then it is current on what it runs on.
    """
    if not alive:
        return Verdict(Status.UNKNOWN, "its supervisor no longer reports")
    if report.state in {reports.STOPPING, reports.STOPPED}:
        return Verdict(Status.TERMINATING, report.message)
    if report.stamp != stamp:
        return Verdict(Status.IN_PROGRESS, "has not taken notice of its stamp yet")
    if report.lock_digest != wanted:
        if at_next_start is not None and report.state == reports.READY:
            runs_on = "its image alone" if report.lock_digest is None else "the packages of its start"
            return Verdict(Status.CURRENT, f"runs on {runs_on}; revision {at_next_start} at its next start")
        return _elsewhere(report)
    ready = report.state in {reports.READY, reports.FELL_BACK}
    return Verdict(Status.CURRENT, "ready") if ready else Verdict(Status.IN_PROGRESS, report.message)


def _elsewhere(report: InstanceReport) -> Verdict:
    """Judge an instance that runs on another site than the wanted one."""
    if report.install is not None and report.install.outcome == reports.FAILED:
        return _refused(report.install, report.message)
    if report.state == reports.FELL_BACK:
        return Verdict(Status.FAILED, report.message, final=True)
    return Verdict(Status.IN_PROGRESS, report.message)


def _refused(refusal: InstallReport, message: str) -> Verdict:
    # Locks are stored before anybody is stamped with them: on one machine a missing one never comes.
    if refusal.retryable and refusal.code != "lock-missing":
        return Verdict(Status.IN_PROGRESS, message)
    return Verdict(Status.FAILED, refusal.cause or message, final=True)


def instance(name: str, report: InstanceReport, verdict: Verdict, *, alive: bool) -> Instance:
    """Return the row of an instance."""
    install = report.install
    return Instance(
        name=name,
        status=verdict.status,
        message=verdict.message,
        stamp=report.stamp,
        lock_digest=report.lock_digest,
        image=report.image,
        python=report.python,
        platform=report.platform,
        started_at=report.started_at,
        restarts=report.restarts,
        reported_at=report.beat_at,
        alive=alive,
        install_outcome=None if install is None else install.outcome,
        install_code=None if install is None else install.code,
        install_cause=None if install is None else install.cause,
    )


def unreadable(name: str) -> Instance:
    """Return the row of a report that is none of ours."""
    return Instance(
        name=name,
        status=Status.UNKNOWN,
        message="its report cannot be read, or is not one of ours",
        stamp=None,
        lock_digest=None,
        image=None,
        python=None,
        platform=None,
        started_at=None,
        restarts=0,
        reported_at=None,
        alive=False,
    )


def component_status(name: str, rows: list[tuple[Instance, bool]]) -> ComponentStatus:
    """Return the verdict over instances, each with whether its failure is final."""
    found = aggregate(name, [row for row, _ in rows])
    final = found.status is Status.FAILED and any(final for _, final in rows)
    return ComponentStatus(found.name, found.status, found.message, found.instances, final)
