from __future__ import annotations

import threading

import pytest

from airflow_package_manager.domain.operation import State
from airflow_package_manager.domain.plan import ChangeSet
from airflow_package_manager.driver import LEASE_SECONDS
from airflow_package_manager.errors import ClusterUnavailable, DatabaseBusy
from airflow_package_manager.refusals import StoreTooLarge
from tests.fakes.application import Application, add
from tests.fakes.faults import Killed
from tests.fakes.target import Behaviour


def effects_of_a_life(*, failing: bool) -> int:
    """Return how many effects one whole drive has."""
    app, accepted = prepared(failing=failing)
    before = len(app.faults.effects)
    app.driver().run(accepted)
    return sum(":" not in effect for effect in app.faults.effects[before:])


def prepared(*, failing: bool) -> tuple[Application, str]:
    app = Application("# mine\n", components=("scheduler", "triggerer"))
    app.done(add("tabulate"))
    accepted = app.accepted(add("humanize"))
    app.target.ready_after = 0.5
    if failing:
        app.target.misbehave("triggerer", Behaviour.FALLS_BACK)
    return app, accepted.id


@pytest.mark.parametrize("failing", [False, True])
def test_a_driver_that_dies_at_any_line_is_replaced(*, failing: bool) -> None:
    """Right after every effect of a whole life, once each (which is right before the next one)."""
    for death in range(2, 2 * effects_of_a_life(failing=failing) + 1, 2):
        app, accepted = prepared(failing=failing)
        before = app.store.peek()
        app.faults.kill_after(death)
        with pytest.raises(Killed):
            app.driver("host:1").run(accepted)
        app.faults.kill_after(None)
        app.clock.advance(LEASE_SECONDS)
        app.driver("host:2").adopt_orphan()
        done = app.repository.get(accepted)
        snapshot = app.store.peek()
        if failing:
            assert done.state is State.ROLLED_BACK, death
            assert (snapshot.text, snapshot.locks, snapshot.current) == (before.text, before.locks, before.current)
            assert app.target.running("scheduler")[:1] == (1,)
        else:
            assert done.state is State.SUCCEEDED, death
            assert (snapshot.current, list(snapshot.locks)) == (2, [2])
        assert app.target.preflights == {}, death
        assert app.repository.active() is None


def test_a_dead_drivers_lease_keeps_others_away_until_it_ends() -> None:
    app, accepted = prepared(failing=False)
    app.faults.kill_after(20)
    with pytest.raises(Killed):
        app.driver("host:1").run(accepted)
    state = app.repository.get(accepted).state
    effects = len(app.faults.effects)
    app.driver("host:2").adopt_orphan()
    assert app.repository.get(accepted).state is state
    assert [effect for effect in app.faults.effects[effects:] if not effect.startswith("repository.")] == []


@pytest.mark.parametrize("effect", ["store.write", "target.restart", "repository.save", "target.observe"])
def test_a_driver_that_slept_stops_silently_and_touches_nothing(effect: str) -> None:
    app, accepted = prepared(failing=False)
    ends: list[State] = []

    def sleep_while_another_takes_over() -> None:
        app.clock.advance(LEASE_SECONDS + 1)
        ends.append(app.driver("host:2").run(accepted).state)
        app.faults.effects.clear()

    app.faults.meanwhile(effect, sleep_while_another_takes_over)
    assert app.driver("host:1").run(accepted).state is State.SUCCEEDED
    assert ends == [State.SUCCEEDED]
    writes = [name for name in app.faults.effects if name in {"store.write", "target.restore"}]
    assert writes == []
    assert app.store.peek().current == 2
    assert app.target.running("scheduler")[0] == 2


def test_an_instance_more_is_no_reason_to_look_again_at_once() -> None:
    app = Application(components=("scheduler",))
    accepted = app.accepted(add("humanize"))
    app.target.scale("scheduler", 100)
    app.target.ready_after = 1.0
    began = app.clock()
    assert app.driver().run(accepted.id).state is State.SUCCEEDED
    looks = app.faults.effects.count("target.observe")
    assert app.clock() - began >= 100
    assert looks <= app.clock() - began + 5


