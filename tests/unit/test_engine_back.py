from __future__ import annotations

from collections.abc import Callable

import pytest

from airflow_package_manager.domain.operation import Operation, State
from airflow_package_manager.errors import ClusterUnavailable, StoreUnavailable
from tests.fakes.application import ADMIN, Application, Held, add
from tests.fakes.target import Behaviour, Preflight


def before_and_after(app: Application, operation: Operation) -> tuple[object, object]:
    before = world(app)
    app.driver().run(operation.id)
    return before, world(app)


def advance_once(app: Application, operation: Operation) -> None:
    lease = Held(app, operation.id)
    lease.require()
    app.engine().advance(app.repository.get(operation.id), lease)
    app.clock.advance(1)


def world(app: Application) -> tuple[object, ...]:
    snapshot = app.store.peek()
    running = tuple(app.target.running(name)[:2] for name in app.target.components())
    return snapshot.text, dict(snapshot.locks), snapshot.current, running


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [
        (Behaviour.INSTALL_FAILS, "component-failed"),
        (Behaviour.FALLS_BACK, "component-failed"),
        (Behaviour.NEVER_READY, "component-timeout"),
        (Behaviour.SUPERVISOR_DIES, "component-timeout"),
        (Behaviour.VANISHES, "component-timeout"),
    ],
)
@pytest.mark.parametrize("component", ["scheduler", "dag-processor"])
def test_a_bad_change_comes_back_by_itself(component: str, behaviour: Behaviour, code: str) -> None:
    app = Application("# mine\n")
    app.done(add("tabulate"))
    accepted = app.accepted(add("humanize"))
    app.target.misbehave(component, behaviour)
    before, after = before_and_after(app, accepted)
    done = app.repository.get(accepted.id)
    assert done.state is State.ROLLED_BACK
    assert (done.problem or {})["code"] == code
    assert component in (done.problem or {})["detail"]
    assert after == before


def test_a_final_failure_does_not_wait() -> None:
    app = Application()
    accepted = app.accepted(add("humanize"))
    app.target.misbehave("scheduler", Behaviour.INSTALL_FAILS)
    began = app.clock()
    app.driver().run(accepted.id)
    assert app.clock() - began < 30
    assert app.target.running("triggerer")[2] == 0


@pytest.mark.parametrize(
    ("preflight", "code"),
    [
        (Preflight.FAILS, "preflight-failed"),
        (Preflight.HANGS, "preflight-timeout"),
        (Preflight.IS_LOST, "preflight-timeout"),
    ],
)
def test_a_failing_check_touches_no_component_and_leaves_every_byte(preflight: Preflight, code: str) -> None:
    app = Application("# mine\n")
    app.target.preflight = preflight
    before, after = before_and_after(app, accepted := app.accepted(add("humanize")))
    done = app.repository.get(accepted.id)
    assert (done.state, (done.problem or {})["code"]) == (State.ROLLED_BACK, code)
    assert after == before
    assert app.target.preflights == {}
    assert not [effect for effect in app.faults.effects if effect.startswith(("target.restart", "target.restore"))]


def test_the_first_rollback_gives_back_no_stamp_at_all() -> None:
    app = Application()
    app.target.misbehave("triggerer", Behaviour.FALLS_BACK)
    done = app.done(add("humanize"))
    assert done.state is State.ROLLED_BACK
    assert [app.target.running(name)[0] for name in app.target.components()] == [None, None, None]
    restored = [event.component for event in app.events(done.id) if event.kind == "component.restored"]
    assert restored == ["triggerer", "scheduler"]


def _meanwhile(app: Application, effect: str, action: Callable[[], object]) -> None:
    """Let somebody act right before an effect; components are looked at before the rollout too, which is not meant."""
    if effect.startswith("target.observe:"):
        app.faults.meanwhile("target.start_preflight", lambda: app.faults.meanwhile(effect, action))
    else:
        app.faults.meanwhile(effect, action)


