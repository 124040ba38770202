from __future__ import annotations

import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from airflow_package_manager.domain.access import Identity
from airflow_package_manager.domain.operation import ACTIVE, CANCELLABLE, Progress, State
from airflow_package_manager.errors import (
    IllegalTransition,
    OperationInProgress,
    StalePlan,
    StoreConflict,
    TokenExpired,
    TokenInvalid,
    TokenUsed,
    TooManyPlans,
)
from airflow_package_manager.refusals import Malformed, NotFound
from tests.contract.conftest import Journal
from tests.contract.sample_operations import (
    ADA,
    BOB,
    NOW,
    accept,
    add,
    add_planned,
    event,
    finish,
    plan,
    planning,
)

# --- add and read ------------------------------------------------------------------------------------------------


def test_what_is_added_reads_back_equal(journal: Journal) -> None:
    operation = planning(owner=Identity("simple", "ada@example.com", "Ada 😀"), summary="add é")
    assert add(journal.operations, operation, event()) == operation


def test_everything_that_is_saved_reads_back_equal(journal: Journal) -> None:
    added = accept(journal.operations, add_planned(journal.operations))
    progress = Progress(
        stamps={"scheduler": 3, "worker": None},
        waiting_since=NOW + 0.1,
        baseline_errors=("a.py", "b.py"),
        started_at={"scheduler": NOW + 1 / 3},
        verified={"scheduler": "heartbeat"},
        reason={"code": "no-wheel", "title": "x", "detail": "NUL \0, half a pair \ud800", "next_action": "y"},
        preflight=True,
        templates={"scheduler": "f" * 64, "worker": ""},
        promoted=True,
    )
    wanted = dataclasses.replace(
        added,
        state=State.ROLLING_OUT,
        plan=plan("\ufefftext with NUL \0 and\r\nline ends\x85\u2028"),
        problem={"code": "x", "nested": [1, 2.5, None, True]},
        step="restarting scheduler",
        progress=progress,
        updated_at=NOW + 0.123456789,
    )
    saved = journal.operations.save(wanted, [])
    assert saved == dataclasses.replace(wanted, version=added.version + 1) == journal.operations.get(added.id)


def test_a_large_plan_is_kept_whole(journal: Journal) -> None:
    added = add(journal.operations, planning())
    text = "x" * 1_000_000
    assert journal.operations.save(dataclasses.replace(added, plan=plan(text)), []).plan == plan(text)


def test_text_that_a_database_refuses_is_spelled_out(journal: Journal) -> None:
    odd = planning(owner=Identity("simple", "a\0b", "half \ud800"), summary="NUL \0", step="\udfff")
    found = add(journal.operations, odd, event(message="\0", address="\ud800", details={"raw": "\0\ud800"}))
    assert (found.owner.id, found.owner.name, found.summary, found.step) == (
        "a\\x00b",
        "half \\ud800",
        "NUL \\x00",
        "\\udfff",
    )
    (recorded,) = journal.events.of_operation(odd.id, after=0, limit=5)
    assert (recorded.message, recorded.address, recorded.details) == ("\\x00", "\\ud800", {"raw": "\0\ud800"})


@pytest.mark.parametrize("unknown", ["f" * 32, "", "x" * 5000, "\0", "\ud800", "' OR 1=1 --"])
def test_an_unknown_id_is_not_found(journal: Journal, unknown: str) -> None:
    with pytest.raises(NotFound):
        journal.operations.get(unknown)
    with pytest.raises(NotFound):
        journal.operations.request_cancel(unknown, event())
    assert journal.operations.claim(unknown, "h", now=NOW, seconds=15) is False
    journal.operations.release(unknown, "h")
    assert journal.events.of_operation(unknown, after=0, limit=5) == ()


def test_an_id_is_used_once(journal: Journal) -> None:
    operation = add(journal.operations, planning())
    with pytest.raises(StoreConflict):
        add(journal.operations, operation, event())
    assert journal.events.all(before=None, limit=5) == ((), None)


# --- how many plan at once ---------------------------------------------------------------------------------------


def test_one_plan_at_a_time_per_principal_and_two_in_all(journal: Journal) -> None:
    limits = {"per_principal": 1, "in_all": 2, "since": NOW - 100}
    add(journal.operations, planning(ADA), **limits)
    with pytest.raises(TooManyPlans) as own:
        add(journal.operations, planning(ADA), event(), **limits)
    assert 1 <= int(str(own.value.context["retry_after"])) <= 10
    add(journal.operations, planning(BOB), **limits)
    with pytest.raises(TooManyPlans):
        add(journal.operations, planning(Identity("simple", "eve", "Eve")), **limits)
    assert journal.events.all(before=None, limit=5) == ((), None)


