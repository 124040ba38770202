from __future__ import annotations

import pytest

from airflow_package_manager.adapters.kubernetes import workloads
from airflow_package_manager.adapters.kubernetes.kinds import DEPLOYMENT, POD, REPLICA_SET, STATEFUL_SET, Kind
from airflow_package_manager.adapters.kubernetes.workloads import Reference
from airflow_package_manager.domain.components import COMPONENTS, WEB_SERVERS
from airflow_package_manager.errors import InvalidSetting
from airflow_package_manager.refusals import NoComponents, UnsupportedWorkload
from tests.fakes.cluster import MemoryApi

WORKER = {"tier": "airflow", "component": "worker", "release": "airflow"}
BY_LABEL = Reference(selector="tier=airflow,component=worker")


def put(api: MemoryApi, kind: Kind, name: str, *, replicas: int = 1, owner: str | None = None) -> None:
    owners = [] if owner is None else [{"kind": owner, "name": f"the-{owner.lower()}", "uid": "u", "controller": True}]
    metadata = {"name": name, "labels": WORKER, "ownerReferences": owners}
    api.create(kind, "n", {"metadata": metadata, "spec": {"replicas": replicas, "template": {}}})


def find(api: MemoryApi, reference: Reference = BY_LABEL, *, named: bool = True) -> str:
    found = workloads.find(api, "n", "worker", reference, named=named)
    return f"{found.kind.name}/{found.name}"


def test_a_worker_is_whatever_kind_the_chart_made() -> None:
    for kind in (DEPLOYMENT, STATEFUL_SET):
        api = MemoryApi()
        put(api, kind, "airflow-worker")
        assert find(api) == f"{kind.name}/airflow-worker"
        assert find(api, Reference(kind, "airflow-worker")) == f"{kind.name}/airflow-worker"


def test_what_is_not_there_is_named_as_it_was_looked_for() -> None:
    for reference in (BY_LABEL, Reference(DEPLOYMENT, "airflow-worker")):
        with pytest.raises(NoComponents) as caught:
            find(MemoryApi(), reference)
        assert str(reference) in caught.value.detail
        assert caught.value.context["components"] == ["worker"]


def test_two_are_refused_and_both_named() -> None:
    api = MemoryApi()
    put(api, DEPLOYMENT, "one-worker")
    put(api, STATEFUL_SET, "two-worker")
    with pytest.raises(UnsupportedWorkload, match="Deployment/one-worker and StatefulSet/two-worker") as caught:
        find(api)
    assert "workloads = worker=Deployment/one-worker" in caught.value.next_action


@pytest.mark.parametrize(
    ("kind", "owner"), [(REPLICA_SET, "Rollout"), (POD, "DaemonSet"), (POD, "CloneSet"), (REPLICA_SET, "CloneSet")]
)
def test_what_another_kind_runs_is_refused_by_its_name(kind: Kind, owner: str) -> None:
    api = MemoryApi()
    put(api, kind, "x", owner=owner)
    with pytest.raises(UnsupportedWorkload, match=f"{owner} the-{owner.lower()}"):
        find(api)


def test_a_deployment_that_a_rollout_drives_is_no_deployment_of_its_own() -> None:
    api = MemoryApi()
    put(api, DEPLOYMENT, "airflow-worker", replicas=0)
    assert find(api) == "Deployment/airflow-worker", "scaled to zero by a person"
    put(api, REPLICA_SET, "airflow-worker-1", owner="Rollout")
    for reference in (BY_LABEL, Reference(DEPLOYMENT, "airflow-worker")):
        with pytest.raises(UnsupportedWorkload, match="Rollout"):
            find(api, reference)


def test_tasks_of_the_kubernetes_executor_are_no_component() -> None:
    api = MemoryApi()
    put(api, POD, "a-task")
    with pytest.raises(NoComponents):
        find(api)


def test_a_task_of_the_kubernetes_executor_is_no_worker_although_it_has_a_workers_labels() -> None:
    api = MemoryApi()
    put(api, POD, "task")
    with pytest.raises(NoComponents):
        find(api)
    put(api, STATEFUL_SET, "airflow-worker")
    assert find(api) == "StatefulSet/airflow-worker"


def test_tasks_are_not_even_listed_where_nobody_counts_on_a_worker() -> None:
    api = MemoryApi()
    put(api, POD, "x", owner="DaemonSet")
    with pytest.raises(NoComponents):
        find(api, named=False)


@pytest.mark.parametrize("chart", workloads.CHARTS)
def test_each_chart_names_known_components_and_its_release(chart: str) -> None:
    plain, released = workloads.preset(chart), workloads.preset(chart, "blue")
    assert set(plain) <= set(COMPONENTS)
    assert (chart == "none") == (not plain)
    assert all("=blue" in reference.selector for reference in released.values())
    assert not any(reference.configured for reference in plain.values())
    assert workloads.preset("astronomer") == workloads.preset("official")


def test_configured_workloads_come_before_the_charts_labels() -> None:
    configured = (
        ("worker", "StatefulSet/airflow-worker"),
        ("scheduler", "app=airflow,component in (a, b)"),
        ("triggerer", "deployment.apps/airflow-triggerer"),
    )
    named = {
        "worker": Reference(STATEFUL_SET, "airflow-worker"),
        "scheduler": Reference(selector="app=airflow,component in (a, b)"),
        "triggerer": Reference(DEPLOYMENT, "airflow-triggerer"),
    }
    assert workloads.references(configured, "none") == named
    assert workloads.references(configured, "official") == {**workloads.preset("official"), **named}
    assert workloads.references((), "official", "blue") == workloads.preset("official", "blue")


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("DaemonSet/x", "a DaemonSet cannot be restarted safely"),
        ("Rollout/x", "a Rollout cannot be restarted safely"),
        ("Deployment/Not A Name", "Deployment/name"),
        ("Deployment/../../x", "Deployment/name"),
        ("a=b\nc", "label selector"),
    ],
)
def test_what_is_not_understood_is_refused_with_what_is_allowed(text: str, allowed: str) -> None:
    with pytest.raises(InvalidSetting, match=allowed) as caught:
        workloads.references([("worker", text)], "official")
    assert caught.value.context["setting"] == "workloads"


@pytest.mark.parametrize("chart", ["official", "bitnami", "community"])
def test_a_web_server_is_found_by_either_of_its_names(chart: str) -> None:
    known = workloads.references([], chart)
    for name in WEB_SERVERS:
        found = workloads.referred(known, name)
        assert found is not None
        assert found in known.values()
    assert workloads.referred(workloads.references([], "none"), "webserver") is None
    assert workloads.referred(known, "flower") is None


def test_a_web_server_with_its_own_labels_is_found_by_no_other_ones() -> None:
    known = workloads.references([], "official")
    assert {workloads.referred(known, name) for name in WEB_SERVERS} == {known[name] for name in WEB_SERVERS}
    assert known["api-server"] != known["webserver"]
