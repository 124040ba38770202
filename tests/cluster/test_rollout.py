"""What only a real API server with its controllers shows: which pods are new, kept, stuck, refused."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from airflow_package_manager.adapters.kubernetes.api import Api, WatchEvent
from airflow_package_manager.adapters.kubernetes.connection import Connection
from airflow_package_manager.adapters.kubernetes.kinds import Kind
from airflow_package_manager.adapters.kubernetes.mirror import Rhythm
from airflow_package_manager.adapters.kubernetes.pods import Limits
from airflow_package_manager.adapters.kubernetes.preflight_job import Options
from airflow_package_manager.adapters.kubernetes.stamping import ANNOTATION
from airflow_package_manager.adapters.kubernetes.workloads import Reference
from airflow_package_manager.domain.rollout import ComponentStatus, PreflightStatus, Status
from airflow_package_manager.errors import AdmissionRefused, ClusterUnavailable, StampConflict
from airflow_package_manager.refusals import NoComponents, UnsupportedWorkload
from testenv.cluster import Cluster, script
from tests.cluster import chart_like, workloads
from tests.cluster.installation import Installation

KINDS = ("deployment", "stateful_set")


@pytest.fixture
def house(cluster: Cluster, namespace: str) -> Iterator[Installation]:
    made = Installation(cluster, namespace)
    yield made
    made.close()


def edit(house: Installation, path: str, patch: object) -> None:
    house.admin.request("PATCH", path, patch)


def annotate(house: Installation, path: str, **words: str) -> None:
    annotations = {word.replace("_", "/"): value for word, value in words.items()}
    edit(house, path, {"spec": {"template": {"metadata": {"annotations": annotations}}}})


# --- forwards ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["OrderedReady", "Parallel"])
def test_a_stateful_set_rolls_pod_by_pod(house: Installation, policy: str) -> None:
    house.make("stateful_set", "triggerer", replicas=3, scripts=[house.scripted(2)], podManagementPolicy=policy)
    house.current()
    before = house.uids()
    house.restart("triggerer", 2)
    assert house.target.observe("triggerer", house.digest(2)).status is Status.IN_PROGRESS
    found = house.current(wanted=house.digest(2))
    assert [row.stamp for row in found.instances] == [2, 2, 2]
    assert {row.lock_digest for row in found.instances} == {house.digest(2)}
    assert {row.node for row in found.instances} == {"kwok-0"}
    assert house.uids().keys() == before.keys()
    assert not set(house.uids().values()) & set(before.values())


def test_draining_workers_are_shown_and_the_next_component_need_not_wait(house: Installation) -> None:
    scripts = [house.scripted(2), script(None, drain="20s")]
    house.make("deployment", "worker", replicas=2, scripts=[*scripts])
    house.current("worker")
    house.restart("worker", 2)
    found = house.current("worker", house.digest(2))
    assert [row.status for row in found.instances] == [Status.CURRENT] * 2 + [Status.TERMINATING] * 2
    assert found.message == "2 of 2 current, 2 draining"
    assert house.target.observe("worker", house.digest(2)).unverified is None


def test_zero_replicas_are_current_and_never_verified(house: Installation) -> None:
    for kind, component in zip(KINDS, ("worker", "triggerer"), strict=True):
        house.make(kind, component, replicas=0, scripts=[house.scripted(2)])
        house.restart(component, 2)
        found = house.current(component, house.digest(2))
        assert found.instances == ()
        assert found.unverified
        assert house.target.stamp(component).revision == 2


def test_a_component_that_installs_in_its_own_way_is_never_verified(house: Installation) -> None:
    house.make("deployment", "worker", pod={"initContainers": []}, scripts=[house.scripted(2)])
    house.restart("worker", 2)
    found = house.current("worker", house.digest(2))
    assert found.unverified == "its pods do not report what they installed"
    staying = [row for row in found.instances if row.status is not Status.TERMINATING]  # an old pod may still drain
    assert [row.lock_digest for row in staying] == [None]


def test_an_autoscaler_that_acts_in_the_middle_changes_nothing(house: Installation) -> None:
    path = house.make("deployment", "worker", replicas=2, scripts=[house.scripted(2, install="2s")])
    house.current("worker")
    before = house.target.stamp("worker")
    house.restart("worker", 2)
    edit(house, path, {"spec": {"replicas": 4}})
    after = house.target.stamp("worker")
    assert (after.revision, after.template) == (2, before.template)
    found = house.current("worker", house.digest(2))
    assert len(found.instances) >= 4
    with pytest.raises(StampConflict):
        house.target.restore("worker", None, before.version)


def test_a_task_of_the_kubernetes_executor_is_no_instance(house: Installation) -> None:
    house.make("deployment", "worker")
    task = workloads.template("worker", None, script(None, "never-ready"))
    house.admin.create(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            **task,
            "metadata": {**task["metadata"], "name": "task", "namespace": house.namespace},
        }
    )
    found = house.current("worker")
    assert [row.name for row in found.instances] != ["task"]
    assert len(found.instances) == 1


class HalfOpen(Api):
    """Its watches hear nothing, as over a connection whose other end is gone without a word."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.over = threading.Event()

    def watch(
        self, kind: Kind, namespace: str, *, selector: str = "", since: str, seconds: float
    ) -> Iterator[WatchEvent]:
        del kind, namespace, selector, since
        self.over.wait(seconds)
        yield from ()


