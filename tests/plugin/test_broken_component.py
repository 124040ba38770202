"""A package that breaks one component only when that component starts, and a removal that breaks a DAG."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.plugin import journey, machine

if TYPE_CHECKING:
    from testenv.airflow_home import Airflow

pytestmark = pytest.mark.airflow


@pytest.mark.parametrize(("component", "driver"), [("scheduler", "cli"), ("api-server", "api-server")])
def test_it_comes_back_by_itself_with_those_before_it_and_the_rest_is_never_touched(
    airflow: Airflow, component: str, driver: str
) -> None:
    token = airflow.token("admin")
    reports, stored = machine.reports(airflow), machine.stored(airflow)

    identifier = _broken(airflow, component, drives=driver == "cli")
    done = journey.ended(airflow, token, identifier)

    assert done["state"] == "ROLLED_BACK", done["problem"]
    assert done["problem"]["code"] == "component-failed"
    assert done["problem"]["detail"].startswith(f"{component}: the child ended with status 3")
    after = machine.reports(airflow)
    changed = {name for name, report in after.items() if report["child_pid"] != reports[name]["child_pid"]}
    assert changed == {"triggerer", component}
    journey.until(lambda: machine.reports(airflow)[component]["state"] == "ready" or None, f"{component} ready", 30)
    assert {name: report["lock_digest"] for name, report in after.items()} == {
        name: report["lock_digest"] for name, report in reports.items()
    }
    kinds = [(row["kind"], row["component"]) for row in journey.events(airflow, token, identifier) if row["component"]]
    assert kinds[-2:] == [("component.restored", component), ("component.restored", "triggerer")]
    assert _without_counters(machine.stored(airflow)) == _without_counters(stored)
    assert machine.nothing_is_left(airflow)
    assert len(machine.schedulers(airflow.home)) == 1
    said = journey.command(airflow, "status", identifier).stdout
    assert f"{component}: the child ended with status 3" in said, "history says why"


def test_a_package_that_a_dag_still_imports_is_not_removed(airflow: Airflow) -> None:
    token = airflow.token("admin")
    name = "good-with-dependency"
    if name not in machine.requirements(airflow):
        added = journey.command(airflow, "add", "--yes", name, components="dag-processor")
        assert added.returncode == 0, added.stdout + added.stderr
    _until_imported(airflow, token)
    text = machine.requirements(airflow)

    removed = journey.command(airflow, "remove", "--yes", name, components="dag-processor")

    assert removed.returncode == 10, removed.stdout + removed.stderr
    assert "needs_good_package.py" in removed.stdout
    assert "correct the DAGs first" in removed.stdout
    assert machine.requirements(airflow) == text
    _until_imported(airflow, token)


def _broken(airflow: Airflow, component: str, *, drives: bool) -> str:
    """Apply a package that breaks the component; the triggerer restarts before it. Return the operation's id."""
    limits: dict[str, str] = {
        "components": f"triggerer,{component}",
        "order": "worker, triggerer, scheduler, dag-processor, api-server",
    }
    planned = journey.command(airflow, "plan", "--add", f"breaks-{component}", "--output", "json", **limits)
    created: dict[str, Any] = journey.answered(planned)
    operation = created["operation"]
    assert operation["plan"]["components"] == ["triggerer", component]
    waiting = () if drives else ("--no-wait",)
    applied = journey.command(
        airflow, "apply", operation["id"], "--digest", operation["plan"]["digest"], *waiting, text=created["token"]
    )
    assert applied.returncode == (10 if drives else 0), applied.stdout + applied.stderr
    return str(operation["id"])


def _without_counters(stored: dict[str, bytes]) -> dict[str, bytes]:
    """Drop the counter beside each stamp: it grows with every write."""
    return {name: content.split()[0] if name.endswith("stamp") else content for name, content in stored.items()}


def _until_imported(airflow: Airflow, token: str) -> None:
    journey.until(
        lambda: "needs_good_package.py" not in journey.import_errors(airflow, token) or None, "no import error", 60
    )