def test_a_principal_is_all_of_manager_id_and_name_case_included(journal: Journal) -> None:
    limits = {"per_principal": 1, "in_all": 10, "since": NOW - 100}
    for owner in (Identity("m", "ada", "x"), Identity("m", "Ada", "x"), Identity("M", "ada", "x")):
        add(journal.operations, planning(owner), **limits)
    assert len(journal.operations.history()[0]) == 3


def test_abandoned_and_finished_plans_do_not_count(journal: Journal) -> None:
    limits = {"per_principal": 1, "in_all": 1, "since": NOW}
    add(journal.operations, planning(at=NOW), **limits)
    second = add(journal.operations, planning(at=NOW + 1), **limits)
    journal.operations.save(dataclasses.replace(second, state=State.REFUSED), [])
    add(journal.operations, planning(at=NOW + 2), **limits)


def test_of_parallel_adds_of_one_principal_one_wins(journal: Journal) -> None:
    def attempt(_: int) -> bool:
        try:
            add(journal.operations, planning(), per_principal=1, in_all=2, since=NOW - 100)
        except TooManyPlans:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(24))) == 1
    assert len(journal.operations.history()[0]) == 1


# --- accept ------------------------------------------------------------------------------------------------------


def test_accepting_uses_the_token_takes_the_slot_and_gives_a_revision(journal: Journal) -> None:
    planned = add_planned(journal.operations)
    accepted = accept(journal.operations, planned, at_least=7)
    assert (accepted.state, accepted.revision, accepted.accepted_at) == (State.ACCEPTED, 8, NOW + 10)
    assert accepted.version == planned.version + 1
    assert accepted == journal.operations.get(planned.id) == journal.operations.active()
    assert journal.operations.revision(8) == accepted
    (recorded,) = journal.events.of_operation(planned.id, after=0, limit=5)
    assert recorded.kind == "operation.accepted"
    assert recorded.details == {"revision": 8, "plan_digest": planned.plan_digest}


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"token_hash": "0" * 64}, TokenInvalid),
        ({"owner": BOB}, TokenInvalid),
        ({"owner": Identity("other", "ada", "Ada")}, TokenInvalid),
        ({"owner": Identity("simple", "ADA", "Ada")}, TokenInvalid),
        ({"owner": Identity("simple", "ada", "ada")}, TokenInvalid),
        ({"now": NOW + 3600}, TokenExpired),
        ({"digest": "0" * 64}, StalePlan),
        ({"digest": "\0"}, StalePlan),
        ({"digest": "0" * 64, "now": NOW + 9999}, TokenExpired),
    ],
)
def test_what_does_not_fit_is_refused_and_the_token_stays_unspent(
    journal: Journal, changes: dict[str, Any], refusal: type[Exception]
) -> None:
    planned = add_planned(journal.operations)
    with pytest.raises(refusal):
        accept(journal.operations, planned, **changes)
    assert journal.operations.get(planned.id) == planned
    assert journal.operations.active() is None
    assert journal.events.all(before=None, limit=5) == ((), None)
    assert accept(journal.operations, planned).revision == 1


def test_a_used_token_says_what_became_of_the_operation(journal: Journal) -> None:
    planned = add_planned(journal.operations)
    accepted = accept(journal.operations, planned)
    for state in ("ACCEPTED", "SUCCEEDED"):
        with pytest.raises(TokenUsed) as caught:
            accept(journal.operations, planned, now=NOW + 9999)
        assert (caught.value.context["operation"], caught.value.context["state"]) == (planned.id, state)
        if state == "ACCEPTED":
            finish(journal.operations, accepted)


@pytest.mark.parametrize("state", [State.PLANNING, State.REFUSED, State.CANCELLED])
def test_only_a_planned_operation_is_accepted(journal: Journal, state: State) -> None:
    operation = add(journal.operations, planning())
    operation = journal.operations.save(dataclasses.replace(operation, state=state, plan_digest="d"), [])
    with pytest.raises(IllegalTransition) as caught:
        accept(journal.operations, operation)
    assert caught.value.context["state"] == state.value


