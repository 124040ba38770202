"""Whole operations, driven by the real engine on a real API server: what is left when they end."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

import pytest

from airflow_package_manager.domain.operation import Operation, State
from airflow_package_manager.driver import Driver
from airflow_package_manager.engine.advance import Engine
from airflow_package_manager.engine.step import Patience, World
from airflow_package_manager.errors import ClusterUnavailable
from testenv.cluster import Cluster, script
from tests.cluster.installation import REFUSED, Installation, installed
from tests.fakes.application import Application, add

PASSED = json.dumps(
    {"status": "passed", "message": "m", "pid": 1, "started_at": 1.0, "code": None, "warnings": [], "detail": None}
)
KINDS = {"scheduler": "deployment", "worker": "stateful_set", "triggerer": "stateful_set"}


class Life:
    """An application whose components are real workloads."""

    def __init__(self, house: Installation) -> None:
        self.house = house
        self.app = Application("# mine\n", components=tuple(KINDS))
        self.house.store = self.app.store
        self.house.target._snapshot = self.app.store.peek
        self.world = World(
            store=self.app.store,
            target=house.target,
            installed=self.app.installed,
            repository=self.app.repository,
            facts=self.app.facts,
            policy=self.app.policy,
            clock=self.app.clock,
            patience=Patience(preflight=60, component=60, heartbeat=1, parsing=1),
        )
        self.sleep(0)

    def sleep(self, seconds: float) -> None:
        time.sleep(min(seconds, 0.1))
        self.app.clock.advance(time.time() - self.app.clock())

    def accepted(self, **outcomes: str) -> Operation:
        """Accept an operation and make workloads whose pods of its revision do this (of a component: outcome)."""
        operation = self.app.accepted(add("humanize"))
        assert operation.plan is not None
        assert operation.revision == 1
        digest = operation.plan.lock.digest()
        for component, kind in KINDS.items():
            outcome = outcomes.get(component, "ok")
            report = REFUSED if outcome == "fail-install" else installed(1, digest)
            scripts = [
                script(None, report=installed(None, "0" * 64)),
                script(
                    1,
                    outcome,
                    preflight=outcomes.get("preflight", "ok"),
                    report=report,
                    check=PASSED,
                    crash_after="300ms",
                ),
            ]
            self.house.make(kind, component, replicas=2, scripts=scripts)
        for component in KINDS:
            self.house.current(component)
        self.sleep(0)
        return operation

    def drive(self, operation: Operation) -> Operation:
        driver = Driver(
            repository=self.app.repository,
            engine=Engine(self.world),
            clock=self.app.clock,
            name="host:1",
            sleep=self.sleep,
        )
        return driver.run(operation.id)

    def when(self, operation: Operation, step: str, act: Callable[[], object]) -> None:
        """Let another hand act once the operation says that it does this."""
        done: list[str] = []

        def look() -> None:
            if not done and step in self.app.repository.get(operation.id).step:
                done.append(step)
                act()
            self.app.faults.meanwhile("store.read", look)

        self.app.faults.meanwhile("store.read", look)

    def stamps(self) -> set[int | None]:
        return {self.house.target.stamp(component).revision for component in KINDS}

    def uids(self) -> dict[str, dict[str, str]]:
        return {component: self.house.uids(component) for component in KINDS}


@pytest.fixture
def life(cluster: Cluster, namespace: str) -> Iterator[Life]:
    house = Installation(cluster, namespace)
    yield Life(house)
    house.close()


def jobs(life: Life) -> list[object]:
    return life.house.admin.items(f"/apis/batch/v1/namespaces/{life.house.namespace}/jobs")  # type: ignore[return-value]


def test_a_good_change_goes_all_the_way(life: Life) -> None:
    operation = life.accepted()
    before = life.uids()
    done = life.drive(operation)
    assert (done.state, done.problem) == (State.SUCCEEDED, None)
    assert life.stamps() == {1}
    assert life.app.store.peek().current == 1
    assert jobs(life) == []
    after = life.uids()
    assert not {uid for pods in before.values() for uid in pods.values()} & {
        uid for pods in after.values() for uid in pods.values()
    }


@pytest.mark.parametrize(
    ("component", "outcome", "code"),
    [
        ("worker", "fail-install", "component-failed"),
        ("worker", "crash-after-ready", "component-failed"),
        ("scheduler", "crash-at-start", "component-failed"),
        ("triggerer", "image-pull", "infrastructure"),
    ],
)
def test_a_bad_change_comes_back_by_itself(life: Life, component: str, outcome: str, code: str) -> None:
    operation = life.accepted(**{component: outcome})
    before = life.uids()
    done = life.drive(operation)
    assert (done.state, (done.problem or {})["code"]) == (State.ROLLED_BACK, code)
    assert component in (done.problem or {})["detail"]
    assert life.stamps() == {None}
    snapshot = life.app.store.peek()
    assert (snapshot.text, dict(snapshot.locks), snapshot.current) == ("# mine\n", {}, None)
    assert jobs(life) == []
    after = life.uids()
    order = ("scheduler", "worker", "triggerer")
    for untouched in order[order.index(component) + 1 :]:
        assert after[untouched] == before[untouched]
    if KINDS[component] == "stateful_set" and outcome != "crash-after-ready":
        assert after[component][f"{component}-0"] == before[component][f"{component}-0"]
    if component == "scheduler":
        assert after[component] == before[component]


def test_a_check_that_fails_touches_no_component(life: Life) -> None:
    operation = life.accepted(preflight="fail-check")
    before = life.uids()
    done = life.drive(operation)
    assert (done.state, (done.problem or {})["code"]) == (State.ROLLED_BACK, "preflight-failed")
    assert life.uids() == before
    assert life.app.store.peek().text == "# mine\n"
    assert jobs(life) == []


def test_a_template_that_another_hand_changes_in_the_middle_stops_it(life: Life) -> None:
    operation = life.accepted(worker="slow")
    path = life.house.path("stateful_set", "worker")
    body = {"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "now"}}}}}
    life.when(operation, "restarting worker: told to", lambda: life.house.admin.request("PATCH", path, body))
    done = life.drive(operation)
    assert (done.state, (done.problem or {})["code"]) == (State.ROLLED_BACK, "component-changed")
    assert life.stamps() == {None}
    template = life.house.admin.get(path)["spec"]["template"]["metadata"]["annotations"]
    assert template["kubectl.kubernetes.io/restartedAt"] == "now", "theirs stays"


def test_a_workload_that_is_deleted_in_the_middle_ends_with_the_commands_for_a_person(life: Life) -> None:
    operation = life.accepted(triggerer="slow")
    path = life.house.path("stateful_set", "worker")
    life.when(operation, "restarting triggerer: told to", lambda: life.house.admin.delete(path))
    done = life.drive(operation)
    assert done.state is State.FAILED
    assert (done.problem or {})["code"] == "rollback-incomplete"
    commands = (done.problem or {})["commands"]
    assert [f"patch {name}" in " ".join(commands) for name in ("deployments.apps scheduler",)] == [True]
    assert life.house.target.stamp("scheduler").revision is None
    assert life.house.target.stamp("triggerer").revision is None


def test_an_api_server_that_restarts_in_the_middle_changes_nothing(life: Life, cluster: Cluster) -> None:
    operation = life.accepted(worker="slow")
    if cluster.control is None:
        pytest.skip("the API server is not ours to stop")
    life.when(operation, "restarting worker: told to", lambda: cluster.restart_apiserver(at_once=True))
    done = life.drive(operation)
    assert (done.state, done.problem) == (State.SUCCEEDED, None)
    assert life.stamps() == {1}


def test_observing_an_api_server_that_is_away_says_so(life: Life, cluster: Cluster) -> None:
    if cluster.control is None:
        pytest.skip("the API server is not ours to stop")
    life.accepted()
    cluster.stop_apiserver()
    try:
        with pytest.raises(ClusterUnavailable):
            life.house.target.observe("worker", None)
    finally:
        cluster.start_apiserver()
    life.house.current("worker")
