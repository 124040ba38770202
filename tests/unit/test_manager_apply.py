from __future__ import annotations

import threading

import pytest

from airflow_package_manager.domain.operation import State
from airflow_package_manager.domain.plan import ChangeSet
from airflow_package_manager.errors import (
    IllegalTransition,
    OperationInProgress,
    PackageManagerError,
    StalePlan,
    TokenExpired,
    TokenInvalid,
    TokenUsed,
)
from airflow_package_manager.refusals import NotFound, UnknownProject
from tests.fakes.application import ADMIN, OTHER, Application, add, image


def test_apply_accepts_what_was_seen_and_wakes_a_driver() -> None:
    app = Application()
    planned, token = app.plan(add("humanize"))
    accepted = app.manager.apply(ADMIN, planned.id, token, planned.plan_digest or "")
    assert accepted.state is State.ACCEPTED
    assert accepted.revision == 1
    assert app.driven == [planned.id]
    assert app.kinds(planned.id)[-1] == "operation.accepted"


@pytest.mark.parametrize("change_set", [add("humanize"), ChangeSet(requirements="# ours\n")])
def test_a_plan_for_another_image_is_stale_and_its_token_unspent(change_set: ChangeSet) -> None:
    """One that restarts nobody too: what the image fulfils, another one may not."""
    app = Application()
    planned, token = app.plan(change_set)
    before = app.installed.of_image
    app.installed.of_image = image(six="9.9")
    with pytest.raises(StalePlan, match="environment"):
        app.manager.apply(ADMIN, planned.id, token, planned.plan_digest or "")
    assert app.repository.get(planned.id).state is State.PLANNED
    app.installed.of_image = before
    assert app.manager.apply(ADMIN, planned.id, token, planned.plan_digest or "").state is State.ACCEPTED


def test_the_revision_is_higher_than_whatever_the_world_knows() -> None:
    app = Application()
    app.done(add("humanize"))
    lock = app.store.peek().locks[1]
    app.store.set_lock(41, lock.replace("revision: 1", "revision: 41"), current=False)
    app.target.stamp_by_hand("scheduler", 41)
    assert app.accepted(add("tabulate")).revision == 42


def test_an_edit_in_between_is_stale_with_the_difference_and_the_token_stays_unspent() -> None:
    app = Application("# mine\n")
    planned, token = app.plan(add("humanize"))
    app.store.edit("# theirs\n")
    with pytest.raises(StalePlan) as caught:
        app.manager.apply(ADMIN, planned.id, token, planned.plan_digest or "")
    assert "-# mine" in str(caught.value.context["difference"])
    assert "+# theirs" in str(caught.value.context["difference"])
    assert app.store.peek().text == "# theirs\n"
    app.store.edit("# mine\n")
    assert app.manager.apply(ADMIN, planned.id, token, planned.plan_digest or "").state is State.ACCEPTED


def test_an_edit_of_a_label_is_no_change() -> None:
    app = Application()
    planned, token = app.plan(add("humanize"))
    app.store.touch()
    assert app.manager.apply(ADMIN, planned.id, token, planned.plan_digest or "").state is State.ACCEPTED


def test_a_running_change_set_is_named_to_the_second_one_who_is_stale_afterwards() -> None:
    app = Application()
    first, first_token = app.plan(add("humanize"))
    second, second_token = app.plan(add("tabulate"), OTHER)
    app.manager.apply(ADMIN, first.id, first_token, first.plan_digest or "")
    with pytest.raises(OperationInProgress, match="admin") as caught:
        app.manager.apply(OTHER, second.id, second_token, second.plan_digest or "")
    assert caught.value.context == {"operation": first.id, "summary": "add humanize"}
    app.driver().run(first.id)
    with pytest.raises(StalePlan):
        app.manager.apply(OTHER, second.id, second_token, second.plan_digest or "")
    assert app.repository.get(second.id).state is State.PLANNED


@pytest.mark.parametrize(
    ("who", "token", "digest", "error"),
    [
        (OTHER, None, None, TokenInvalid),
        (ADMIN, "wrong", None, TokenInvalid),
        (ADMIN, None, "0" * 64, StalePlan),
    ],
)
def test_a_token_is_bound_to_principal_operation_and_digest(
    who: object, token: str | None, digest: str | None, error: type[PackageManagerError]
) -> None:
    app = Application()
    planned, real = app.plan(add("humanize"))
    with pytest.raises(error):
        app.manager.apply(
            who,  # type: ignore[arg-type]
            planned.id,
            token or real,
            digest or planned.plan_digest or "",
        )
    assert app.repository.get(planned.id).state is State.PLANNED
    assert app.driven == []


