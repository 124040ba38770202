"""From a resolution to the plan that a person sees."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_package_manager.domain.components import COMPONENTS
from airflow_package_manager.domain.lock import Lock
from airflow_package_manager.domain.plan import Action, Change, ChangeSet, Effect, Plan, StoreSnapshot
from airflow_package_manager.domain.planning import (
    PlanInputs,
    changes_between,
    edited_by_hand,
    lock_digest_in_use,
    make_plan,
    text_difference,
)
from airflow_package_manager.domain.policy import Policy
from airflow_package_manager.domain.resolution import ResolvedDistribution
from airflow_package_manager.domain.rollout import ComponentStatus
from airflow_package_manager.refusals import (
    AcknowledgementRequired,
    AcknowledgementUnknown,
    ImageDiffers,
    NoComponents,
    NothingToChange,
)
from tests.unit import made

IMAGE = made.image({"apache-airflow-core": "3.3.2", "protobuf": "6.33.6", "requests": "2.32.5"})
PRINT = IMAGE.fingerprint()
ALL = {name: made.status(name, image_print=PRINT) for name in COMPONENTS if name not in {"worker", "webserver"}}


def inputs(
    before: str,
    after: str,
    *,
    old: Mapping[str, str] | None = None,
    new: Mapping[str, str] | None = None,
    changes: tuple[Change, ...] = (),
    acknowledge: frozenset[str] = frozenset(),
    statuses: Mapping[str, ComponentStatus] = ALL,
    configured: tuple[str, ...] = (),
    known: Mapping[str, ResolvedDistribution] | None = None,
) -> PlanInputs:
    current = made.lock(old, text=before, of=IMAGE, revision=3) if old is not None else None
    locks = {3: current.render()} if current else {}
    return PlanInputs(
        snapshot=StoreSnapshot(before, locks, 3 if current else None, "v1"),
        proposed_text=after,
        change_set=ChangeSet(changes=changes, acknowledge=acknowledge),
        resolution=made.resolution(made.lock(new or {}, text=after, of=IMAGE), **(known or {})),
        image=IMAGE,
        current_lock=current,
        policy=Policy(),
        statuses=statuses,
        configured_components=configured,
        order=COMPONENTS,
        current_entry_points=dict.fromkeys(old or {}, ()),
        running_tasks=0,
        seconds_once=100,
        seconds_per_instance=10,
    )


def codes(plan: Plan) -> list[str]:
    return [warning.code for warning in plan.warnings]


def test_each_distribution_is_shown_as_what_would_happen_to_it() -> None:
    plan = make_plan(
        inputs(
            "up\ndown\ngone\n",
            "up\ndown\nfresh\nrequests\nprotobuf<6\n",
            old={"up": "1.9", "down": "2", "gone": "1", "orphan": "1", "same": "1"},
            new={"up": "1.10", "down": "1", "fresh": "1", "brought": "1", "same": "1", "protobuf": "5"},
            acknowledge=frozenset({"shadows:protobuf"}),
            known={"fresh": ResolvedDistribution("fresh", "1", ("brought>=1",), (), summary="A thing", size=7)},
        )
    )
    assert [(c.name, c.effect, c.before, c.after, c.direct, c.shadows) for c in plan.package_changes] == [
        ("brought", Effect.NEW, None, "1", False, False),
        ("down", Effect.DOWNGRADED, "2", "1", True, False),
        ("fresh", Effect.NEW, None, "1", True, False),
        ("gone", Effect.REMOVED, "1", None, False, False),
        ("orphan", Effect.REMOVED, "1", None, False, False),
        ("protobuf", Effect.DOWNGRADED, "6.33.6", "5", True, True),
        ("requests", Effect.UNCHANGED_IMAGE, "2.32.5", "2.32.5", True, False),
        ("up", Effect.UPGRADED, "1.9", "1.10", True, False),
    ]
    changes = {change.name: change for change in plan.package_changes}
    assert changes["brought"].required_by == ("fresh",)
    assert (changes["fresh"].summary, changes["fresh"].size) == ("A thing", 7)
    assert codes(plan) == ["downgrade", "downgrade"]
    assert plan.acknowledgements == ("shadows:protobuf",)
    assert plan.directs == ("up", "down", "fresh", "requests", "protobuf")
    assert plan.lock_changes()


def test_removing_a_shadow_uncovers_the_image_again() -> None:
    (change,) = make_plan(inputs("protobuf<6\n", "", old={"protobuf": "5"})).package_changes
    assert (change.effect, change.before, change.after) == (Effect.UPGRADED, "5", "6.33.6")
    assert (change.image_version, change.shadows, change.direct) == ("6.33.6", False, False)


def test_what_executes_restarts_before_what_parses_and_removing_turns_it_round() -> None:
    assert make_plan(inputs("", "a\n", new={"a": "1"})).components == ("scheduler", "triggerer", "dag-processor")
    removal = (Change(Action.REMOVE, "a"),)
    plan = make_plan(inputs("a\n", "", old={"a": "1"}, changes=removal))
    assert plan.components == ("dag-processor", "triggerer", "scheduler")
    assert make_plan(inputs("a\n", "", old={"a": "1"})).components == plan.components
    assert plan.longest_seconds == 130


@pytest.mark.parametrize("groups", [("airflow.plugins",), ("console_scripts", "apache_airflow_provider"), None])
def test_the_api_server_restarts_for_plugins_and_providers_and_what_is_unknown(groups: tuple[str, ...] | None) -> None:
    brings = {"a": ResolvedDistribution("a", "1", (), groups)}
    assert make_plan(inputs("", "a\n", new={"a": "1"}, known=brings)).components[-1] == "api-server"
    gone = dataclasses.replace(inputs("a\n", "", old={"a": "1"}), current_entry_points={"a": groups})
    assert make_plan(gone).components[-1] == "api-server"


def test_an_entry_point_that_stays_restarts_nobody_else() -> None:
    stays = {"p": ResolvedDistribution("p", "1", (), ("airflow.plugins",))}
    plan = make_plan(inputs("p\n", "p\na\n", old={"p": "1"}, new={"p": "1", "a": "1"}, known=stays))
    assert "api-server" not in plan.components


def test_configured_components_hold_and_a_needed_api_server_left_out_is_told() -> None:
    brings = {"a": ResolvedDistribution("a", "1", (), ("airflow.plugins",))}
    plan = make_plan(inputs("", "a\n", new={"a": "1"}, known=brings, configured=("scheduler",)))
    assert plan.components == ("scheduler",)
    assert codes(plan) == ["api-server-not-restarted"]
    assert make_plan(inputs("", "a\n", new={"a": "1"}, configured=("api-server", "scheduler"))).components == (
        "scheduler",
        "api-server",
    )


def test_an_api_server_alone_restarts_for_everything() -> None:
    only = {"api-server": made.status("api-server", image_print=PRINT)}
    assert make_plan(inputs("", "a\n", new={"a": "1"}, statuses=only)).components == ("api-server",)


def test_nobody_to_restart_is_refused_only_when_somebody_must() -> None:
    with pytest.raises(NoComponents):
        make_plan(inputs("", "a\n", new={"a": "1"}, statuses={}))
    plan = make_plan(inputs("", "requests\n", statuses={}))
    assert plan.components == ()
    assert plan.longest_seconds == 0
    assert not plan.lock_changes()


def test_text_and_lock_unchanged_is_refused() -> None:
    with pytest.raises(NothingToChange):
        make_plan(inputs("a\n", "a\n", old={"a": "1"}, new={"a": "1"}))
    with pytest.raises(NothingToChange):
        make_plan(inputs("", ""))


def test_a_hand_edited_text_can_be_adopted_as_it_is() -> None:
    asked = inputs("a\n", "a\n", old={"a": "1"}, new={"a": "1"})
    edited = "a # mine\n"
    asked = dataclasses.replace(asked, snapshot=dataclasses.replace(asked.snapshot, text=edited), proposed_text=edited)
    plan = make_plan(asked)
    assert plan.adopted
    assert plan.components == ()
    assert codes(plan) == ["edited-by-hand"]
    further = make_plan(dataclasses.replace(asked, proposed_text=edited + "requests\n"))
    assert not further.adopted
    assert "edited-by-hand" in codes(further)


def test_the_longest_time_counts_each_instance_and_how_long_it_may_take_to_stop() -> None:
    asked = inputs("", "a\n", new={"a": "1"})
    asked = dataclasses.replace(asked, seconds_once=100, seconds_per_component=5, seconds_per_instance=10)
    plan = make_plan(asked)
    assert plan.longest_seconds == 100 + (5 + 10) * len(plan.components)
    three = tuple(dataclasses.replace(ALL["triggerer"].instances[0], name=f"pod-{number}") for number in range(3))
    slow = dataclasses.replace(ALL["triggerer"], instances=three, stopping=600.0)
    plan = make_plan(dataclasses.replace(asked, statuses={**ALL, "triggerer": slow}))
    assert plan.longest_seconds == 100 + (5 + 10) * (len(plan.components) - 1) + 5 + 3 * 610


def test_who_else_writes_the_text_is_told() -> None:
    asked = inputs("a\n", "b\n", old={"a": "1"}, new={"b": "1"})
    assert "gitops-owner" not in codes(make_plan(asked))
    owned = dataclasses.replace(asked, snapshot=dataclasses.replace(asked.snapshot, manager="argocd-controller"))
    plan = make_plan(owned)
    assert plan.base_digest == make_plan(asked).base_digest, "who wrote it is no change"
    (warning,) = [found for found in plan.warnings if found.code == "gitops-owner"]
    assert "argocd-controller" in warning.message


def test_a_damaged_lock_is_replaced_whatever_comes_of_it() -> None:
    torn = StoreSnapshot("", {3: "# airflow-package"}, 3, "v")
    plan = make_plan(dataclasses.replace(inputs("", ""), snapshot=torn))
    assert plan.lock_changes()
    assert plan.components
    assert "lock-unreadable" in codes(plan)


def test_a_component_on_another_image_is_refused_and_an_unknown_one_told() -> None:
    other = {**ALL, "triggerer": made.status("triggerer", image_print="f" * 64)}
    with pytest.raises(ImageDiffers) as caught:
        make_plan(inputs("", "a\n", new={"a": "1"}, statuses=other))
    assert caught.value.context["components"] == ["triggerer"]
    dead = {**ALL, "triggerer": made.status("triggerer", image_print="f" * 64, alive=False)}
    assert make_plan(inputs("", "a\n", new={"a": "1"}, statuses=dead)).components
    unknown = {**ALL, "triggerer": made.status("triggerer")}
    plan = make_plan(inputs("", "a\n", new={"a": "1"}, statuses=unknown))
    assert codes(plan) == ["image-unknown"]
    assert "triggerer" in plan.warnings[0].message


def test_acknowledgements_are_neither_missing_nor_superfluous() -> None:
    asked = inputs("", "protobuf<6\n", new={"protobuf": "5"})
    with pytest.raises(AcknowledgementRequired) as missing:
        make_plan(asked)
    assert missing.value.context["acknowledgements"] == ["shadows:protobuf"]
    given_too_much = frozenset({"shadows:protobuf", "shadows:numpy"})
    with pytest.raises(AcknowledgementUnknown) as unknown:
        make_plan(dataclasses.replace(asked, change_set=ChangeSet(acknowledge=given_too_much)))
    assert unknown.value.context["acknowledgements"] == ["shadows:numpy"]


def test_what_a_person_should_know_is_told() -> None:
    text = "a\n-e .\n--index-url https://u:p@packages.example.com\n"
    known = {
        "a": ResolvedDistribution("a", "1.0rc1", (), (), yanked="broken", at_start=("a.pth",)),
        "b": ResolvedDistribution("b", "1", None, None),
    }
    asked = dataclasses.replace(
        inputs(text, text + "b\n", old={}, new={"a": "1.0rc1", "b": "1"}, known=known), running_tasks=2
    )
    plan = make_plan(asked)
    assert codes(plan) == [
        "yanked",
        "pre-release",
        "runs-at-start",
        "metadata-unknown",
        "own-lines-kept",
        "running-tasks",
    ]
    messages = " ".join(warning.message for warning in plan.warnings)
    assert "broken" in messages
    assert "a 1.0rc1 brings a.pth" in messages
    assert "Line 2, 3" in messages
    assert "2 tasks run" in messages


def test_components_that_are_down_while_they_restart_are_named() -> None:
    asked = inputs("a\n", "a\nb\n", old={"a": "1"}, new={"a": "1", "b": "1"})
    scheduler = dataclasses.replace(asked.statuses["scheduler"], down="the strategy Recreate stops all pods first")
    asked = dataclasses.replace(asked, statuses={**asked.statuses, "scheduler": scheduler})
    (warning,) = make_plan(asked).warnings
    assert warning.code == "goes-down"
    assert warning.message.endswith(": scheduler (the strategy Recreate stops all pods first).")
    elsewhere = dataclasses.replace(asked, configured_components=("triggerer",))
    assert codes(make_plan(elsewhere)) == [], "what does not restart does not go down"


def test_a_whole_text_is_told_as_changes() -> None:
    assert changes_between("a==1\nb\nc\nd\n", "d\nA==2\nc # same\nnew\nnew; os_name=='nt'\n") == (
        Change(Action.UPDATE, "A==2"),
        Change(Action.REMOVE, "b"),
        Change(Action.ADD, "new"),
        Change(Action.ADD, 'new; os_name == "nt"'),
    )


def test_the_plan_is_bound_to_what_it_was_made_against() -> None:
    asked = inputs("a\n", "a\nb\n", old={"a": "1"}, new={"a": "1", "b": "1"})
    plan = make_plan(asked)
    assert plan.base_digest == asked.snapshot.digest()
    assert plan.base_lock_digest == lock_digest_in_use(asked.snapshot, asked.current_lock, IMAGE)
    assert plan.base_text == "a\n"
    assert not edited_by_hand(asked.snapshot, asked.current_lock)
    assert plan.digest() == make_plan(asked).digest()
    assert plan.digest() != make_plan(dataclasses.replace(asked, seconds_per_instance=11)).digest()


NAMES = st.sampled_from(["a", "b", "protobuf", "requests"])
PINS = st.dictionaries(NAMES, st.sampled_from(["1", "2.0", "10", "6.33.6"]))


@given(PINS, PINS)
def test_replaying_the_changes_turns_before_into_after(old: dict[str, str], new: dict[str, str]) -> None:
    everything = frozenset(f"shadows:{n}" for n in new if n in IMAGE.distributions and old.get(n) != new[n])
    try:
        plan = make_plan(inputs("x\n", "y\n", old=old, new=new, acknowledge=everything))
    except NoComponents:
        pytest.fail("there are components")
    image = {name: found.version for name, found in IMAGE.distributions.items()}
    state: dict[str, str | None] = {**image, **old}
    for change in plan.package_changes:
        assert state.get(change.name) == change.before
        state[change.name] = change.after
    assert {name: version for name, version in state.items() if version} == {**image, **new}
    assert bool(plan.components) == (old != new)
    assert isinstance(plan.lock, Lock)


@pytest.mark.parametrize(
    ("before", "after", "difference"),
    [
        ("a\n", "a\n", ""),
        ("a\n", "a\nb\n", "--- before\n+++ after\n@@ -1 +1,2 @@\n a\n+b\n"),
        ("a", "a\n", "--- before\n+++ after\n@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n"),
        ("a\r\n", "a\n", "--- before\n+++ after\n@@ -1 +1 @@\n-a\\r\n+a\n"),
        ("", "a\n", "--- before\n+++ after\n@@ -0,0 +1 @@\n+a\n"),
    ],
)
def test_a_difference_is_shown_as_people_know_it(before: str, after: str, difference: str) -> None:
    assert text_difference(before, after) == difference


@given(st.text("ab\r\n", max_size=8), st.text("ab\r\n", max_size=8))
def test_texts_that_differ_have_a_difference(before: str, after: str) -> None:
    assert (text_difference(before, after) == "") is (before == after)


@pytest.mark.parametrize("groups", [("airflow.plugins",), ()])
def test_the_webserver_of_airflow_2_is_what_the_api_server_of_airflow_3_is(groups: tuple[str, ...]) -> None:
    brings = {"a": ResolvedDistribution("a", "1", (), groups)}
    known = inputs("", "a\n", new={"a": "1"}, known=brings)
    statuses = {name: ALL[name] for name in ("scheduler", "triggerer")}
    webserver = made.status("webserver", image_print=PRINT)
    plan = make_plan(dataclasses.replace(known, statuses={"webserver": webserver, **statuses}))
    assert plan.components == ("scheduler", "triggerer", *(["webserver"] if groups else []))
    alone = make_plan(dataclasses.replace(known, statuses={"webserver": webserver}))
    assert alone.components == ("webserver",)