@pytest.mark.parametrize("state", [State.PLANNING, State.PLANNED, State.ACCEPTED, State.SUCCEEDED, State.CANCELLED])
@pytest.mark.parametrize("changes", [{"token_hash": "0" * 64}, {"owner": BOB}])
def test_a_stranger_learns_nothing_from_the_state(journal: Journal, state: State, changes: dict[str, Any]) -> None:
    operation = add(journal.operations, planning(), event())
    if state is not State.PLANNING:
        made = plan()
        operation = journal.operations.save(
            dataclasses.replace(operation, state=State.PLANNED, plan=made, plan_digest=made.digest()), []
        )
    if state in {State.ACCEPTED, State.SUCCEEDED}:
        operation = accept(journal.operations, operation)
    if state in {State.SUCCEEDED, State.CANCELLED}:
        operation = finish(journal.operations, operation, state)
    with pytest.raises(TokenInvalid) as caught:
        accept(journal.operations, operation, **changes)
    with pytest.raises(TokenInvalid) as unknown:
        accept(journal.operations, dataclasses.replace(operation, id="f" * 32))
    assert (caught.value.detail, caught.value.context) == (unknown.value.detail, unknown.value.context)


def test_the_slot_is_taken_once_and_the_loser_keeps_its_token(journal: Journal) -> None:
    first, second = add_planned(journal.operations), add_planned(journal.operations, BOB)
    running = accept(journal.operations, first)
    with pytest.raises(OperationInProgress) as caught:
        accept(journal.operations, second)
    assert caught.value.context == {"operation": first.id, "summary": first.summary}
    assert journal.operations.get(second.id) == second
    finish(journal.operations, running)
    assert accept(journal.operations, second).revision == 2


def test_a_revision_is_never_given_twice(journal: Journal) -> None:
    assert journal.operations.highest_revision() == 0
    for at_least, revision in ((0, 1), (0, 2), (10, 11), (5, 12)):
        accepted = accept(journal.operations, add_planned(journal.operations), at_least=at_least)
        assert accepted.revision == revision == journal.operations.highest_revision()
        finish(journal.operations, accepted)
        journal.delete(accepted.id)
    assert journal.operations.history() == ((), None)
    assert journal.operations.highest_revision() == 12


def test_of_a_thousand_parallel_applies_of_one_token_one_wins(journal: Journal) -> None:
    planned = add_planned(journal.operations)

    def attempt(_: int) -> str:
        try:
            accept(journal.operations, planned)
        except TokenUsed:
            return "used"
        return "accepted"

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(attempt, range(1000)))
    assert answers.count("accepted") == 1
    assert answers.count("used") == 999
    assert journal.operations.get(planned.id).revision == 1
    assert len(journal.events.all(before=None, limit=5)[0]) == 1


def test_of_parallel_applies_of_many_operations_one_wins_and_the_others_keep_their_tokens(journal: Journal) -> None:
    planned = [add_planned(journal.operations, owner) for owner in (ADA, BOB) * 8]

    def attempt(number: int) -> str:
        try:
            return accept(journal.operations, planned[number % 16]).id
        except OperationInProgress as error:
            return str(error.context["operation"])
        except TokenUsed as error:
            return str(error.context["operation"])

    with ThreadPoolExecutor(16) as pool:
        winners = set(pool.map(attempt, range(160)))
    assert len(winners) == 1
    states = [journal.operations.get(operation.id) for operation in planned]
    assert sorted(operation.state.value for operation in states) == ["ACCEPTED"] + ["PLANNED"] * 15
    running = journal.operations.active()
    assert running is not None
    finish(journal.operations, running)
    spare = next(operation for operation in states if operation.state is State.PLANNED)
    assert accept(journal.operations, spare).state is State.ACCEPTED


# --- save --------------------------------------------------------------------------------------------------------


def test_a_save_on_an_old_version_changes_nothing(journal: Journal) -> None:
    old = add(journal.operations, planning())
    new = journal.operations.save(dataclasses.replace(old, step="one"), [event()])
    with pytest.raises(StoreConflict):
        journal.operations.save(dataclasses.replace(old, step="two"), [event()])
    assert journal.operations.get(old.id) == new
    assert len(journal.events.of_operation(old.id, after=0, limit=5)) == 1


def test_a_save_of_what_is_not_there_is_a_conflict(journal: Journal) -> None:
    with pytest.raises(StoreConflict):
        journal.operations.save(planning(), [event()])