def test_nothing_is_current_by_what_a_silent_watch_told(house: Installation) -> None:
    house.make("deployment", "triggerer", scripts=[house.scripted(2)])
    house.restart("triggerer", 2)
    house.current(wanted=house.digest(2))
    house.api = half_open = HalfOpen(Connection(kubeconfig=str(house.cluster.kubeconfig)))
    soak = 5.0
    careful, careless = (
        house.named(limits=Limits(soak=soak), rhythm=Rhythm(certain=seconds)) for seconds in (0.5, 999.0)
    )
    for target in (careful, careless):
        target.observe("triggerer", house.digest(2))
    time.sleep(soak)
    house.crash_once("triggerer")
    time.sleep(1)
    found, believed = (target.observe("triggerer", house.digest(2)) for target in (careful, careless))
    half_open.over.set()
    assert believed.status is Status.CURRENT, "else this test shows nothing"
    assert (found.status, found.message) == (Status.FAILED, "main ended with status 1: out of luck")


# --- failures ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("outcome", "words", "infrastructure"),
    [
        ("fail-install", "demo has no wheel for this Python.", False),
        ("heals", "demo has no wheel for this Python.", False),
        ("crash-at-start", "main ended with status 1: ImportError: nope", False),
        ("crash-after-ready", "main ended with status 1: ImportError: nope", False),
        ("image-pull", "package-manager cannot start", True),
        ("config-error", "package-manager cannot start", True),
    ],
)
def test_the_first_failure_is_final(
    house: Installation, kind: str, outcome: str, words: str, *, infrastructure: bool
) -> None:
    bad = house.scripted(2, outcome, check="ImportError: nope", crash_after="300ms")
    house.make(kind, "triggerer", replicas=2, scripts=[bad])
    house.current()
    house.restart("triggerer", 2)
    began = time.monotonic()
    found = house.failed(wanted=house.digest(2))
    assert time.monotonic() - began < 8
    assert (found.final, found.infrastructure) == (True, infrastructure)
    assert words in found.message
    assert Status.FAILED in {row.status for row in found.instances}


def test_a_pod_that_is_never_ready_is_waited_for(house: Installation) -> None:
    house.make("deployment", "triggerer", scripts=[house.scripted(2, "never-ready")])
    house.current()
    house.restart("triggerer", 2)
    found = house.until(lambda found: "not ready yet" in found.message, wanted=house.digest(2))
    assert (found.status, found.final) == (Status.IN_PROGRESS, False)


