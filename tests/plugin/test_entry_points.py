"""Plugins, providers and console scripts of a package, and a task that runs while everything restarts under it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.plugin import journey, machine

if TYPE_CHECKING:
    from testenv.airflow_home import Airflow

pytestmark = pytest.mark.airflow

PROVIDER = "apache-airflow-providers-example"


@dataclass(frozen=True)
class Restarted:
    """One change that concerns every component, applied while a task of one minute was running."""

    before: dict[str, int]
    planned: dict[str, Any]
    done: dict[str, Any]
    run: str
    """Of the DAG that sleeps."""


@pytest.fixture(scope="module", params=["airflow3", "airflow2"])
def airflow(request: pytest.FixtureRequest) -> Airflow:
    """Each of them."""
    started: Airflow = request.getfixturevalue(request.param)
    return started


@pytest.fixture(scope="module")
def restarted(airflow: Airflow) -> Restarted:
    token = airflow.token("admin")
    before = machine.children(airflow)
    run = journey.run_dag(airflow, token, "sleeps")
    journey.until(lambda: journey.running(airflow, token, "sleeps", run) or None, "the sleeping task", 60)
    planned, secret = journey.plan(airflow, token, "add good-plugin", f"add {PROVIDER}", "add good-script")
    assert planned["state"] == "PLANNED", planned["problem"]
    status, answer = journey.apply(airflow, token, planned, secret)
    assert status == 202, answer
    return Restarted(before, planned, journey.ended(airflow, token, planned["id"]), run)


def test_the_plan_names_the_web_server_last_and_the_running_task(airflow: Airflow, restarted: Restarted) -> None:
    plan = restarted.planned["plan"]
    executing = [name for name in ("scheduler", "triggerer", "dag-processor") if name in airflow.components]
    assert plan["components"] == [*executing, airflow.web_server]
    assert "running-tasks" in {warning["code"] for warning in plan["warnings"]}


def test_the_operation_survives_the_restart_of_the_server_that_drives_it(
    airflow: Airflow, restarted: Restarted
) -> None:
    assert restarted.done["state"] == "SUCCEEDED", restarted.done["problem"]
    after = machine.children(airflow)
    assert not set(after.values()) & set(restarted.before.values()), "each component is a new process"
    assert len(machine.schedulers(airflow.home)) == 1


def test_plugins_and_providers_are_there_in_the_server_and_on_the_command_line(
    airflow: Airflow, restarted: Restarted
) -> None:
    assert restarted.done["state"] == "SUCCEEDED", restarted.done["problem"]
    token = airflow.token("admin")
    status, found = airflow.request("GET", f"{airflow.rest}/plugins", token=token)
    assert status == 200
    assert "good_plugin" in {plugin["name"] for plugin in found["plugins"]}
    status, found = airflow.request("GET", f"{airflow.rest}/providers", token=token)
    assert status == 200
    assert PROVIDER in {provider["package_name"] for provider in found["providers"]}
    assert "good_plugin" in {row["name"] for row in _listed(airflow, "plugins")}
    assert PROVIDER in {row["package_name"] for row in _listed(airflow, "providers", "list")}


def test_a_console_script_is_found_by_a_task(airflow: Airflow, restarted: Restarted) -> None:
    assert restarted.done["state"] == "SUCCEEDED", restarted.done["problem"]
    token = airflow.token("admin")
    run = journey.run_dag(airflow, token, "uses_script")
    assert journey.finished(airflow, token, "uses_script", run) == "success"


def test_a_task_of_a_minute_survives_the_restart_of_scheduler_and_web_server(
    airflow: Airflow, restarted: Restarted
) -> None:
    token = airflow.token("admin")
    assert journey.finished(airflow, token, "sleeps", restarted.run) == "success"


def _listed(airflow: Airflow, *command: str) -> list[dict[str, str]]:
    done = airflow.run(str(airflow.python), "-m", "airflow", *command, "--output", "json")
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, str]] = json.loads(done.stdout[done.stdout.index("[{") :])
    return rows
