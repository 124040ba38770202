"""The main job on a real Airflow in real pods: the kubelet's init containers install, Celery's worker runs the DAG."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_package_manager.adapters.kubernetes.stamping import ANNOTATION
from airflow_package_manager.domain import report
from testenv.node.components import COMPONENTS
from testenv.node.manifests import CONFIG_MAP
from tests.node import the_change
from tests.node.the_change import ALL, Added
from tests.plugin import journey

if TYPE_CHECKING:
    from testenv.node.airflow import AirflowOnTheNode
    from testenv.package_index import PackageIndexServer


def test_six_pods_are_ready_and_a_dag_waits_for_its_package(on_the_node: AirflowOnTheNode) -> None:
    ready = {component.name: the_change.ready(on_the_node, component.name) for component in COMPONENTS}
    assert ready == ALL
    token = on_the_node.airflow.token("admin")
    journey.until(
        lambda: journey.import_errors(on_the_node.airflow, token) == {"needs_good_package.py"} or None,
        "the import error",
        60,
    )


def test_each_init_container_reports_in_its_termination_message(on_the_node: AirflowOnTheNode) -> None:
    reports = [the_change.report_of(pod) for pod in on_the_node.pods()]
    assert [found.outcome for found in reports] == [report.NO_SITE] * 6
    assert len({found.image for found in reports}) == 1
    assert reports[0].image is not None


def test_its_account_may_do_what_an_operation_needs(on_the_node: AirflowOnTheNode) -> None:
    status, found = on_the_node.airflow.api("GET", "health", token=on_the_node.airflow.token("admin"))
    assert status == 200, found
    checks = {row["name"]: row for row in found["checks"]}
    of_cluster = ("permissions", "config-maps", "restarts-allowed", "installers-present")
    for name in (*of_cluster, "volumes-mounted", "package-manager-in-images"):
        assert checks[name]["status"] == "ok", checks[name]


def test_every_components_pods_are_replaced_and_have_the_lock(on_the_node: AirflowOnTheNode, added: Added) -> None:
    done, before, after = added.operation, added.before, added.after
    assert {name: len(pods) for name, pods in after.items()} == ALL
    assert not set().union(*before.values()) & set().union(*after.values())
    digests = {the_change.report_of(pod).lock_digest for pod in on_the_node.pods()}
    assert len(digests) == 1
    assert None not in digests
    assert {the_change.report_of(pod).revision for pod in on_the_node.pods()} == {done["revision"]}
    assert the_change.text(on_the_node) == "good-package\n"


def test_airflows_own_signs_of_life_are_waited_for_also_celerys(added: Added) -> None:
    rows = added.operation["components"]
    assert {row["name"]: row["verified"] for row in rows} == {
        **dict.fromkeys(ALL, "heartbeat"),
        "api-server": "not verified",
    }
    assert {row["unverified"] for row in rows} == {None}


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
def test_a_pod_of_a_deployment_that_is_killed_while_a_package_breaks_it_comes_back_on_its_own_lock(
    on_the_node: AirflowOnTheNode,
) -> None:
    before, text, digest = the_change.pods(on_the_node), the_change.text(on_the_node), the_change.digest(on_the_node)
    (lost,) = the_change.staying(on_the_node, "scheduler")

    def kill() -> bool:
        """Delete the pod that was there before, once the one that breaks runs beside it."""
        if len(the_change.staying(on_the_node, "scheduler")) == 1:
            return False
        on_the_node.kill(lost)
        return True

    done = the_change.rolled_back(on_the_node, "breaks-scheduler", meanwhile=kill)
    assert done["problem"]["code"] == "component-failed"
    assert done["problem"]["detail"].startswith("scheduler")
    assert the_change.text(on_the_node) == text
    after = the_change.pods(on_the_node)
    assert not after.pop("scheduler") & before.pop("scheduler")
    assert after == before
    assert the_change.digest(on_the_node) == digest


@pytest.mark.usefixtures("added")
def test_a_package_that_the_index_withdraws_after_the_check_fails_in_pods_and_is_rolled_back_by_itself(
    on_the_node: AirflowOnTheNode, package_index: PackageIndexServer
) -> None:
    before, text, digest = the_change.pods(on_the_node), the_change.text(on_the_node), the_change.digest(on_the_node)
    workers = the_change.uids(on_the_node, "worker")
    asked: list[int] = []

    def withdraw() -> bool:
        """Forget the package once the check has passed and the scheduler has it; no new pod has a cache."""
        if _stamp(on_the_node, "worker") == _stamp(on_the_node, "triggerer"):
            return False
        package_index.remove("plain-one")
        asked.append(len(package_index.requests))
        return True

    done = the_change.rolled_back(on_the_node, "plain-one", meanwhile=withdraw)
    assert (done["problem"]["code"], done["problem"]["component"]) == ("component-failed", "worker")
    assert "has a pinned version no more" in done["problem"]["detail"]
    assert ("GET", "/simple/plain-one/") in package_index.requests[asked[0] :], "a pod asked for it in vain"
    assert the_change.text(on_the_node) == text
    after = the_change.uids(on_the_node, "worker")
    assert after["airflow-worker-0"] == workers["airflow-worker-0"]
    assert after["airflow-worker-1"] != workers["airflow-worker-1"]
    untouched = ("triggerer", "dag-processor", "api-server")
    assert {name: the_change.pods(on_the_node)[name] for name in untouched} == {
        name: before[name] for name in untouched
    }
    assert the_change.digest(on_the_node) == digest


@pytest.mark.usefixtures("added")
def test_of_two_workers_the_one_that_waits_is_killed_while_a_package_breaks_the_other_and_both_come_back(
    on_the_node: AirflowOnTheNode,
) -> None:
    text, digest = the_change.text(on_the_node), the_change.digest(on_the_node)
    before = {pod["metadata"]["name"]: pod for pod in on_the_node.pods("worker")}

    def kill() -> bool:
        """Delete worker-0, which was not replaced yet, once the new worker-1 is there."""
        now = the_change.uids(on_the_node, "worker")
        if now.get("airflow-worker-1") in {None, before["airflow-worker-1"]["metadata"]["uid"]}:
            return False
        on_the_node.kill(before["airflow-worker-0"])
        return True

    done = the_change.rolled_back(on_the_node, "breaks-worker", meanwhile=kill)
    assert done["problem"]["code"] == "component-failed"
    assert done["problem"]["detail"].startswith("worker")
    assert the_change.text(on_the_node) == text
    after = the_change.uids(on_the_node, "worker")
    assert all(after[name] != pod["metadata"]["uid"] for name, pod in before.items())
    assert the_change.digest(on_the_node) == digest


def _stamp(on_the_node: AirflowOnTheNode, component: str) -> str | None:
    (found,) = (one for one in COMPONENTS if one.name == component)
    annotations = on_the_node.workload(found)["spec"]["template"]["metadata"].get("annotations") or {}
    stamp: str | None = annotations.get(ANNOTATION)
    return stamp