def test_no_room_is_no_packages_fault(house: Installation) -> None:
    path = house.make("deployment", "triggerer")
    house.current()
    resources = {"requests": {"cpu": "9k"}}
    edit(house, path, [{"op": "add", "path": "/spec/template/spec/containers/0/resources", "value": resources}])
    waiting = house.until(lambda found: found.infrastructure)
    assert waiting.status is Status.IN_PROGRESS
    found = house.failed()
    assert (found.final, found.infrastructure) == (True, True)
    assert "Insufficient cpu" in found.message


@pytest.mark.parametrize("kind", KINDS)
def test_a_quota_is_no_packages_fault(house: Installation, kind: str) -> None:
    house.make(kind, "triggerer", replicas=2, scripts=[house.scripted(2)])
    house.current()
    quota = {"metadata": {"name": "few", "namespace": house.namespace}, "spec": {"hard": {"pods": "1"}}}
    house.admin.create({"apiVersion": "v1", "kind": "ResourceQuota", **quota})
    time.sleep(1)
    house.restart("triggerer", 2)
    found = house.failed(wanted=house.digest(2))
    assert (found.final, found.infrastructure) == (True, True)
    assert "exceeded quota: few" in found.message


# --- back --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["OrderedReady", "Parallel"])
@pytest.mark.parametrize("before", [None, 1])
@pytest.mark.parametrize("outcome", ["fail-install", "never-ready", "crash-at-start"])
def test_a_stuck_stateful_set_comes_back_and_untouched_pods_stay(
    house: Installation, policy: str, before: int | None, outcome: str
) -> None:
    bad = house.scripted(2, outcome, back_off="60")
    house.make("stateful_set", "triggerer", replicas=3, stamp=before, scripts=[bad], podManagementPolicy=policy)
    house.current()
    uids = house.uids()
    house.restart("triggerer", 2)
    house.until(lambda found: found.status is Status.FAILED or "not ready yet" in found.message, wanted=house.digest(2))
    house.restore("triggerer", before)
    found = house.until(lambda found: found.status is Status.CURRENT, rescue=True)
    assert {row.stamp for row in found.instances} == {before}
    after = house.uids()
    assert after.keys() == uids.keys()
    assert {name for name in uids if after[name] == uids[name]} >= {"triggerer-0", "triggerer-1"}


def test_a_stuck_pod_stays_stuck_without_the_rescue(house: Installation) -> None:
    bad = house.scripted(2, "fail-install", back_off="60")
    house.make("stateful_set", "triggerer", replicas=2, scripts=[bad])
    house.current()
    house.restart("triggerer", 2)
    house.failed(wanted=house.digest(2))
    house.restore("triggerer", None)
    stuck = house.uids()
    time.sleep(3)
    assert house.uids() == stuck
    command = house.target.by_hand("triggerer", None)
    assert command.endswith("delete pod triggerer-1")
    house.target.discard_stuck("triggerer")
    house.current()
    assert house.uids()["triggerer-0"] == stuck["triggerer-0"]
    house.target.discard_stuck("triggerer")
    assert "delete pod" not in house.target.by_hand("triggerer", None)


