"""The steps of a person's work on a real Airflow, by its HTTP API."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from testenv.airflow_home import Airflow

END_STATES = {"SUCCEEDED", "ROLLED_BACK", "FAILED", "CANCELLED", "REFUSED"}
Value = TypeVar("Value")


def until(look: Callable[[], Value | None], what: str, seconds: float = 120, every: float = 0.5) -> Value:
    """Return the first value that is there; while Airflow's web server is away, keep asking."""
    end = time.monotonic() + seconds
    last: object = None
    while time.monotonic() < end:
        try:
            found = look()
        except OSError as error:
            last = error
        else:
            if found is not None:
                return found
        time.sleep(every)
    raise TimeoutError(f"{what}: not within {seconds} s (last: {last})")


def command(
    airflow: Airflow,
    *arguments: str,
    components: str | None = None,
    text: str = "",
    order: str | None = None,
    heartbeat: int | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run our command line; `components` limits what its plan restarts, and `order` says in which order.

    Fewer restarts make a test quicker where it does not matter which components restart; so does it to wait for fewer
    seconds (`heartbeat`) for what will not come.
    """
    waits = None if heartbeat is None else str(heartbeat)
    extra = {"COMPONENTS": components, "ROLLOUT_ORDER": order, "HEARTBEAT_TIMEOUT": waits}
    settings = {f"AIRFLOW__PACKAGE_MANAGER__{name}": value for name, value in extra.items() if value is not None}
    return airflow.run(*airflow.command(*arguments), text=text, timeout=300, extra=settings)


def answered(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """Return the JSON that a command printed; it must have succeeded."""
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def adding(requirement: str) -> dict[str, object]:
    """Return the request for a plan that adds one."""
    return {"changes": [{"action": "add", "requirement": requirement}]}


def plan(airflow: Airflow, token: str, *changes: str, **request: object) -> tuple[dict[str, Any], str]:
    """Plan changes such as ``add good-package`` and return the operation past PLANNING, and its token."""
    if changes:
        rows = [dict(zip(("action", "requirement"), change.split(" ", 1), strict=True)) for change in changes]
        request["changes"] = rows
    status, created = airflow.api("POST", "operations", request, token=token)
    assert status == 202, created
    identifier = created["operation"]["id"]

    def planned() -> dict[str, Any] | None:
        found = operation(airflow, token, identifier)
        return None if found["state"] == "PLANNING" else found

    return until(planned, "the plan"), created["token"]


def apply(airflow: Airflow, token: str, planned: Mapping[str, Any], secret: str) -> tuple[int, Any]:
    """Apply a plan and return the answer."""
    body = {"token": secret, "digest": planned["plan"]["digest"]}
    return airflow.api("POST", f"operations/{planned['id']}/apply", body, token=token)


def operation(airflow: Airflow, token: str, identifier: str) -> dict[str, Any]:
    """Return one operation."""
    status, found = airflow.api("GET", f"operations/{identifier}", token=token)
    assert status == 200, found
    result: dict[str, Any] = found
    return result


def is_unspent(airflow: Airflow, planned: Mapping[str, Any]) -> None:
    """Assert that whoever was refused left the plan as it was."""
    assert operation(airflow, airflow.token("admin"), planned["id"])["state"] == "PLANNED"


def ended(airflow: Airflow, token: str, identifier: str, seconds: float = 300) -> dict[str, Any]:
    """Return the operation when it has ended."""

    def look() -> dict[str, Any] | None:
        found = operation(airflow, token, identifier)
        return found if found["state"] in END_STATES else None

    return until(look, f"the end of {identifier}", seconds)


def change(airflow: Airflow, token: str, *changes: str, **request: object) -> dict[str, Any]:
    """Plan, apply, wait, and return the ended operation."""
    planned, secret = plan(airflow, token, *changes, **request)
    assert planned["state"] == "PLANNED", planned["problem"]
    status, answer = apply(airflow, token, planned, secret)
    assert status == 202, answer
    return ended(airflow, token, planned["id"])


def events(airflow: Airflow, token: str, identifier: str) -> list[dict[str, Any]]:
    """Return all events of an operation."""
    status, found = airflow.api("GET", f"operations/{identifier}/events?after=0&limit=200", token=token)
    assert status == 200, found
    rows: list[dict[str, Any]] = found["events"]
    return rows


def import_errors(airflow: Airflow, token: str) -> set[str]:
    """Return the names of the DAG files that cannot be imported now."""
    status, found = airflow.request("GET", f"{airflow.rest}/importErrors", token=token)
    assert status == 200, found
    return {Path(row["filename"]).name for row in found["import_errors"]}


def run_dag(airflow: Airflow, token: str, dag: str) -> str:
    """Trigger a DAG and return the id of the run."""
    found: dict[str, Any] = until(lambda: _triggered(airflow, token, dag), f"a trigger of {dag}", seconds=60)
    return str(found["dag_run_id"])


def run_state(airflow: Airflow, token: str, dag: str, run: str) -> str:
    """Return the state of a run."""
    status, found = airflow.request("GET", f"{airflow.rest}/dags/{dag}/dagRuns/{run}", token=token)
    assert status == 200, found
    return str(found["state"])


def running(airflow: Airflow, token: str, dag: str, run: str) -> bool:
    """Tell whether a task of the run is being executed now."""
    status, found = airflow.request("GET", f"{airflow.rest}/dags/{dag}/dagRuns/{run}/taskInstances", token=token)
    assert status == 200, found
    return any(row["state"] == "running" for row in found["task_instances"])


def finished(airflow: Airflow, token: str, dag: str, run: str, seconds: float = 150) -> str:
    """Return how a run ended."""

    def look() -> str | None:
        state = run_state(airflow, token, dag, run)
        return state if state in {"success", "failed"} else None

    return until(look, f"the end of {dag}", seconds)


def children(airflow: Airflow, token: str) -> dict[str, str]:
    """Return component → name of its only instance and since when it runs: another one means that it was restarted."""
    status, found = airflow.api("GET", "components", token=token)
    assert status == 200, found
    return {row["name"]: _instances(row["instances"]) for row in found["components"]}


def _instances(rows: Iterable[Mapping[str, Any]]) -> str:
    return " ".join(f"{row['name']}@{row['started_at']}" for row in rows)


def _triggered(airflow: Airflow, token: str, dag: str) -> dict[str, Any] | None:
    status, found = airflow.request("POST", f"{airflow.rest}/dags/{dag}/dagRuns", airflow.new_run, token=token)
    return found if status == 200 else None
