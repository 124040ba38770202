from __future__ import annotations

import pytest

from airflow_package_manager.domain.report import (
    EMPTY,
    FAILED,
    IMAGE_CHANGED,
    INSTALLED,
    NO_SITE,
    PRESENT,
    InstallReport,
)
from airflow_package_manager.installer.directory import LastGood
from airflow_package_manager.installer.site_choice import Run, after_failure, first_run, wanted_revision

OLD, NEW = "a" * 64, "b" * 64


@pytest.mark.parametrize(
    ("stamp", "current", "locks", "wanted"),
    [
        (None, None, (), None),
        (None, 3, (3,), 3),
        (4, 3, (3, 4), 4),
        (4, 3, (3,), 4),
        (2, 3, (2, 3), 2),
        (2, 3, (3,), 3),
        (2, None, (), 2),
    ],
)
def test_the_stamp_goes_before_current_unless_it_was_retired(
    stamp: int | None, current: int | None, locks: tuple[int, ...], wanted: int | None
) -> None:
    assert wanted_revision(stamp, current, locks) == wanted


@pytest.mark.parametrize("outcome", [INSTALLED, PRESENT, EMPTY, IMAGE_CHANGED])
def test_an_installed_lock_is_run_on(outcome: str) -> None:
    assert first_run(InstallReport(outcome, 1, lock_digest=NEW), NEW, LastGood(OLD)) == Run(NEW)


def test_without_a_lock_it_runs_on_the_image() -> None:
    assert first_run(InstallReport(NO_SITE), None, LastGood(OLD)) == Run(None)


@pytest.mark.parametrize(("good", "digest"), [(LastGood(OLD), OLD), (LastGood(None), None), (None, None)])
def test_a_failed_installation_starts_on_what_worked_last(good: LastGood | None, digest: str | None) -> None:
    found = first_run(InstallReport(FAILED, 1, code="no-wheel", cause="why"), NEW, good)
    assert (found.digest, found.fell_back, found.failed_digest) == (digest, True, NEW)
    assert "no-wheel" in found.message
    assert "why" in found.message


def test_a_new_site_falls_back_to_the_last_good_one() -> None:
    assert after_failure(Run(NEW), LastGood(OLD), proven=False, why="why") == Run(OLD, True, NEW, "why")  # noqa: FBT003


@pytest.mark.parametrize(
    ("run", "good", "proven"),
    [
        (Run(NEW), LastGood(OLD), True),
        (Run(NEW), LastGood(NEW), False),
        (Run(NEW), None, False),
        (Run(None), LastGood(OLD), False),
        (Run(OLD, fell_back=True, failed_digest=NEW), LastGood(OLD), False),
    ],
)
def test_there_is_nothing_better_to_go_back_to(run: Run, good: LastGood | None, *, proven: bool) -> None:
    assert after_failure(run, good, proven=proven, why="why") is None
