"""Taking the package manager off its target: one thing at a time, never while it is needed."""

from __future__ import annotations

import pytest

from airflow_package_manager.domain.removal import Removed, Unsettled
from airflow_package_manager.errors import AdmissionRefused, Forbidden, InvalidSetting, OperationInProgress
from tests.fakes.application import ADMIN, VIEWER, Application, add
from tests.fakes.remains import FakeRemains
from tests.fakes.target import Behaviour


def installed() -> tuple[Application, FakeRemains]:
    remains = FakeRemains()
    app = Application("# mine\n", components=("scheduler", "worker"), remains=remains)
    app.done(add("humanize==1.0"))
    return app, remains


def lock_changes(app: Application) -> None:
    """Let what reads the lock anew start anew: an unchanged one is no reason for this target."""
    app.store.set_lock(1, app.store.peek().locks[1].replace("humanize==1.0", "humanize==2.0"))


def all_of(app: Application, *, text: bool = False) -> list[str]:
    """Call until nothing is left; return what each call did."""
    done = []
    while (step := app.manager.uninstall(ADMIN, text=text)) is not None:
        done.append(step.what if isinstance(step, Removed) else f"{step.component} …")
        app.clock.sleep(1)
    return done


def test_stamps_go_one_after_another_then_what_is_left() -> None:
    app, remains = installed()
    lock_changes(app)
    done = all_of(app)
    assert [step for step in done if "…" not in step] == ["stamp 1 of scheduler", "stamp 1 of worker", "the locks"]
    first, second = done.index("stamp 1 of worker"), done.index("the locks")
    assert set(done[1:first]) == {"scheduler …"}, "each is waited for"
    assert set(done[first + 1 : second]) == {"worker …"}
    assert remains.there == ["text"]
    assert all_of(app) == []


def test_the_text_goes_when_somebody_asks_for_it() -> None:
    app, remains = installed()
    assert all_of(app, text=True)[-2:] == ["the locks", "the text"]
    assert remains.there == []


def test_the_list_is_what_is_removed() -> None:
    app, _ = installed()
    found = app.manager.remnants(ADMIN, text=True)
    assert found == ("stamp 1 of scheduler", "stamp 1 of worker", "the locks", "the text")
    assert [step for step in all_of(app, text=True) if "…" not in step] == [*found]


def test_what_a_restart_would_meet_is_met_before_anything_is_removed() -> None:
    app, remains = installed()
    app.target.faults.fail("target.check_restart:worker", AdmissionRefused("a policy says no"))
    with pytest.raises(AdmissionRefused):
        app.manager.remnants(ADMIN, text=False)
    assert app.target.stamp("scheduler").revision == 1
    assert remains.there == ["locks", "text"]


@pytest.mark.parametrize(
    ("fails", "stamp_of_worker"), [("worker", None), ("scheduler", 1)], ids=["the last one", "the first one"]
)
def test_a_component_that_fails_keeps_what_it_may_need_and_takes_no_other_one_down(
    fails: str, stamp_of_worker: int | None
) -> None:
    app, remains = installed()
    app.target.misbehave(fails, Behaviour.SUPERVISOR_DIES)
    lock_changes(app)
    for _ in range(4):
        found = app.manager.uninstall(ADMIN, text=False)
        app.clock.sleep(30)
    assert isinstance(found, Unsettled)
    assert found.component == fails
    assert app.target.stamp("worker").revision == stamp_of_worker
    assert remains.there == ["locks", "text"]


def test_each_removal_is_on_record() -> None:
    app, _ = installed()
    all_of(app)
    events, _ = app.repository.all(before=None, limit=3)
    assert [(one.kind, one.component) for one in reversed(events)] == [
        ("uninstall.removed", "scheduler"),
        ("uninstall.removed", "worker"),
        ("uninstall.removed", None),
    ]
    assert {one.identity for one in events} == {ADMIN.identity}


@pytest.mark.parametrize("call", ["remnants", "uninstall"])
def test_an_active_operation_refuses_it(call: str) -> None:
    app, remains = installed()
    operation, token = app.plan(add("six==1.0"))
    app.manager.apply(ADMIN, operation.id, token, operation.plan_digest or "")
    with pytest.raises(OperationInProgress, match="It needs what would be removed"):
        getattr(app.manager, call)(ADMIN, text=False)
    assert app.target.stamp("scheduler").revision == 1
    assert remains.there == ["locks", "text"]


@pytest.mark.parametrize("call", ["remnants", "uninstall"])
def test_it_needs_the_permission_to_apply(call: str) -> None:
    app, remains = installed()
    with pytest.raises(Forbidden):
        getattr(app.manager, call)(VIEWER, text=True)
    assert remains.there == ["locks", "text"]


@pytest.mark.parametrize("call", ["remnants", "uninstall"])
def test_a_machine_has_nothing_of_it(call: str) -> None:
    with pytest.raises(InvalidSetting, match="The target is this machine"):
        getattr(Application().manager, call)(ADMIN, text=False)