@pytest.mark.parametrize("before", [None, 1])
def test_a_deployment_that_goes_back_uses_its_old_replica_set_and_keeps_its_pods(
    house: Installation, before: int | None
) -> None:
    bad = house.scripted(2, "fail-install", back_off="60")
    strategy = {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    house.make("deployment", "triggerer", replicas=2, stamp=before, scripts=[bad], strategy=strategy)
    house.current()
    uids, template = house.uids(), house.target.stamp("triggerer").template
    house.restart("triggerer", 2)
    house.failed(wanted=house.digest(2))
    house.restore("triggerer", before)
    found = house.current()
    assert house.uids() == uids
    assert {row.stamp for row in found.instances if row.status is Status.CURRENT} == {before}
    assert house.target.stamp("triggerer").template == template
    sets = house.admin.items(f"/apis/apps/v1/namespaces/{house.namespace}/replicasets")
    assert len(sets) == 2, "the absent annotation made no third one"


def test_a_pod_that_heals_while_it_is_rescued_is_no_trouble(house: Installation) -> None:
    house.make("stateful_set", "triggerer", replicas=2, scripts=[house.scripted(2, "heals", back_off="1")])
    house.current()
    house.restart("triggerer", 2)
    house.failed(wanted=house.digest(2))
    house.restore("triggerer", None)
    time.sleep(2)
    found = house.until(lambda found: found.status is Status.CURRENT, rescue=True)
    assert {row.stamp for row in found.instances} == {None}


# --- another hand ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_template_that_another_hand_changes_is_another_template(house: Installation, kind: str) -> None:
    path = house.make(kind, "triggerer", scripts=[house.scripted(2, install="2s")])
    house.current()
    before = house.target.stamp("triggerer")
    house.restart("triggerer", 2)
    annotate(house, path, kubectl_restartedAt="now")
    after = house.target.stamp("triggerer")
    assert (after.revision, after.template != before.template) == (2, True)
    house.restore("triggerer", None)
    assert house.target.stamp("triggerer").template == after.template
    assert house.current().instances[0].stamp is None


def test_two_templates_with_one_stamp_are_told_apart(house: Installation) -> None:
    path = house.make("deployment", "triggerer", scripts=[house.scripted(2)])
    house.current()
    house.restart("triggerer", 2)
    house.current(wanted=house.digest(2))
    annotate(house, path, **{"package-manager-test_outcome-2": "never-ready"})
    found = house.until(lambda found: "not ready yet" in found.message, wanted=house.digest(2))
    assert found.status is Status.IN_PROGRESS, "the pods of the first template carry the same stamp"


def test_a_stamp_that_somebody_removed_is_shown_as_none(house: Installation) -> None:
    path = house.make("deployment", "triggerer", stamp=1)
    house.current()
    annotate(house, path, **{ANNOTATION.replace("/", "_"): None})  # type: ignore[arg-type]
    assert house.target.stamp("triggerer").revision is None
    assert house.current().instances[0].stamp is None


def test_a_workload_made_anew_is_not_the_one_that_was_read(house: Installation) -> None:
    path = house.make("deployment", "triggerer")
    old = house.target.stamp("triggerer")
    house.admin.delete(path)
    with pytest.raises(NoComponents):
        house.target.restart("triggerer", 2, old.version)
    house.make("deployment", "triggerer")
    with pytest.raises(StampConflict):
        house.target.restart("triggerer", 2, old.version)
    assert house.target.stamp("triggerer").revision is None


def test_our_own_stamp_whose_answer_was_lost_is_taken_for_done(house: Installation) -> None:
    house.make("deployment", "triggerer")
    workload = house.target._sightings.workload("triggerer")
    house.restart("triggerer", 2)
    after = house.target.stamp("triggerer")
    house.target._patch("triggerer", workload, 2)
    assert house.target.stamp("triggerer") == after


def test_what_a_person_types_brings_a_stuck_set_back_even_when_we_could_not(house: Installation) -> None:
    house.make("stateful_set", "triggerer", replicas=2, scripts=[house.scripted(2, "fail-install", back_off="60")])
    house.current()
    house.restart("triggerer", 2)
    house.failed(wanted=house.digest(2))
    assert house.target.by_hand("triggerer", None).endswith(
        "&& kubectl --namespace " + house.namespace + " delete pod triggerer-1"
    )


def test_a_stamp_between_our_read_and_our_patch_wins(house: Installation) -> None:
    path = house.make("deployment", "triggerer")
    workload = house.target._sightings.workload("triggerer")
    edit(house, path, {"spec": {"replicas": 2}})
    with pytest.raises(StampConflict):
        house.target._patch("triggerer", workload, 2)
    assert house.target.stamp("triggerer").revision is None


def test_observing_an_api_server_that_is_away_says_so(house: Installation, cluster: Cluster) -> None:
    if cluster.control is None:
        pytest.skip("the API server is not ours to stop")
    house.make("stateful_set", "worker")
    house.current("worker")
    cluster.stop_apiserver()
    try:
        with pytest.raises(ClusterUnavailable):
            house.target.observe("worker", None)
    finally:
        cluster.start_apiserver()
    house.current("worker")


# --- refused by name ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "spec", "words"),
    [
        ("deployment", {"paused": True}, "is paused"),
        ("stateful_set", {"updateStrategy": {"type": "OnDelete"}}, "OnDelete"),
        (
            "stateful_set",
            {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}},
            "partition",
        ),
    ],
)
def test_what_no_stamp_restarts_is_refused(house: Installation, kind: str, spec: dict[str, Any], words: str) -> None:
    house.make(kind, "triggerer", **spec)
    before = house.target.stamp("triggerer")
    tries: tuple[Callable[[], None], ...] = (
        lambda: house.target.check_restart("triggerer"),
        lambda: house.target.restart("triggerer", 2, before.version),
    )
    for refused in tries:
        with pytest.raises(UnsupportedWorkload) as caught:
            refused()
        assert words in caught.value.detail
        assert "triggerer" in caught.value.detail
    assert house.target.stamp("triggerer") == before


