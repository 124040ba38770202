"""The life of an operation as one table; who may do what; the order of a rollout; the plan as JSON."""

from __future__ import annotations

import dataclasses
import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_package_manager.domain import operation as operations
from airflow_package_manager.domain import plan as plans
from airflow_package_manager.domain.access import Identity, Permission, Principal, token_hash
from airflow_package_manager.domain.components import COMPONENTS, WEB_SERVERS
from airflow_package_manager.domain.operation import ACTIVE, CANCELLABLE, TERMINAL, TRANSITIONS, Operation, State
from airflow_package_manager.domain.plan import Action, Change, Effect, PackageChange, Plan, PlanWarning, StoreSnapshot
from airflow_package_manager.domain.rollout import Status, aggregate, in_order
from airflow_package_manager.errors import Forbidden, IllegalTransition
from tests.unit import made

ALICE = Identity("simple", "7", "alice")


@pytest.mark.parametrize(("before", "after"), list(itertools.product(State, State)))
def test_only_the_table_is_allowed(before: State, after: State) -> None:
    if after is before or after in TRANSITIONS[before]:
        operations.require_transition(before, after)
    else:
        with pytest.raises(IllegalTransition) as caught:
            operations.require_transition(before, after)
        assert caught.value.context["state"] == before.value


def test_the_table_is_the_drawing_of_the_design() -> None:
    assert set(TRANSITIONS) == set(State)
    assert {State.REFUSED, State.SUCCEEDED, State.ROLLED_BACK, State.FAILED, State.CANCELLED} == TERMINAL
    assert ACTIVE.isdisjoint(TERMINAL)
    assert set(State) - ACTIVE - TERMINAL == {State.PLANNING, State.PLANNED}
    assert TERMINAL.isdisjoint(CANCELLABLE)


def test_every_state_reaches_an_end_and_is_reached_from_planning() -> None:
    reached, frontier = {State.PLANNING}, [State.PLANNING]
    while frontier:
        following = TRANSITIONS[frontier.pop()] - reached
        reached |= following
        frontier += following
    assert reached == set(State)
    ending = set(TERMINAL)
    while True:
        more = {state for state, following in TRANSITIONS.items() if following & ending} - ending
        if not more:
            break
        ending |= more
    assert ending == set(State)


def test_what_touched_a_component_ends_through_a_rollback_or_a_check() -> None:
    assert TRANSITIONS[State.ROLLING_OUT] == {State.VERIFYING, State.ROLLING_BACK}
    assert State.CANCELLED not in TRANSITIONS[State.PREFLIGHT]


def test_a_cancel_leads_somewhere_from_each_state_that_allows_it() -> None:
    for state in CANCELLABLE:
        assert TRANSITIONS[state] & {State.CANCELLED, State.ROLLING_BACK}


def test_expired_is_a_label_of_a_planned_operation() -> None:
    planned = Operation("0" * 32, State.PLANNED, ALICE, {}, "", 0.0, 0.0, expires_at=10.0, token_hash="")
    assert not operations.expired(planned, 9.9)
    assert operations.expired(planned, 10.0)
    assert not operations.expired(dataclasses.replace(planned, state=State.ACCEPTED), 11.0)


def test_a_permission_is_held_or_named() -> None:
    reader = Principal(ALICE, frozenset({Permission.READ}), None)
    reader.require(Permission.READ)
    with pytest.raises(Forbidden, match=r"alice lacks.*package_manager:apply") as caught:
        reader.require(Permission.APPLY)
    assert caught.value.context["permission"] == "package_manager:apply"


def test_a_token_is_kept_as_its_hash_whatever_somebody_sends() -> None:
    assert len(token_hash("x")) == 64
    assert token_hash("\ud800") != token_hash("x")


