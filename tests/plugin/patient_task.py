"""A task that runs until a test lets it end, and what it wrote down: how often it ran, and on which packages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from testenv.airflow_home import Airflow
from tests.plugin import journey

DAG = "outlives"
FILE = Path(__file__).parents[1] / "data" / "patient_dags" / f"{DAG}.py"


def begin(airflow: Airflow, token: str) -> str:
    """Run it, wait until it does, and return the id of the run."""
    run = journey.run_dag(airflow, token, DAG)
    journey.until(lambda: written(airflow) or None, "the patient task", 90)
    return run


def go_on(airflow: Airflow) -> None:
    """Let it end."""
    (airflow.home / "go-on").touch()


def written(airflow: Airflow) -> list[dict[str, Any]]:
    """Return what it wrote: one row when it began and one when it ended, each with process and packages."""
    log = airflow.home / "outlives.jsonl"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
