from pathlib import Path

import pytest

from airflow_package_manager.domain.operation import State
from airflow_package_manager.errors import IndexUnavailable
from tests.cli.desk import ME, Desk, Interrupted
from tests.fakes.application import add, image
from tests.fakes.target import Behaviour

TOKEN = "AIRFLOW_PACKAGE_MANAGER_TOKEN"


def states(desk: Desk) -> list[State]:
    return [found.state for found in desk.house.repository.history(limit=100)[0]]


def interrupt(_seconds: float) -> None:
    raise KeyboardInterrupt


# --- add, update, remove, restore ------------------------------------------------------------------------------------


def test_add_shows_the_plan_and_the_progress_and_the_end(desk: Desk) -> None:
    said = desk("add", "humanize>=2", "--yes")
    assert said.status == 0, said.err
    assert "+ humanize" in said.out
    assert "requirements.txt:" in said.out
    assert "Restarts, one after another: scheduler, triggerer, dag-processor" in said.out
    assert "scheduler: scheduler is current" in said.out
    assert "state      SUCCEEDED" in said.out
    assert desk.house.store.peek().text == "six==1.0  # pinned\nhumanize>=2\n"
    assert desk.opened == [True]
    assert said.err == ""


def test_update_and_remove_and_restore(desk: Desk) -> None:
    assert desk("update", "six==2.0", "-y").status == 0
    assert desk("remove", "six", "-y").status == 0
    assert desk.house.store.peek().text == ""
    assert desk("restore", "1", "-y").status == 0
    assert desk.house.store.peek().text == "six==2.0  # pinned\n"


def test_json_is_one_answer_and_nothing_else(desk: Desk) -> None:
    said = desk("add", "humanize", "--yes", "--output", "json")
    assert said.status == 0
    assert said.json()["state"] == "SUCCEEDED"


def test_a_person_is_asked(desk: Desk) -> None:
    said = desk("add", "humanize", typed="y\n")
    assert said.status == 0
    assert "Apply? [y/N]" in said.err
    assert states(desk)[0] is State.SUCCEEDED


@pytest.mark.parametrize("answer", ["n\n", "\n", "", "yesterday\n"])
def test_whoever_does_not_say_yes_changes_nothing(desk: Desk, answer: str) -> None:
    said = desk("add", "humanize", typed=answer)
    assert said.status == 11
    assert "Nothing was changed." in said.err
    assert states(desk) == [State.CANCELLED]


def test_ctrl_c_at_the_question_drops_the_plan(desk: Desk) -> None:
    assert desk("add", "humanize", keyboard=Interrupted("", terminal=True)).status == 130
    assert states(desk) == [State.CANCELLED]


@pytest.mark.parametrize("words", [(), ("--output", "json")])
def test_without_a_terminal_nobody_is_asked_and_nothing_is_planned(desk: Desk, words: tuple[str, ...]) -> None:
    said = desk("add", "humanize", *words, piped="y\n")
    assert said.status == 2
    assert "--yes" in said.out + said.err
    assert states(desk) == []


def test_no_wait_leaves_the_work_to_another(desk: Desk) -> None:
    said = desk("add", "humanize", "--yes", "--no-wait")
    assert said.status == 0
    assert desk.opened == [False]
    assert "state      ACCEPTED" in said.out


def test_a_rollout_that_went_back_has_its_own_status(desk: Desk) -> None:
    desk.house.target.misbehave("triggerer", Behaviour.FALLS_BACK)
    said = desk("add", "humanize", "--yes")
    assert said.status == 10
    assert "state      ROLLED_BACK" in said.out
    assert "reason" in said.out


# --- plan, apply -----------------------------------------------------------------------------------------------------


