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
from tests.cluster import official_chart
from tests.cluster.chart_like import STAMP, Object, policies

CHART = os.environ.get("AIRFLOW_CHART_DIR", "")
VERSIONS = {2: "2.11.0", 3: "3.0.2"}
KINDS = ("Deployment", "StatefulSet")
COMPONENTS = ("api-server", "dag-processor", "scheduler", "triggerer", "worker")
pytestmark = pytest.mark.skipif(not CHART, reason="AIRFLOW_CHART_DIR names no chart")


@pytest.fixture(scope="module")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the chart without the charts that it depends on."""
    found = tmp_path_factory.mktemp("chart") / "airflow"
    shutil.copytree(CHART, found)
    about = yaml.safe_load((found / "Chart.yaml").read_text())
    about.pop("dependencies", None)  # a database chart, which needs the network and says nothing about us
    (found / "Chart.yaml").write_text(yaml.safe_dump(about))
    (found / "Chart.lock").unlink(missing_ok=True)
    return found


def render(chart: Path, *words: str) -> list[Object]:
    command = [str(programs("helm")["helm"]), "template", "airflow", str(chart), "--namespace", "data-orchestration"]
    command += ["--set", "postgresql.enabled=false", "--set", "data.metadataConnection.host=database", *words]
    environ = {"PATH": os.defpath, "HOME": str(chart.parent)}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [one for one in yaml.safe_load_all(done.stdout) if one]


@pytest.fixture(scope="module", params=["CeleryExecutor", "KubernetesExecutor"])
def rendered(request: pytest.FixtureRequest, chart: Path) -> list[Object]:
    values = chart.parent / "values.yaml"
    values.write_text(manifest("values-official.yaml", Installation()))
    return render(chart, "--values", str(values), "--set", f"executor={request.param}")


def test_on_airflow_2_the_webserver_installs_and_no_dag_processor_comes_with_our_values(chart: Path) -> None:
    values = chart.parent / "values-2.yaml"
    values.write_text(manifest("values-official.yaml", Installation(web_server="webserver")))
    made = render(chart, "--values", str(values), "--set", f"airflowVersion={VERSIONS[2]}")
    found = {one["metadata"]["labels"]["component"]: one for one in made if one["kind"] in KINDS}
    assert {*found} == {*official_chart.components(2, "CeleryExecutor"), *official_chart.others("CeleryExecutor")}
    for name in official_chart.components(2, "CeleryExecutor"):
        init = [entry["name"] for entry in found[name]["spec"]["template"]["spec"]["initContainers"]]
        assert init[-1] == "package-manager", name


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


# --- our own facts about it --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("major", "executor"), official_chart.INSTALLATIONS)
def test_the_facts_that_the_tests_use_are_what_it_renders(chart: Path, major: int, executor: str) -> None:
    words = ["--set", f"executor={executor}", "--set", f"airflowVersion={VERSIONS[major]}"]
    made = render(chart, *words)
    wanted = official_chart.components(major, executor)
    found = {one["metadata"]["labels"]["component"]: one for one in made if one["kind"] in KINDS}
    assert {*found} == {*wanted, *official_chart.others(executor)}
    for name, one in wanted.items():
        assert facts(found[name]) == facts(official_chart.workload(one, "n")), name
    services = {one["spec"]["selector"]["component"] for one in made if one["kind"] == "Service"}
    of_facts = official_chart.FACTS["services"]
    assert services - {*official_chart.others(executor)} == {*of_facts[executor], *of_facts[str(major)]}


def test_its_deployments_without_volumes_are_as_the_facts_say(chart: Path) -> None:
    words = ["--set", "workers.persistence.enabled=false", "--set", "triggerer.persistence.enabled=false"]
    made = render(chart, *words, "--set", "executor=CeleryExecutor")
    found = {one["metadata"]["labels"]["component"]: one for one in made if one["kind"] == "Deployment"}
    for name in ("worker", "triggerer"):
        one = official_chart.component(name, "Deployment")
        assert facts(found[name]) == facts(official_chart.workload(one, "n")), name


def facts(one: Object) -> Object:
    """Return what our file knows of a workload."""
    spec, pod = one["spec"], one["spec"]["template"]["spec"]
    main, *others = pod["containers"]
    return {
        "kind": one["kind"],
        "name": one["metadata"]["name"],
        "selector": spec["selector"],
        "labels": spec["template"]["metadata"]["labels"],
        "marked": spec["selector"]["matchLabels"].items() <= one["metadata"]["labels"].items(),
        "replicas": spec["replicas"],
        "account": pod["serviceAccountName"],
        "grace": pod.get("terminationGracePeriodSeconds"),
        "init": [init["name"] for init in pod["initContainers"]],
        "containers": [main["name"], *(other["name"] for other in others)],
        "claims": [claim["metadata"]["name"] for claim in spec.get("volumeClaimTemplates") or ()],
        **{key: spec.get(key) for key in ("strategy", "updateStrategy", "podManagementPolicy", "serviceName")},
        **{probe: _shape(main.get(probe)) for probe in ("startupProbe", "readinessProbe", "livenessProbe")},
    }


def _shape(probe: Object | None) -> Object | None:
    """Return how and when a probe asks; not with which words, nor at which port and scheme."""
    if probe is None:
        return None
    times = {key: value for key, value in probe.items() if key not in {"exec", "httpGet"}}
    return {**times, "path": probe["httpGet"]["path"]} if "httpGet" in probe else {**times, "exec": True}
