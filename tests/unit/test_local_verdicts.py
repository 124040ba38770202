from __future__ import annotations

import dataclasses

import pytest

from airflow_package_manager.adapters.local.verdicts import judge
from airflow_package_manager.domain import report as reports
from airflow_package_manager.domain.report import InstallReport, InstanceReport
from airflow_package_manager.domain.rollout import Status

OLD, NEW = "a" * 64, "b" * 64
REPORT = InstanceReport(
    component="scheduler",
    host="here",
    pid=7,
    child_pid=8,
    state=reports.READY,
    stamp=2,
    lock_digest=NEW,
    image="c" * 64,
    python="cp311",
    platform="linux_x86_64",
    started_at=1.0,
    beat_at=2.0,
)


def refused(code: str, *, retryable: bool) -> InstallReport:
    return InstallReport(reports.FAILED, 2, code=code, cause="as scripted", retryable=retryable)


@pytest.mark.parametrize(
    ("changes", "status", "final"),
    [
        ({}, Status.CURRENT, False),
        ({"state": reports.STARTING}, Status.IN_PROGRESS, False),
        ({"lock_digest": OLD}, Status.IN_PROGRESS, False),
        ({"stamp": 1}, Status.IN_PROGRESS, False),
        ({"stamp": 1, "state": reports.FELL_BACK, "lock_digest": OLD}, Status.IN_PROGRESS, False),
        ({"state": reports.STOPPING}, Status.TERMINATING, False),
        ({"state": reports.FELL_BACK, "lock_digest": OLD, "failed_digest": NEW}, Status.FAILED, True),
        ({"lock_digest": OLD, "install": refused("no-wheel", retryable=False)}, Status.FAILED, True),
        ({"lock_digest": OLD, "install": refused("index-unavailable", retryable=True)}, Status.IN_PROGRESS, False),
        ({"lock_digest": OLD, "install": refused("lock-missing", retryable=True)}, Status.FAILED, True),
    ],
)
def test_what_a_report_means(changes: dict[str, object], status: Status, *, final: bool) -> None:
    report = dataclasses.replace(REPORT, **changes)  # type: ignore[arg-type]
    found = judge(report, stamp=2, wanted=NEW, alive=True)
    assert (found.status, found.final) == (status, final)


def test_who_no_longer_beats_is_unknown_whatever_it_said() -> None:
    assert judge(REPORT, stamp=2, wanted=NEW, alive=False).status is Status.UNKNOWN


def test_without_any_lock_none_is_what_is_wanted() -> None:
    report = dataclasses.replace(REPORT, stamp=None, lock_digest=None)
    assert judge(report, stamp=None, wanted=None, alive=True).status is Status.CURRENT


@pytest.mark.parametrize(
    ("changes", "status", "message"),
    [
        ({"lock_digest": None}, Status.CURRENT, "runs on its image alone; revision 3 at its next start"),
        ({"lock_digest": OLD}, Status.CURRENT, "runs on the packages of its start; revision 3 at its next start"),
        ({"lock_digest": NEW}, Status.CURRENT, "ready"),
        ({"lock_digest": None, "state": reports.STARTING}, Status.IN_PROGRESS, "as reported"),
        ({"lock_digest": None, "state": reports.FELL_BACK}, Status.FAILED, "as reported"),
    ],
)
def test_who_was_never_told_to_restart_is_current_on_what_it_runs_on(
    changes: dict[str, object], status: Status, message: str
) -> None:
    report = dataclasses.replace(REPORT, stamp=None, message="as reported", **changes)  # type: ignore[arg-type]
    found = judge(report, stamp=None, wanted=NEW, alive=True, at_next_start=3)
    assert (found.status, found.message) == (status, message)
