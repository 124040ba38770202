from __future__ import annotations

from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from airflow_package_manager.adapters.kubernetes import manifests
from airflow_package_manager.adapters.kubernetes.manifests import Installation
from tests.cli.desk import Desk


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))


def test_install_prints_what_the_repository_deploys(desk: Desk) -> None:
    said = desk("kubernetes", "install", "--dry-run")
    assert said.status == 0
    assert said.out == manifests.manifests(Installation())
    assert desk.opened == []


def test_install_is_filled_in(desk: Desk) -> None:
    words = ["--namespace", "one", "--release", "blue", "--config-map", "packages"]
    documents = list(yaml.safe_load_all(desk("kubernetes", "install", "--dry-run", *words).out))
    role, binding, restart, _, preflight, bound, *_ = documents
    assert role["metadata"]["namespace"] == "one"
    names = {name for rule in role["rules"] for name in rule.get("resourceNames", ())}
    assert {"packages", "packages-locks", "blue-scheduler", "blue-worker", "blue-triggerer"} < names
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "blue-api-server", "namespace": "one"}]
    assert "system:serviceaccount:one:blue-api-server" in restart["spec"]["matchConditions"][0]["expression"]
    assert preflight["spec"]["paramKind"]["kind"] == "Deployment"
    assert bound["spec"]["paramRef"]["name"] == "blue-scheduler"


def test_workloads_are_those_that_are_named(desk: Desk) -> None:
    words = ["--workload", "deployment/web", "--workload", "StatefulSet/my-scheduler"]
    role, _, _, _, preflight, bound, *_ = yaml.safe_load_all(desk("kubernetes", "install", "--dry-run", *words).out)
    patched = {rule["resources"][0]: rule["resourceNames"] for rule in role["rules"] if "patch" in rule["verbs"]}
    assert patched["deployments"] == ["web"]
    assert patched["statefulsets"] == ["my-scheduler"]
    assert preflight["spec"]["paramKind"]["kind"] == "StatefulSet"
    assert bound["spec"]["paramRef"]["name"] == "my-scheduler"


def test_values_name_the_image(desk: Desk) -> None:
    values = yaml.safe_load(desk("kubernetes", "values", "--dry-run", "--image", "here/airflow:9").out)
    assert values["scheduler"]["extraInitContainers"][0]["image"] == "here/airflow:9"


def test_values_say_what_helm_would_take_away(desk: Desk) -> None:
    said = desk("kubernetes", "values", "--dry-run")
    lists = [key for key, value in yaml.safe_load(said.out).items() if isinstance(value, list)]
    header = said.out.partition("\ndefaultAirflow")[0]
    for name in (*lists, "extraInitContainers", "helm get values", "images.airflow", "airflowVersion"):
        assert name in said.err
        assert name in header
    assert "helm get values" not in desk("kubernetes", "install", "--dry-run").err


def test_uninstall_names_everything_that_install_made(desk: Desk) -> None:
    said = desk("kubernetes", "uninstall", "--dry-run", "--namespace", "one")
    made = [
        (one["kind"], one["metadata"]["name"]) for one in yaml.safe_load_all(manifests.manifests(Installation("one")))
    ]
    for kind, name in made:
        assert any(name in line and kind.lower() in line for line in said.out.splitlines()), (kind, name)
    assert '"airflow-package-manager/revision": null' in said.out
    assert "delete configmap airflow-config-pypi-locks" in said.out
    assert "delete configmap airflow-config-pypi " not in said.out


@pytest.mark.parametrize("words", [["--workload", "DaemonSet/x"], ["--namespace", "No"], ["--image", "untagged"]])
def test_what_cannot_be_filled_in_is_refused(desk: Desk, words: list[str]) -> None:
    said = desk("kubernetes", "install", "--dry-run", *words)
    assert said.status == 2
    assert "cannot be filled in" in said.err


@pytest.mark.parametrize("action", ["install", "values"])
def test_without_dry_run_it_says_that_it_only_prints(desk: Desk, action: str) -> None:
    said = desk("kubernetes", action)
    assert said.status == 2
    assert "--dry-run" in said.err


def test_without_a_cluster_it_says_that_none_was_looked_at(desk: Desk) -> None:
    said = desk("kubernetes", "install", "--dry-run")
    assert said.err.startswith("No cluster was looked at: this is no pod with an account, and neither --kubeconfig")


def test_names_are_those_of_the_settings_without_options(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("NAMESPACE", "team"), ("CONFIG_MAP", "wishes"), ("RELEASE", "blue")):
        monkeypatch.setenv(f"AIRFLOW__PACKAGE_MANAGER__{name}", value)
    role, binding, *_ = yaml.safe_load_all(desk("kubernetes", "install", "--dry-run").out)
    assert role["metadata"]["namespace"] == "team"
    assert ["wishes", "wishes-locks"] in [rule.get("resourceNames") for rule in role["rules"]]
    assert binding["subjects"][0]["name"] == "blue-api-server"


def test_without_a_cluster_one_word_says_that_it_is_airflow_2(desk: Desk) -> None:
    words = ("--dry-run", "--offline", "--release", "blue", "--web-server", "webserver")
    role, binding, *policies = yaml.safe_load_all(desk("kubernetes", "install", *words).out)
    assert binding["subjects"][0]["name"] == "blue-webserver"
    named = {name for rule in role["rules"] if "patch" in rule["verbs"] for name in rule.get("resourceNames", ())}
    assert named >= {"blue-scheduler", "blue-worker", "blue-triggerer", "blue-webserver"}
    assert not {"blue-api-server", "blue-dag-processor"} & named
    assert "blue-api-server" not in str(policies)
    values = yaml.safe_load(desk("kubernetes", "values", *words).out)
    (installer,) = values["webserver"]["extraInitContainers"]
    assert installer["image"] == f"{values['defaultAirflowRepository']}:2.11.2"
    assert "apiServer" not in values


@pytest.mark.parametrize(
    "words",
    [
        ["install", "--dry-run", "--yes"],
        ["install", "--dry-run", "--requirements"],
        ["uninstall", "--dry-run", "--yes"],
        ["uninstall", "--yes", "--namespace", "one"],
        ["uninstall", "--yes", "--workload", "Deployment/x", "--offline"],
    ],
)
def test_what_does_not_go_together_is_refused(desk: Desk, words: list[str]) -> None:
    said = desk("kubernetes", *words)
    assert said.status == 2
    assert desk.opened == []
    assert "--dry-run" in said.err or "--requirements" in said.err


def test_a_machine_is_not_uninstalled_from_a_cluster(desk: Desk) -> None:
    said = desk("kubernetes", "uninstall", "--yes")
    assert said.status == 78
    assert "The target is this machine" in said.err
    assert desk.opened == [False]


def test_uninstall_asks_for_yes_where_nobody_answers(desk: Desk) -> None:
    said = desk("kubernetes", "uninstall", piped="")
    assert said.status == 2
    assert "--yes" in said.err
    assert desk.opened == []
