from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from airflow_package_manager.domain import lock as locks
from airflow_package_manager.domain.facts import Heartbeat, ImportFailure
from airflow_package_manager.domain.operation import Operation, State
from airflow_package_manager.domain.plan import ChangeSet
from airflow_package_manager.domain.policy import Policy
from airflow_package_manager.errors import (
    AdmissionRefused,
    ClusterForbidden,
    ClusterUnavailable,
    DatabaseBusy,
    StoreConflict,
    StoreUnavailable,
)
from airflow_package_manager.refusals import StoreTooLarge, UnsupportedWorkload
from tests.fakes.application import ADMIN, Application, Held, add, remove, update
from tests.fakes.faults import Faults, Killed
from tests.fakes.target import Behaviour, Preflight

MUTATIONS = ("store.write", "target.restart", "target.restore", "target.start_preflight", "target.end_preflight")


def test_a_change_goes_all_the_way() -> None:
    app = Application("# mine\n")
    done = app.done(add("humanize>=4.1"))
    assert done.state is State.SUCCEEDED
    assert done.problem is None
    assert app.store.peek().text == "# mine\nhumanize>=4.1\n"
    assert app.store.peek().current == 1
    assert [app.target.running(name)[0] for name in app.target.components()] == [1, 1, 1]
    assert app.kinds(done.id) == [
        "plan.requested",
        "plan.ready",
        "operation.accepted",
        "lock.staged",
        "preflight.started",
        "preflight.passed",
        "requirements.written",
        "operation.rolling-out",
        *["component.restarting", "component.current"] * 3,
        "operation.verifying",
        "operation.succeeded",
    ]
    assert app.target.preflights == {}
    assert app.target.preflight_directs == ("humanize",)
    assert set(done.progress.verified.values()) == {"not verified"}
    assert done.progress.unverified == {}


def test_a_check_that_passed_is_not_asked_again_when_the_driver_died() -> None:
    app = Application()
    operation = app.accepted(add("humanize"))
    engine, lease = app.engine(), Held(app, operation.id)
    while not operation.progress.passed:
        lease.require()
        operation = engine.advance(app.repository.get(operation.id), lease)
        app.clock.advance(1)
    assert app.store.peek().text == ""
    app.target.preflight = Preflight.IS_LOST
    app.clock.advance(16)
    assert app.driver("host:2").run(operation.id).state is State.SUCCEEDED
    assert app.kinds(operation.id).count("preflight.passed") == 1
    assert app.kinds(operation.id).count("requirements.written") == 1


def test_who_slept_right_before_starting_the_check_leaves_none_behind() -> None:
    app = Application()
    operation = app.accepted(add("humanize"))
    engine, lease = app.engine(), Held(app, operation.id)

    def another() -> None:
        app.clock.advance(16)
        assert app.driver("host:2").run(operation.id).state is State.SUCCEEDED

    while not operation.progress.preflight:
        lease.require()
        operation = engine.advance(app.repository.get(operation.id), lease)
    app.faults.meanwhile("target.start_preflight", another)
    lease.require()
    with pytest.raises(StoreConflict):
        engine.advance(app.repository.get(operation.id), lease)
    assert app.target.preflights == {}
    assert app.faults.effects[-1] == "target.end_preflight"


def test_who_slept_and_finds_the_check_still_running_leaves_it_to_the_other() -> None:
    app = Application()
    operation = app.accepted(add("humanize"))
    engine, lease = app.engine(), Held(app, operation.id)
    while not operation.progress.preflight:
        lease.require()
        operation = engine.advance(app.repository.get(operation.id), lease)

    def another() -> None:
        app.clock.advance(16)
        other = Held(app, operation.id)
        other.holder = "host:2:test"
        other.require()
        engine.advance(app.repository.get(operation.id), other)

    app.faults.meanwhile("target.start_preflight", another)
    lease.require()
    with pytest.raises(StoreConflict):
        engine.advance(app.repository.get(operation.id), lease)
    assert list(app.target.preflights) == [1]


def test_no_step_does_more_than_one_mutation() -> None:
    app = Application()
    operation = app.accepted(add("humanize"))
    engine, lease = app.engine(), Held(app, operation.id)
    while operation.state is not State.SUCCEEDED:
        before = len(app.faults.effects)
        lease.require()
        engine.advance(app.repository.get(operation.id), lease)
        assert sum(effect in MUTATIONS for effect in app.faults.effects[before:]) <= 1
        app.clock.advance(1)
        operation = app.repository.get(operation.id)