@given(st.sets(st.sampled_from(COMPONENTS)), st.permutations(COMPONENTS), st.booleans())
def test_the_web_server_restarts_last_whatever_the_order(present: set[str], order: list[str], removing: bool) -> None:  # noqa: FBT001
    found = in_order(present, order, removing=removing)
    assert sorted(found) == sorted(present)
    others = [name for name in found if name not in WEB_SERVERS]
    assert others == [name for name in (reversed(order) if removing else order) if name in others]
    assert set(found[len(others) :]) == present.intersection(WEB_SERVERS)


def test_a_component_that_the_order_does_not_know_is_an_error() -> None:
    with pytest.raises(ValueError, match="flower"):
        in_order(["flower"], COMPONENTS, removing=False)


@given(st.lists(st.sampled_from(Status), max_size=5))
def test_many_views_become_one_verdict_and_none_is_never_success(states: list[Status]) -> None:
    verdict = aggregate("x", [made.instance(str(n), state=state) for n, state in enumerate(states)]).status
    if not states:
        assert verdict is Status.NOT_FOUND
    elif Status.FAILED in states:
        assert verdict is Status.FAILED
    elif Status.UNKNOWN in states:
        assert verdict is Status.UNKNOWN
    else:
        assert (verdict is Status.CURRENT) is (set(states) == {Status.CURRENT})


TEXT = st.text(max_size=20)
PLANS = st.builds(
    Plan,
    base_digest=TEXT,
    base_text=TEXT,
    proposed_text=TEXT,
    changes=st.lists(st.builds(Change, st.sampled_from(Action), TEXT), max_size=2).map(tuple),
    package_changes=st.lists(
        st.builds(
            PackageChange,
            name=TEXT,
            effect=st.sampled_from(Effect),
            before=st.none() | TEXT,
            after=st.none() | TEXT,
            direct=st.booleans(),
            image_version=st.none() | TEXT,
            shadows=st.booleans(),
            required_by=st.lists(TEXT, max_size=2).map(tuple),
        ),
        max_size=2,
    ).map(tuple),
    lock=st.sampled_from([made.lock({}), made.lock({"a": "1", "b": "2"})]),
    base_lock_digest=TEXT,
    components=st.lists(TEXT, max_size=2).map(tuple),
    warnings=st.lists(st.builds(PlanWarning, TEXT, TEXT), max_size=2).map(tuple),
    acknowledgements=st.lists(TEXT, max_size=2).map(tuple),
    directs=st.lists(TEXT, max_size=2).map(tuple),
    longest_seconds=st.none() | st.integers(),
    usual_seconds=st.none() | st.integers(),
    adopted=st.booleans(),
)


@given(PLANS)
def test_a_plan_survives_the_database(plan: Plan) -> None:
    read = plans.from_json(json.loads(json.dumps(plans.to_json(plan))))
    assert read == plan
    assert read.digest() == plan.digest()


@given(PLANS, PLANS)
def test_the_digest_covers_everything_that_was_shown(first: Plan, second: Plan) -> None:
    assert (first.digest() == second.digest()) is (first == second)


def test_a_snapshot_is_compared_by_text_current_and_the_current_lock() -> None:
    lock = made.lock({"a": "1"}, revision=1)
    base = StoreSnapshot("a\n", {1: lock.render()}, 1, "v1")
    assert base.digest() == dataclasses.replace(base, version="v2").digest()
    assert base.digest() == dataclasses.replace(base, locks={**base.locks, 2: "anything"}).digest()
    for other in (
        dataclasses.replace(base, text="a \n"),
        dataclasses.replace(base, current=None),
        dataclasses.replace(base, locks={1: made.lock({"a": "2"}, revision=1).render()}),
        dataclasses.replace(base, locks={1: "torn"}),
        dataclasses.replace(base, locks={}),
    ):
        assert other.digest() != base.digest()
    assert base.current_lock() == lock
    assert dataclasses.replace(base, locks={}).current_lock() is None


def test_revision_zero_is_a_revision() -> None:
    assert StoreSnapshot("", {}, 0, "v").digest() != StoreSnapshot("", {}, None, "v").digest()
