from __future__ import annotations

import dataclasses
import logging

import pytest

from airflow_package_manager.domain.operation import State
from airflow_package_manager.domain.plan import ChangeSet
from airflow_package_manager.domain.policy import Policy
from airflow_package_manager.domain.resolution import InstalledDistribution
from airflow_package_manager.errors import (
    DatabaseBusy,
    IllegalTransition,
    IndexUnavailable,
    PackageManagerError,
    StoreConflict,
)
from airflow_package_manager.refusals import NoWheel, ResolutionImpossible, UnsupportedWorkload
from tests.fakes.application import ADMIN, Application, add, image, remove
from tests.fakes.resolver import STEPS

REFUSALS: list[PackageManagerError] = [
    NoWheel("no wheel", project="humanize"),
    IndexUnavailable("no answer"),
    ResolutionImpossible("they clash", resolver="uv's own words", causes=[]),
]


def test_a_plan_is_kept_whole_with_the_digest_of_what_is_shown() -> None:
    app = Application("# mine\n")
    found, _ = app.plan(add("humanize>=4.1"))
    assert found.state is State.PLANNED
    assert found.plan is not None
    assert found.plan_digest == found.plan.digest()
    assert found.plan.proposed_text == "# mine\nhumanize>=4.1\n"
    assert found.plan.components == ("scheduler", "triggerer", "dag-processor")
    assert [(change.name, change.after) for change in found.plan.package_changes] == [("humanize", "9.0")]
    assert found.step == ""
    assert app.kinds(found.id) == ["plan.requested", "plan.ready"]


@pytest.mark.parametrize("error", REFUSALS)
def test_a_refusal_of_the_resolver_is_kept_as_the_problem(error: PackageManagerError) -> None:
    app = Application()
    app.resolver.failure = error
    found, _ = app.plan(add("humanize"))
    assert found.state is State.REFUSED
    assert found.problem is not None
    assert {
        "code": error.code,
        "detail": error.detail,
        "next_action": error.next_action,
    }.items() <= found.problem.items()
    assert app.kinds(found.id)[-1] == "plan.refused"
    assert found.ended_at is not None


def test_what_the_image_forbids_is_explained_without_the_resolver() -> None:
    found_image = image(apache_airflow_core="3.3.2", sqlalchemy="2.0.50")
    core = InstalledDistribution("apache-airflow-core", "3.3.2", ("sqlalchemy>=2.0.50",))
    found_image = dataclasses.replace(
        found_image, distributions={**found_image.distributions, "apache-airflow-core": core}
    )
    app = Application(found=found_image)
    found, _ = app.plan(add("sqlalchemy<2"))
    assert found.state is State.REFUSED
    assert found.problem is not None
    assert found.problem["code"] == "resolution-impossible"
    assert "apache-airflow-core 3.3.2" in found.problem["causes"][0]["forbidden_by"]
    assert app.resolver.requests == []


def test_a_closure_that_policy_forbids_is_refused_after_the_resolver() -> None:
    app = Application(policy=Policy(denied=frozenset({"tabulate"})))
    planning, _ = app.manager.plan(ADMIN, add("humanize"))
    app.planner._policy = Policy(denied=frozenset({"humanize"}))  # the setting changed meanwhile
    app.planner.plan(planning.id)
    found = app.repository.get(planning.id)
    assert found.problem is not None
    assert found.problem["code"] == "policy-violation"


def test_a_bug_is_refused_under_a_correlation_id_and_logged_with_its_trace(caplog: pytest.LogCaptureFixture) -> None:
    app = Application()
    app.resolver.failure = ValueError("secret innards")
    with caplog.at_level(logging.ERROR):
        found, _ = app.plan(add("humanize"))
    assert found.problem is not None
    assert found.problem["code"] == "internal"
    assert found.problem["correlation_id"] in caplog.text
    assert "secret innards" in caplog.text
    assert "secret innards" not in str(found.problem)


def test_a_cancelled_plan_stops_at_once() -> None:
    app = Application()
    planning, _ = app.manager.plan(ADMIN, add("humanize"))
    app.resolver.meanwhile = lambda: app.manager.cancel(ADMIN, planning.id)
    app.planner.plan(planning.id)
    assert app.repository.get(planning.id).state is State.CANCELLED


def test_a_cancel_at_the_last_moment_still_counts() -> None:
    app = Application()
    planning, _ = app.manager.plan(ADMIN, add("humanize"))
    app.faults.meanwhile("target.observe", lambda: app.manager.cancel(ADMIN, planning.id))
    app.planner.plan(planning.id)
    assert app.repository.get(planning.id).state is State.CANCELLED


@pytest.mark.parametrize("busy", [0, 3])
def test_a_cancel_just_as_the_plan_is_saved_still_counts(busy: int) -> None:
    app = Application()
    planning, token = app.manager.plan(ADMIN, add("humanize"))

    def cancel_and_be_busy() -> None:
        app.manager.cancel(ADMIN, planning.id)
        app.faults.fail("repository.save", DatabaseBusy("busy"), times=busy)

    for _ in range(4 + len(STEPS)):  # the words for people, one save each
        app.faults.meanwhile("repository.save", lambda: None)
    app.faults.meanwhile("repository.save", cancel_and_be_busy)
    app.planner.plan(planning.id)
    found = app.repository.get(planning.id)
    assert found.state is State.CANCELLED
    assert app.kinds(planning.id)[-2:] == ["plan.ready", "operation.cancelled"]
    with pytest.raises(IllegalTransition):
        app.manager.apply(ADMIN, planning.id, token, found.plan_digest or "")