def test_of_parallel_saves_of_one_version_one_wins(journal: Journal) -> None:
    operation = add(journal.operations, planning())

    def attempt(number: int) -> bool:
        try:
            journal.operations.save(dataclasses.replace(operation, step=str(number)), [event()])
        except StoreConflict:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(64))) == 1
    assert len(journal.events.of_operation(operation.id, after=0, limit=100)) == 1


def test_a_save_writes_neither_cancel_nor_lease_nor_what_accepting_gave(journal: Journal) -> None:
    accepted = accept(journal.operations, add_planned(journal.operations))
    assert journal.operations.claim(accepted.id, "driver-1", now=NOW, seconds=15)
    journal.operations.request_cancel(accepted.id, event("operation.cancel-requested"))
    forged = dataclasses.replace(
        accepted, cancel_requested=False, holder=None, lease_until=None, revision=99, owner=BOB, token_hash="x"
    )
    saved = journal.operations.save(forged, [])
    assert (saved.cancel_requested, saved.holder, saved.lease_until) == (True, "driver-1", NOW + 15)
    assert (saved.revision, saved.owner, saved.token_hash) == (1, ADA, accepted.token_hash)


def test_a_save_with_a_holder_needs_its_live_lease(journal: Journal) -> None:
    operation = accept(journal.operations, add_planned(journal.operations))
    with pytest.raises(StoreConflict):
        journal.operations.save(operation, [], holder="driver-1")
    assert journal.operations.claim(operation.id, "driver-1", now=journal.clock(), seconds=15)
    saved = journal.operations.save(operation, [], holder="driver-1")
    with pytest.raises(StoreConflict):
        journal.operations.save(saved, [], holder="driver-2")
    journal.clock.advance(15)
    with pytest.raises(StoreConflict):
        journal.operations.save(saved, [], holder="driver-1")


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.ROLLED_BACK, State.FAILED, State.CANCELLED])
def test_a_terminal_state_frees_the_slot_and_is_dated(journal: Journal, state: State) -> None:
    ended = finish(journal.operations, accept(journal.operations, add_planned(journal.operations)), state)
    assert (ended.state, ended.ended_at) == (state, journal.clock())
    assert journal.operations.active() is None


def test_the_slot_is_given_by_accepting_only(journal: Journal) -> None:
    planned = add_planned(journal.operations)
    for state in ACTIVE:
        with pytest.raises(StoreConflict):
            journal.operations.save(dataclasses.replace(planned, state=state), [])
    assert journal.operations.active() is None


def test_the_slot_is_kept_through_all_active_states(journal: Journal) -> None:
    operation = accept(journal.operations, add_planned(journal.operations))
    for state in sorted(ACTIVE):
        operation = journal.operations.save(dataclasses.replace(operation, state=state), [])
        assert journal.operations.active() == operation


# --- cancel ------------------------------------------------------------------------------------------------------


def test_a_planned_operation_is_cancelled_at_once(journal: Journal) -> None:
    planned = add_planned(journal.operations)
    ended = journal.operations.request_cancel(planned.id, event("operation.cancelled", at=NOW + 5))
    assert (ended.state, ended.ended_at, ended.cancel_requested) == (State.CANCELLED, NOW + 5, True)
    with pytest.raises(IllegalTransition):
        accept(journal.operations, planned)
    with pytest.raises(StoreConflict):
        journal.operations.save(planned, [])


def test_a_running_operation_is_told_and_its_driver_can_still_save(journal: Journal) -> None:
    for operation in (
        add(journal.operations, planning()),
        accept(journal.operations, add_planned(journal.operations)),
    ):
        told = journal.operations.request_cancel(operation.id, event("operation.cancel-requested"))
        assert told == dataclasses.replace(operation, cancel_requested=True)
        assert journal.operations.save(operation, []).cancel_requested


def test_what_cannot_be_cancelled_any_more_says_so(journal: Journal) -> None:
    operation = accept(journal.operations, add_planned(journal.operations))
    for state in (State.ROLLING_BACK, State.ROLLED_BACK):
        operation = journal.operations.save(dataclasses.replace(operation, state=state), [])
        assert state not in CANCELLABLE
        with pytest.raises(IllegalTransition) as caught:
            journal.operations.request_cancel(operation.id, event())
        assert caught.value.context["state"] == state.value
    assert journal.operations.get(operation.id) == operation


# --- leases ------------------------------------------------------------------------------------------------------