@pytest.mark.parametrize(
    ("effect", "expected"),
    [
        ("store.write", State.CANCELLED),
        ("target.observe_preflight", State.ROLLED_BACK),
        ("target.restart", State.ROLLED_BACK),
        ("target.observe:dag-processor", State.ROLLED_BACK),
    ],
)
def test_cancel_in_every_state(effect: str, expected: State) -> None:
    app = Application("# mine\n")
    accepted = app.accepted(add("humanize"))
    _meanwhile(app, effect, lambda: app.manager.cancel(ADMIN, accepted.id))
    before, after = before_and_after(app, accepted)
    done = app.repository.get(accepted.id)
    assert done.state is expected
    assert after == before


def test_cancel_after_acceptance_drops_it_before_anything_happens() -> None:
    app = Application()
    accepted = app.accepted(add("humanize"))
    app.manager.cancel(ADMIN, accepted.id)
    assert app.driver().run(accepted.id).state is State.CANCELLED
    assert "store.write" not in app.faults.effects


def test_somebody_elses_text_stays_and_the_stamps_come_back_all_the_same() -> None:
    app = Application("# mine\n")
    accepted = app.accepted(add("humanize"))
    app.faults.meanwhile("target.restart:triggerer", lambda: app.store.edit("# theirs\n"))
    done = app.driver().run(accepted.id)
    assert done.state is State.FAILED
    assert (done.problem or {})["code"] == "edited-meanwhile"
    assert "+# theirs" in (done.problem or {})["difference"]
    assert app.store.peek().text == "# theirs\n"
    assert app.store.peek().locks == {}
    assert [app.target.running(name)[0] for name in app.target.components()] == [None, None, None]


def test_a_reverted_text_stops_the_rollout_and_names_who_did_it() -> None:
    app = Application("# mine\n")
    accepted = app.accepted(add("humanize"))
    app.faults.meanwhile("target.restart:triggerer", lambda: app.store.edit("# mine\n", manager="argocd-controller"))
    done = app.driver().run(accepted.id)
    assert done.state is State.ROLLED_BACK
    assert (done.problem or {})["code"] == "edited-meanwhile"
    assert (done.problem or {})["detail"].startswith("argocd-controller wrote the previous requirements back")


def test_a_text_that_is_taken_back_at_once_is_not_written_again() -> None:
    app = Application("# mine\n")
    accepted = app.accepted(add("humanize"))
    while not app.repository.get(accepted.id).progress.promoted:
        advance_once(app, accepted)
    app.store.edit("# mine\n", manager="flux")
    app.clock.advance(16)
    done = app.driver().run(accepted.id)
    assert (done.state, (done.problem or {})["manager"]) == (State.ROLLED_BACK, "flux")
    assert app.kinds(accepted.id).count("requirements.written") == 1


@pytest.mark.parametrize("effect", ["target.stamp:scheduler", "target.observe:scheduler", "facts.unparsed_files"])
@pytest.mark.parametrize("behaviour", [Behaviour.READY, Behaviour.NEVER_READY])
def test_a_component_changed_by_another_hand_stops_it(effect: str, behaviour: Behaviour) -> None:
    app = Application("# mine\n")
    accepted = app.accepted(add("humanize"))
    app.target.misbehave("scheduler", behaviour)
    while app.repository.get(accepted.id).state is not State.ROLLING_OUT:
        advance_once(app, accepted)
    app.facts.parsed_at = {"dag.py": 0.0}
    app.clock.advance(16)
    app.faults.meanwhile(effect, lambda: app.target.change_template("scheduler"))
    before, after = before_and_after(app, accepted)
    done = app.repository.get(accepted.id)
    if effect == "facts.unparsed_files" and behaviour is Behaviour.NEVER_READY:
        assert (done.problem or {})["code"] == "component-timeout"
    else:
        assert (done.state, (done.problem or {})["code"]) == (State.ROLLED_BACK, "component-changed")
        assert "scheduler" in (done.problem or {})["detail"]
    assert [app.target.running(name)[0] for name in app.target.components()] == [None, None, None]
    assert before != after


@pytest.mark.parametrize("preflight", [Preflight.NO_ROOM, Preflight.PASSES])
def test_what_is_no_packages_fault_is_called_so(preflight: Preflight) -> None:
    app = Application("# mine\n")
    app.target.preflight = preflight
    app.target.misbehave("triggerer", Behaviour.NO_ROOM)
    before, after = before_and_after(app, accepted := app.accepted(add("humanize")))
    done = app.repository.get(accepted.id)
    assert (done.state, (done.problem or {})["code"]) == (State.ROLLED_BACK, "infrastructure")
    assert "no machine has room" in (done.problem or {})["detail"]
    assert after == before


