"""The main job on a real Airflow in real pods: the kubelet's init containers install, Celery's worker runs the DAG."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_package_manager.domain import report
from testenv.node.components import COMPONENTS
from testenv.node.manifests import CONFIG_MAP, INSTALLER
from tests.plugin import journey

if TYPE_CHECKING:
    from testenv.node.airflow import AirflowOnTheNode

ALL = {"scheduler": 1, "worker": 2, "triggerer": 1, "dag-processor": 1, "api-server": 1}
SECONDS = 420


def test_six_pods_are_ready_and_a_dag_waits_for_its_package(on_the_node: AirflowOnTheNode) -> None:
    ready = {component.name: _ready(on_the_node, component.name) for component in COMPONENTS}
    assert ready == ALL
    token = on_the_node.airflow.token("admin")
    journey.until(
        lambda: journey.import_errors(on_the_node.airflow, token) == {"needs_good_package.py"} or None,
        "the import error",
        60,
    )


def test_each_init_container_reports_in_its_termination_message(on_the_node: AirflowOnTheNode) -> None:
    reports = [_report(pod) for pod in on_the_node.pods()]
    assert [found.outcome for found in reports] == [report.NO_SITE] * 6
    assert len({found.image for found in reports}) == 1
    assert reports[0].image is not None


def test_its_account_may_do_what_an_operation_needs(on_the_node: AirflowOnTheNode) -> None:
    status, found = on_the_node.airflow.api("GET", "health", token=on_the_node.airflow.token("admin"))
    assert status == 200, found
    checks = {row["name"]: row for row in found["checks"]}
    for name in ("permissions", "config-maps", "restarts-allowed", "installers-present"):
        assert checks[name]["status"] == "ok", checks[name]


@pytest.fixture(scope="module")
def added(on_the_node: AirflowOnTheNode) -> tuple[dict[str, Any], dict[str, set[str]], dict[str, set[str]]]:
    """The operation that added the missing package, and the pods before and after it."""
    airflow = on_the_node.airflow
    before = _pods(on_the_node)
    token = airflow.token("admin")
    planned, secret = journey.plan(airflow, token, "add good-package")
    assert planned["state"] == "PLANNED", planned["problem"]
    assert planned["plan"]["components"] == list(ALL)
    status, answer = journey.apply(airflow, token, planned, secret)
    assert status == 202, answer
    done = journey.ended(airflow, token, planned["id"], SECONDS)
    assert done["state"] == "SUCCEEDED", (done["problem"], on_the_node.describe())
    on_the_node.await_ready(60)
    return done, before, _pods(on_the_node)


def test_every_components_pods_are_replaced_and_have_the_lock(
    on_the_node: AirflowOnTheNode, added: tuple[dict[str, Any], dict[str, set[str]], dict[str, set[str]]]
) -> None:
    done, before, after = added
    assert {name: len(pods) for name, pods in after.items()} == ALL
    assert not set().union(*before.values()) & set().union(*after.values())
    digests = {_report(pod).lock_digest for pod in on_the_node.pods()}
    assert len(digests) == 1
    assert None not in digests
    assert {_report(pod).revision for pod in on_the_node.pods()} == {done["revision"]}
    assert _text(on_the_node) == "good-package\n"


def test_airflows_own_signs_of_life_are_waited_for_also_celerys(
    added: tuple[dict[str, Any], dict[str, set[str]], dict[str, set[str]]],
) -> None:
    done, _, _ = added
    verified = {row["name"]: row["verified"] for row in done["components"]}
    assert verified == {**dict.fromkeys(ALL, "heartbeat"), "api-server": "not verified"}
    assert {row["unverified"] for row in done["components"]} == {None}


def test_the_page_shows_pods_where_they_run_and_where_requirements_are_kept(on_the_node: AirflowOnTheNode) -> None:
    token = on_the_node.airflow.token("admin")
    _, session = on_the_node.airflow.api("GET", "session", token=token)
    assert session["place"].startswith(f"ConfigMap {CONFIG_MAP} in namespace ")
    _, found = on_the_node.airflow.api("GET", "components", token=token)
    instances = [one for component in found["components"] for one in component["instances"]]
    assert len(instances) == 6
    assert len({one["node"] for one in instances}) == 1
    assert all(one["node"] and one["started_at"] for one in instances)


@pytest.mark.usefixtures("added")
def test_the_dag_that_imports_it_runs_in_a_celery_worker(on_the_node: AirflowOnTheNode) -> None:
    airflow, token = on_the_node.airflow, on_the_node.airflow.token("admin")
    journey.until(lambda: not journey.import_errors(airflow, token) or None, "no import error", 60)
    run = journey.run_dag(airflow, token, "needs_good_package")
    assert journey.finished(airflow, token, "needs_good_package", run) == "success"
    path = f"/api/v2/dags/needs_good_package/dagRuns/{run}/taskInstances"
    _, found = airflow.request("GET", path, token=token)
    assert found["task_instances"][0]["hostname"] in {"airflow-worker-0", "airflow-worker-1"}


@pytest.mark.usefixtures("added")
def test_a_package_that_breaks_the_scheduler_at_its_start_is_rolled_back_by_itself(
    on_the_node: AirflowOnTheNode,
) -> None:
    before, text = _pods(on_the_node), _text(on_the_node)
    done = _rolled_back(on_the_node, "scheduler")
    assert done["problem"]["detail"].startswith("scheduler")
    assert _text(on_the_node) == text
    # Nobody else was touched; the new scheduler, which started beside the old one, still takes its time to end.
    journey.until(lambda: _pods(on_the_node) == before or None, "the pods of before", 60)


@pytest.mark.usefixtures("added")
def test_of_two_workers_only_the_first_is_lost_to_a_package_that_breaks_workers(on_the_node: AirflowOnTheNode) -> None:
    text, kept = _text(on_the_node), _uids(on_the_node, "worker")["airflow-worker-0"]
    lost = _uids(on_the_node, "worker")["airflow-worker-1"]
    done = _rolled_back(on_the_node, "worker")
    assert done["problem"]["detail"].startswith("worker")
    assert _text(on_the_node) == text
    after = _uids(on_the_node, "worker")
    assert after["airflow-worker-0"] == kept
    assert after["airflow-worker-1"] != lost
    digests = {_report(pod).lock_digest for pod in on_the_node.pods() if "deletionTimestamp" not in pod["metadata"]}
    assert len(digests) == 1, "everybody is back on the lock of before"


def _rolled_back(on_the_node: AirflowOnTheNode, component: str) -> dict[str, Any]:
    """Apply a package that breaks this component at its start, and return the operation, which has been rolled back."""
    airflow, token = on_the_node.airflow, on_the_node.airflow.token("admin")
    planned, secret = journey.plan(airflow, token, f"add breaks-{component}")
    assert planned["state"] == "PLANNED", planned["problem"]
    status, answer = journey.apply(airflow, token, planned, secret)
    assert status == 202, answer
    done = journey.ended(airflow, token, planned["id"], SECONDS)
    assert done["state"] == "ROLLED_BACK", (done["problem"], on_the_node.describe())
    assert done["problem"]["code"] == "component-failed"
    on_the_node.await_ready(120)
    return done


def _uids(on_the_node: AirflowOnTheNode, component: str) -> dict[str, str]:
    return {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in on_the_node.pods(component)}


def _ready(on_the_node: AirflowOnTheNode, component: str) -> int:
    return sum(
        condition["type"] == "Ready" and condition["status"] == "True"
        for pod in on_the_node.pods(component)
        for condition in pod["status"]["conditions"]
    )


def _pods(on_the_node: AirflowOnTheNode) -> dict[str, set[str]]:
    return {name: {pod["metadata"]["uid"] for pod in on_the_node.pods(name)} for name in ALL}


def _report(pod: dict[str, Any]) -> report.InstallReport:
    (status,) = (row for row in pod["status"]["initContainerStatuses"] if row["name"] == INSTALLER)
    found = report.load_install(status["state"]["terminated"]["message"])
    assert found is not None
    return found


def _text(on_the_node: AirflowOnTheNode) -> str:
    path = f"/api/v1/namespaces/{on_the_node.namespace}/configmaps/{CONFIG_MAP}"
    return str(on_the_node.cluster.admin.get(path)["data"]["requirements.txt"])
