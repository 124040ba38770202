"""What the way to an API server does; the fake of the tests and the real server alike.

`test_kubernetes_clients` runs the real half again with each version of the client that Airflow brings.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest
import yaml  # type: ignore[import-untyped]

from airflow_package_manager.adapters.kubernetes import owners
from airflow_package_manager.adapters.kubernetes.api import Api, Listing, WatchEvent
from airflow_package_manager.adapters.kubernetes.connection import Connection
from airflow_package_manager.adapters.kubernetes.failures import Absent, AlreadyThere, Conflict, Gone, Invalid
from airflow_package_manager.adapters.kubernetes.kinds import CONFIG_MAP, DEPLOYMENT, NAMESPACE, POD, Kind, Object
from airflow_package_manager.adapters.kubernetes.mirror import Mirror
from airflow_package_manager.errors import ClusterForbidden, ClusterUnavailable, InvalidSetting
from tests.contract import kubernetes_refusals
from tests.fakes.cluster import MemoryApi

if TYPE_CHECKING:
    from testenv.cluster import Cluster


class Objects(Protocol):
    """What both sides have."""

    def get(self, kind: Kind, namespace: str, name: str) -> Object: ...
    def list(self, kind: Kind, namespace: str, *, selector: str = "") -> Listing: ...
    def create(self, kind: Kind, namespace: str, body: Object, *, dry_run: bool = False) -> Object: ...
    def patch(
        self, kind: Kind, namespace: str, name: str, body: Object | Sequence[Object], *, dry_run: bool = False
    ) -> Object: ...
    def delete(
        self, kind: Kind, namespace: str, name: str, *, uid: str | None = None, propagation: str | None = None
    ) -> None: ...
    def watch(
        self, kind: Kind, namespace: str, *, selector: str = "", since: str, seconds: float
    ) -> Iterator[WatchEvent]: ...
    def allowed(self, kind: Kind, namespace: str, verb: str, name: str = "") -> bool: ...


@dataclass
class World:
    api: Objects
    namespace: str

    def make(self, name: str, data: dict[str, str] | None = None, **labels: str) -> Object:
        body = {"metadata": {"name": name, "labels": {"test": "yes", **labels}}, "data": data or {}}
        return self.api.create(CONFIG_MAP, self.namespace, body)

    def get(self, name: str) -> Object:
        return self.api.get(CONFIG_MAP, self.namespace, name)

    def patch(self, name: str, body: Object | Sequence[Object], *, dry_run: bool = False) -> Object:
        return self.api.patch(CONFIG_MAP, self.namespace, name, body, dry_run=dry_run)

    def names(self, selector: str = "test=yes") -> list[str]:
        items = self.api.list(CONFIG_MAP, self.namespace, selector=selector).items
        return sorted(found["metadata"]["name"] for found in items)


@pytest.fixture(params=["fake", pytest.param("kubernetes", marks=pytest.mark.cluster)])
def world(request: pytest.FixtureRequest) -> World:
    if request.param == "fake":
        return World(MemoryApi(), "airflow")
    cluster: Cluster = request.getfixturevalue("cluster")
    return World(Api(Connection(kubeconfig=str(cluster.kubeconfig))), request.getfixturevalue("namespace"))


def test_what_was_created_is_read_back(world: World) -> None:
    made = world.make("one", {"a": "ü\r\n\x85"})
    assert world.get("one") == made
    assert (made["apiVersion"], made["kind"]) == ("v1", "ConfigMap")
    assert (made["metadata"]["namespace"], made["data"]) == (world.namespace, {"a": "ü\r\n\x85"})
    assert made["metadata"]["uid"]
    assert made["metadata"]["resourceVersion"]


def test_what_is_absent_is_named(world: World) -> None:
    with pytest.raises(Absent) as caught:
        world.get("nothing")
    assert (caught.value.plural, caught.value.name) == ("configmaps", "nothing")
    with pytest.raises(Absent):
        world.patch("nothing", {"data": {"a": "b"}})
    world.api.delete(CONFIG_MAP, world.namespace, "nothing")


def test_a_second_creation_is_told(world: World) -> None:
    made = world.make("one")
    with pytest.raises(AlreadyThere):
        world.make("one")
    assert world.get("one") == made


def test_a_dry_run_changes_nothing(world: World) -> None:
    world.api.create(CONFIG_MAP, world.namespace, {"metadata": {"name": "dry"}}, dry_run=True)
    with pytest.raises(Absent):
        world.get("dry")
    made = world.make("one", {"a": "1"})
    assert world.patch("one", {"data": {"a": "2"}}, dry_run=True)["data"] == {"a": "2"}
    assert world.get("one") == made


def test_a_merge_patch_changes_what_it_names_and_null_removes(world: World) -> None:
    made = world.make("one", {"a": "1", "b": "2", "c": "3"})
    changed = world.patch("one", {"data": {"a": "x", "b": None, "d": "4"}})
    assert changed["data"] == {"a": "x", "c": "3", "d": "4"}
    assert changed["metadata"]["uid"] == made["metadata"]["uid"]
    assert changed["metadata"]["resourceVersion"] != made["metadata"]["resourceVersion"]
    assert world.get("one") == changed


def test_a_patch_that_changes_nothing_keeps_the_version(world: World) -> None:
    made = world.make("one", {"a": "1"})
    world.patch("one", {"data": {"a": "1", "never": None}})
    assert world.get("one")["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


def test_a_merge_patch_of_an_old_version_is_a_conflict(world: World) -> None:
    version = world.make("one", {"a": "1"})["metadata"]["resourceVersion"]
    patch = {"metadata": {"resourceVersion": version}, "data": {"a": "2"}}
    assert world.patch("one", patch)["data"] == {"a": "2"}
    with pytest.raises(Conflict):
        world.patch("one", {**patch, "data": {"a": "3"}})
    assert world.get("one")["data"] == {"a": "2"}


def test_a_patch_of_another_uid_is_invalid(world: World) -> None:
    world.make("one")
    with pytest.raises(Invalid):
        world.patch("one", {"metadata": {"uid": "00000000-0000-0000-0000-000000000000"}, "data": {"a": "2"}})


def test_a_json_patch_tests_before_it_changes(world: World) -> None:
    uid = world.make("one")["metadata"]["uid"]
    world.patch("one", {"metadata": {"annotations": {"a/b": "1"}}})
    test = {"op": "test", "path": "/metadata/uid", "value": uid}
    change = {"op": "replace", "path": "/metadata/annotations/a~1b", "value": "2"}
    changed = world.patch("one", [test, change])
    assert changed["metadata"]["annotations"] == {"a/b": "2"}
    with pytest.raises(Invalid):
        world.patch("one", [{**test, "value": "another"}, {**change, "value": "3"}])
    with pytest.raises(Invalid):
        world.patch("one", [{"op": "test", "path": "/metadata/annotations/no", "value": "5"}])
    assert world.get("one") == changed


def test_a_deletion_of_another_uid_is_a_conflict(world: World) -> None:
    uid = world.make("one")["metadata"]["uid"]
    with pytest.raises(Conflict):
        world.api.delete(CONFIG_MAP, world.namespace, "one", uid="00000000-0000-0000-0000-000000000000")
    world.api.delete(CONFIG_MAP, world.namespace, "one", uid=uid, propagation="Background")
    with pytest.raises(Absent):
        world.get("one")
    world.api.delete(CONFIG_MAP, world.namespace, "one", uid=uid)


def test_a_list_selects_by_label(world: World) -> None:
    world.make("one", app="a")
    world.make("two", app="b")
    assert world.names() == ["one", "two"]
    assert world.names("test=yes,app=a") == ["one"]
    (one,) = world.api.list(CONFIG_MAP, world.namespace, selector="app=a").items
    assert one == world.get("one")


def test_a_watch_tells_everything_after_the_list_in_order(world: World) -> None:
    world.make("before")
    since = world.api.list(CONFIG_MAP, world.namespace, selector="test=yes").resource_version
    world.make("one", {"a": "1"})
    world.patch("one", {"data": {"a": "2"}})
    world.make("foreign", test="no")
    world.api.delete(CONFIG_MAP, world.namespace, "one")
    events = list(world.api.watch(CONFIG_MAP, world.namespace, selector="test=yes", since=since, seconds=1))
    told = [(event.type, event.object) for event in events if event.type != "BOOKMARK"]
    assert [type_ for type_, _ in told] == ["ADDED", "MODIFIED", "DELETED"]
    assert [found["data"] for _, found in told] == [{"a": "1"}, {"a": "2"}, {"a": "2"}]
    assert {found["kind"] for _, found in told} == {"ConfigMap"}
    since = told[0][1]["metadata"]["resourceVersion"]
    later = world.api.watch(CONFIG_MAP, world.namespace, selector="test=yes", since=since, seconds=1)
    assert next(iter(later)).type == "MODIFIED"


def test_a_watch_tells_at_once(world: World) -> None:
    since = world.api.list(CONFIG_MAP, world.namespace, selector="test=yes").resource_version
    events = world.api.watch(CONFIG_MAP, world.namespace, selector="test=yes", since=since, seconds=20)
    threading.Timer(0.2, lambda: world.make("one")).start()
    assert next(events).object["metadata"]["name"] == "one"


def test_a_watch_ends_in_time_with_a_bookmark(world: World) -> None:
    world.make("one")
    since = world.api.list(CONFIG_MAP, world.namespace, selector="test=yes").resource_version
    events = list(world.api.watch(CONFIG_MAP, world.namespace, selector="test=yes", since=since, seconds=1))
    assert [event.type for event in events] in ([], ["BOOKMARK"])
    for event in events:
        assert int(event.object["metadata"]["resourceVersion"]) >= int(since)


def test_what_an_administrator_may_do_is_allowed(world: World) -> None:
    assert world.api.allowed(CONFIG_MAP, world.namespace, "patch", "one")


# --- the real server alone -----------------------------------------------------------------------------------------


def _token(kubeconfig: Path) -> str:
    (user,) = yaml.safe_load(kubeconfig.read_text())["users"]
    return str(user["user"]["token"])


@pytest.fixture
def api(cluster: Cluster) -> Api:
    return Api(Connection(kubeconfig=str(cluster.kubeconfig)))


@pytest.mark.cluster
@pytest.mark.parametrize("count", [250], ids=["kubernetes"])
def test_a_long_list_comes_in_pages(api: Api, namespace: str, count: int) -> None:
    for number in range(count):
        api.create(CONFIG_MAP, namespace, {"metadata": {"name": f"m-{number}", "labels": {"many": "yes"}}})
    listing = api.list(
        CONFIG_MAP, namespace, selector="many=yes", trim=lambda found: {"name": found["metadata"]["name"]}
    )
    assert {found["name"] for found in listing.items} == {f"m-{number}" for number in range(count)}
    assert listing.resource_version.isdigit()


@pytest.mark.cluster
def test_kubernetes_tells_a_missing_namespace_from_a_missing_object(api: Api) -> None:
    with pytest.raises(Absent) as caught:
        api.create(CONFIG_MAP, "no-such-namespace", {"metadata": {"name": "one"}})
    assert (caught.value.plural, caught.value.name) == ("namespaces", "no-such-namespace")


@pytest.mark.cluster
def test_kubernetes_names_the_field_manager_of_each_write(api: Api, namespace: str) -> None:
    api.create(CONFIG_MAP, namespace, {"metadata": {"name": "one"}, "data": {"a": "1"}})
    assert owners.field_managers(api.get(CONFIG_MAP, namespace, "one"), "a") == ("airflow-package-manager",)


@pytest.mark.cluster
def test_kubernetes_names_who_owns_what_we_would_apply(api: Api, namespace: str) -> None:
    body = {"data": {"a": "1"}}
    api.apply(CONFIG_MAP, namespace, "one", body, dry_run=False, manager="argocd-controller")
    api.apply(CONFIG_MAP, namespace, "one", body, manager="airflow-package-manager")
    with pytest.raises(Conflict) as caught:
        api.apply(CONFIG_MAP, namespace, "one", {"data": {"a": "2"}}, manager="airflow-package-manager")
    assert caught.value.owners == ("argocd-controller",)
    assert api.get(CONFIG_MAP, namespace, "one")["data"] == {"a": "1"}


@pytest.mark.cluster
def test_kubernetes_tells_a_watch_from_before_its_memory(cluster: Cluster, api: Api, namespace: str) -> None:
    kubernetes_refusals.forget(cluster)
    with pytest.raises(Gone):
        list(api.watch(CONFIG_MAP, namespace, since="1", seconds=2))


@pytest.mark.cluster
def test_kubernetes_permits_what_a_role_says_and_names_the_missing_rule(cluster: Cluster, namespace: str) -> None:
    rules = [
        {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["ours"], "verbs": ["get", "patch"]},
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create"]},
    ]
    api = Api(Connection(kubeconfig=str(cluster.account(namespace, "limited", rules))))
    api.create(CONFIG_MAP, namespace, {"metadata": {"name": "ours"}})
    api.patch(CONFIG_MAP, namespace, "ours", {"data": {"a": "1"}})
    assert api.allowed(CONFIG_MAP, namespace, "get", "ours")
    assert not api.allowed(CONFIG_MAP, namespace, "get", "theirs")
    assert not api.allowed(DEPLOYMENT, namespace, "patch", "airflow-worker")
    with pytest.raises(ClusterForbidden) as caught:
        api.patch(DEPLOYMENT, namespace, "airflow-worker", {"metadata": {"labels": {"a": "b"}}})
    assert caught.value.context["rule"] == (
        '- apiGroups: ["apps"]\n  resources: ["deployments"]\n  resourceNames: ["airflow-worker"]\n  verbs: ["patch"]'
    )
    assert caught.value.context["account"] == f"system:serviceaccount:{namespace}:limited"
    with pytest.raises(ClusterForbidden) as caught:
        api.list(POD, namespace)
    assert caught.value.context["rule"] == '- apiGroups: [""]\n  resources: ["pods"]\n  verbs: ["list"]'
    with pytest.raises(ClusterForbidden):
        Mirror(api, POD, namespace).get()


@pytest.mark.cluster
def test_kubernetes_refuses_credentials_that_it_does_not_know(cluster: Cluster, tmp_path: Path) -> None:
    known = cluster.account("default", "unknown", [])
    spoiled = tmp_path / "kubeconfig"
    spoiled.write_text(known.read_text().replace(_token(known), "nobody"))
    with pytest.raises(ClusterUnavailable, match="credentials") as caught:
        Api(Connection(kubeconfig=str(spoiled))).get(NAMESPACE, "", "default")
    assert caught.value.context["reason"] == "unauthenticated"
    assert "nobody" not in caught.value.detail


@pytest.mark.cluster
def test_kubernetes_account_of_a_pod_is_read_anew_when_its_token_rotates(cluster: Cluster, tmp_path: Path) -> None:
    account = tmp_path / "account"
    account.mkdir()
    assert cluster.authority is not None
    (account / "ca.crt").write_bytes(cluster.authority.read_bytes())
    (account / "token").write_text("expired")
    host, _, port = cluster.url.removeprefix("https://").rstrip("/").partition(":")
    environ = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}
    api = Api(Connection(account=account, environ=environ))
    with pytest.raises(ClusterUnavailable, match="credentials"):
        api.allowed(POD, "default", "list")
    (account / "token").write_text(_token(cluster.account("default", "rotated", [])))
    assert api.allowed(POD, "default", "list") is False


@pytest.mark.cluster
def test_kubernetes_context_of_a_kubeconfig_is_used(cluster: Cluster) -> None:
    with pytest.raises(InvalidSetting, match="no-such-context") as caught:
        Api(Connection(kubeconfig=str(cluster.kubeconfig), context="no-such-context")).get(NAMESPACE, "", "default")
    assert caught.value.context["setting"] == "kubeconfig"


@pytest.mark.cluster
def test_kubernetes_mirror_follows_real_objects(api: Api, namespace: str) -> None:
    mirror = Mirror(api, CONFIG_MAP, namespace, selector="kept=yes", trim=lambda found: {"metadata": found["metadata"]})
    assert mirror.get() == {}
    made = api.create(CONFIG_MAP, namespace, {"metadata": {"name": "one", "labels": {"kept": "yes"}}})
    uid = made["metadata"]["uid"]
    told = threading.Event()
    for _ in range(100):
        if uid in mirror.get():
            break
        told.wait(0.05)
    assert mirror.get()[uid]["metadata"]["name"] == "one"
    api.patch(CONFIG_MAP, namespace, "one", {"metadata": {"labels": {"kept": None}}})
    for _ in range(100):
        if not mirror.get():
            break
        told.wait(0.05)
    assert mirror.get() == {}
    mirror.close()