def test_components_restart_one_by_one_in_order_and_the_other_way_round_when_removing() -> None:
    app = Application(components=("api-server", "dag-processor", "scheduler", "triggerer"))
    app.done(add("a-plugin"))
    assert restarted(app) == ["scheduler", "triggerer", "dag-processor", "api-server"]
    app.faults.effects.clear()
    app.done(remove("a-plugin"))
    assert restarted(app) == ["dag-processor", "triggerer", "scheduler", "api-server"]


def test_a_second_restart_waits_for_the_first_verdict() -> None:
    app = Application()
    app.target.misbehave("scheduler", Behaviour.NEVER_READY)
    app.done(add("humanize"))
    assert restarted(app) == ["scheduler"]


def test_only_the_text_changes_and_nobody_restarts() -> None:
    app = Application("# mine\n")
    app.done(add("humanize"))
    before = [app.target.running(name) for name in app.target.components()]
    done = app.done(ChangeSet(requirements="# other words\nhumanize\n"))
    assert done.state is State.SUCCEEDED
    assert app.store.peek().text == "# other words\nhumanize\n"
    assert app.store.peek().current == 2
    assert [app.target.running(name) for name in app.target.components()] == before
    assert sorted(app.store.peek().locks) == [1, 2]
    assert "preflight.started" not in app.kinds(done.id)
    assert app.kinds(done.id)[-2:] == ["requirements.written", "operation.succeeded"]


def at_the_second_write(faults: Faults, die: Callable[[], object]) -> None:
    faults.meanwhile("store.write", lambda: None)
    faults.meanwhile("store.write", die)


DEATHS: dict[str, Callable[[Faults], object]] = {
    "before the text": lambda faults: faults.fail("store.write", Killed()),
    "after the text": lambda faults: faults.lose_answer("store.write", Killed()),
    "before the lock": lambda faults: faults.meanwhile("store.write", lambda: faults.fail("store.write", Killed())),
    "after the lock": lambda faults: at_the_second_write(faults, lambda: faults.lose_answer("store.write", Killed())),
}


def text_only(app: Application) -> Operation:
    app.done(add("humanize"))
    return app.accepted(ChangeSet(requirements="# other words\nhumanize\n"))


def test_only_the_text_changes_in_two_writes() -> None:
    app = Application()
    accepted = text_only(app)
    writes: list[tuple[bool, bool]] = []
    app.store.watchers.append(
        lambda before, after: writes.append((before.text != after.text, before.current != after.current))
    )
    assert app.driver().run(accepted.id).state is State.SUCCEEDED
    assert writes == [(True, False), (False, True)]


@pytest.mark.parametrize("cancelled", [False, True])
@pytest.mark.parametrize("boundary", DEATHS)
def test_a_text_only_change_survives_a_death_at_any_write(boundary: str, *, cancelled: bool) -> None:
    app = Application()
    accepted = text_only(app)
    DEATHS[boundary](app.faults)
    with pytest.raises(Killed):
        app.driver().run(accepted.id)
    if cancelled:
        app.manager.cancel(ADMIN, accepted.id)
    app.clock.advance(16)
    done = app.driver("host:2").run(accepted.id)
    touched = boundary != "before the text"
    assert done.state is (State.CANCELLED if cancelled and not touched else State.SUCCEEDED)
    found = app.store.peek()
    assert (found.text, found.current) == (
        ("# other words\nhumanize\n", 2) if done.state is State.SUCCEEDED else ("humanize\n", 1)
    )
    assert found.current in found.locks


def test_a_text_only_change_that_cannot_end_is_taken_back() -> None:
    app = Application()
    accepted = text_only(app)
    before = app.store.peek()
    app.faults.meanwhile("store.write", lambda: app.faults.fail("store.write", StoreTooLarge("full")))
    done = app.driver().run(accepted.id)
    assert (done.state, (done.problem or {})["code"]) == (State.FAILED, "store-too-large")
    after = app.store.peek()
    assert (after.text, after.locks, after.current) == (before.text, before.locks, before.current)


@pytest.mark.parametrize("theirs", ["# theirs\n", "humanize\n"])
def test_a_text_edited_between_the_two_writes_is_theirs(theirs: str) -> None:
    app = Application()
    accepted = text_only(app)
    app.faults.meanwhile("store.read", lambda: None)
    app.faults.meanwhile("store.read", lambda: app.store.edit(theirs, manager="flux"))
    done = app.driver().run(accepted.id)
    assert (done.state, (done.problem or {})["code"]) == (State.FAILED, "edited-meanwhile")
    assert (done.problem or {})["detail"].startswith("flux")
    assert (app.store.peek().text, app.store.peek().current) == (theirs, 1)