def test_a_busy_database_does_not_lose_a_plan() -> None:
    app = Application()
    planning, _ = app.manager.plan(ADMIN, add("humanize"))
    began = app.clock()
    app.faults.fail("repository.save", DatabaseBusy("busy"), times=4)
    app.planner.plan(planning.id)
    assert app.repository.get(planning.id).state is State.PLANNED
    assert app.clock() > began


def test_a_database_that_stays_busy_is_given_up() -> None:
    app = Application()
    planning, _ = app.manager.plan(ADMIN, add("humanize"))
    app.faults.fail("repository.save", DatabaseBusy("busy"), times=1000)
    with pytest.raises(DatabaseBusy):
        app.planner.plan(planning.id)
    assert app.clock() < planning.created_at + 120
    assert app.repository.get(planning.id).state is State.PLANNING


def test_a_plan_has_its_time() -> None:
    app = Application()
    app.resolver.meanwhile = lambda: app.clock.advance(121)
    found, _ = app.plan(add("humanize"))
    assert found.problem is not None
    assert found.problem["code"] == "resolver-timeout"


def test_steps_are_progress() -> None:
    app = Application()
    seen: list[str] = []
    planning, _ = app.manager.plan(ADMIN, add("humanize"))
    app.resolver.meanwhile = lambda: seen.append(app.repository.get(planning.id).step)
    app.planner.plan(planning.id)
    assert tuple(seen) == STEPS


def test_others_write_the_row_too() -> None:
    app = Application()
    planning, _ = app.manager.plan(ADMIN, add("humanize"))
    app.faults.fail("repository.save", StoreConflict("moved"), times=3)
    app.planner.plan(planning.id)
    assert app.repository.get(planning.id).state is State.PLANNED


def test_what_is_no_plan_any_more_is_left_alone() -> None:
    app = Application()
    found, _ = app.plan(add("humanize"))
    app.planner.plan(found.id)
    assert app.repository.get(found.id) == found
    assert len(app.resolver.requests) == 1


def test_an_edit_before_the_planner_reads_is_planned_on() -> None:
    app = Application("tabulate\n")
    planning, _ = app.manager.plan(ADMIN, remove("tabulate"))
    app.store.edit("")
    app.planner.plan(planning.id)
    found = app.repository.get(planning.id)
    assert found.problem is not None
    assert found.problem["code"] == "requirement-not-found"


def test_nothing_to_change_is_refused() -> None:
    app = Application()
    found, _ = app.plan(ChangeSet(requirements=""))
    assert found.problem is not None
    assert found.problem["code"] == "nothing-to-change"


def test_how_long_it_usually_takes_is_learnt_from_what_went_well() -> None:
    app = Application(components=("scheduler", "triggerer"))
    first, _ = app.plan(add("humanize"))
    assert first.plan is not None
    assert first.plan.usual_seconds is None
    done = app.done(add("tabulate"))
    took = (done.ended_at or 0) - (done.accepted_at or 0)
    second, _ = app.plan(add("humanize"))
    assert second.plan is not None
    assert second.plan.usual_seconds == pytest.approx(took, abs=1)
    assert (second.plan.usual_seconds or 0) < (second.plan.longest_seconds or 0)
    assert second.plan_digest == second.plan.digest()


def test_running_tasks_that_nobody_knows_stop_nothing() -> None:
    app = Application()
    app.faults.fail("facts.running_tasks", DatabaseBusy("busy"))
    assert app.plan(add("humanize"))[0].state is State.PLANNED


def test_a_restored_lock_is_used_as_it_is_until_the_image_changes() -> None:
    app = Application()
    app.done(add("humanize==1.0"))
    app.done(add("tabulate"))
    asked = len(app.resolver.requests)
    found, _ = app.plan(ChangeSet(restore=1))
    assert found.plan is not None
    assert len(app.resolver.requests) == asked
    app.installed.of_image = image(six="1.16")
    for component in ("scheduler", "triggerer", "dag-processor"):
        app.target.report_image(component, app.installed.of_image.fingerprint())
    again, _ = app.plan(ChangeSet(restore=1))
    assert again.plan is not None
    assert len(app.resolver.requests) == asked + 1
    assert "restored-resolved-anew" in [warning.code for warning in again.plan.warnings]


@pytest.mark.parametrize("effect", ["target.check_restart:triggerer", "target.check_preflight"])
def test_what_cannot_be_restarted_or_checked_is_refused_at_plan(effect: str) -> None:
    app = Application()
    app.faults.fail(effect, UnsupportedWorkload("It is paused."))
    operation, _ = app.plan(add("humanize"))
    assert operation.state is State.REFUSED
    assert (operation.problem or {})["code"] == "unsupported-workload"
    app.faults.fail(effect, UnsupportedWorkload("It is paused."))
    found, _ = app.plan(ChangeSet(requirements="# words only\n"))
    assert found.state is State.PLANNED, "nobody restarts"