def test_two_workloads_of_one_component_are_refused(house: Installation) -> None:
    house.make("deployment", "triggerer")
    house.make("stateful_set", "triggerer")
    with pytest.raises(UnsupportedWorkload, match="Deployment/triggerer and StatefulSet/triggerer"):
        house.target.components()


def test_what_is_configured_and_not_there_is_named(house: Installation) -> None:
    house.make("deployment", "triggerer")
    configured = {
        "triggerer": Reference(selector="app=triggerer"),
        "worker": Reference(selector="app=no-such-worker"),
    }
    with pytest.raises(NoComponents, match="app=no-such-worker was looked for") as caught:
        house.named(references=configured).components()
    assert caught.value.context["components"] == ["worker"]


def test_a_dry_run_meets_admission_and_changes_nothing(house: Installation) -> None:
    house.make("deployment", "triggerer")
    before = house.target.stamp("triggerer")
    with chart_like.no_stamps(house.admin, house.namespace) as policy:
        deadline = time.monotonic() + 20
        while True:
            try:
                house.target.check_restart("triggerer")
            except AdmissionRefused as error:
                refused = error.detail
                break
            assert time.monotonic() < deadline
            time.sleep(0.2)
    assert policy in refused
    assert house.target.stamp("triggerer") == before


# --- the check before ------------------------------------------------------------------------------------------


RECORD = {"message": "m", "pid": 1, "started_at": 1.0, "code": None, "warnings": ["w"], "detail": None}
PASSED = json.dumps({**RECORD, "status": "passed"})
REFUSED = json.dumps({**RECORD, "status": "failed", "code": "import-failed", "detail": "ImportError"})


