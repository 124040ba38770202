"""`kubernetes install --dry-run` on a real API server: what is there is filled in, what cannot be seen is said."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from airflow_package_manager.adapters.kubernetes.manifests import Installation, manifests
from testenv.cluster import Client, Cluster
from testenv.cluster.build import programs
from tests.cluster import chart_like, official_chart
from tests.cluster.official_chart import Component, Object

PREFIX = "AIRFLOW__PACKAGE_MANAGER__"
LOOKING: list[Object] = [
    {"apiGroups": ["apps"], "resources": ["deployments", "statefulsets"], "verbs": ["get", "list"]},
    {"apiGroups": ["apps"], "resources": ["replicasets"], "verbs": ["list"]},
    {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]},
]
"""All that a look needs: whoever has no more cannot have written."""


@dataclass(frozen=True)
class Printed:
    """What the command said."""

    out: str
    err: str

    @property
    def documents(self) -> list[Object]:
        return list(yaml.safe_load_all(self.out))

    @property
    def role(self) -> Object:
        return self.documents[0]

    @property
    def patched(self) -> dict[str, list[str]]:
        """Resource → names of what the Role lets our account restart."""
        return {
            rule["resources"][0]: rule["resourceNames"]
            for rule in self.role["rules"]
            if rule["verbs"] == ["patch"] and "resourceNames" in rule
        }

    @property
    def account(self) -> str:
        return str(self.documents[1]["subjects"][0]["name"])

    @property
    def model(self) -> str:
        """The workload from whose template the check is made."""
        policy, binding = self.documents[4:6]
        return f"{policy['spec']['paramKind']['kind']}/{binding['spec']['paramRef']['name']}"


@dataclass(frozen=True)
class Desk:
    """Somebody at a keyboard, with settings."""

    home: Path
    kubeconfig: Path
    namespace: str

    def __call__(self, *words: str, kubeconfig: Path | None = None, named: bool = True, **settings: str) -> Printed:
        """Run the real command; `named`: the settings name the namespace."""
        done = self._run(words, kubeconfig, named=named, settings=settings)
        assert done.returncode == 0, done.stderr
        return Printed(done.stdout, done.stderr)

    def refused(self, *words: str, status: int, kubeconfig: Path | None = None, named: bool = True) -> str:
        """Run the real command, which ends with this status and gives nothing to apply; return why."""
        done = self._run(words, kubeconfig, named=named, settings={})
        assert done.returncode == status, done.stderr
        assert done.stdout == ""
        return done.stderr

    def _run(
        self, words: Sequence[str], kubeconfig: Path | None, *, named: bool, settings: dict[str, str]
    ) -> subprocess.CompletedProcess[str]:
        given = {"kubeconfig": str(kubeconfig or self.kubeconfig), **settings}
        given |= {"namespace": self.namespace} if named else {}
        environ = {
            "PATH": os.defpath,
            "HOME": str(self.home),
            "AIRFLOW_HOME": str(self.home),
            **{PREFIX + name.upper(): value for name, value in given.items()},
        }
        command = [sys.executable, "-m", "airflow_package_manager.cli.main", "kubernetes", *words, "--dry-run"]
        return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)


@pytest.fixture
def desk(cluster: Cluster, namespace: str, tmp_path: Path) -> Desk:
    """Somebody who may look into the namespace and nothing else."""
    return Desk(tmp_path, cluster.account(namespace, "looks", LOOKING), namespace)


def put(admin: Client, namespace: str, there: Sequence[Component], release: str = "airflow") -> None:
    for one in there:
        admin.create(official_chart.workload(one, namespace, release=release, replicas=0))


def everything(admin: Client, namespace: str) -> list[tuple[str, str, str]]:
    """Return kind, name and version of what is in a namespace."""
    collections = [f"/api/v1/namespaces/{namespace}/{plural}" for plural in ("configmaps", "pods", "serviceaccounts")]
    collections += [f"/apis/apps/v1/namespaces/{namespace}/{plural}" for plural in ("deployments", "statefulsets")]
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    collections += [f"{rbac}/{plural}" for plural in ("roles", "rolebindings")]
    return [
        (path, one["metadata"]["name"], str(one["metadata"].get("generation", one["metadata"]["resourceVersion"])))
        for path in collections
        for one in admin.items(path)
    ]


# --- what is found -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("major", "executor"), official_chart.INSTALLATIONS)
def test_what_the_chart_made_is_filled_in(cluster: Cluster, desk: Desk, major: int, executor: str) -> None:
    there = official_chart.components(major, executor)
    put(cluster.admin, desk.namespace, [*there.values(), *official_chart.others(executor).values()], "blue")
    before = everything(cluster.admin, desk.namespace)
    said = desk("install")
    kinds = {one.plural for one in there.values()}
    assert said.patched == {
        plural: [
            official_chart.called(name, "blue") for name in ORDER if name in there and there[name].plural == plural
        ]
        for plural in kinds
    }
    web = "api-server" if major == 3 else "webserver"
    assert said.account == official_chart.called(web, "blue")
    assert said.model == f"{there['scheduler'].kind}/blue-scheduler"
    assert said.role["metadata"]["namespace"] == desk.namespace
    for name, one in there.items():
        assert f"{one.kind}/blue-{name}" in said.err, said.err
    assert "release blue of chart official" in said.err
    assert f"No init container package-manager yet: {', '.join(name for name in ORDER if name in there)}." in said.err
    assert ("the worker becomes a Deployment" in said.err) == ("worker" in there)
    assert everything(cluster.admin, desk.namespace) == before


ORDER = ("scheduler", "worker", "triggerer", "dag-processor", "api-server", "webserver")


def test_what_is_printed_is_taken_by_the_api_server_as_it_is(cluster: Cluster, desk: Desk) -> None:
    put(cluster.admin, desk.namespace, list(official_chart.components(3, "CeleryExecutor").values()))
    said = desk("install")
    command = [str(programs("kubectl")["kubectl"]), "--kubeconfig", str(cluster.kubeconfig), "apply"]
    done = subprocess.run(
        [*command, "--dry-run=server", "--filename", "-"], input=said.out, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(said.documents) == 8


def test_our_init_container_and_config_map_are_seen(cluster: Cluster, desk: Desk) -> None:
    for kind, name in (("Deployment", "scheduler"), ("Deployment", "worker"), ("Deployment", "api-server")):
        cluster.admin.create(chart_like.workload(kind, desk.namespace, name))
    missing = desk("install")
    assert "No init container" not in missing.err
    assert "ConfigMap airflow-config-pypi: not there yet" in missing.err
    metadata = {"name": "airflow-config-pypi", "namespace": desk.namespace}
    cluster.admin.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {}})
    assert "ConfigMap airflow-config-pypi: there, and kept as it is." in desk("install").err


def test_options_win_over_what_is_found(cluster: Cluster, desk: Desk) -> None:
    put(cluster.admin, desk.namespace, list(official_chart.components(3, "CeleryExecutor").values()))
    words = ["--account", "other", "--config-map", "wishes", "--template", "StatefulSet/airflow-worker"]
    said = desk("install", *words, "--workload", "StatefulSet/airflow-worker")
    assert said.account == "other"
    assert said.patched == {"statefulsets": ["airflow-worker"]}
    assert said.model == "StatefulSet/airflow-worker"
    assert "wishes-locks" in said.out


def test_another_chart_is_recognised_by_its_labels(cluster: Cluster, desk: Desk) -> None:
    """Bitnami's: one account for all components, and another word for the web server."""
    for name in ("web", "scheduler", "worker"):
        cluster.admin.create(bitnami(desk.namespace, name))
    said = desk("install")
    assert "set chart = bitnami in [package_manager]" in said.err
    assert said.account == "mine-airflow"
    assert said.patched == {
        "deployments": ["mine-airflow-scheduler", "mine-airflow-web"],
        "statefulsets": ["mine-airflow-worker"],
    }
    assert "scheduler, worker and api-server run under one service account, mine-airflow" in said.err
    assert "the pods of api-server get no token" in said.err.lower()


