"""Our values on the official chart, rendered by helm and shown to a real API server. Needs AIRFLOW_CHART_DIR."""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
from functools import partial
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from airflow_package_manager.adapters.kubernetes import preflight_job
from airflow_package_manager.adapters.kubernetes.kinds import DEPLOYMENT
from airflow_package_manager.adapters.kubernetes.manifests import Installation, manifest
from airflow_package_manager.adapters.kubernetes.preflight_job import Options
from airflow_package_manager.adapters.kubernetes.stamping import Workload
from testenv.cluster import Client, Cluster
from testenv.cluster.build import programs
from tests.cluster.chart_like import STAMP, Object, policies

CHART = os.environ.get("AIRFLOW_CHART_DIR", "")
COMPONENTS = ("api-server", "dag-processor", "scheduler", "triggerer", "worker")
pytestmark = pytest.mark.skipif(not CHART, reason="AIRFLOW_CHART_DIR names no chart")


@pytest.fixture(scope="module", params=["CeleryExecutor", "KubernetesExecutor"])
def rendered(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Object]:
    folder = tmp_path_factory.mktemp("chart")
    chart = folder / "airflow"
    shutil.copytree(CHART, chart)
    about = yaml.safe_load((chart / "Chart.yaml").read_text())
    about.pop("dependencies", None)  # a database chart, which needs the network and says nothing about us
    (chart / "Chart.yaml").write_text(yaml.safe_dump(about))
    (chart / "Chart.lock").unlink(missing_ok=True)
    values = folder / "values.yaml"
    values.write_text(manifest("values-official.yaml", Installation()))
    command = [str(programs("helm")["helm"]), "template", "airflow", str(chart), "--values", str(values)]
    command += ["--namespace", "data-orchestration", "--set", f"executor={request.param}"]
    command += ["--set", "postgresql.enabled=false", "--set", "data.metadataConnection.host=database"]
    environ = {"PATH": os.defpath, "HOME": str(folder)}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def workloads(rendered: list[Object]) -> dict[str, Object]:
    return {
        one["metadata"]["labels"]["component"]: one
        for one in rendered
        if one["kind"] in {"Deployment", "StatefulSet"} and one["metadata"]["labels"].get("component") in COMPONENTS
    }


def test_every_component_installs_before_it_starts(rendered: list[Object]) -> None:
    found = workloads(rendered)
    assert {*found} >= {*COMPONENTS} - {"worker"}
    for name, one in found.items():
        spec = one["spec"]["template"]["spec"]
        assert [entry["name"] for entry in spec["initContainers"]][-1] == "package-manager", name
        main = spec["containers"][0]
        assert {"package-manager", "package-manager-locks"} <= {mount["name"] for mount in main["volumeMounts"]}
        assert "AIRFLOW_PACKAGE_MANAGER_SITE" in {entry["name"] for entry in main["env"]}
        held_back = main.get("startupProbe") or main.get("lifecycle", {}).get("postStart")
        assert held_back, f"{name} may look ready for a moment while it crashes"


def test_task_pods_install_too(rendered: list[Object]) -> None:
    maps = [
        one for one in rendered if one["kind"] == "ConfigMap" and "pod_template_file.yaml" in (one.get("data") or {})
    ]
    for one in maps:
        pod = yaml.safe_load(one["data"]["pod_template_file.yaml"])
        if pod is None and not (Path(CHART) / "files").is_dir():
            pytest.skip("this copy of the chart lacks the file of the pod template")
        assert "package-manager" in [entry["name"] for entry in pod["spec"]["initContainers"]]


def test_the_api_server_takes_them_and_the_policy_their_check(policed_cluster: Cluster, rendered: list[Object]) -> None:
    cluster = policed_cluster
    with cluster.namespace() as namespace:
        for one in workloads(rendered).values():
            metadata, spec = {**one["metadata"], "namespace": namespace}, {**one["spec"], "replicas": 0}
            cluster.admin.create({**one, "metadata": metadata, "spec": spec})
        path = f"/apis/apps/v1/namespaces/{namespace}/deployments/airflow-scheduler"
        scheduler = cluster.admin.get(path)
        job = preflight_job.make(Workload(DEPLOYMENT, scheduler), 3, ["pandas"], Options())
        job["metadata"]["namespace"] = namespace
        everything = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
        ours = Client.of(cluster.account(namespace, "airflow-api-server", everything))
        jobs, bad = f"/apis/batch/v1/namespaces/{namespace}/jobs", copy.deepcopy(job)
        bad["spec"]["backoffLimit"] = 1
        abuse = partial(ours.request, "POST", jobs, bad, dryRun="All")
        with policies(cluster.admin, Installation(namespace=namespace), [abuse]):
            ours.request("POST", jobs, job, dryRun="All")
            stamped = {"spec": {"template": {"metadata": {"annotations": {STAMP: "3"}}}}}
            ours.request("PATCH", path, stamped, dryRun="All")


def test_the_values_are_those_of_the_repository() -> None:
    text = (Path(__file__).parents[2] / "deploy" / "kubernetes" / "values-official.yaml").read_text()
    assert text == manifest("values-official.yaml", Installation())