@pytest.mark.parametrize("effect", ["target.restart:scheduler", "target.observe:scheduler"])
def test_another_hands_stamp_stops_it_and_stays(effect: str) -> None:
    app = Application()
    app.done(add("tabulate"))
    app.store.set_lock(90, app.store.peek().locks[1].replace("revision: 1", "revision: 90"), current=False)
    accepted = app.accepted(add("humanize"))
    _meanwhile(app, effect, lambda: app.target.stamp_by_hand("scheduler", 90))
    done = app.driver().run(accepted.id)
    assert done.state is State.FAILED
    assert (done.problem or {})["code"] == "component-restamped"
    assert app.target.running("scheduler")[0] == 90
    assert app.target.running("triggerer")[0] == 1


def test_one_that_cannot_go_back_does_not_keep_the_others() -> None:
    app = Application()
    app.target.misbehave("dag-processor", Behaviour.FALLS_BACK)
    app.faults.fail("target.restore:triggerer", ClusterUnavailable("away"), times=10)
    done = app.done(add("humanize"))
    assert done.state is State.ROLLED_BACK
    restored = [event.component for event in app.events(done.id) if event.kind == "component.restored"]
    assert restored == ["dag-processor", "scheduler", "triggerer"]


def test_going_back_is_bounded_and_says_what_a_person_must_do() -> None:
    app = Application()
    app.target.misbehave("scheduler", Behaviour.FALLS_BACK)
    app.faults.fail("target.restore", ClusterUnavailable("away"), times=1000)
    done = app.done(add("humanize"))
    assert done.state is State.FAILED
    assert done.problem is not None
    assert done.problem["code"] == "rollback-incomplete"
    assert done.problem["components"] == ["scheduler"]
    assert done.problem["commands"] == ["stamp scheduler -"]
    assert done.problem["because"]["code"] == "component-failed"
    assert done.problem["next_action"]
    assert 1 in app.store.peek().locks, "a component still carries it"


def test_a_component_that_stays_down_is_named() -> None:
    app = Application()
    app.done(add("tabulate"))
    app.faults.meanwhile("target.restore:scheduler", app.target._components["scheduler"].good.clear)
    app.target.misbehave("scheduler", Behaviour.SUPERVISOR_DIES)
    done = app.done(add("humanize"))
    assert done.state is State.FAILED
    assert (done.problem or {})["code"] == "rollback-incomplete"
    assert "scheduler" in (done.problem or {})["detail"]
    assert set(app.target.discarded) == {"scheduler"}
    assert (done.problem or {})["commands"] == ["stamp scheduler 1"]
    assert app.target.running("scheduler")[0] == 1


def test_what_does_not_pass_by_itself_goes_back_after_bounded_tries() -> None:
    app = Application("# mine\n")
    accepted = app.accepted(add("humanize"))
    app.faults.fail("target.restart", ClusterUnavailable("away"), times=6)
    done = app.driver().run(accepted.id)
    assert done.state is State.ROLLED_BACK
    assert (done.problem or {})["code"] == "cluster-unavailable"
    assert app.store.peek().text == "# mine\n"


def test_a_store_that_stays_away_while_going_back_is_said() -> None:
    app = Application()
    accepted = app.accepted(add("humanize"))
    app.faults.meanwhile("target.restart", lambda: app.faults.fail("store.read", StoreUnavailable("away"), times=1000))
    done = app.driver().run(accepted.id)
    assert done.state is State.FAILED
    assert (done.problem or {})["cause"]["code"] == "store-unavailable"


def test_after_a_failure_the_next_change_succeeds() -> None:
    app = Application()
    app.target.misbehave("scheduler", Behaviour.FALLS_BACK)
    assert app.done(add("humanize")).state is State.ROLLED_BACK
    app.target.misbehave("scheduler", Behaviour.READY)
    done = app.done(add("tabulate"))
    assert (done.state, done.revision) == (State.SUCCEEDED, 2)
