"""The two ConfigMaps on a real API server: other hands, other tools, and exactly the permissions that we ask for."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest

from airflow_package_manager.adapters.kubernetes import owners
from airflow_package_manager.adapters.kubernetes.api import Api
from airflow_package_manager.adapters.kubernetes.configmap_store import MAXIMUM_BYTES, ConfigMapStore
from airflow_package_manager.adapters.kubernetes.connection import Connection
from airflow_package_manager.adapters.kubernetes.kinds import CONFIG_MAP
from airflow_package_manager.adapters.kubernetes.permissions import needs, rules
from airflow_package_manager.errors import ClusterForbidden, StoreConflict, StoreUnavailable
from airflow_package_manager.ports import StoreChanges
from airflow_package_manager.refusals import StoreTooLarge
from testenv.cluster import Cluster

NAME, LOCKS = "airflow-config-pypi", "airflow-config-pypi-locks"
KEY = "requirements.txt"


@pytest.fixture
def api(cluster: Cluster) -> Api:
    return Api(Connection(kubeconfig=str(cluster.kubeconfig)))


@pytest.fixture
def store(api: Api, namespace: str) -> ConfigMapStore:
    return ConfigMapStore(api, namespace=namespace, name=NAME)


def _by_tool(cluster: Cluster, namespace: str, manager: str, text: str) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME, "namespace": namespace}}
    cluster.admin.apply({**body, "data": {KEY: text}}, manager=manager)


def _by_hand(cluster: Cluster, namespace: str, body: Mapping[str, Any], manager: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps/{NAME}"
    cluster.admin.request("PATCH", path, body, fieldManager=manager)


def _write(store: ConfigMapStore, text: str) -> None:
    store.write(StoreChanges(text=text), store.read().version)


def test_everything_works_with_exactly_our_permissions(cluster: Cluster, namespace: str) -> None:
    account = cluster.account(namespace, "package-manager", rules(store=(NAME, LOCKS), workloads={}))
    api = Api(Connection(kubeconfig=str(account)))
    store = ConfigMapStore(api, namespace=namespace, name=NAME)
    text = store.write(StoreChanges(text="a\n"), store.read().version)
    locks = store.write(StoreChanges(put_locks={1: "lock\n"}, current=1), text.version)
    again = store.write(StoreChanges(text="b\n"), locks.version)
    last = store.write(StoreChanges(put_locks={2: "two\n"}, delete_locks=frozenset({1}), current=2), again.version)
    assert (last.text, dict(last.locks), last.current) == ("b\n", {2: "two\n"}, 2)
    refused = [need for need in needs((NAME, LOCKS), {}) if not api.allowed(need.kind, namespace, need.verb, need.name)]
    assert refused == []


def _without(dropped: str) -> list[dict[str, Any]]:
    """Return our rules without one verb on ConfigMaps."""
    kept = []
    for rule in rules(store=(NAME, LOCKS), workloads={}):
        verbs = [verb for verb in rule["verbs"] if verb != dropped or rule["resources"] != ["configmaps"]]
        if verbs:
            kept.append({**rule, "verbs": verbs})
    return kept


@pytest.mark.parametrize("verb", ["get", "create", "patch"])
def test_each_missing_permission_is_named_before_anything_changed(
    cluster: Cluster, namespace: str, api: Api, verb: str
) -> None:
    account = cluster.account(namespace, "package-manager", _without(verb))
    store = ConfigMapStore(Api(Connection(kubeconfig=str(account))), namespace=namespace, name=NAME)
    if verb == "patch":
        api.create(CONFIG_MAP, namespace, {"metadata": {"name": NAME}, "data": {KEY: "theirs\n"}})
    with pytest.raises(ClusterForbidden) as caught:
        _write(store, "a\n")
    assert (caught.value.context["verb"], caught.value.context["resource"]) == (verb, "configmaps")
    assert f'verbs: ["{verb}"]' in str(caught.value.context["rule"])
    there = {found["metadata"]["name"]: found.get("data") for found in api.list(CONFIG_MAP, namespace).items}
    assert there.get(NAME) == ({KEY: "theirs\n"} if verb == "patch" else None)


def test_a_missing_namespace_says_what_to_do(api: Api) -> None:
    store = ConfigMapStore(api, namespace="no-such-namespace", name=NAME)
    found = store.read()
    assert found.text == ""
    with pytest.raises(StoreUnavailable, match="no-such-namespace does not exist") as caught:
        store.write(StoreChanges(text="a\n"), found.version)
    assert "kubectl create namespace no-such-namespace" in caught.value.next_action


def test_an_immutable_object_says_what_to_do(api: Api, namespace: str, store: ConfigMapStore) -> None:
    api.create(CONFIG_MAP, namespace, {"metadata": {"name": NAME}, "data": {KEY: "a\n"}, "immutable": True})
    with pytest.raises(StoreUnavailable, match="immutable"):
        _write(store, "b\n")
    assert store.read().text == "a\n"


def test_a_hand_written_object_is_adopted_without_loss(api: Api, namespace: str, store: ConfigMapStore) -> None:
    blob = base64.b64encode(b"\x00\xff").decode()
    made = {"metadata": {"name": NAME, "labels": {"team": "data"}}, "data": {KEY: "a\r\n", "n": "1"}}
    api.create(CONFIG_MAP, namespace, {**made, "binaryData": {"blob": blob}})
    assert store.read().text == "a\r\n"
    _write(store, "\ufeffb\x85")
    found = api.get(CONFIG_MAP, namespace, NAME)
    assert (found["data"], found["binaryData"]) == ({KEY: "\ufeffb\x85", "n": "1"}, {"blob": blob})
    assert found["metadata"]["labels"] == {"team": "data"}


def test_bytes_that_are_no_text_survive(api: Api, namespace: str, store: ConfigMapStore) -> None:
    blob = base64.b64encode(b"caf\xe9\n").decode()
    api.create(CONFIG_MAP, namespace, {"metadata": {"name": NAME}, "binaryData": {KEY: blob}})
    text = store.read().text
    _write(store, text + "a\n")
    assert store.read().text == text + "a\n"
    assert base64.b64decode(api.get(CONFIG_MAP, namespace, NAME)["binaryData"][KEY]) == b"caf\xe9\na\n"
    _write(store, "a\n")
    found = api.get(CONFIG_MAP, namespace, NAME)
    assert (found["data"], "binaryData" in found) == ({KEY: "a\n"}, False)


def test_our_bound_is_the_servers(store: ConfigMapStore) -> None:
    _write(store, "x" * MAXIMUM_BYTES)
    found = store.write(StoreChanges(put_locks={1: "y" * MAXIMUM_BYTES}), store.read().version)
    assert (len(found.text), len(found.locks[1])) == (MAXIMUM_BYTES, MAXIMUM_BYTES)
    with pytest.raises(StoreTooLarge):
        store.write(StoreChanges(current=1), found.version)


def test_a_label_edit_moves_the_version_and_not_the_digest(
    cluster: Cluster, namespace: str, store: ConfigMapStore
) -> None:
    _write(store, "a\n")
    before = store.read()
    _by_hand(cluster, namespace, {"metadata": {"labels": {"a": "b"}}}, "kubectl-label")
    assert store.read().digest() == before.digest()
    with pytest.raises(StoreConflict):
        store.write(StoreChanges(text="b\n"), before.version)


def test_an_object_that_was_made_anew_is_a_conflict(api: Api, namespace: str, store: ConfigMapStore) -> None:
    _write(store, "a\n")
    before = store.read()
    api.delete(CONFIG_MAP, namespace, NAME)
    with pytest.raises(StoreConflict):
        store.write(StoreChanges(text="b\n"), before.version)
    api.create(CONFIG_MAP, namespace, {"metadata": {"name": NAME}, "data": {KEY: "a\n"}})
    with pytest.raises(StoreConflict):
        store.write(StoreChanges(text="b\n"), before.version)
    assert store.read().text == "a\n"


@pytest.mark.parametrize("tool", ["argocd-controller", "kustomize-controller", "helm", "kubectl"])
def test_a_tool_is_named_before_and_after_our_first_write_and_when_it_reverts(
    cluster: Cluster, namespace: str, api: Api, store: ConfigMapStore, tool: str
) -> None:
    _by_tool(cluster, namespace, tool, "theirs\n")
    assert store.read().manager == tool
    _write(store, "ours\n")
    found = api.get(CONFIG_MAP, namespace, NAME)
    assert owners.field_managers(found, KEY) == ("airflow-package-manager",)
    assert store.read().manager == tool
    _by_tool(cluster, namespace, tool, "theirs\n")
    reverted = store.read()
    assert (reverted.text, reverted.manager) == ("theirs\n", tool)


def test_a_person_at_a_keyboard_is_no_tool(cluster: Cluster, namespace: str, store: ConfigMapStore) -> None:
    _write(store, "ours\n")
    _by_hand(cluster, namespace, {"data": {KEY: "theirs\n"}}, "kubectl-edit")
    assert (store.read().text, store.read().manager) == ("theirs\n", None)
    _write(store, "ours again\n")
    assert store.read().manager is None


def test_who_applies_a_file_will_apply_it_again(cluster: Cluster, namespace: str, store: ConfigMapStore) -> None:
    applied = json.dumps({"kind": "ConfigMap", "data": {KEY: "theirs\n"}})
    metadata = {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": applied}}
    _write(store, "ours\n")
    body = {"metadata": metadata, "data": {KEY: "theirs\n"}}
    _by_hand(cluster, namespace, body, "kubectl-client-side-apply")
    assert store.read().manager == "kubectl-client-side-apply"
    _write(store, "ours again\n")
    assert store.read().manager == "kubectl-client-side-apply"