def test_policies_that_would_hold_other_components_are_not_printed(cluster: Cluster, desk: Desk) -> None:
    for name in ("web", "scheduler"):
        cluster.admin.create(bitnami(desk.namespace, name))
    said = desk("install", chart="bitnami")
    assert [one["kind"] for one in said.documents] == ["Role", "RoleBinding"]
    assert "the policies are left out, because they would deny these all other Jobs" in said.err
    for words in (["--account", "of-its-own"], ["--account-namespace", "elsewhere"]):
        assert len(desk("install", *words, chart="bitnami").documents) == 8


def test_the_check_is_made_from_the_same_component_as_by_the_driver(cluster: Cluster, desk: Desk) -> None:
    put(cluster.admin, desk.namespace, list(official_chart.components(3, "CeleryExecutor").values()))
    without = desk("install", components="worker, triggerer")
    assert without.model == "StatefulSet/airflow-worker"
    assert desk("install", components="triggerer, scheduler").model == "Deployment/airflow-scheduler"
    words = ["--workload", "StatefulSet/airflow-worker", "--workload", "StatefulSet/airflow-triggerer"]
    assert desk("install", *words, components="triggerer").model == "StatefulSet/airflow-triggerer"
    assert desk("install", "--offline", components="triggerer").model == "StatefulSet/airflow-triggerer"
    assert desk("install", "--offline", "--release", "x", components="worker").model == "Deployment/x-worker"