def test_stop_gives_the_lease_up_at_once() -> None:
    app, accepted = prepared(failing=False)
    stop = threading.Event()
    app.faults.meanwhile("target.restart", stop.set)
    app.driver("host:1").run(accepted, stop)
    found = app.repository.get(accepted)
    assert found.state is State.ROLLING_OUT
    assert (found.holder, found.lease_until) == (None, None)
    assert app.driver("host:2").run(accepted).state is State.SUCCEEDED


def test_what_is_not_active_is_left_alone() -> None:
    app = Application()
    planned, _ = app.plan(add("humanize"))
    assert app.driver().run(planned.id).state is State.PLANNED
    assert app.driver().adopt_orphan() is None
    assert "repository.claim" not in app.faults.effects


def test_two_runs_of_one_process_never_share_a_lease() -> None:
    app, accepted = prepared(failing=False)
    driver = app.driver()
    inner: list[State] = []
    app.faults.meanwhile("target.restart", lambda: inner.append(driver.run(accepted).state))
    assert driver.run(accepted).state is State.SUCCEEDED
    assert inner == [State.ROLLING_OUT]


def test_the_watch_adopts_and_outlives_what_it_meets() -> None:
    app, accepted = prepared(failing=False)
    stop = threading.Event()
    app.faults.fail("repository.claim", DatabaseBusy("busy"))

    class Stop(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            app.clock.advance(timeout or 0)
            if app.repository.get(accepted).state is State.SUCCEEDED:
                self.set()
            return self.is_set()

    stop = Stop()
    app.driver().watch(stop)
    assert app.repository.get(accepted).state is State.SUCCEEDED


def test_a_busy_database_is_waited_for() -> None:
    app, accepted = prepared(failing=False)
    app.faults.fail("repository.save", DatabaseBusy("busy"), times=4)
    assert app.driver().run(accepted).state is State.SUCCEEDED


def test_giving_up_means_the_step_that_could_not_be_done_and_no_later_one() -> None:
    """The last try was saved and only its answer was lost: the operation goes back by then, and must go all the way."""
    app = Application("# mine\n", components=("scheduler",))
    operation = app.accepted(add("humanize"))
    app.target.misbehave("scheduler", Behaviour.INSTALL_FAILS)
    lost = DatabaseBusy("busy")

    def everything_but_one_try_fails() -> None:
        app.faults.fail("target.observe", ClusterUnavailable("away"), times=5)
        for _ in range(5):
            app.faults.meanwhile("target.observe", lambda: None)
        app.faults.meanwhile("target.observe", lambda: app.faults.lose_answer("repository.save", lost))

    app.faults.meanwhile("target.restart", everything_but_one_try_fails)
    done = app.driver().run(operation.id)
    assert (done.state, (done.problem or {})["code"]) == (State.ROLLED_BACK, "component-failed")
    assert app.store.peek().text == "# mine\n"
    assert app.target.running("scheduler")[0] is None


def test_a_text_that_was_written_before_its_death_is_taken_back_as_long_as_a_rollout() -> None:
    app = Application("# one\n")
    operation = app.accepted(ChangeSet(requirements="# two\n"))
    app.faults.meanwhile("repository.save", lambda: app.faults.kill_after(1))
    with pytest.raises(Killed):
        app.driver().run(operation.id)
    assert app.store.peek().text == "# two\n"
    app.clock.advance(LEASE_SECONDS + 1)
    app.faults.fail("store.write", StoreTooLarge("full"), times=10)
    done = app.driver().run(operation.id)
    assert (done.state, (done.problem or {})["code"]) == (State.FAILED, "store-too-large")
    assert app.store.peek().text == "# one\n"
