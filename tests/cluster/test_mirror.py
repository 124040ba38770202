"""The mirror on a real API server that goes away in the middle."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from airflow_package_manager.adapters.kubernetes.api import Api
from airflow_package_manager.adapters.kubernetes.connection import Connection
from airflow_package_manager.adapters.kubernetes.kinds import CONFIG_MAP, Object
from airflow_package_manager.adapters.kubernetes.mirror import Mirror, Rhythm
from airflow_package_manager.errors import ClusterUnavailable
from testenv.cluster import Cluster

SECONDS = 60


@pytest.fixture
def api(cluster: Cluster) -> Api:
    return Api(Connection(kubeconfig=str(cluster.kubeconfig)))


@pytest.fixture
def mirror(api: Api, namespace: str) -> Iterator[Mirror]:
    rhythm = Rhythm(watch=5, relist=3000, pause=0.1)
    kept = Mirror(api, CONFIG_MAP, namespace, selector="kept=yes", trim=_trim, rhythm=rhythm)
    yield kept
    kept.close()


def _trim(found: Object) -> Object:
    return {"metadata": {key: found["metadata"][key] for key in ("name", "uid")}, "data": found.get("data")}


def _make(api: Api, namespace: str, name: str) -> None:
    api.create(CONFIG_MAP, namespace, {"metadata": {"name": name, "labels": {"kept": "yes"}}})


def _until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


def _names(mirror: Mirror) -> set[str]:
    return {found["metadata"]["name"] for found in mirror.get().values()}


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_an_api_server_that_restarts_is_followed_on(
    cluster: Cluster, api: Api, namespace: str, mirror: Mirror, how: str
) -> None:
    _make(api, namespace, "before")
    _until(lambda: _names(mirror) == {"before"})
    cluster.restart_apiserver(at_once=how == "killed")
    _make(api, namespace, "after")

    def caught_up() -> bool:
        try:
            return _names(mirror) == {"before", "after"}
        except ClusterUnavailable:  # said while it was away; the next question starts anew
            return False

    _until(caught_up)


def test_an_api_server_that_stays_away_is_not_hidden(
    cluster: Cluster, api: Api, namespace: str, mirror: Mirror
) -> None:
    _make(api, namespace, "one")
    _until(lambda: _names(mirror) == {"one"})
    cluster.stop_apiserver(at_once=True)

    def told() -> bool:
        try:
            mirror.get()
        except ClusterUnavailable as error:
            return "reached" in error.detail
        return False

    try:
        _until(told)
    finally:
        cluster.start_apiserver()
    _until(lambda: _names(mirror) == {"one"})
