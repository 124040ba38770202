"""A pod that waits is killed while others of its component fail on a new revision: on what does it come back?

A ReplicaSet makes its pods from its own template. A StatefulSet has one template for all ordinals from its partition
on, and the API server fills in 0: a pod that is made anew has the new revision, whoever killed the old one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from airflow_package_manager.domain.rollout import Status
from testenv.cluster import Cluster
from tests.cluster import workloads
from tests.cluster.installation import Installation
from tests.cluster.preparing import eventually
from tests.cluster.workloads import Object, revision_of

ORDERED, PARALLEL = {"podManagementPolicy": "OrderedReady"}, {"podManagementPolicy": "Parallel"}
SURGE = {"strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}}
ONE_LESS = {"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}}


@pytest.fixture
def house(cluster: Cluster, namespace: str) -> Iterator[Installation]:
    made = Installation(cluster, namespace)
    yield made
    made.close()


@pytest.mark.parametrize("policy", [ORDERED, PARALLEL])
def test_of_a_stateful_set_it_comes_back_on_the_new_revision_and_goes_back_with_the_others(
    house: Installation, policy: dict[str, Any]
) -> None:
    before = _failing(house, "stateful_set", replicas=3, **policy)
    assert revision_of(_killed(house, before, "worker-0")) == "2"
    _gone_back(house)
    after = house.uids("worker")
    assert after["worker-1"] == before["worker-1"], "never replaced, never touched"
    assert set(after) == set(before)


@pytest.mark.parametrize("policy", [ORDERED, PARALLEL])
def test_of_a_stateful_set_that_was_told_to_go_back_it_comes_back_on_its_own_lock(
    house: Installation, policy: dict[str, Any]
) -> None:
    before = _failing(house, "stateful_set", replicas=3, **policy)
    house.restore("worker", 1)
    assert revision_of(_killed(house, before, "worker-0")) == "1"
    _gone_back(house)
    assert house.uids("worker")["worker-1"] == before["worker-1"]


@pytest.mark.parametrize("strategy", [SURGE, ONE_LESS])
def test_of_a_deployment_it_comes_back_on_its_own_lock(house: Installation, strategy: dict[str, Any]) -> None:
    before = _failing(house, "deployment", replicas=3, **strategy)
    kept = [name for name, uid in before.items() if house.uids("worker").get(name) == uid]
    house.admin.delete(f"/api/v1/namespaces/{house.namespace}/pods/{kept[0]}")

    def another() -> Object | None:
        olds = (pod for pod in _pods(house) if revision_of(pod) == "1")
        return next((pod for pod in olds if pod["metadata"]["uid"] not in before.values()), None)

    eventually(another, "another pod of the old revision")
    _gone_back(house)
    after = house.uids("worker")
    assert {name: after.get(name) for name in kept[1:]} == {name: before[name] for name in kept[1:]}


def test_a_partition_would_keep_the_pods_below_it_on_the_old_revision(house: Installation) -> None:
    """What the controller offers for it: we do not use it, and refuse a StatefulSet that has one."""
    partition = {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}}
    path = house.make("stateful_set", "worker", replicas=3, stamp=1, scripts=[_fails(house)], **partition)
    eventually(lambda: len(house.uids("worker")) == 3, "three pods")
    house.current("worker", house.digest(1))
    before = house.uids("worker")
    workloads.stamp(house.admin, path, 2)
    _until_one_fails(house, before)
    assert revision_of(_killed(house, before, "worker-0")) == "1"


def _fails(house: Installation) -> dict[str, str]:
    return house.scripted(2, "fail-install", back_off="60")


def _failing(house: Installation, kind: str, **spec: Any) -> dict[str, str]:  # noqa: ANN401 - JSON
    """Return the pods of three replicas, of which one was replaced and cannot install the new revision."""
    pod = {"terminationGracePeriodSeconds": 1}
    house.make(kind, "worker", stamp=1, scripts=[_fails(house)], pod=pod, **spec)
    house.current("worker", house.digest(1))
    before = house.uids("worker")
    house.restart("worker", 2)
    _until_one_fails(house, before)
    return before


def _until_one_fails(house: Installation, before: dict[str, str]) -> None:
    def failed() -> bool:
        fresh = [pod for pod in _pods(house) if pod["metadata"]["uid"] not in before.values()]
        return any(workloads.container(pod, workloads.INSTALLER).get("lastState") for pod in fresh)

    eventually(failed, "a failed installation")


def _killed(house: Installation, before: dict[str, str], name: str) -> Object:
    """Delete a pod by hand; return the one that takes its place."""
    house.admin.delete(f"/api/v1/namespaces/{house.namespace}/pods/{name}")
    eventually(lambda: house.uids("worker").get(name, before[name]) != before[name], f"another {name}")
    return next(pod for pod in _pods(house) if pod["metadata"]["name"] == name)


def _gone_back(house: Installation) -> None:
    """Go back as an operation does, and require that every pod is on the old lock."""
    if house.target.stamp("worker").revision != 1:
        house.restore("worker", 1)
    found = house.until(lambda seen: seen.status is Status.CURRENT, "worker", house.digest(1), rescue=True)
    assert {row.lock_digest for row in found.instances if row.status is Status.CURRENT} == {house.digest(1)}
    assert [row.status for row in found.instances].count(Status.CURRENT) == 3


def _pods(house: Installation) -> list[Object]:
    return workloads.pods(house.admin, house.namespace, "worker")
