"""The whole main job on a real Airflow, by HTTP API and by command line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.plugin import journey

if TYPE_CHECKING:
    from testenv.airflow_home import Airflow

pytestmark = pytest.mark.airflow


def test_a_dag_runs_after_its_package_was_added_by_the_api(airflow: Airflow) -> None:
    token = airflow.token("admin")
    journey.until(
        lambda: "needs_good_package.py" in journey.import_errors(airflow, token) or None, "the import error", 60
    )
    before = journey.children(airflow, token)

    planned, secret = journey.plan(airflow, token, "add good-with-dependency")

    assert planned["state"] == "PLANNED", planned["problem"]
    effects = {row["name"]: (row["effect"], row["after"]) for row in planned["plan"]["package_changes"]}
    assert effects == {"good-with-dependency": ("new", "1.0"), "good-package": ("new", "2.0")}
    assert planned["plan"]["components"] == ["scheduler", "triggerer", "dag-processor"]
    assert journey.children(airflow, token) == before, "a plan restarts nothing"

    status, answer = journey.apply(airflow, token, planned, secret)
    assert status == 202, answer
    done = journey.ended(airflow, token, planned["id"])

    assert done["state"] == "SUCCEEDED", done["problem"]
    after = journey.children(airflow, token)
    assert {name for name in before if before[name] != after[name]} == {"scheduler", "triggerer", "dag-processor"}
    kinds = [row["kind"] for row in journey.events(airflow, token, planned["id"])]
    assert kinds[0] == "plan.requested"
    assert kinds[-1] == "operation.succeeded"
    restarted = [
        row["component"] for row in journey.events(airflow, token, planned["id"]) if "restarting" in row["kind"]
    ]
    assert restarted == ["scheduler", "triggerer", "dag-processor"], "one after another, in this order"

    journey.until(
        lambda: "needs_good_package.py" not in journey.import_errors(airflow, token) or None, "no import error", 60
    )
    run = journey.run_dag(airflow, token, "needs_good_package")
    assert journey.finished(airflow, token, "needs_good_package", run) == "success"

    used_again, answer = journey.apply(airflow, token, planned, secret)
    assert (used_again, answer["code"]) == (409, "token-used")


def test_the_same_by_command_line(airflow: Airflow) -> None:
    listed = airflow.run(*airflow.command("list", "--output", "json"))
    assert listed.returncode == 0, listed.stderr
    rows = {row["name"]: row for row in json.loads(listed.stdout)["packages"]}
    assert rows["good-with-dependency"]["locked"] == "1.0"

    updated = airflow.run(*airflow.command("update", "--yes", "good-with-dependency==1.0"), timeout=300)
    assert updated.returncode == 0, updated.stdout + updated.stderr

    removed = airflow.run(*airflow.command("remove", "--yes", "good-with-dependency"), timeout=300)
    assert removed.returncode == 0, removed.stdout + removed.stderr
    assert "- good-package 2.0" in removed.stdout, "the orphan goes with it"

    history = airflow.run(*airflow.command("history", "--output", "json"))
    revision = next(row["revision"] for row in json.loads(history.stdout)["operations"] if row["state"] == "SUCCEEDED")
    restored = airflow.run(*airflow.command("restore", "--yes", str(revision - 1)), timeout=300)
    assert restored.returncode == 0, restored.stdout + restored.stderr
    again = airflow.run(*airflow.command("list", "--output", "json"))
    rows = {row["name"]: row for row in json.loads(again.stdout)["packages"]}
    assert rows["good-package"]["locked"] == "2.0"


def test_a_plan_and_its_token_pass_through_a_script(airflow: Airflow) -> None:
    planned = airflow.run(*airflow.command("plan", "--add", "good-extra", "--output", "json"))
    assert planned.returncode == 0, planned.stdout + planned.stderr
    created = json.loads(planned.stdout)
    digest = created["operation"]["plan"]["digest"]

    wrong = airflow.run(*airflow.command("apply", created["operation"]["id"], "--digest", digest), text="wrong\n")
    assert wrong.returncode == 6
    assert "Invalid or expired token" in wrong.stderr

    applied = airflow.run(
        *airflow.command("apply", created["operation"]["id"], "--digest", digest), text=created["token"], timeout=300
    )
    assert applied.returncode == 0, applied.stdout + applied.stderr
