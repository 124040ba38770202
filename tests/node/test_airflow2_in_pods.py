"""The main job on a real Airflow 2 in real pods: its webserver drives, restarts itself last, and goes on."""

from __future__ import annotations

import itertools
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import yaml  # type: ignore[import-untyped]

from airflow_package_manager.domain import report
from testenv.node.manifests import CONFIG_MAP
from tests.node import the_change, what_is_left
from tests.node.conftest import DAGS, SETTINGS
from tests.plugin import journey

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testenv.airflow_home import Airflow
    from testenv.node.airflow import AirflowOnTheNode
    from testenv.package_index import PackageIndexServer

pytestmark = pytest.mark.every_airflow

ALL = {"scheduler": 1, "worker": 2, "triggerer": 1, "webserver": 1}
"""Component → pods."""
DAG = "needs_good_package"
ENDS = 60
"""Seconds until the last trace of a node is gone."""


@pytest.fixture(scope="module")
def on_the_node(package_index: PackageIndexServer) -> Iterator[AirflowOnTheNode]:
    """Airflow 2 on a node of its own, of which nothing is left: two Airflows at once are more than a machine has."""
    from testenv.node.airflow import airflow_on_the_node, node_with_image
    from testenv.node.versions import VERSIONS

    machine = what_is_left.machine()
    settings = SETTINGS | {
        "AIRFLOW__PACKAGE_MANAGER__COMPONENTS": ", ".join(ALL),
        "AIRFLOW__PACKAGE_MANAGER__INDEX_URL": package_index.url,
    }
    dags = {f"{DAG}.py": (DAGS / f"{DAG}.py").read_text()}
    with (
        node_with_image(VERSIONS["2.11"], say=True) as on,
        airflow_on_the_node(on, dags=dags, settings=settings, say=True) as started,
    ):
        home = on.node.home
        yield started
    end = time.monotonic() + ENDS
    while (left := [*what_is_left.of(home.name), *(path for path in (home,) if path.exists())]) and (
        time.monotonic() < end
    ):
        time.sleep(0.1)
    assert not left
    assert what_is_left.machine() == machine


@dataclass(frozen=True)
class Added:
    """The operation by which the missing package was added, and what was seen of it from outside."""

    operation: dict[str, Any]
    events: list[dict[str, Any]]
    before: dict[str, set[str]]
    after: dict[str, set[str]]
    """Uids of the pods of each component."""
    seen: list[str]
    """What each request for its progress was answered, the same answers once: its step, or that nobody answered."""


AWAY = "nobody answers"


@pytest.fixture(scope="module")
def added(on_the_node: AirflowOnTheNode) -> Added:
    airflow, token = on_the_node.airflow, on_the_node.airflow.token("admin")
    before = the_change.pods(on_the_node)
    planned, secret = journey.plan(airflow, token, "add good-package")
    assert planned["state"] == "PLANNED", planned["problem"]
    assert planned["plan"]["components"] == list(ALL), "the webserver last"
    status, answer = journey.apply(airflow, token, planned, secret)
    assert status == 202, answer
    seen = _watched(airflow, token, planned["id"])
    done = journey.operation(airflow, token, planned["id"])
    assert done["state"] == "SUCCEEDED", (done["problem"], on_the_node.describe())
    on_the_node.await_ready(60)
    events = journey.events(airflow, token, planned["id"])
    return Added(done, events, before, the_change.pods(on_the_node), seen)


def _watched(airflow: Airflow, token: str, identifier: str) -> list[str]:
    """Ask how an operation is doing, as the page does, until it has ended."""
    seen: list[str] = []
    end = time.monotonic() + the_change.SECONDS
    while not seen or seen[-1] not in journey.END_STATES:
        assert time.monotonic() < end, seen
        try:
            found = journey.operation(airflow, token, identifier)
        except OSError:
            seen.append(AWAY)
        else:
            seen.append(found["state"])
        time.sleep(0.5)
    return [answer for answer, _ in itertools.groupby(seen)]


def test_its_components_are_found_in_their_order_as_admin_and_as_nobody_else(on_the_node: AirflowOnTheNode) -> None:
    assert {name: the_change.ready(on_the_node, name) for name in ALL} == ALL
    airflow, token = on_the_node.airflow, on_the_node.airflow.token("admin")
    status, session = airflow.api("GET", "session", token=token)
    assert status == 200, session
    assert session["airflow_version"].startswith("2.11.")
    assert session["place"].startswith(f"ConfigMap {CONFIG_MAP} in namespace {on_the_node.namespace}")
    assert session["components"] == list(ALL)
    _, found = airflow.api("GET", "components", token=token)
    assert {row["name"]: len(row["instances"]) for row in found["components"]} == ALL
    status, found = airflow.api("GET", "packages", token=token)
    assert status == 200, found
    assert "apache-airflow" in {row["name"] for row in found["packages"]}
    assert airflow.api("GET", "packages", token=airflow.token("viewer"))[0] == 403


def test_each_init_container_reports_an_image_alone(on_the_node: AirflowOnTheNode) -> None:
    reports = [the_change.report_of(pod) for pod in on_the_node.pods()]
    assert [found.outcome for found in reports] == [report.NO_SITE] * 5
    assert len({found.image for found in reports}) == 1
    assert reports[0].image is not None


