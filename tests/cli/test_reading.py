import pytest

from airflow_package_manager.domain.inventory import Check, CheckStatus
from airflow_package_manager.errors import IndexUnavailable
from tests.cli.desk import Desk
from tests.fakes.application import add, update


def test_list_has_a_column_for_each_truth(desk: Desk) -> None:
    desk.house.done(add("humanize>=2"))
    said = desk("list")
    assert said.status == 0
    header, *rows = said.out.splitlines()
    assert header.split() == ["NAME", "REQUESTED", "LOCKED", "IMAGE", "INSTALLED", "BADGES"]
    assert any(row.startswith("humanize ") for row in rows)
    assert rows[-1] == "revision: 1"
    assert [row["name"] for row in desk("list", "--query", "huma", "--output", "json").json()["packages"]] == [
        "humanize"
    ]
    assert "apache-airflow" in desk("list", "--scope", "image").out
    assert desk.opened == [False, False, False]


def test_show_one_project(desk: Desk) -> None:
    said = desk("show", "six")
    assert said.status == 0
    assert "releases     9.0, 4.1, 3.0, 2.0, 1.0" in said.out
    assert desk("show", "six", "--output", "json").json()["package"]["name"] == "six"


def test_show_what_nobody_knows(desk: Desk) -> None:
    assert desk("show", "absent").status == 4
    assert desk("show", "no such name").status == 2


def test_status_shows_components_or_one_operation(desk: Desk) -> None:
    operation = desk.house.done(add("humanize"))
    said = desk("status")
    assert said.status == 0
    header = ["COMPONENT", "STATUS", "STAMP", "INSTANCE", "NODE", "AGE", "MESSAGE"]
    assert said.out.splitlines()[0].split() == header
    assert "scheduler" in said.out
    assert {row["name"] for row in desk("status", "--output", "json").json()["components"]} >= {"scheduler"}
    assert "state      SUCCEEDED" in desk("status", operation.id).out
    assert desk("status", operation.id, "--output", "json").json()["id"] == operation.id
    assert desk("status", "nothing").status == 5


def test_history_newest_first(desk: Desk) -> None:
    assert desk("history").out == "No operations yet.\n"
    desk.house.done(add("humanize"))
    desk.house.done(update("six==2.0"))
    rows = desk("history").out.splitlines()
    assert "update six==2.0" in rows[1]
    assert "add humanize" in rows[2]
    assert len(desk("history", "--limit", "1", "--output", "json").json()["operations"]) == 1


def test_the_difference_between_revisions_and_from_one_to_now(desk: Desk) -> None:
    desk.house.done(add("humanize"))
    desk.house.done(update("six==2.0"))
    assert "-six==1.0  # pinned\n+six==2.0  # pinned" in desk("diff", "1", "2").out
    assert desk("diff", "2").out == ""
    assert desk("diff", "0").out.count("\n+") == 3
    written = desk("diff", "1", "2", "--output", "json").json()
    assert (written["before"], written["after"]) == (1, 2)
    assert "+six==2.0" in written["difference"]
    assert desk("diff", "9").status == 5


def test_doctor_tells_by_its_status_whether_a_check_failed(desk: Desk) -> None:
    assert desk("doctor").out == "ok       index-reachable: it answers\n"
    assert desk("doctor", "--output", "json").json()["checks"][0]["status"] == "ok"


@pytest.mark.parametrize(("status", "ends"), [(CheckStatus.FAILED, 1), (CheckStatus.WARNING, 0)])
def test_doctor_names_the_next_action(desk: Desk, status: CheckStatus, ends: int) -> None:
    desk.house.checks = (Check("uv-found", status, "There is none.", "Install it."),)
    said = desk("doctor")
    assert said.status == ends
    assert "Next: Install it." in said.out


def test_what_an_index_says_cannot_steer_the_terminal(desk: Desk) -> None:
    desk.house.index.failures["six"] = IndexUnavailable("It says \x1b[2J\u202e.")
    said = desk("show", "six")
    assert said.status == 0
    assert "\x1b" not in said.out
    assert "\u202e" not in said.out
    assert r"It says \x1b[2J\u202e." in said.out


def test_a_file_that_is_not_utf_8_comes_out_as_json_that_everybody_reads(desk: Desk) -> None:
    desk.house.store.edit("six==1.0  # caf\udce9 \x7f\x9b\n")
    operation, _token = desk.house.plan(add("humanize"))
    said = desk("status", operation.id, "--output", "json")
    assert said.json()["plan"]["base_text"] == "six==1.0  # caf\ufffd \x7f\x9b\n"
    assert not {"\x7f", "\x9b"} & set(said.out)
    assert "caf\ufffd" in desk("plan", "--add", "tabulate", "--output", "json").out


def test_doctor_repairs_only_when_asked_to_and_says_what_it_wrote(desk: Desk) -> None:
    desk.house.done(add("humanize"))
    before = desk.house.store.peek().locks
    desk.house.store.lose_locks()
    desk("doctor")
    assert desk.house.store.peek().locks == {}
    said = desk("doctor", "--repair", "--output", "json")
    assert said.err == "Written back from the database: lock.1, current = 1.\n"
    assert [check["name"] for check in said.json()["checks"]] == ["index-reachable"]
    assert desk.house.store.peek().locks == before
    assert desk("doctor", "--repair").err == "No lock had to be repaired.\n"
