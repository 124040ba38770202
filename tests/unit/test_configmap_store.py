from __future__ import annotations

import base64
import json

import pytest

from airflow_package_manager.adapters.kubernetes import owners
from airflow_package_manager.adapters.kubernetes.configmap_store import ConfigMapStore
from airflow_package_manager.adapters.kubernetes.failures import Absent, Conflict, Invalid
from airflow_package_manager.adapters.kubernetes.kinds import CONFIG_MAP, Object
from airflow_package_manager.errors import StoreConflict, StoreUnavailable
from airflow_package_manager.ports import StoreChanges
from airflow_package_manager.refusals import StoreTooLarge
from tests.fakes.cluster import MemoryApi

SPACE, NAME, LOCKS = "data-orchestration", "airflow-config-pypi", "airflow-config-pypi-locks"


def _store(api: MemoryApi) -> ConfigMapStore:
    return ConfigMapStore(api, namespace=SPACE, name=NAME)


def _there(api: MemoryApi, name: str, data: dict[str, str] | None = None, **more: object) -> Object:
    metadata = {"name": name, **(more.pop("metadata", {}))}  # type: ignore[dict-item]
    return api.create(CONFIG_MAP, SPACE, {"metadata": metadata, **({"data": data} if data else {}), **more})


def _get(api: MemoryApi, name: str) -> Object:
    return api.get(CONFIG_MAP, SPACE, name)


def test_both_objects_are_created_when_first_needed_each_by_itself() -> None:
    api = MemoryApi()
    store = _store(api)
    text = store.write(StoreChanges(text="a\n"), store.read().version)
    made = _get(api, NAME)
    assert made["data"] == {"requirements.txt": "a\n"}
    assert made["metadata"]["labels"] == {
        "app.kubernetes.io/name": "airflow-package-manager",
        "app.kubernetes.io/managed-by": "airflow-package-manager",
    }
    with pytest.raises(Absent):
        _get(api, LOCKS)
    store.write(StoreChanges(put_locks={12: "lock\n"}, delete_locks=frozenset({3}), current=12), text.version)
    assert _get(api, LOCKS)["data"] == {"lock.12": "lock\n", "current": "12"}
    assert store.names == (NAME, LOCKS)


def test_a_hand_written_object_is_adopted_and_what_is_not_ours_stays() -> None:
    api = MemoryApi()
    labels = {"team": "data"}
    _there(api, NAME, {"requirements.txt": "pandas\n", "notes": "keep"}, metadata={"labels": labels})
    _there(api, LOCKS, {"lock.007": "theirs", "lock.x": "theirs", "other": "theirs"})
    store = _store(api)
    found = store.read()
    assert (found.text, dict(found.locks), found.current) == ("pandas\n", {}, None)
    text = store.write(StoreChanges(text="pandas\npolars\n"), found.version)
    store.write(StoreChanges(put_locks={7: "ours"}, current=7), text.version)
    assert _get(api, NAME)["data"] == {"requirements.txt": "pandas\npolars\n", "notes": "keep"}
    assert _get(api, NAME)["metadata"]["labels"] == labels
    assert _get(api, LOCKS)["data"] == {
        "lock.007": "theirs",
        "lock.x": "theirs",
        "other": "theirs",
        "lock.7": "ours",
        "current": "7",
    }


@pytest.mark.parametrize("left", [{}, {"current": "4"}, {"lock.3": "torn", "current": "4"}])
def test_torn_or_lost_locks_are_read_as_what_is_there(left: dict[str, str]) -> None:
    api = MemoryApi()
    _there(api, NAME, {"requirements.txt": "a\n"})
    if left:
        _there(api, LOCKS, left)
    found = _store(api).read()
    assert found.text == "a\n"
    assert found.current == (4 if left else None)
    assert dict(found.locks) == ({3: "torn"} if "lock.3" in left else {})
    assert found.usable_lock() is None


def test_an_object_without_any_key_is_an_empty_text() -> None:
    api = MemoryApi()
    _there(api, NAME)
    store = _store(api)
    found = store.read()
    assert found.text == ""
    assert store.write(StoreChanges(text="a\n"), found.version).text == "a\n"


