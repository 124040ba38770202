"""The main job on a real Airflow by command line, and by a script that hands the token over."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.plugin import journey

if TYPE_CHECKING:
    from testenv.airflow_home import Airflow

pytestmark = pytest.mark.airflow


@pytest.fixture(scope="module", params=["airflow3", pytest.param("airflow2", marks=pytest.mark.every_airflow)])
def airflow(request: pytest.FixtureRequest) -> Airflow:
    """Each of them."""
    started: Airflow = request.getfixturevalue(request.param)
    return started


def test_a_script_hands_the_token_over_by_standard_input(airflow: Airflow) -> None:
    planned = journey.command(
        airflow, "plan", "--add", "brings-another==1.0", "--output", "json", components="triggerer"
    )
    created = journey.answered(planned)
    identifier, digest = created["operation"]["id"], created["operation"]["plan"]["digest"]
    assert created["operation"]["plan"]["components"] == ["triggerer"]

    wrong = journey.command(airflow, "apply", identifier, "--digest", digest, text="wrong\n")
    assert wrong.returncode == 6
    assert "Invalid or expired token" in wrong.stderr

    applied = journey.command(airflow, "apply", identifier, "--digest", digest, text=created["token"])
    assert applied.returncode == 0, applied.stdout + applied.stderr
    assert _locked(airflow).items() >= {"brings-another": "1.0", "brought-along": "1.0"}.items()


def test_update_remove_with_the_orphan_and_restore_by_command_line(airflow: Airflow) -> None:
    updated = journey.command(airflow, "update", "--yes", "brings-another==1.1", components="triggerer")
    assert updated.returncode == 0, updated.stdout + updated.stderr
    assert _locked(airflow)["brings-another"] == "1.1"

    removed = journey.command(airflow, "remove", "--yes", "brings-another", components="triggerer")
    assert removed.returncode == 0, removed.stdout + removed.stderr
    assert "- brought-along 1.0" in removed.stdout, "the orphan goes with it"
    assert "brought-along" not in _locked(airflow)

    history = journey.answered(journey.command(airflow, "history", "--output", "json"))["operations"]
    [update] = [row for row in history if row["summary"].startswith("update brings-another")]
    restored = journey.command(airflow, "restore", "--yes", str(update["revision"]), components="triggerer")
    assert restored.returncode == 0, restored.stdout + restored.stderr
    assert _locked(airflow).items() >= {"brings-another": "1.1", "brought-along": "1.0"}.items()


def _locked(airflow: Airflow) -> dict[str, str]:
    rows = json.loads(journey.command(airflow, "list", "--output", "json").stdout)["packages"]
    return {row["name"]: row["locked"] for row in rows if row["locked"]}
