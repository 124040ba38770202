"""The main job on a real Airflow by HTTP API, while a second admin wants something else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.plugin import journey, machine

if TYPE_CHECKING:
    from testenv.airflow_home import Airflow

pytestmark = pytest.mark.airflow

EXECUTING_FIRST = ("scheduler", "triggerer", "dag-processor")


PARSES = {"api-server": "dag-processor", "webserver": "scheduler"}
"""Web server → what reads DAG files beside it, by default."""


@dataclass(frozen=True)
class Added:
    """What was seen while one admin added the package that a DAG is missing, and another one wanted something else."""

    before: dict[str, int]
    planned: dict[str, Any]
    """Before it was applied."""
    after_plan: dict[str, int]
    second_meanwhile: tuple[int, Any]
    done: dict[str, Any]
    after: dict[str, int]
    second_later: tuple[int, Any]
    used_again: tuple[int, Any]


@pytest.fixture(scope="module", params=["airflow3", "airflow2"])
def airflow(request: pytest.FixtureRequest) -> Airflow:
    """Each of them."""
    started: Airflow = request.getfixturevalue(request.param)
    return started


@pytest.fixture(scope="module")
def restarting(airflow: Airflow) -> list[str]:
    """The components that a change restarts, in this order."""
    return [name for name in EXECUTING_FIRST if name in airflow.components]


@pytest.fixture(scope="module")
def added(airflow: Airflow) -> Added:
    token, second = airflow.token("admin"), airflow.token("admin2")
    journey.until(
        lambda: "needs_good_package.py" in journey.import_errors(airflow, token) or None, "the import error", 60
    )
    before = machine.children(airflow)
    theirs, their_secret = journey.plan(airflow, second, "add good-extra")
    planned, secret = journey.plan(airflow, token, "add good-with-dependency")
    after_plan = machine.children(airflow)
    status, answer = journey.apply(airflow, token, planned, secret)
    assert status == 202, answer
    meanwhile = journey.apply(airflow, second, theirs, their_secret)
    done = journey.ended(airflow, token, planned["id"])
    return Added(
        before=before,
        planned=planned,
        after_plan=after_plan,
        second_meanwhile=meanwhile,
        done=done,
        after=machine.children(airflow),
        second_later=journey.apply(airflow, second, theirs, their_secret),
        used_again=journey.apply(airflow, token, planned, secret),
    )


def test_the_plan_says_what_will_happen_and_restarts_nothing(added: Added, restarting: list[str]) -> None:
    assert added.planned["state"] == "PLANNED", added.planned["problem"]
    plan = added.planned["plan"]
    effects = {row["name"]: (row["effect"], row["after"]) for row in plan["package_changes"]}
    assert effects == {"good-with-dependency": ("new", "1.0"), "good-package": ("new", "2.0")}
    assert plan["components"] == restarting
    assert added.after_plan == added.before


def test_components_restart_one_after_another(airflow: Airflow, added: Added, restarting: list[str]) -> None:
    assert added.done["state"] == "SUCCEEDED", added.done["problem"]
    assert {name for name, pid in added.before.items() if added.after[name] != pid} == set(restarting)
    events = journey.events(airflow, airflow.token("admin"), added.planned["id"])
    kinds = [row["kind"] for row in events]
    assert (kinds[0], kinds[-1]) == ("plan.requested", "operation.succeeded")
    steps = [(row["component"], row["kind"].rpartition(".")[2]) for row in events if row["component"]]
    assert steps == [(name, step) for name in restarting for step in ("restarting", "current")]


def test_the_server_that_did_not_need_to_restart_is_current_and_says_on_what(airflow: Airflow, added: Added) -> None:
    assert added.done["state"] == "SUCCEEDED", added.done["problem"]
    status, found = airflow.api("GET", "components", token=airflow.token("admin"))
    assert status == 200
    [server] = [row for row in found["components"] if row["name"] == airflow.web_server]
    assert server["status"] == "Current"
    if server["stamp"] is None:  # else an earlier test had it restarted
        assert "at its next start" in server["instances"][0]["message"]


def test_the_dag_that_could_not_be_imported_runs(airflow: Airflow, added: Added) -> None:
    assert added.done["state"] == "SUCCEEDED", added.done["problem"]
    token = airflow.token("admin")
    _until_imported(airflow, token)
    run = journey.run_dag(airflow, token, "needs_good_package")
    assert journey.finished(airflow, token, "needs_good_package", run) == "success"


def test_a_package_that_a_dag_still_imports_is_not_removed(airflow: Airflow, added: Added) -> None:
    assert added.done["state"] == "SUCCEEDED", added.done["problem"]
    token, text = airflow.token("admin"), machine.requirements(airflow)
    removed = journey.command(airflow, "remove", "--yes", "good-with-dependency", components=PARSES[airflow.web_server])
    assert removed.returncode == 10, removed.stdout + removed.stderr
    assert "needs_good_package.py" in removed.stdout
    assert "correct the DAGs first" in removed.stdout
    assert machine.requirements(airflow) == text
    _until_imported(airflow, token)


def test_a_token_works_once(added: Added) -> None:
    status, answer = added.used_again
    assert (status, answer["code"]) == (409, "token-used")


def test_a_second_admin_is_told_who_is_applying_what_and_later_what_changed(added: Added) -> None:
    status, meanwhile = added.second_meanwhile
    assert (status, meanwhile["code"]) == (409, "operation-in-progress")
    assert meanwhile["operation"] == added.planned["id"]
    assert "good-with-dependency" in meanwhile["detail"]
    status, later = added.second_later
    assert (status, later["code"]) == (409, "stale-plan")
    assert "+good-with-dependency" in later["difference"]


def _until_imported(airflow: Airflow, token: str) -> None:
    journey.until(
        lambda: "needs_good_package.py" not in journey.import_errors(airflow, token) or None, "no import error", 60
    )
