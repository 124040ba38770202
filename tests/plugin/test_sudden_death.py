"""Processes of a real Airflow killed in the middle of a rollout: it ends cleanly, and nothing runs twice."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.plugin import journey, machine

if TYPE_CHECKING:
    from testenv.airflow_home import Airflow

pytestmark = pytest.mark.airflow


@pytest.fixture(scope="module", params=["airflow3", pytest.param("airflow2", marks=pytest.mark.every_airflow)])
def airflow(request: pytest.FixtureRequest) -> Airflow:
    """Each of them."""
    started: Airflow = request.getfixturevalue(request.param)
    return started


def test_the_web_server_that_drives_dies(airflow: Airflow) -> None:
    token, base = airflow.token("admin"), machine.requirements(airflow)
    planned = journey.command(airflow, "plan", "--add", "plain-one", "--output", "json", components="triggerer")
    created = journey.answered(planned)
    identifier, digest = created["operation"]["id"], created["operation"]["plan"]["digest"]
    applied = journey.command(airflow, "apply", identifier, "--digest", digest, "--no-wait", text=created["token"])
    assert applied.returncode == 0, applied.stdout + applied.stderr
    _until_restarting(airflow, token, identifier)
    server = machine.children(airflow)[airflow.web_server]

    machine.kill(server)

    journey.until(lambda: server not in machine.children(airflow).values() or None, "another web server", 60)
    _ends_cleanly(airflow, token, identifier, base, "plain-one")


def test_the_command_line_that_drives_dies(airflow: Airflow) -> None:
    token, base = airflow.token("admin"), machine.requirements(airflow)
    settings = {"AIRFLOW__PACKAGE_MANAGER__COMPONENTS": "triggerer"}
    driving = subprocess.Popen(
        airflow.command("add", "--yes", "plain-two"),
        env={**airflow.environment, **settings},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    identifier = str(journey.until(lambda: _applied(airflow, token, "add plain-two"), "the operation", 60))
    _until_restarting(airflow, token, identifier)

    machine.kill(driving.pid)
    driving.wait(10)

    resumed = journey.command(airflow, "resume")
    assert resumed.returncode in {0, 10}, resumed.stdout + resumed.stderr
    _ends_cleanly(airflow, token, identifier, base, "plain-two")


def test_the_supervisor_of_the_scheduler_dies(airflow: Airflow) -> None:
    token, base = airflow.token("admin"), machine.requirements(airflow)
    planned = journey.command(airflow, "plan", "--add", "plain-three", "--output", "json", components="scheduler")
    created = journey.answered(planned)
    identifier, digest = created["operation"]["id"], created["operation"]["plan"]["digest"]
    applied = journey.command(airflow, "apply", identifier, "--digest", digest, "--no-wait", text=created["token"])
    assert applied.returncode == 0, applied.stdout + applied.stderr
    _until_restarting(airflow, token, identifier)
    supervisor = int(machine.reports(airflow)["scheduler"]["pid"])

    machine.kill(supervisor)

    _ends_cleanly(airflow, token, identifier, base, "plain-three")
    assert machine.reports(airflow)["scheduler"]["pid"] != supervisor


def _ends_cleanly(airflow: Airflow, token: str, identifier: str, base: str, added: str) -> None:
    done = journey.ended(airflow, token, identifier)
    assert done["state"] in {"SUCCEEDED", "ROLLED_BACK"}, done["problem"]
    wanted = f"{base}{added}\n" if done["state"] == "SUCCEEDED" else base
    assert machine.requirements(airflow) == wanted
    assert machine.nothing_is_left(airflow)
    assert len(machine.schedulers(airflow.home)) == 1
    alive = machine.processes(airflow.home)
    for name, report in machine.reports(airflow).items():
        assert report["child_pid"] in alive, name
        assert report["pid"] in alive, name
    assert "No operation is active" in journey.command(airflow, "resume").stderr


def _until_restarting(airflow: Airflow, token: str, identifier: str) -> None:
    def look() -> bool | None:
        kinds = [row["kind"] for row in journey.events(airflow, token, identifier)]
        return "component.restarting" in kinds or None

    journey.until(look, "the first restart", 90, every=0.1)


def _applied(airflow: Airflow, token: str, summary: str) -> str | None:
    status, found = airflow.api("GET", "operations?limit=5", token=token)
    assert status == 200, found
    states = {"ACCEPTED", "PREFLIGHT", "ROLLING_OUT"}
    return next(
        (row["id"] for row in found["operations"] if row["summary"] == summary and row["state"] in states), None
    )
