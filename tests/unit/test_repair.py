"""A store that lost or tore its locks gets back what the database knows, and nothing else changes."""

from __future__ import annotations

import pytest

from airflow_package_manager.domain.plan import StoreSnapshot
from airflow_package_manager.domain.repair import needed
from airflow_package_manager.errors import Forbidden, OperationInProgress, StoreUnavailable
from tests.fakes.application import ADMIN, VIEWER, Application, add, update


def changed_twice() -> tuple[Application, StoreSnapshot]:
    app = Application("# mine\n")
    app.done(add("humanize==1.0"))
    app.done(update("humanize==2.0"))
    return app, app.store.peek()


def test_all_locks_and_current_come_back() -> None:
    app, before = changed_twice()
    app.store.lose_locks()
    found = app.manager.repair(ADMIN)
    after = app.store.peek()
    assert (after.text, after.locks, after.current) == (before.text, {2: before.locks[2]}, 2)
    assert str(found) == "lock.2, current = 2"
    (recorded, *_), _ = app.repository.all(before=None, limit=1)
    assert (recorded.kind, recorded.identity) == ("locks.repaired", ADMIN.identity)
    assert recorded.details == {"revisions": [2], "current": 2}


@pytest.mark.parametrize("torn", ["", "# a lock\n", "format: 1\nrevision: 2\n"])
def test_a_torn_lock_is_written_anew(torn: str) -> None:
    app, before = changed_twice()
    app.store.set_lock(2, torn)
    assert app.manager.repair(ADMIN).locks == {2: before.locks[2]}
    assert app.store.peek().locks == before.locks


def test_a_lock_that_somebody_changed_is_the_recorded_one_again() -> None:
    app, before = changed_twice()
    app.store.set_lock(2, before.locks[2].replace("humanize==2.0", "humanize==1.0"))
    app.manager.repair(ADMIN)
    assert app.store.peek().locks[2] == before.locks[2]


def test_current_that_was_set_back_is_the_last_success_again() -> None:
    app, before = changed_twice()
    app.store.set_lock(1, before.locks[2].replace("revision: 2", "revision: 1"), current=True)
    found = app.manager.repair(ADMIN)
    assert (dict(found.locks), found.current) == ({}, 2)
    assert app.store.peek().current == 2


def test_a_store_that_is_newer_than_the_database_is_not_set_back() -> None:
    app, before = changed_twice()
    newer = before.locks[2].replace("revision: 2", "revision: 7")
    app.store.set_lock(7, newer, current=True)
    assert app.manager.repair(ADMIN).current is None
    assert app.store.peek().current == 7
    app.store.set_lock(7, "torn", current=True)
    assert app.manager.repair(ADMIN).current == 2


def test_the_lock_of_a_component_that_was_put_back_comes_back_too() -> None:
    app, before = changed_twice()
    app.target.stamp_by_hand("scheduler", 1)
    app.store.lose_locks()
    assert set(app.manager.repair(ADMIN).locks) == {1, 2}
    assert app.store.peek().locks[2] == before.locks[2]


def test_what_is_whole_is_left_alone_and_nothing_is_recorded() -> None:
    app, before = changed_twice()
    events = app.repository.all(before=None, limit=100)
    assert not app.manager.repair(ADMIN).is_needed()
    assert app.store.peek() == before
    assert app.repository.all(before=None, limit=100) == events


def test_a_store_that_nothing_ever_succeeded_in_has_nothing_to_get_back() -> None:
    assert not needed(Application("# mine\n").store.peek(), (), ()).is_needed()


def test_not_while_an_operation_is_active() -> None:
    app, _ = changed_twice()
    app.accepted(update("humanize==3.0"))
    app.store.lose_locks()
    with pytest.raises(OperationInProgress):
        app.manager.repair(ADMIN)
    assert app.store.peek().locks == {}


def test_who_may_not_apply_may_not_repair_and_a_store_that_refuses_is_recorded() -> None:
    app, _ = changed_twice()
    app.store.lose_locks()
    with pytest.raises(Forbidden):
        app.manager.repair(VIEWER)
    app.faults.fail("store.write", StoreUnavailable("away"))
    with pytest.raises(StoreUnavailable):
        app.manager.repair(ADMIN)
    kinds = [event.kind for event in app.repository.all(before=None, limit=2)[0]]
    assert kinds == ["request.refused", "access.refused"]
    assert app.store.peek().locks == {}


def test_nothing_restarts_and_the_next_change_goes_on_from_there() -> None:
    app, _ = changed_twice()
    app.store.lose_locks()
    restarts = [effect for effect in app.faults.effects if effect.startswith("target.restart")]
    app.manager.repair(ADMIN)
    assert [effect for effect in app.faults.effects if effect.startswith("target.restart")] == restarts
    assert app.done(update("humanize==3.0")).state.value == "SUCCEEDED"
    assert app.store.peek().current == 3