@pytest.mark.parametrize(("ready_after", "stopping"), [(200.0, 0.0), (700.0, 600.0)])
def test_each_of_many_instances_has_its_time(ready_after: float, stopping: float) -> None:
    app = Application(components=("scheduler",))
    app.target.scale("scheduler", 5)
    app.target.ready_after, app.target.stopping = ready_after, stopping
    app.target.preflights[1] = app.clock() - 10_000
    began = app.clock()
    done = app.done(add("humanize"))
    assert (done.state, done.problem) == (State.SUCCEEDED, None)
    assert app.clock() - began > 5 * ready_after


def test_what_drains_is_not_waited_for() -> None:
    app = Application(components=("worker", "triggerer"))
    app.target.drain("worker", 2)
    app.target.stopping = 600.0
    began = app.clock()
    done = app.done(add("humanize"))
    assert (done.state, done.problem) == (State.SUCCEEDED, None)
    assert app.clock() - began < 300


def test_an_instance_that_takes_too_long_is_not_waited_for() -> None:
    app = Application(components=("scheduler",))
    app.target.scale("scheduler", 5)
    app.target.ready_after = 400.0
    app.target.preflights[1] = app.clock() - 10_000
    began = app.clock()
    done = app.done(add("humanize"))
    assert (done.problem or {})["because"]["code"] == "component-timeout", "and it took too long to go back too"
    assert app.clock() - began < 1000


@pytest.mark.parametrize("how", ["nobody runs", "nobody reports"])
def test_what_nobody_can_confirm_is_never_verified(how: str) -> None:
    app = Application(components=("scheduler",))
    began = app.clock()
    app.facts.beats["scheduler"] = (Heartbeat("host", began + 50, began + 40),)
    if how == "nobody runs":
        app.target.scale("scheduler", 0)
    else:
        app.target.be_silent("scheduler")
    done = app.done(add("humanize"))
    assert done.state is State.SUCCEEDED
    assert done.progress.verified == {"scheduler": "not verified"}
    (said,) = [event.message for event in app.events(done.id) if event.kind == "component.current"]
    assert f"not verified: {done.progress.unverified['scheduler']}" in said


def test_a_text_edited_by_hand_is_adopted() -> None:
    app = Application()
    app.done(add("humanize"))
    app.store.edit("humanize\n# by hand\n")
    done = app.done(ChangeSet(requirements="humanize\n# by hand\n"))
    assert done.state is State.SUCCEEDED
    assert done.plan is not None
    assert done.plan.adopted
    assert not app.manager.inventory(ADMIN).edited_by_hand


def test_the_text_found_first_is_revision_0_and_stays_so() -> None:
    app = Application("# found\n")
    app.done(add("humanize"))
    app.done(add("tabulate"))
    found = app.manager.revision(ADMIN, 0)
    assert found.plan is not None
    assert found.plan.proposed_text == "# found\n"
    assert found.plan.lock.pins == ()
    assert found.state is State.SUCCEEDED


def test_locks_that_nobody_carries_go_and_carried_ones_stay() -> None:
    app = Application(components=("scheduler", "api-server"))
    app.done(add("a-plugin"))
    assert app.target.running("api-server")[0] == 1
    app.done(add("humanize"))
    assert app.target.running("api-server")[0] == 1
    app.done(update("humanize==2.0"))
    snapshot = app.store.peek()
    stamps = {app.target.running(name)[0] for name in app.target.components()}
    assert set(snapshot.locks) == stamps | {snapshot.current}


def test_an_image_that_was_upgraded_since_the_plan_is_refused_before_anything_is_written() -> None:
    app = Application("# mine\n")
    accepted = app.accepted(add("humanize"))
    app.target.report_image("triggerer", "b" * 64)
    before = app.store.peek()
    done = app.driver().run(accepted.id)
    assert (done.state, (done.problem or {})["code"]) == (State.FAILED, "image-differs")
    assert (done.problem or {})["components"] == ["triggerer"]
    assert app.store.peek() == before
    assert restarted(app) == []


def test_a_third_text_before_staging_is_stale_and_nothing_is_touched() -> None:
    app = Application("# mine\n")
    accepted = app.accepted(add("humanize"))
    app.store.edit("# theirs\n")
    before = app.store.peek()
    done = app.driver().run(accepted.id)
    assert done.state is State.FAILED
    assert done.problem is not None
    assert done.problem["code"] == "stale-plan"
    assert "+# theirs" in done.problem["difference"]
    assert app.store.peek() == before
    assert restarted(app) == []