def test_a_token_ends_with_its_hour() -> None:
    app = Application()
    planned, token = app.plan(add("humanize"))
    app.clock.advance(3600)
    with pytest.raises(TokenExpired):
        app.manager.apply(ADMIN, planned.id, token, planned.plan_digest or "")


def test_one_of_many_parallel_applies_wins() -> None:
    app = Application()
    planned, token = app.plan(add("humanize"))
    answers: list[str] = []

    def attempt() -> None:
        try:
            app.manager.apply(ADMIN, planned.id, token, planned.plan_digest or "")
            answers.append("won")
        except PackageManagerError as error:
            answers.append(error.code)

    threads = [threading.Thread(target=attempt) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == ["token-used"] * 49 + ["won"]


def test_applying_again_says_that_the_token_was_used() -> None:
    app = Application()
    planned, token = app.plan(add("humanize"))
    app.manager.apply(ADMIN, planned.id, token, planned.plan_digest or "")
    with pytest.raises(TokenUsed):
        app.manager.apply(ADMIN, planned.id, token, planned.plan_digest or "")
    with pytest.raises(NotFound):
        app.manager.apply(ADMIN, "f" * 32, token, planned.plan_digest or "")


def test_cancel_drops_a_plan_and_refuses_what_has_ended() -> None:
    app = Application()
    planned, _ = app.plan(add("humanize"))
    assert app.manager.cancel(ADMIN, planned.id).state is State.CANCELLED
    with pytest.raises(IllegalTransition):
        app.manager.cancel(ADMIN, planned.id)


def test_cancel_ends_a_plan_whose_planner_died() -> None:
    app = Application()
    operation, _ = app.manager.plan(ADMIN, add("humanize"))
    app.clock.advance(121)
    assert app.manager.cancel(ADMIN, operation.id).state is State.CANCELLED


def test_looking_at_an_orphan_has_it_adopted() -> None:
    app = Application()
    accepted = app.accepted(add("humanize"))
    app.driven.clear()
    app.manager.operation(ADMIN, accepted.id)
    app.manager.active(ADMIN)
    app.manager.events(ADMIN, accepted.id)
    assert app.driven == [accepted.id] * 3
    app.repository.claim(accepted.id, "somebody", now=app.clock(), seconds=15)
    app.manager.operation(ADMIN, accepted.id)
    assert len(app.driven) == 3


def test_what_may_be_seen_is_put_together() -> None:
    app = Application("-r other.txt\n")
    done = app.done(add("humanize"))
    inventory = app.manager.inventory(ADMIN)
    row = next(row for row in inventory.rows if row.name == "humanize")
    assert (row.requested, row.locked) == ("humanize", "9.0")
    assert inventory.revision == 1
    assert not inventory.edited_by_hand
    assert app.manager.requirements(ADMIN).text == "-r other.txt\nhumanize\n"
    assert [line.number for line in app.manager.requirements(ADMIN).kept_lines] == [1]
    assert app.manager.package(ADMIN, "Humanize").project is not None
    assert app.manager.package(ADMIN, "tabulate").row.requested is None
    app.index.failures["humanize"] = UnknownProject("The index does not know humanize.", project="humanize")
    assert "does not know" in (app.manager.package(ADMIN, "humanize").index_problem or "")
    assert [stamp.revision for stamp, _ in app.manager.components(ADMIN)] == [1, 1, 1]
    assert [found.revision for found in app.manager.revisions(ADMIN)] == [1, 0]
    assert app.manager.revision(ADMIN, 1).id == done.id
    assert app.manager.history(ADMIN)[0][0].revision in {0, 1}
    assert app.manager.audit(ADMIN)[0][0].kind == "operation.succeeded"
    assert [check.name for check in app.manager.health(ADMIN)] == ["index-reachable"]
    assert app.manager.active(ADMIN) is None


def test_restore_brings_back_text_and_lock_of_a_revision() -> None:
    app = Application("# mine\n")
    first = app.done(add("humanize==1.0"))
    app.done(ChangeSet(requirements="humanize==2.0\n"))
    restored = app.done(ChangeSet(restore=1))
    assert restored.state is State.SUCCEEDED
    assert first.plan is not None
    assert restored.plan is not None
    assert restored.plan.lock.digest() == first.plan.lock.digest()
    assert app.store.peek().text == "# mine\nhumanize==1.0\n"
    origin = app.done(ChangeSet(restore=0))
    assert origin.state is State.SUCCEEDED
    assert app.store.peek().text == "# mine\n"