def bitnami(namespace: str, name: str) -> Object:
    marks = {"name": "airflow", "instance": "mine", "component": name}
    labels = {f"app.kubernetes.io/{key}": value for key, value in marks.items()}
    spec = {
        "serviceAccountName": "mine-airflow",
        "automountServiceAccountToken": False,
        "containers": [{"name": "main", "image": "i"}],
    }
    stateful = name == "worker"
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet" if stateful else "Deployment",
        "metadata": {"name": f"mine-airflow-{name}", "namespace": namespace, "labels": labels},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
            **({"serviceName": "x"} if stateful else {}),
        },
    }


def test_an_airflow_in_another_namespace_is_found(cluster: Cluster, desk: Desk) -> None:
    release = f"r{secrets.token_hex(4)}"
    with cluster.namespace() as other:
        put(cluster.admin, other, list(official_chart.components(3, "KubernetesExecutor").values()), release)
        said = desk("install", "--release", release, kubeconfig=cluster.kubeconfig, named=False)
        assert said.role["metadata"]["namespace"] == other
        assert f"Namespace data-orchestration has no Airflow, {other} has" in said.err
        assert said.account == f"{release}-api-server"
        values = desk("values", "--release", release, kubeconfig=cluster.kubeconfig, named=False)
        assert f"value: {other}" in values.out


def test_workloads_that_the_settings_name_are_looked_up(cluster: Cluster, desk: Desk) -> None:
    put(cluster.admin, desk.namespace, [official_chart.component("scheduler"), official_chart.component("worker")], "x")
    named = "api-server=StatefulSet/x-worker; triggerer=Deployment/none"
    said = desk("install", chart="none", workloads=named)
    assert said.patched == {"statefulsets": ["x-worker"]}
    assert "There is no workload of triggerer" in said.err
    assert said.account == "x-worker"


# --- what cannot be found ----------------------------------------------------------------------------------------


