"""A package that breaks one component only when that component starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_package_manager.domain import lock as locks
from tests.plugin import journey, machine

if TYPE_CHECKING:
    from testenv.airflow_home import Airflow

pytestmark = pytest.mark.airflow


AIRFLOW_2_TOO = ["airflow3", pytest.param("airflow2", marks=pytest.mark.every_airflow)]
STATUS = {"webserver": 1}
"""With which a component ends that a package killed: the webserver itself outlives the server that it started."""


@pytest.fixture(scope="module")
def airflow(request: pytest.FixtureRequest) -> Airflow:
    """The one that a test names."""
    started: Airflow = request.getfixturevalue(request.param)
    return started


@pytest.mark.parametrize(
    ("airflow", "component", "driver"),
    [
        ("airflow3", "scheduler", "cli"),
        ("airflow3", "api-server", "api-server"),
        pytest.param("airflow2", "scheduler", "cli", marks=pytest.mark.every_airflow),
        ("airflow2", "webserver", "webserver"),
    ],
    indirect=["airflow"],
)
def test_it_comes_back_by_itself_with_those_before_it_and_the_rest_is_never_touched(
    airflow: Airflow, component: str, driver: str
) -> None:
    token = airflow.token("admin")
    reports, stored = machine.reports(airflow), machine.stored(airflow)
    run = journey.run_dag(airflow, token, "sleeps")
    journey.until(lambda: journey.running(airflow, token, "sleeps", run) or None, "the sleeping task", 60)

    identifier = _broken(airflow, component, drives=driver == "cli")
    done = journey.ended(airflow, token, identifier)

    assert done["state"] == "ROLLED_BACK", done["problem"]
    assert done["problem"]["code"] == "component-failed"
    ended = f"{component}: the child ended with status {STATUS.get(component, 3)}"
    assert done["problem"]["detail"].startswith(ended)
    after = machine.reports(airflow)
    changed = {name for name, report in after.items() if report["child_pid"] != reports[name]["child_pid"]}
    assert changed == {"triggerer", component}
    journey.until(lambda: machine.reports(airflow)[component]["state"] == "ready" or None, f"{component} ready", 30)
    assert {name: report["lock_digest"] for name, report in after.items()} == {
        # What has no stamp comes back on what is current, as at each of its starts.
        name: _current(stored) if name in changed and not _is_stamped(stored, name) else report["lock_digest"]
        for name, report in reports.items()
    }
    kinds = [(row["kind"], row["component"]) for row in journey.events(airflow, token, identifier) if row["component"]]
    assert kinds[-2:] == [("component.restored", component), ("component.restored", "triggerer")]
    assert _meaning(machine.stored(airflow)) == _meaning(stored)
    assert machine.nothing_is_left(airflow)
    assert len(machine.schedulers(airflow.home)) == 1
    said = journey.command(airflow, "status", identifier).stdout
    assert ended in said, "history says why"
    assert journey.finished(airflow, token, "sleeps", run) == "success", "a task that ran meanwhile survives"


@pytest.mark.parametrize("airflow", AIRFLOW_2_TOO, indirect=True)
def test_one_that_hangs_at_its_start_comes_back_too(airflow: Airflow) -> None:
    """Its process lives and counts as ready; only Airflow's own heartbeat, which does not come, tells."""
    token = airflow.token("admin")
    stored, reports = machine.stored(airflow), machine.reports(airflow)
    planned = journey.answered(
        journey.command(airflow, "plan", "--add", "stalls-triggerer", "--output", "json", components="triggerer")
    )
    identifier, digest = planned["operation"]["id"], planned["operation"]["plan"]["digest"]

    applied = journey.command(
        airflow,
        "apply",
        identifier,
        "--digest",
        digest,
        text=planned["token"],
        components="triggerer",
        heartbeat=15,
    )

    assert applied.returncode == 10, applied.stdout + applied.stderr
    done = journey.operation(airflow, token, identifier)
    assert (done["state"], done["problem"]["code"]) == ("ROLLED_BACK", "component-silent"), done["problem"]
    assert _meaning(machine.stored(airflow)) == _meaning(stored)
    after = machine.reports(airflow)
    assert after["triggerer"]["lock_digest"] == reports["triggerer"]["lock_digest"]
    assert [name for name in after if after[name]["child_pid"] != reports[name]["child_pid"]] == ["triggerer"]
    assert machine.nothing_is_left(airflow)


def _broken(airflow: Airflow, component: str, *, drives: bool) -> str:
    """Apply a package that breaks the component; the triggerer restarts before it. Return the operation's id."""
    limits: dict[str, Any] = {
        "components": f"triggerer,{component}",
        "order": "worker, triggerer, scheduler, dag-processor, api-server, webserver",
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


def _is_stamped(stored: dict[str, bytes], component: str) -> bool:
    return stored.get(f"components/{component}/stamp", b"-").split()[:1] not in ([], [b"-"])


def _current(stored: dict[str, bytes]) -> str | None:
    """Return the digest of the current lock, None where nothing is installed."""
    text = stored.get(f"lock.{stored.get('current', b'').decode().strip()}")
    found = None if text is None else locks.parse(text.decode())
    return None if found is None else found.digest()


def _meaning(stored: dict[str, bytes]) -> dict[str, bytes]:
    """Drop the counter beside each stamp, which grows with every write, and what is as if it were not there."""
    found = {name: content.split()[0] if name.endswith("stamp") else content for name, content in stored.items()}
    return {name: content for name, content in found.items() if content not in {b"", b"-"}}
