"""Beside a running check stand the chart's Service, a PodDisruptionBudget and the ReplicaSet: none takes its pod."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import pytest

from airflow_package_manager.adapters.kubernetes import preflight_job
from airflow_package_manager.adapters.kubernetes.kinds import DEPLOYMENT
from airflow_package_manager.adapters.kubernetes.preflight_job import Options
from airflow_package_manager.adapters.kubernetes.stamping import Workload
from testenv.cluster import Client, Cluster, script
from tests.cluster import official_chart
from tests.cluster.preparing import eventually
from tests.cluster.workloads import Object, rolled_out

REPLICAS = 2
SELECTORS = {
    "as-the-chart": official_chart.labels("api-server"),
    "by-component": {"component": "api-server"},
    "by-tier": {"tier": "airflow"},
}
"""Of a Service and of a budget: people write wide ones, too."""
NAME = "counts"
"""Of both. One budget alone: of several that select a pod, the controller works out one."""


@dataclass(frozen=True)
class Apart:
    """A component with all that counts its pods, and a check made from its template that is running."""

    admin: Client
    namespace: str
    check: Object
    before: dict[str, str]
    """Name → uid of the component's pods, before there was a check."""

    def inside(self, collection: str, group: str = "api/v1") -> str:
        return f"/{group}/namespaces/{self.namespace}/{collection}"

    def pods(self, selector: str = "component=api-server") -> dict[str, str]:
        found = self.admin.items(self.inside("pods"), labelSelector=selector)
        return {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in found}

    def served(self) -> set[str]:
        """Return the pods to which a Service may send something: those that are not ready too."""
        slices = self.admin.items(
            self.inside("endpointslices", "apis/discovery.k8s.io/v1"),
            labelSelector=f"kubernetes.io/service-name={NAME}",
        )
        endpoints = [endpoint for one in slices for endpoint in one.get("endpoints") or ()]
        old = self.admin.items(self.inside("endpoints"))
        subsets = [part for one in old if one["metadata"]["name"] == NAME for part in one.get("subsets") or ()]
        rows = [row for part in subsets for key in ("addresses", "notReadyAddresses") for row in part.get(key) or ()]
        return {str(row["targetRef"]["name"]) for row in (*endpoints, *rows)}

    def counted(self) -> int:
        """Return how many pods a budget counts."""
        path = self.inside(f"poddisruptionbudgets/{NAME}", "apis/policy/v1")
        status: Object = self.admin.get(path).get("status", {})
        return int(status.get("expectedPods", -1))

    def like_the_component(self, **labels: str) -> str:
        """Make a pod that nobody runs, with the component's labels; return its name."""
        name = f"stray-{secrets.token_hex(3)}"
        marks = {**official_chart.labels("api-server"), **labels}
        metadata = {"name": name, "namespace": self.namespace, "labels": marks}
        spec = {"containers": [{"name": "main", "image": official_chart.IMAGE}]}
        self.admin.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        return name


@pytest.fixture(params=SELECTORS)
def apart(cluster: Cluster, namespace: str, request: pytest.FixtureRequest) -> Apart:
    selector = SELECTORS[request.param]
    admin = cluster.admin
    body = official_chart.workload(official_chart.component("api-server"), namespace, replicas=REPLICAS)
    body["spec"]["template"]["metadata"]["annotations"] = script(None) | script(7, preflight="hangs")
    admin.create(body)
    found = admin.until(f"/apis/apps/v1/namespaces/{namespace}/deployments/airflow-api-server", rolled_out)
    pods = f"/api/v1/namespaces/{namespace}/pods"
    before = {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in admin.items(pods)}
    job = preflight_job.make(Workload(DEPLOYMENT, found), 7, ["pandas"], Options(timeout=600))
    job["metadata"]["namespace"] = namespace
    admin.create(job)
    of_check = preflight_job.pod_selector(7)
    eventually(lambda: any(_installs(pod) for pod in admin.items(pods, labelSelector=of_check)), "the check")
    metadata = {"name": NAME, "namespace": namespace}
    serving = {"selector": selector, "ports": [{"port": official_chart.PORT}]}
    admin.create({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": serving})
    budget = {"selector": {"matchLabels": selector}, "minAvailable": 1}
    admin.create({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata, "spec": budget})
    for number, pod in enumerate(admin.items(pods), start=1):  # a kubelet would give each an address
        address = f"10.9.8.{number}"
        status = {"status": {"podIP": address, "podIPs": [{"ip": address}]}}
        admin.request("PATCH", f"{pods}/{pod['metadata']['name']}/status", status)
    (check,) = admin.items(pods, labelSelector=of_check)
    return Apart(admin, namespace, check, before)


def _installs(pod: Object) -> bool:
    rows = pod.get("status", {}).get("initContainerStatuses") or ()
    return any("running" in row["state"] for row in rows)


def test_nothing_counts_the_check_while_it_runs(apart: Apart) -> None:
    eventually(lambda: apart.served() == set(apart.before), "the endpoints")
    eventually(lambda: apart.counted() == REPLICAS, "the budget")
    assert apart.check["status"]["podIP"], "an address alone would do to be served"
    (owner,) = apart.check["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["controller"]) == ("Job", True)
    (replica_set,) = apart.admin.items(apart.inside("replicasets", "apis/apps/v1"))
    assert replica_set["status"]["replicas"] == REPLICAS
    assert apart.pods() == apart.before, "no pod of the component had to go for it"
    assert apart.pods(preflight_job.pod_selector(7)) == {
        apart.check["metadata"]["name"]: apart.check["metadata"]["uid"]
    }


def test_a_pod_with_the_components_labels_would_be_served_and_counted(apart: Apart) -> None:
    """What the check's own labels spare it: the same look at a pod that has the component's."""
    stray = apart.like_the_component()
    path = apart.inside(f"pods/{stray}/status")
    eventually(lambda: apart.admin.get(path)["status"].get("phase") == "Running", "the stray pod")
    status = {"status": {"podIP": "10.9.8.99", "podIPs": [{"ip": "10.9.8.99"}]}}
    apart.admin.request("PATCH", path, status)
    eventually(lambda: stray in apart.served(), "the endpoints")
    eventually(lambda: apart.counted() == REPLICAS + 1, "the budget")


def test_a_pod_with_the_templates_hash_would_be_adopted_and_ended(apart: Apart) -> None:
    (replica_set,) = apart.admin.items(apart.inside("replicasets", "apis/apps/v1"))
    stray = apart.like_the_component(**{"pod-template-hash": replica_set["metadata"]["labels"]["pod-template-hash"]})

    eventually(lambda: stray not in apart.pods(), "its end")
    assert apart.pods() == apart.before
    assert apart.check["metadata"]["name"] in apart.pods(preflight_job.pod_selector(7))
