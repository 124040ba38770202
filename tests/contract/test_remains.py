"""What every `Remains` does; the fake and the real one alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from airflow_package_manager.adapters.kubernetes.api import Api
from airflow_package_manager.adapters.kubernetes.configmap_store import ConfigMapStore
from airflow_package_manager.adapters.kubernetes.connection import Connection
from airflow_package_manager.adapters.kubernetes.kinds import CONFIG_MAP
from airflow_package_manager.adapters.kubernetes.remains import ConfigMapRemains
from airflow_package_manager.errors import StoreConflict
from airflow_package_manager.ports import Remains, StoreChanges
from tests.fakes.cluster import MemoryApi
from tests.fakes.remains import FakeRemains

if TYPE_CHECKING:
    from testenv.cluster import Cluster

REAL = pytest.param("kubernetes", marks=pytest.mark.cluster)


@dataclass(frozen=True)
class World:
    """Locks and a text that are there, and another hand that changes the locks."""

    remains: Remains
    edit: Callable[[], object]


@pytest.fixture(params=["fake", "config-map", REAL])
def world(request: pytest.FixtureRequest) -> World:
    if request.param == "fake":
        fake = FakeRemains()
        return World(fake, lambda: fake.edit("locks"))
    if request.param == "config-map":
        return _config_maps(MemoryApi(), "airflow")
    cluster: Cluster = request.getfixturevalue("cluster")
    api = Api(Connection(kubeconfig=str(cluster.kubeconfig)))
    return _config_maps(api, request.getfixturevalue("namespace"))


def _config_maps(api: Api | MemoryApi, namespace: str) -> World:
    store = ConfigMapStore(api, namespace=namespace, name="airflow-config-pypi")
    written = store.write(StoreChanges(text="# mine\n"), store.read().version)
    store.write(StoreChanges(put_locks={1: "# a lock\n"}, current=1), written.version)
    locks = store.names[1]
    return World(
        ConfigMapRemains(api, namespace=namespace, names=store.names),
        lambda: api.patch(CONFIG_MAP, namespace, locks, {"data": {"lock.2": "# another\n"}}),
    )


def test_locks_come_before_the_text_which_stays_unless_asked_for(world: World) -> None:
    locks, text = world.remains.find(text=True)
    assert world.remains.find(text=False) == (locks,)
    assert "text" in text.what or "requirements.txt" in text.what


def test_what_was_removed_is_not_found_again(world: World) -> None:
    locks, text = world.remains.find(text=True)
    assert locks.what in world.remains.remove(locks)
    assert world.remains.find(text=True) == (text,)
    assert text.what in world.remains.remove(text)
    assert world.remains.find(text=True) == ()


def test_what_somebody_changed_meanwhile_stays(world: World) -> None:
    found = world.remains.find(text=False)[0]
    world.edit()
    with pytest.raises(StoreConflict):
        world.remains.remove(found)
    (again,) = world.remains.find(text=False)
    assert again.version != found.version


def test_what_somebody_removed_meanwhile_is_said(world: World) -> None:
    found = world.remains.find(text=False)[0]
    world.remains.remove(found)
    assert "somebody else deleted" in world.remains.remove(found)