def test_doctor_in_the_webservers_pod_finds_all_that_an_operation_needs(on_the_node: AirflowOnTheNode) -> None:
    (pod,) = on_the_node.pods("webserver")
    done = on_the_node.node.execute(pod, "airflow-package-manager", "doctor", "--output", "json")
    checks = {row["name"]: row for row in json.loads(done.stdout)["checks"]}
    of_cluster = ("permissions", "config-maps", "components-current", "restarts-allowed", "installers-present")
    for name in (*of_cluster, "volumes-mounted", "package-manager-in-images", "role-mapping", "base-url"):
        assert checks[name]["status"] == "ok", checks[name]
    assert ", ".join(ALL) in checks["restarts-allowed"]["cause"]
    assert not [row for row in checks.values() if row["status"] == "failed"], done.stdout
    assert done.returncode == 0, done.stderr


def test_what_an_administrator_applies_is_printed_for_a_webserver(on_the_node: AirflowOnTheNode) -> None:
    role, binding, *_ = yaml.safe_load_all(_printed(on_the_node, "install")["install"])
    named = {name for rule in role["rules"] if "patch" in rule["verbs"] for name in rule.get("resourceNames", ())}
    assert {f"airflow-{name}" for name in ALL} <= named
    assert not {name for name in named if "api-server" in name or "dag-processor" in name}
    assert binding["subjects"][0]["name"] == "airflow-webserver"
    printed = _printed(on_the_node, "values")
    assert printed["found"]["notes"] == []
    rows = printed["found"]["components"]
    assert {row["component"]: row["installs"] for row in rows} == dict.fromkeys(ALL, True)
    values = yaml.safe_load(printed["values"])
    assert values["webserver"]["extraInitContainers"] == values["scheduler"]["extraInitContainers"]
    assert "apiServer" not in values
    assert "enabled" not in values["dagProcessor"]


def _printed(on_the_node: AirflowOnTheNode, what: str) -> dict[str, Any]:
    looking = ("--dry-run", "--kubeconfig", str(on_the_node.cluster.kubeconfig), "--output", "json")
    airflow = on_the_node.airflow
    return journey.answered(airflow.run(*airflow.command("kubernetes", what, *looking)))


def test_a_dag_waits_for_its_package(on_the_node: AirflowOnTheNode) -> None:
    airflow, token = on_the_node.airflow, on_the_node.airflow.token("admin")
    journey.until(lambda: journey.import_errors(airflow, token) == {f"{DAG}.py"} or None, "the import error", 60)


def test_every_components_pods_are_replaced_and_have_the_lock(on_the_node: AirflowOnTheNode, added: Added) -> None:
    assert {name: len(pods) for name, pods in added.after.items()} == ALL
    assert not set().union(*added.before.values()) & set().union(*added.after.values())
    reports = [the_change.report_of(pod) for pod in on_the_node.pods()]
    assert {found.outcome for found in reports} == {report.INSTALLED}
    assert {found.revision for found in reports} == {added.operation["revision"]}
    assert the_change.digest(on_the_node) is not None
    assert the_change.text(on_the_node) == "good-package\n"
    rows = added.operation["components"]
    signs = {**dict.fromkeys(ALL, "heartbeat"), "webserver": "not verified"}
    assert {row["name"]: row["verified"] for row in rows} == signs


def test_the_webserver_restarts_last_and_progress_is_told_before_and_after(added: Added) -> None:
    told = [event["component"] for event in added.events if event["kind"] == "component.restarting"]
    assert told == list(ALL)
    assert AWAY in added.seen, "it has the port of the node: the next one comes after it has gone"
    away = added.seen.index(AWAY)
    assert added.seen[away - 1] == "ROLLING_OUT"
    assert {"ROLLING_OUT", "VERIFYING"} & set(added.seen[away + 1 :]), added.seen
    assert added.seen[-1] == "SUCCEEDED"
    sequences = [event["sequence"] for event in added.events]
    assert sequences == list(range(sequences[0], sequences[0] + len(sequences))), "no event is lost"


@pytest.mark.usefixtures("added")
def test_the_dag_that_imports_it_runs_in_a_celery_worker(on_the_node: AirflowOnTheNode) -> None:
    airflow, token = on_the_node.airflow, on_the_node.airflow.token("admin")
    journey.until(lambda: not journey.import_errors(airflow, token) or None, "no import error", 60)
    run = journey.run_dag(airflow, token, DAG)
    assert journey.finished(airflow, token, DAG, run) == "success"
    _, found = airflow.request("GET", f"{airflow.rest}/dags/{DAG}/dagRuns/{run}/taskInstances", token=token)
    assert found["task_instances"][0]["hostname"] in {"airflow-worker-0", "airflow-worker-1"}


@pytest.mark.usefixtures("added")
def test_a_package_that_breaks_the_scheduler_is_rolled_back_by_itself(on_the_node: AirflowOnTheNode) -> None:
    before, text, digest = the_change.pods(on_the_node), the_change.text(on_the_node), the_change.digest(on_the_node)
    done = the_change.rolled_back(on_the_node, "breaks-scheduler")
    assert (done["problem"]["code"], done["problem"]["component"]) == ("component-failed", "scheduler")
    assert done["problem"]["detail"].startswith("scheduler")
    assert the_change.text(on_the_node) == text
    assert the_change.pods(on_the_node) == before, "nobody else was touched, and the old scheduler ran on"
    assert the_change.digest(on_the_node) == digest