@pytest.mark.parametrize(
    ("effect", "error", "code"),
    [
        ("target.check_restart", UnsupportedWorkload("odd"), "unsupported-workload"),
        ("target.check_preflight", AdmissionRefused("no"), "admission-refused"),
        ("store.check_write", ClusterForbidden("no"), "cluster-forbidden"),
        ("store.write", StoreTooLarge("full"), "store-too-large"),
        ("store.read", ValueError("a bug"), "internal"),
    ],
)
def test_what_cannot_start_fails_with_nothing_written(effect: str, error: Exception, code: str) -> None:
    app = Application("# mine\n")
    accepted = app.accepted(add("humanize"))
    before = app.store.peek()
    app.faults.fail(effect, error)
    done = app.driver().run(accepted.id)
    assert (done.state, (done.problem or {})["code"]) == (State.FAILED, code)
    assert app.store.peek() == before


def test_a_change_of_the_text_alone_is_not_begun_where_locks_may_not_be_written() -> None:
    app = Application("# mine\n")
    accepted = app.accepted(ChangeSet(requirements="# mine\n# more\n"))
    before = app.store.peek()
    app.faults.fail("store.check_write", ClusterForbidden("no"))
    done = app.driver().run(accepted.id)
    assert (done.state, (done.problem or {})["code"]) == (State.FAILED, "cluster-forbidden")
    assert app.store.peek() == before
    assert "store.write" not in app.faults.effects


def test_policy_is_asked_again_before_anything_is_written() -> None:
    app = Application()
    accepted = app.accepted(add("humanize"))
    app.policy = Policy(denied=frozenset({"humanize"}))
    done = app.driver().run(accepted.id)
    assert (done.problem or {})["code"] == "policy-violation"


def test_a_row_that_somebody_rewrote_is_not_applied() -> None:
    app = Application()
    accepted = app.accepted(add("humanize"))
    assert accepted.plan is not None
    forged = dataclasses.replace(accepted.plan, proposed_text="evil\n")
    app.repository.save(dataclasses.replace(accepted, plan=forged), [])
    done = app.driver().run(accepted.id)
    assert (done.problem or {})["code"] == "plan-changed"
    assert app.store.peek().text == ""


def test_what_passes_by_itself_is_tried_again() -> None:
    app = Application()
    accepted = app.accepted(add("humanize"))
    app.faults.fail("store.write", StoreUnavailable("away"), times=3)
    app.faults.fail("target.observe", ClusterUnavailable("away"), times=2)
    app.faults.fail("target.observe_preflight", ClusterUnavailable("away"), times=3)
    assert app.driver().run(accepted.id).state is State.SUCCEEDED


def test_a_heartbeat_after_the_restart_verifies_a_component() -> None:
    app = Application(components=("scheduler", "triggerer"))
    began = app.clock()
    app.facts.beats["scheduler"] = (Heartbeat("host", began, began - 100), Heartbeat("host", began + 50, began + 40))
    app.facts.beats["triggerer"] = (Heartbeat("host", began - 1000, began - 2000),)
    done = app.done(add("humanize"))
    assert done.state is State.SUCCEEDED
    assert done.progress.verified == {"scheduler": "heartbeat", "triggerer": "not verified"}
    assert app.clock() - began >= 90


@pytest.mark.parametrize(("fresh", "verdict"), [(1, "not verified"), (2, "heartbeat"), (3, "heartbeat")])
def test_each_instance_must_be_heard_of(fresh: int, verdict: str) -> None:
    app = Application(components=("triggerer",))
    app.target.scale("triggerer", 2)
    began = app.clock()
    old, new = Heartbeat("old", began - 5, began - 100), Heartbeat("new", began + 50, began + 40)
    app.facts.beats["triggerer"] = (old, old)
    accepted = app.accepted(add("humanize"))
    app.faults.meanwhile("target.restart", lambda: app.facts.beats.update(triggerer=(old, old, *[new] * fresh)))
    done = app.driver().run(accepted.id)
    assert done.state is State.SUCCEEDED, done.problem
    assert done.progress.verified == {"triggerer": verdict}
    words = {} if verdict == "heartbeat" else {"triggerer": "Airflow has heard of 1 of 2 instances"}
    assert done.progress.unverified == words


def test_a_component_that_beat_before_and_is_silent_now_goes_back() -> None:
    app = Application(components=("scheduler", "triggerer"))
    began = app.clock()
    app.facts.beats["triggerer"] = (Heartbeat("host", began - 5, began - 100),)
    done = app.done(add("humanize"))
    assert done.state is State.ROLLED_BACK
    problem = done.problem or {}
    assert (problem["code"], problem["component"]) == ("component-silent", "triggerer")
    assert "90 s" in problem["detail"]
    assert app.clock() - began >= 90
    assert [app.target.running(name)[0] for name in app.target.components()] == [None, None]