def test_another_key_in_place_of_ours_is_named_and_nothing_written() -> None:
    api = MemoryApi()
    made = _there(api, NAME, {"requirements": "pandas\n"})
    with pytest.raises(StoreUnavailable, match=r"no key requirements\.txt, only: requirements") as caught:
        _store(api).read()
    assert f"kubectl -n {SPACE} patch configmap {NAME}" in caught.value.next_action
    with pytest.raises(StoreUnavailable):
        _store(api).write(StoreChanges(text="a\n"), f"{made['metadata']['resourceVersion']}/-")
    assert _get(api, NAME) == made


def test_a_current_that_is_no_revision_is_named() -> None:
    api = MemoryApi()
    _there(api, LOCKS, {"current": "latest"})
    with pytest.raises(StoreUnavailable, match="no revision") as caught:
        _store(api).read()
    assert '{"data":{"current":null}}' in caught.value.next_action


def test_an_immutable_object_is_read_and_never_written() -> None:
    api = MemoryApi()
    made = _there(api, NAME, {"requirements.txt": "a\n"}, immutable=True)
    store = _store(api)
    found = store.read()
    assert found.text == "a\n"
    with pytest.raises(StoreUnavailable, match="immutable") as caught:
        store.write(StoreChanges(text="b\n"), found.version)
    assert "kubectl" in caught.value.next_action
    assert _get(api, NAME) == made


def test_bytes_that_are_no_text_survive() -> None:
    api = MemoryApi()
    _there(api, NAME, binaryData={"requirements.txt": base64.b64encode(b"caf\xe9\n").decode()})
    store = _store(api)
    found = store.read()
    written = store.write(StoreChanges(text=found.text + "a\n"), found.version)
    assert written.text == found.text + "a\n"
    assert base64.b64decode(_get(api, NAME)["binaryData"]["requirements.txt"]) == b"caf\xe9\na\n"
    assert "requirements.txt" not in _get(api, NAME).get("data", {})
    store.write(StoreChanges(text="a\n"), written.version)
    assert _get(api, NAME)["data"] == {"requirements.txt": "a\n"}
    assert _get(api, NAME)["binaryData"] == {}


def test_the_bound_counts_everything_in_the_object() -> None:
    api = MemoryApi()
    _there(api, NAME, {"requirements.txt": "a\n", "theirs": "x" * 700_000})
    store = _store(api)
    found = store.read()
    with pytest.raises(StoreTooLarge, match="1100000 bytes of 1048576"):
        store.write(StoreChanges(text="y" * 400_000), found.version)
    store.write(StoreChanges(put_locks={1: "z" * 900_000}), found.version)


def test_a_change_of_the_other_object_is_a_conflict_too() -> None:
    api = MemoryApi()
    store = _store(api)
    first = store.write(StoreChanges(text="a\n"), store.read().version)
    store.write(StoreChanges(current=1), first.version)
    with pytest.raises(StoreConflict):
        store.write(StoreChanges(text="b\n"), first.version)
    assert store.read().text == "a\n"


class Between(MemoryApi):
    """Another hand acts right before our write."""

    error: Exception | None = None

    def patch(self, *arguments: object, **named: object) -> Object:
        if self.error is not None:
            raise self.error
        return super().patch(*arguments, **named)  # type: ignore[arg-type]

    def create(self, *arguments: object, **named: object) -> Object:
        if self.error is not None:
            raise self.error
        return super().create(*arguments, **named)  # type: ignore[arg-type]


TOO_LONG = 'ConfigMap "x" is invalid: []: Too long: may not be more than 1048576 bytes'
IMMUTABLE = 'ConfigMap "x" is invalid: data: Forbidden: field is immutable when `immutable` is set'


