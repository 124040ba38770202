from __future__ import annotations

import pytest

from airflow_package_manager.installer.revision_choice import choose

INSTALLS, INSTALLS_IN_FLIGHT = "installs", "installs in flight"
WAITS_THEN_FAILS, WAITS_THEN_STARTS = "waits, then fails", "waits, then starts without"
STARTS_WITHOUT, FIRST_START = "starts without and says so", "starts without"

TABLE = [
    # stamp, current, locks that are there → what, which revision
    ("the first start ever", None, None, (), FIRST_START, None),
    ("a task pod", None, 5, (5,), INSTALLS, 5),
    ("a task pod while the first operation is in flight", None, None, (1,), FIRST_START, None),
    ("a task pod, the lock is lost", None, 5, (), STARTS_WITHOUT, None),
    ("an ordinary restart", 5, 5, (5,), INSTALLS, 5),
    ("a restart on an older stamp", 4, 5, (4, 5), INSTALLS, 4),
    ("a retired stamp", 3, 5, (5,), INSTALLS, 5),
    ("a retired stamp, all locks lost", 3, 5, (), STARTS_WITHOUT, None),
    ("the lock of the current stamp is lost", 5, 5, (), STARTS_WITHOUT, None),
    ("in flight", 6, 5, (5, 6), INSTALLS_IN_FLIGHT, 6),
    ("in flight, current is lost", 6, None, (6,), INSTALLS_IN_FLIGHT, 6),
    ("in flight, the mount is behind", 6, 5, (5,), WAITS_THEN_FAILS, None),
    ("in flight, the other lock is lost too", 6, 5, (), WAITS_THEN_FAILS, None),
    ("the first operation", 1, None, (1,), INSTALLS_IN_FLIGHT, 1),
    ("the first operation, the mount is behind; or everything is lost", 1, None, (), WAITS_THEN_STARTS, None),
    ("everything but another lock is lost", 6, None, (5,), WAITS_THEN_STARTS, None),
]


@pytest.mark.parametrize(
    ("stamp", "current", "locks", "what", "revision"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_what_a_pod_does(
    stamp: int | None, current: int | None, locks: tuple[int, ...], what: str, revision: int | None
) -> None:
    found = choose(stamp, current, locks)
    assert found.revision == revision
    assert (found.revision is not None, found.in_flight, found.missing, found.waits, bool(found.why)) == {
        INSTALLS: (True, False, False, False, False),
        INSTALLS_IN_FLIGHT: (True, True, False, False, False),
        WAITS_THEN_FAILS: (False, True, True, True, True),
        WAITS_THEN_STARTS: (False, False, True, True, True),
        STARTS_WITHOUT: (False, False, True, False, True),
        FIRST_START: (False, False, False, False, False),
    }[what]


def test_an_untested_lock_is_only_used_by_a_pod_that_carries_its_stamp() -> None:
    revisions = (None, 1, 2, 3)
    for stamp in revisions:
        for current in revisions:
            for locks in ((), (1,), (2,), (3,), (1, 2), (2, 3), (1, 2, 3)):
                used = choose(stamp, current, locks).revision
                assert used in {None, stamp, current}
                assert used is None or used in locks


def test_only_a_revision_in_flight_fails_without_its_lock() -> None:
    for stamp in (None, 1, 5):
        for current in (5, 6):
            assert not choose(stamp, current, ()).in_flight