@pytest.mark.parametrize("misread", ["database", "clock", "before"])
def test_silence_that_proves_nothing_is_only_not_verified(misread: str) -> None:
    app = Application(components=("triggerer",))
    began = app.clock()
    app.facts.beats["triggerer"] = (Heartbeat("host", began - 5, began - 100),)
    accepted = app.accepted(add("humanize"))
    if misread == "before":
        app.faults.fail("facts.heartbeats", DatabaseBusy("busy"))
    elif misread == "database":
        app.faults.meanwhile(
            "target.restart", lambda: app.faults.fail("facts.heartbeats", DatabaseBusy("busy"), times=1000)
        )
    else:  # the host's clock is behind ours: its new job seems to have begun before it was told to
        late = (Heartbeat("host", began - 4, began - 50),)
        app.faults.meanwhile("target.restart", lambda: app.facts.beats.update(triggerer=late))
    done = app.driver().run(accepted.id)
    assert done.state is State.SUCCEEDED, done.problem
    assert done.progress.verified == {"triggerer": "not verified"}


def test_dag_files_are_judged_when_they_were_parsed_again() -> None:
    app = Application()
    app.facts.parsed_at = {"dag.py": app.clock()}
    accepted = app.accepted(add("humanize"))
    failure = ImportFailure("dag.py", app.clock() + 1000, "ModuleNotFoundError: No module named 'humanize'")

    def parse() -> None:
        app.facts.parsed_at = {"dag.py": app.clock()}
        app.facts.failures = (failure,)

    for _ in range(5):
        app.faults.meanwhile("facts.unparsed_files", lambda: None)
    app.faults.meanwhile("facts.unparsed_files", parse)
    done = app.driver().run(accepted.id)
    assert (done.state, (done.problem or {})["code"]) == (State.ROLLED_BACK, "import-errors")


@pytest.mark.parametrize(("busy", "said"), [(0, "yet: 1. "), (1000, "yet: an unknown number. ")])
def test_dag_files_that_are_not_parsed_in_time_are_not_verified(busy: int, said: str) -> None:
    app = Application()
    app.facts.parsed_at = {"dag.py": app.clock(), "seen.py": app.clock() + 10_000}
    app.faults.fail("facts.unparsed_files", DatabaseBusy("busy"), times=busy)
    done = app.done(add("humanize"))
    assert done.state is State.SUCCEEDED
    events = {event.kind: event for event in app.events(done.id)}
    assert said in events["dags.not-verified"].message
    assert 30 <= events["operation.succeeded"].at - events["operation.verifying"].at <= 32


@pytest.mark.parametrize(("component", "waits"), [("triggerer", False), ("scheduler", True)])
def test_without_a_dag_processor_the_scheduler_is_who_parses(component: str, *, waits: bool) -> None:
    app = Application(components=(component,))
    app.facts.parsed_at = {"dag.py": 0.0}
    done = app.done(add("humanize"))
    assert ("dags.not-verified" in app.kinds(done.id)) is waits


def test_dags_that_break_for_another_reason_only_warn() -> None:
    app = Application()
    app.facts.failures = (ImportFailure("old.py", 0, "ModuleNotFoundError: No module named 'humanize'"),)
    accepted = app.accepted(add("humanize"))
    new = ImportFailure("new.py", app.clock() + 1000, "ModuleNotFoundError: No module named 'unrelated'")
    app.faults.meanwhile("target.restart", lambda: setattr(app.facts, "failures", (*app.facts.failures, new)))
    done = app.driver().run(accepted.id)
    assert done.state is State.SUCCEEDED
    assert "dags.import-errors" in app.kinds(done.id)


def test_a_dag_that_loses_a_module_of_a_changed_package_fails_it() -> None:
    app = Application()
    app.done(add("google-cloud-thing"))
    accepted = app.accepted(remove("google-cloud-thing"))
    lost = ImportFailure("dag.py", app.clock() + 1000, "ModuleNotFoundError: No module named 'google.cloud.thing.x'")
    app.faults.meanwhile("target.restart", lambda: setattr(app.facts, "failures", (lost,)))
    done = app.driver().run(accepted.id)
    assert done.state is State.ROLLED_BACK
    assert (done.problem or {})["code"] == "import-errors"
    assert locks.parse(app.store.peek().locks[1]).pins[0].name == "google-cloud-thing"


def restarted(app: Application) -> list[str]:
    prefix = "target.restart:"
    return [effect.removeprefix(prefix) for effect in app.faults.effects if effect.startswith(prefix)]