def checked(house: Installation, revision: int, seconds: float = 20) -> PreflightStatus:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = house.target.observe_preflight(revision)
        if found.status is not Status.IN_PROGRESS:
            return found
        time.sleep(0.1)
    raise AssertionError(f"it stayed {found}")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("preflight", "message", "expected"),
    [
        ("ok", PASSED, (Status.CURRENT, None, False)),
        ("ok", "", (Status.FAILED, "check-lost", False)),
        ("fail-check", REFUSED, (Status.FAILED, "import-failed", False)),
        ("fail-install", "", (Status.FAILED, "no-wheel", False)),
        ("image-pull", "", (Status.FAILED, "ImagePullBackOff", True)),
        ("hangs", "", (Status.FAILED, "check-timeout", False)),
    ],
)
def test_a_check_runs_as_a_job(
    house: Installation,
    kind: str,
    preflight: str,
    message: str,
    expected: tuple[Status, str | None, bool],
) -> None:
    outcome = "fail-install" if preflight == "fail-install" else "ok"
    words = {**house.scripted(2, outcome, check=message), **script(2, preflight=preflight)}
    house.make(kind, "triggerer", scripts=[words])
    house.current()
    pods = house.uids()
    if preflight == "hangs":
        house.target = house.named(preflight=Options(timeout=2, install_timeout=1, margin=0, component="triggerer"))
    assert house.target.observe_preflight(2).status is Status.NOT_FOUND
    house.target.start_preflight(2, ("demo",))
    house.target.start_preflight(2, ("demo",))
    found = checked(house, 2)
    assert (found.status, found.code, found.infrastructure) == expected
    assert house.uids() == pods, "nothing took its pod for the component's, and the component was left alone"
    house.target.end_preflight(2)
    house.admin.until(
        f"/api/v1/namespaces/{house.namespace}/pods?labelSelector=app.kubernetes.io%2Fcomponent%3Dpreflight",
        lambda listing: not listing["items"],
    )
    assert house.target.observe_preflight(2).status is Status.NOT_FOUND
    house.target.end_preflight(2)


def test_a_quota_for_the_check_is_no_packages_fault(house: Installation) -> None:
    house.make("deployment", "triggerer", scripts=[house.scripted(2)])
    house.current()
    quota = {"metadata": {"name": "few", "namespace": house.namespace}, "spec": {"hard": {"pods": "1"}}}
    house.admin.create({"apiVersion": "v1", "kind": "ResourceQuota", **quota})
    time.sleep(1)
    house.target.start_preflight(2, ())
    found = checked(house, 2)
    assert (found.status, found.infrastructure) == (Status.FAILED, True)
    assert "exceeded quota" in found.message
    house.target.end_preflight(2)


# --- what looking costs ------------------------------------------------------------------------------------------


@contextmanager
def counted(house: Installation) -> Iterator[list[str]]:
    """Yield what is asked of the API server meanwhile."""
    asked: list[str] = []
    ask = house.api._ask

    def noted(method: str, request: object, *rest: object, **more: object) -> object:
        asked.append(str(request))
        return ask(method, request, *rest, **more)  # type: ignore[arg-type]

    house.api._ask = noted  # type: ignore[assignment, method-assign]
    try:
        yield asked
    finally:
        house.api._ask = ask  # type: ignore[method-assign]


def test_events_of_others_are_not_read(house: Installation) -> None:
    """One request, however many events a namespace has."""
    house.make("stateful_set", "triggerer", replicas=1, scripts=[house.scripted(2)])
    house.current()
    about = {"kind": "Pod", "name": "x", "namespace": house.namespace, "uid": "someone-else"}
    event = {"involvedObject": about, "reason": "FailedCreate", "lastTimestamp": "2125-01-01T00:00:00Z"}
    for number in range(250):
        metadata = {"name": f"x.{number}", "namespace": house.namespace}
        house.admin.request("POST", f"/api/v1/namespaces/{house.namespace}/events", {**event, "metadata": metadata})
    quota = {"metadata": {"name": "few", "namespace": house.namespace}, "spec": {"hard": {"pods": "0"}}}
    house.admin.create({"apiVersion": "v1", "kind": "ResourceQuota", **quota})
    time.sleep(1)
    house.restart("triggerer", 2)
    house.until(lambda found: found.infrastructure, wanted=house.digest(2))
    house.target._sightings._refusals.clear()
    with counted(house) as asked:
        found = house.target.observe("triggerer", house.digest(2))
    assert "exceeded quota" in found.message
    assert len([request for request in asked if "list events" in request]) == 1


def test_looking_again_lists_no_pods(house: Installation) -> None:
    house.make("deployment", "triggerer", replicas=3)
    house.current()
    with counted(house) as asked:
        statuses: list[ComponentStatus] = [house.target.observe("triggerer", None) for _ in range(5)]
    assert all(found.status is Status.CURRENT for found in statuses)
    assert len(asked) == 5
    assert not [request for request in asked if "pods" in request]