def test_a_plan_prints_its_token_once_and_how_to_apply_it(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    said = desk("plan", "--add", "humanize", "--update", "six==2.0")
    assert said.status == 0
    assert states(desk) == [State.PLANNED]
    (how,) = (line for line in said.out.splitlines() if line.startswith("To apply:"))
    (token,) = (line.split()[1] for line in said.out.splitlines() if line.startswith("token "))
    assert token not in how
    monkeypatch.setenv(TOKEN, token)
    words = how.split("airflow-package-manager ")[1].split()
    assert desk(*words).status == 0
    assert states(desk)[0] is State.SUCCEEDED


def test_plan_and_apply_by_a_script_with_the_token_on_standard_input(desk: Desk) -> None:
    planned = desk("plan", "--add", "humanize", "--output", "json").json()
    operation = planned["operation"]
    words = ("apply", operation["id"], "--digest", operation["plan"]["digest"], "--output", "json")
    applied = desk(*words, piped=planned["token"] + "\n")
    assert applied.status == 0
    assert applied.json()["state"] == "SUCCEEDED"
    again = desk(*words, piped=planned["token"] + "\n")
    assert again.status == 6
    assert again.json()["code"] == "token-used"
    assert again.json()["status"] == 409
    assert again.json()["type"].endswith(":token-used")


def test_no_argument_takes_a_token(desk: Desk) -> None:
    for command in ("apply", "add", "plan"):
        assert "--token" not in desk(command, "--help").out


@pytest.mark.parametrize(("piped", "code"), [("", "token-invalid"), ("wrong\n", "token-invalid")])
def test_without_the_right_token_nothing_is_applied(desk: Desk, piped: str, code: str) -> None:
    planned = desk("plan", "--add", "humanize", "--output", "json").json()["operation"]
    said = desk("apply", planned["id"], "--digest", planned["plan"]["digest"], "--output", "json", piped=piped)
    assert said.status == 6
    assert said.json()["code"] == code
    assert states(desk) == [State.PLANNED]


def test_a_token_that_is_too_old(desk: Desk) -> None:
    planned = desk("plan", "--add", "humanize", "--output", "json").json()
    desk.house.clock.advance(3601)
    operation = planned["operation"]
    said = desk("apply", operation["id"], "--digest", operation["plan"]["digest"], piped=planned["token"])
    assert said.status == 6
    assert "Make a new plan" in said.err


def test_a_stale_plan_prints_the_difference(desk: Desk) -> None:
    planned = desk("plan", "--add", "humanize", "--output", "json").json()
    desk.house.store.edit("six==1.0  # pinned\ntabulate\n")
    operation = planned["operation"]
    said = desk("apply", operation["id"], "--digest", operation["plan"]["digest"], piped=planned["token"])
    assert said.status == 7
    assert "+tabulate" in said.err
    assert desk.house.store.peek().text.endswith("tabulate\n")


def test_a_plan_of_a_whole_file(desk: Desk, tmp_path: Path) -> None:
    path = tmp_path / "requirements.txt"
    path.write_text("humanize\n", encoding="utf-8")
    assert desk("plan", "--file", str(path)).status == 0
    path.write_bytes(b"\xff")
    assert desk("plan", "--file", str(path)).status == 2
    assert desk("plan", "--file", str(tmp_path / "absent")).status == 2


@pytest.mark.parametrize("words", [(), ("--add", "humanize", "--restore", "1"), ("--file", "-", "--add", "humanize")])
def test_a_plan_is_of_one_kind(desk: Desk, words: tuple[str, ...]) -> None:
    assert desk("plan", *words).status == 2
    assert desk.opened == []


def test_ctrl_c_while_planning_drops_the_plan(idle: Desk) -> None:
    idle.sleep = interrupt
    assert idle("plan", "--add", "humanize").status == 130
    (found,) = idle.house.repository.history()[0]
    assert found.cancel_requested


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        (("add", "six>=2.5"), 2, "already-required"),
        (("add", "not a requirement!"), 2, "invalid-requirement"),
        (("update", "humanize"), 5, "requirement-not-found"),
        (("remove", "six>=1"), 2, "malformed"),
        (("add", "apache-airflow==2.0"), 3, "policy-violation"),
        (("restore", "7"), 5, "not-found"),
    ],
)
def test_a_refusal_has_the_exit_status_of_its_code(desk: Desk, words: tuple[str, ...], status: int, code: str) -> None:
    said = desk(*words, "--yes", "--output", "json")
    assert (said.status, said.json()["code"]) == (status, code)
    spoken = desk(*words, "--yes")
    assert spoken.status == status
    assert spoken.out == ""
    assert "\nNext: " in spoken.err


def test_a_violation_is_printed_with_who_can_lift_it(desk: Desk) -> None:
    said = desk("add", "apache-airflow==2.0", "--yes")
    assert "build and roll out another image" in said.err


def test_what_the_planner_refuses_is_printed_alike(desk: Desk) -> None:
    desk.house.resolver.failure = IndexUnavailable("The index is away.")
    spoken, written = desk("plan", "--add", "humanize"), desk("plan", "--add", "humanize", "--output", "json")
    assert spoken.status == written.status == 75
    assert "The index is away." in spoken.err
    assert written.json()["status"] == 502


def test_an_acknowledgement_is_asked_for_by_its_exact_flag(desk: Desk) -> None:
    desk.house.installed.of_image = image(tabulate="3.0")
    for component in ("scheduler", "triggerer", "dag-processor"):
        desk.house.target.report_image(component, desk.house.installed.of_image.fingerprint())
    said = desk("add", "tabulate>=4.0", "--yes")
    assert said.status == 3
    assert said.err.rstrip().endswith("--acknowledge shadows:tabulate")
    assert desk("add", "tabulate>=4.0", "--yes", "--acknowledge", "shadows:tabulate").status == 0


def test_nothing_to_change_is_no_failure(desk: Desk) -> None:
    assert desk("update", "six==1.0", "--yes").status == 0
    assert "Nothing would change" in desk("update", "six==1.0", "--yes").err


def test_another_operation_is_named(idle: Desk) -> None:
    mine, token = idle.house.plan(add("humanize"), ME)
    other = idle.house.accepted(add("tabulate"))
    said = idle("apply", mine.id, "--digest", mine.plan_digest or "", piped=token)
    assert said.status == 8
    assert other.id in said.err
    assert "add tabulate" in said.err


# --- cancel, resume --------------------------------------------------------------------------------------------------


def test_cancel_drops_a_plan(desk: Desk) -> None:
    operation, _ = desk.house.plan(add("humanize"))
    said = desk("cancel", operation.id)
    assert said.status == 0
    assert "state      CANCELLED" in said.out
    assert desk("cancel", operation.id).status == 8
    assert desk("cancel", "f" * 32, "--output", "json").json()["code"] == "not-found"


def test_resume_ends_what_nobody_drives(idle: Desk) -> None:
    said = idle("resume")
    assert (said.status, said.out) == (0, "")
    assert idle("resume", "--output", "json").json() is None
    idle.house.accepted(add("humanize"))
    idle.drive = idle.house.drive
    said = idle("resume")
    assert said.status == 0
    assert "SUCCEEDED" in said.out
    assert idle.stopped == 1  # it waited for its driver, which may still be telling others


def test_ctrl_c_while_waiting_gives_the_lease_up_and_says_how_to_go_on(idle: Desk) -> None:
    running = idle.house.accepted(add("humanize"))
    idle.sleep = interrupt
    said = idle("resume")
    assert said.status == 130
    assert idle.stopped == 1
    assert f"airflow-package-manager status {running.id}" in said.err
    assert "airflow-package-manager resume" in said.err