def test_two_releases_are_named_and_none_is_guessed(cluster: Cluster, desk: Desk) -> None:
    for release in ("blue", "green"):
        put(cluster.admin, desk.namespace, [official_chart.component("scheduler")], release)
    for action in ("install", "uninstall"):
        said = desk.refused(action, status=NOT_FOUND)
        assert "has the releases blue, green. Name one with --release" in said
        assert "--workload" in said
    green = ["install", "--release", "green"]
    assert "Neither an api-server nor a webserver was found" in desk.refused(*green, status=NOT_FOUND)
    assert desk(*green, "--account", "green-web").patched == {"deployments": ["green-scheduler"]}


NOT_FOUND, UNREACHABLE, BAD_SETTING = 9, 75, 78
ALL_NAMED = ["--account", "mine", "--workload", "Deployment/a", "--workload", "StatefulSet/b"]


def test_nothing_there_is_said_and_nothing_guessed(desk: Desk) -> None:
    for action in ("install", "uninstall"):
        said = desk.refused(action, status=NOT_FOUND)
        assert f"No workload of Airflow was found in namespace {desk.namespace}." in said
        assert "--offline" in said
    named = desk("install", *ALL_NAMED)
    assert (named.account, named.patched) == ("mine", {"deployments": ["a"], "statefulsets": ["b"]})
    assert f"value: {desk.namespace}" in desk("values").out, "the chart's values come before the chart"
    assert "--namespace" in desk.refused("values", status=NOT_FOUND, named=False)


@pytest.mark.parametrize("lacking", ["deployments", "statefulsets", "configmaps"])
def test_what_may_not_be_looked_at_is_said(cluster: Cluster, desk: Desk, lacking: str) -> None:
    put(cluster.admin, desk.namespace, list(official_chart.components(3, "CeleryExecutor").values()))
    kept = [
        {**rule, "resources": resources}
        for rule in LOOKING
        if (resources := [one for one in rule["resources"] if one != lacking])
    ]
    account = cluster.account(desk.namespace, f"lacks-{lacking}", kept)
    if lacking == "configmaps":
        said = desk("install", kubeconfig=account)
        assert said.patched["statefulsets"] == ["airflow-worker", "airflow-triggerer"]
        why = said.err
    else:
        why = desk.refused("install", status=NOT_FOUND, kubeconfig=account)
    assert "Not looked at, because this account may not" in why
    assert lacking in why.partition("Not looked at")[2]


def test_a_cluster_that_cannot_be_reached_is_said(cluster: Cluster, desk: Desk, tmp_path: Path) -> None:
    config = tmp_path / "dead.kubeconfig"
    config.write_text(cluster.kubeconfig.read_text().replace(cluster.url, "https://127.0.0.1:9"))
    for action in ("install", "uninstall"):
        assert "--offline" in desk.refused(action, status=UNREACHABLE, kubeconfig=config)
    assert "none" in desk.refused("install", "--kubeconfig", str(tmp_path / "none"), status=BAD_SETTING)
    said = desk("install", *ALL_NAMED, kubeconfig=config)
    assert said.err.startswith("WARNING: The cluster could not be looked at: ")
    assert said.account == "mine"


def test_nobody_has_to_have_a_cluster(desk: Desk) -> None:
    said = desk("install", "--offline")
    assert said.out == manifests(Installation(namespace=desk.namespace))
    assert said.err.startswith("No cluster was looked at")


@pytest.fixture
def found(cluster: Cluster, desk: Desk) -> Object:
    put(cluster.admin, desk.namespace, list(official_chart.components(3, "LocalExecutor").values()))
    read: Object = json.loads(desk("install", "--output", "json").out)
    return read


def test_a_program_gets_the_findings_as_data(found: Object, desk: Desk) -> None:
    assert next(yaml.safe_load_all(found["install"]))["kind"] == "Role"
    rows = {row["component"]: row for row in found["found"]["components"]}
    assert rows["scheduler"] == {
        "component": "scheduler",
        "workload": "StatefulSet/airflow-scheduler",
        "service_account": "airflow-scheduler",
        "installs": False,
    }
    assert (found["found"]["namespace"], found["found"]["release"]) == (desk.namespace, "airflow")