def test_a_lease_is_taken_renewed_given_up_and_outlived(journal: Journal) -> None:
    operation = accept(journal.operations, add_planned(journal.operations))

    def claim(holder: str, now: float) -> bool:
        return journal.operations.claim(operation.id, holder, now=now, seconds=15)

    assert claim("one", NOW)
    assert not claim("two", NOW + 14)
    assert claim("one", NOW + 5)
    assert not claim("two", NOW + 19)
    journal.operations.release(operation.id, "two")
    assert not claim("two", NOW + 19)
    assert claim("two", NOW + 20)
    assert not claim("one", NOW + 21)
    journal.operations.release(operation.id, "two")
    assert claim("one", NOW + 22)
    assert journal.operations.get(operation.id).version == operation.version


def test_of_parallel_claims_one_wins(journal: Journal) -> None:
    operation = accept(journal.operations, add_planned(journal.operations))
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(
            lambda number: journal.operations.claim(operation.id, f"driver-{number}", now=NOW, seconds=15), range(64)
        )
        assert sum(answers) == 1


# --- lists -------------------------------------------------------------------------------------------------------


def test_history_is_newest_first_in_pages(journal: Journal) -> None:
    added = [add(journal.operations, planning(at=NOW)).id for _ in range(5)]
    seen, cursor, pages = [], None, 0
    while True:
        page, cursor = journal.operations.history(before=cursor, limit=2)
        seen += [operation.id for operation in page]
        pages += 1
        if cursor is None:
            break
        add(journal.operations, planning())  # what is new does not move the pages
    assert seen == added[::-1]
    assert pages == 3


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5])
def test_what_was_there_before_everything_is_the_end_of_history(journal: Journal, limit: int) -> None:
    first = finish(journal.operations, accept(journal.operations, add_planned(journal.operations)))
    adopted = dataclasses.replace(first, id="f" * 32, revision=None)
    assert journal.operations.adopt_text(adopted, event("text.adopted"))
    later = [add(journal.operations, planning()).id for _ in range(2)]
    seen: list[str] = []
    cursor: str | None = None
    while not seen or cursor is not None:
        page, cursor = journal.operations.history(before=cursor, limit=limit)
        seen += [operation.id for operation in page]
    assert seen == [*reversed(later), first.id, adopted.id]


def test_history_of_one_state(journal: Journal) -> None:
    kept = add_planned(journal.operations)
    add(journal.operations, planning())
    assert journal.operations.history(state=State.PLANNED) == ((kept,), None)
    assert journal.operations.history(state=State.FAILED) == ((), None)


@pytest.mark.parametrize("cursor", ["", "x", "-1", "1 OR 1=1", "9" * 40, "\u0661", "\0"])
def test_a_cursor_that_is_none_is_malformed(journal: Journal, cursor: str) -> None:
    add(journal.operations, planning())
    with pytest.raises(Malformed):
        journal.operations.history(before=cursor)


def test_revisions_are_those_that_succeeded_newest_first(journal: Journal) -> None:
    made = [
        finish(journal.operations, accept(journal.operations, add_planned(journal.operations)), state)
        for state in (State.SUCCEEDED, State.ROLLED_BACK, State.SUCCEEDED)
    ]
    accept(journal.operations, add_planned(journal.operations))
    assert journal.operations.revisions() == (made[2], made[0])
    assert journal.operations.revision(2) == made[1]


@pytest.mark.parametrize("number", [0, 1, -1, 2**31, 10**30])
def test_an_unknown_revision_is_not_found(journal: Journal, number: int) -> None:
    with pytest.raises(NotFound):
        journal.operations.revision(number)


def test_the_text_found_is_adopted_once_as_revision_0(journal: Journal) -> None:
    running = accept(journal.operations, add_planned(journal.operations))

    def adopt(_: int) -> bool:
        found = planning(state=State.SUCCEEDED, plan=plan("as it was\n"), token_hash="", ended_at=NOW)
        return journal.operations.adopt_text(found, event("text.adopted"))

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(adopt, range(16))) == 1
    (adopted,) = journal.operations.revisions()
    assert adopted == journal.operations.revision(0)
    assert adopted.plan == plan("as it was\n")
    assert [found.kind for found in journal.events.of_operation(adopted.id, after=0, limit=5)] == ["text.adopted"]
    assert journal.operations.active() == running
    assert journal.operations.highest_revision() == 1


def test_what_is_kept_is_json_and_not_the_token(journal: Journal) -> None:
    operation = add(journal.operations, planning())
    assert json.loads(json.dumps(operation.request)) == operation.request
    assert "a token" not in repr(operation)
