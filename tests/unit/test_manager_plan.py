from __future__ import annotations

import pytest

from airflow_package_manager.domain.access import token_hash
from airflow_package_manager.domain.operation import State
from airflow_package_manager.domain.plan import Action, Change, ChangeSet
from airflow_package_manager.domain.policy import Policy
from airflow_package_manager.errors import Forbidden, PackageManagerError, StoreUnavailable, TooManyPlans
from airflow_package_manager.refusals import (
    AlreadyRequired,
    ImageDiffers,
    InvalidRequirement,
    InvalidRequirementsFile,
    Malformed,
    NoComponents,
    NotFound,
    PolicyViolation,
    RequirementNotFound,
)
from tests.fakes.application import ADMIN, OTHER, VIEWER, Application, add, remove, update


def test_a_plan_is_a_row_with_a_token_that_only_its_owner_ever_sees() -> None:
    app = Application("# mine\n")
    operation, token = app.manager.plan(ADMIN, add("humanize>=4.1", "tabulate"))
    row = app.repository.get(operation.id)
    assert row.state is State.PLANNING
    assert row.token_hash == token_hash(token)
    assert token not in repr(row)
    assert row.expires_at == app.clock() + 3600
    assert row.summary == "add humanize>=4.1, add tabulate"
    assert app.planned == [operation.id]
    assert app.kinds(operation.id) == ["plan.requested"]
    assert app.events(operation.id)[0].identity == ADMIN.identity
    assert app.events(operation.id)[0].address == "127.0.0.1"


@pytest.mark.parametrize(
    ("change_set", "error"),
    [
        (ChangeSet(), Malformed),
        (ChangeSet(changes=add("six").changes, requirements=""), Malformed),
        (ChangeSet(changes=(Change(Action.REMOVE, "tabulate>1"),)), Malformed),
        (add("not a requirement"), InvalidRequirement),
        (add("a @ https://packages.example.com/a.whl"), PolicyViolation),
        (add("apache-airflow==2.0"), PolicyViolation),
        (add("tabulate"), AlreadyRequired),
        (update("humanize"), RequirementNotFound),
        (remove("humanize"), RequirementNotFound),
        (ChangeSet(requirements="-e .\n"), InvalidRequirementsFile),
        (ChangeSet(restore=7), NotFound),
    ],
)
def test_what_is_wrong_without_a_resolver_is_refused_at_once(
    change_set: ChangeSet, error: type[PackageManagerError]
) -> None:
    app = Application("tabulate\n")
    with pytest.raises(error):
        app.manager.plan(ADMIN, change_set)
    assert app.repository.history()[0] == ()
    assert app.planned == []
    refused = app.repository.all(before=None, limit=10)[0]
    assert [event.kind for event in refused] == ["request.refused"]
    assert refused[0].details["code"] == error.code
    assert refused[0].identity == ADMIN.identity


def test_a_denied_project_is_refused_by_name() -> None:
    app = Application(policy=Policy(denied=frozenset({"humanize"})))
    with pytest.raises(PolicyViolation, match="humanize"):
        app.manager.plan(ADMIN, add("Humanize"))


def test_without_components_nothing_is_planned() -> None:
    app = Application(components=())
    with pytest.raises(NoComponents):
        app.manager.plan(ADMIN, add("humanize"))


def test_a_named_component_that_is_absent_is_refused_by_name() -> None:
    app = Application(configured=("scheduler", "worker"))
    with pytest.raises(NoComponents, match="worker"):
        app.manager.plan(ADMIN, add("humanize"))
    assert app.manager.components(ADMIN) == ()


def test_a_component_with_another_image_is_refused() -> None:
    app = Application()
    app.target.report_image("triggerer", "b" * 64)
    with pytest.raises(ImageDiffers, match="triggerer"):
        app.manager.plan(ADMIN, add("humanize"))


def test_one_plan_at_a_time_per_principal_two_in_all_and_abandoned_ones_do_not_count() -> None:
    app = Application()
    third = OTHER.__class__(OTHER.identity.__class__("simple", "9", "third"), OTHER.permissions, None)
    app.manager.plan(ADMIN, add("humanize"))
    with pytest.raises(TooManyPlans):
        app.manager.plan(ADMIN, add("tabulate"))
    app.manager.plan(OTHER, add("tabulate"))
    with pytest.raises(TooManyPlans):
        app.manager.plan(third, add("six"))
    app.clock.advance(121)
    app.manager.plan(third, add("six"))


def test_a_store_that_is_away_is_an_answer() -> None:
    app = Application()
    app.faults.fail("store.read", StoreUnavailable("away"))
    with pytest.raises(StoreUnavailable):
        app.manager.plan(ADMIN, add("humanize"))


def test_every_use_case_asks_for_its_permission_and_records_the_refusal() -> None:
    app = Application()
    manager = app.manager
    calls = [
        lambda: manager.plan(VIEWER, add("six")),
        lambda: manager.apply(VIEWER, "x", "t", "d"),
        lambda: manager.cancel(VIEWER, "x"),
        lambda: manager.inventory(VIEWER),
        lambda: manager.package(VIEWER, "six"),
        lambda: manager.requirements(VIEWER),
        lambda: manager.operation(VIEWER, "x"),
        lambda: manager.active(VIEWER),
        lambda: manager.history(VIEWER),
        lambda: manager.events(VIEWER, "x"),
        lambda: manager.audit(VIEWER),
        lambda: manager.revisions(VIEWER),
        lambda: manager.revision(VIEWER, 1),
        lambda: manager.components(VIEWER),
        lambda: manager.health(VIEWER),
    ]
    for call in calls:
        with pytest.raises(Forbidden):
            call()  # type: ignore[no-untyped-call]
    recorded, _ = app.repository.all(before=None, limit=100)
    assert [event.kind for event in recorded] == ["access.refused"] * len(calls)


def test_a_refusal_is_recorded_once_whoever_tells_of_it() -> None:
    app = Application()
    with pytest.raises(Malformed) as caught:
        app.manager.plan(ADMIN, ChangeSet())
    app.manager.record_refusal(ADMIN.identity, None, caught.value, "plan a change")
    app.manager.record_refusal(None, "10.0.0.1", Malformed("not JSON"), "read a request")
    recorded, _ = app.repository.all(before=None, limit=10)
    assert [event.address for event in recorded] == ["10.0.0.1", "127.0.0.1"]