@pytest.mark.parametrize(
    ("error", "raised", "said"),
    [
        (Conflict("the object has been modified"), StoreConflict, "changed"),
        (Absent("gone", plural="configmaps", name=NAME), StoreConflict, "deleted"),
        (Absent("gone", plural="namespaces", name=SPACE), StoreUnavailable, f"namespace {SPACE} does not exist"),
        (Invalid(TOO_LONG), StoreTooLarge, "size"),
        (Invalid(IMMUTABLE), StoreUnavailable, "immutable"),
        (Invalid("data: something else"), StoreUnavailable, "something else"),
    ],
)
@pytest.mark.parametrize("there", [True, False])
def test_what_the_server_says_to_a_write(error: Exception, raised: type[Exception], said: str, there: bool) -> None:  # noqa: FBT001
    api = Between()
    store = _store(api)
    if there:
        store.write(StoreChanges(text="a\n"), store.read().version)
    version = store.read().version
    api.owners = ("kubectl-edit",)  # so that the probe ends before the patch
    api.error = error
    with pytest.raises(raised, match=said):
        store.write(StoreChanges(text="b\n"), version)


# --- who else writes it --------------------------------------------------------------------------------------------


def _managed(*managers: str) -> dict[str, object]:
    fields: Object = {"f:data": {".": {}, "f:requirements.txt": {}}}
    return {"managedFields": [{"manager": name, "operation": "Update", "fieldsV1": fields} for name in managers]}


APPLIED = json.dumps({"data": {"requirements.txt": "a"}})
OWNED: list[tuple[dict[str, object], str | None]] = [
    ({}, None),
    (_managed("airflow-package-manager"), None),
    (_managed("kubectl-edit"), None),
    (_managed("kubectl-create"), None),
    (_managed("kubectl-client-side-apply"), "kubectl-client-side-apply"),
    (_managed("kubectl"), "kubectl"),
    (_managed("argocd-controller"), "argocd-controller"),
    (_managed("airflow-package-manager", "kustomize-controller"), "kustomize-controller"),
    (_managed("helm"), "helm"),
    ({"managedFields": [{"manager": "helm", "fieldsV1": {"f:metadata": {"f:labels": {}}}}]}, None),
    ({"managedFields": [{"manager": "helm"}]}, None),
    ({"labels": {"argocd.argoproj.io/instance": "airflow"}}, "argocd-controller"),
    ({"annotations": {"argocd.argoproj.io/tracking-id": "airflow:/ConfigMap:x/y"}}, "argocd-controller"),
    ({"labels": {"kustomize.toolkit.fluxcd.io/name": "apps"}}, "kustomize-controller"),
    ({"labels": {"helm.toolkit.fluxcd.io/name": "airflow"}}, "helm-controller"),
    ({"annotations": {"meta.helm.sh/release-name": "airflow"}}, "helm"),
    (
        {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": APPLIED}, **_managed("kubectl-edit")},
        "kubectl-client-side-apply",
    ),
    ({"annotations": {"kubectl.kubernetes.io/last-applied-configuration": '{"data": {"other": ""}}'}}, None),
    ({"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "torn"}}, None),
    ({"annotations": {owners.RECORD: "argocd-controller"}}, "argocd-controller"),
]


@pytest.mark.parametrize(("metadata", "manager"), OWNED)
def test_a_tool_that_writes_the_text_is_named(metadata: dict[str, object], manager: str | None) -> None:
    api = MemoryApi()
    _there(api, NAME, {"requirements.txt": "a\n"}, metadata=metadata)
    assert _store(api).read().manager == manager


def test_who_owned_it_before_our_first_write_is_kept() -> None:
    api = MemoryApi()
    _there(api, NAME, {"requirements.txt": "a\n"}, metadata=_managed("argocd-controller"))
    store = _store(api)
    before = store.read()
    after = store.write(StoreChanges(text="b\n"), before.version)
    api.patch(CONFIG_MAP, SPACE, NAME, {"metadata": _managed("airflow-package-manager")})  # as the server does
    assert (before.manager, after.manager, store.read().manager) == ("argocd-controller",) * 3
    assert _get(api, NAME)["metadata"]["annotations"] == {owners.RECORD: "argocd-controller"}


def test_the_servers_own_word_on_the_owner_is_kept() -> None:
    api = MemoryApi()
    _there(api, NAME, {"requirements.txt": "a\n"})
    api.owners = ("kubectl-edit", "terraform")
    store = _store(api)
    assert store.write(StoreChanges(text="b\n"), store.read().version).manager == "terraform"


def test_a_text_of_ours_has_no_other_manager() -> None:
    api = MemoryApi()
    store = _store(api)
    assert store.write(StoreChanges(text="a\n"), store.read().version).manager is None
