"""What everything else in this room relies on: a real API server, its controllers, accounts, and its end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from testenv.cluster import Client, Cluster, Refused, control_plane, script
from tests.cluster.workloads import (
    INSTALLER,
    Object,
    container,
    deployment,
    is_ready,
    job,
    pods,
    revision_of,
    rolled_out,
    stamp,
    stateful_set,
    template,
    uids,
)

REPOSITORY = Path(__file__).resolve().parents[2]


def _apps(namespace: str, plural: str, name: str) -> str:
    return f"/apis/apps/v1/namespaces/{namespace}/{plural}/{name}"


def _config_map(namespace: str, name: str, text: str) -> dict[str, object]:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"requirements.txt": text}}


def test_a_deployment_rolls_when_its_stamp_changes_and_only_then(cluster: Cluster, namespace: str) -> None:
    admin, path = cluster.admin, _apps(namespace, "deployments", "scheduler")
    admin.create(deployment(namespace, "scheduler", template("scheduler", None, {}), replicas=2))
    admin.until(path, rolled_out)
    first = pods(admin, namespace, "scheduler")

    generation = stamp(admin, path, 7)["metadata"]["generation"]
    admin.until(path, rolled_out)
    second = [pod for pod in pods(admin, namespace, "scheduler") if revision_of(pod) == "7"]
    assert [is_ready(pod) for pod in second] == [True, True]
    assert not uids(first) & uids(second)

    assert stamp(admin, path, 7)["metadata"]["generation"] == generation


def test_the_previous_stamp_brings_the_previous_replica_set_back(cluster: Cluster, namespace: str) -> None:
    admin, path = cluster.admin, _apps(namespace, "deployments", "scheduler")
    pod = template("scheduler", None, script(13, "fail-install"))
    limits = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    admin.create(deployment(namespace, "scheduler", pod, replicas=2, strategy=limits))
    admin.until(path, rolled_out)
    good = uids(pods(admin, namespace, "scheduler"))
    stamp(admin, path, 13)
    _until_a_pod(cluster, namespace, "scheduler", lambda pod: container(pod, INSTALLER).get("restartCount", 0) > 0)

    stamp(admin, path, None)
    admin.until(path, rolled_out)
    assert uids([pod for pod in pods(admin, namespace, "scheduler") if is_ready(pod)]) == good


def test_an_ordered_stateful_set_stays_stuck_until_its_broken_pod_is_deleted(cluster: Cluster, namespace: str) -> None:
    admin, path = cluster.admin, _apps(namespace, "statefulsets", "worker")
    pod = template("worker", 5, script(13, "fail-install"))
    admin.create(stateful_set(namespace, "worker", pod, replicas=3))
    good = admin.until(path, rolled_out)["status"]
    before = {entry["metadata"]["name"]: entry["metadata"]["uid"] for entry in pods(admin, namespace, "worker")}
    stamp(admin, path, 13)
    broken = _until_a_pod(cluster, namespace, "worker", lambda pod: container(pod, INSTALLER).get("lastState"))
    assert broken["metadata"]["name"] == "worker-2"

    stamp(admin, path, 5)
    admin.until(path, lambda found: found["status"]["updateRevision"] == good["updateRevision"])
    time.sleep(2)  # the controller has all the time it needs, and does nothing
    stuck = admin.get(f"/api/v1/namespaces/{namespace}/pods/worker-2")
    assert stuck["metadata"]["uid"] == broken["metadata"]["uid"]

    with pytest.raises(Refused) as refused:
        admin.request("DELETE", _pod(namespace, "worker-2"), {"preconditions": {"uid": before["worker-1"]}})
    assert refused.value.status == 409
    admin.request("DELETE", _pod(namespace, "worker-2"), {"preconditions": {"uid": broken["metadata"]["uid"]}})
    admin.until(path, rolled_out)
    after = {entry["metadata"]["name"]: entry["metadata"]["uid"] for entry in pods(admin, namespace, "worker")}
    assert {name for name in before if before[name] == after[name]} == {"worker-0", "worker-1"}


def test_a_write_on_condition_of_an_old_resource_version_is_refused(cluster: Cluster, namespace: str) -> None:
    made = cluster.admin.create(_config_map(namespace, "airflow-config-pypi", "pandas\n"))
    path = f"/api/v1/namespaces/{namespace}/configmaps/airflow-config-pypi"
    patch = {
        "metadata": {"resourceVersion": made["metadata"]["resourceVersion"]},
        "data": {"requirements.txt": "numpy\n"},
    }
    cluster.admin.request("PATCH", path, patch)
    with pytest.raises(Refused) as refused:
        cluster.admin.request("PATCH", path, {**patch, "data": {"requirements.txt": "scipy\n"}})
    assert refused.value.status == 409
    assert cluster.admin.get(path)["data"] == {"requirements.txt": "numpy\n"}


def test_an_account_may_do_what_its_role_says_and_nothing_else(cluster: Cluster, namespace: str) -> None:
    for name in ("ours", "theirs"):
        cluster.admin.create(_config_map(namespace, name, ""))
    rule = {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["ours"], "verbs": ["get", "patch"]}
    account = Client.of(cluster.account(namespace, "manager", [rule]))
    collection = f"/api/v1/namespaces/{namespace}/configmaps"

    assert account.get(f"{collection}/ours")["metadata"]["name"] == "ours"
    for path in (collection, f"{collection}/theirs", "/api/v1/namespaces/default/configmaps/ours"):
        with pytest.raises(Refused) as refused:
            account.get(path)
        assert refused.value.status == 403
    assert json.loads(refused.value.body)["details"]["kind"] == "configmaps"

    cluster.account(namespace, "manager", [])
    with pytest.raises(Refused):
        account.get(f"{collection}/ours")


def test_a_token_ends_with_the_secret_that_it_is_bound_to(cluster: Cluster, namespace: str) -> None:
    rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}
    account = Client.of(cluster.account(namespace, "manager", [rule], secret="short-lived"))
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    assert isinstance(account.items(path), list)
    cluster.admin.delete(f"/api/v1/namespaces/{namespace}/secrets/short-lived")
    assert account.until_refused(path).status == 401


@pytest.mark.parametrize(
    ("outcome", "condition", "exits"),
    [
        ("ok", "Complete", {INSTALLER: 0, "check": 0}),
        ("fail-check", "Failed", {INSTALLER: 0, "check": 3}),
        ("fail-install", "Failed", {INSTALLER: 3}),
    ],
)
def test_a_job_ends_as_its_pod_does(
    cluster: Cluster, namespace: str, outcome: str, condition: str, exits: dict[str, int]
) -> None:
    words = {"report": '{"outcome":"installed"}', "check": "checked"} | ({} if outcome == "ok" else {"exit": "3"})
    pod = template("preflight", 7, script(7, "crash-at-start", preflight=outcome, **words), restart="Never")
    pod["spec"]["containers"][0]["name"] = "check"
    cluster.admin.create(job(namespace, "preflight", pod, ttlSecondsAfterFinished=2))
    path = f"/apis/batch/v1/namespaces/{namespace}/jobs/preflight"
    cluster.admin.until(path, lambda found: _has(found, condition))
    (ended,) = pods(cluster.admin, namespace, "preflight")
    states = {name: container(ended, name)["state"] for name in (INSTALLER, "check")}
    assert {name: state["terminated"]["exitCode"] for name, state in states.items() if "terminated" in state} == exits
    assert states[INSTALLER]["terminated"]["message"] == words["report"]
    if "check" in exits:
        assert states["check"]["terminated"]["message"] == "checked"
    cluster.admin.until(
        f"/api/v1/namespaces/{namespace}/pods?labelSelector=app%3Dpreflight", lambda all_: not all_["items"]
    )


def test_a_job_that_hangs_is_ended_by_its_deadline(cluster: Cluster, namespace: str) -> None:
    pod = template("preflight", 7, script(7, preflight="hangs"), restart="Never")
    cluster.admin.create(job(namespace, "preflight", pod, activeDeadlineSeconds=1))
    path = f"/apis/batch/v1/namespaces/{namespace}/jobs/preflight"
    ended = cluster.admin.until(path, lambda found: _has(found, "Failed"))
    assert [entry["reason"] for entry in ended["status"]["conditions"] if entry["type"] == "Failed"] == [
        "DeadlineExceeded"
    ]


def test_quota_and_scheduler_are_real(cluster: Cluster, namespace: str) -> None:
    admin = cluster.admin
    metadata = {"name": "few", "namespace": namespace}
    admin.create({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": {"pods": "1"}}})
    admin.until(f"/api/v1/namespaces/{namespace}/resourcequotas/few", lambda found: found.get("status", {}).get("hard"))
    nowhere = template("nowhere", None, {}, nodeSelector={"zone": "moon"})
    admin.create(deployment(namespace, "nowhere", nowhere, replicas=2))

    waiting = _until_a_pod(cluster, namespace, "nowhere", lambda pod: pod["status"].get("conditions"))
    assert waiting["status"]["conditions"][0]["reason"] == "Unschedulable"
    found = admin.until(_apps(namespace, "deployments", "nowhere"), lambda found: _has(found, "ReplicaFailure"))
    (failure,) = (entry for entry in found["status"]["conditions"] if entry["type"] == "ReplicaFailure")
    assert "exceeded quota" in failure["message"]


def test_a_volume_claim_keeps_no_pod_from_starting(cluster: Cluster, namespace: str) -> None:
    claim = {
        "metadata": {"name": "logs"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    body = stateful_set(namespace, "worker", template("worker", None, {}), volumeClaimTemplates=[claim])
    cluster.admin.create(body)
    cluster.admin.until(_apps(namespace, "statefulsets", "worker"), rolled_out)


@pytest.mark.parametrize("at_once", [False, True])
def test_the_api_server_keeps_everything_over_a_restart(cluster: Cluster, namespace: str, *, at_once: bool) -> None:
    path = _apps(namespace, "deployments", "scheduler")
    cluster.admin.create(deployment(namespace, "scheduler", template("scheduler", None, {})))
    cluster.admin.until(path, rolled_out)
    cluster.stop_apiserver(at_once=at_once)
    with pytest.raises(OSError, match="refused"):
        cluster.admin.get(path)
    cluster.start_apiserver()
    stamp(cluster.admin, path, 2)
    cluster.admin.until(path, rolled_out)


def test_a_namespace_goes_though_a_pod_in_it_never_ends(cluster: Cluster) -> None:
    with cluster.namespace() as name:
        pod = template("stuck", None, script(None, "stuck-terminating"))
        cluster.admin.create(deployment(name, "stuck", pod))
        cluster.admin.until(_apps(name, "deployments", "stuck"), rolled_out)
    assert cluster.admin.until_refused(f"/api/v1/namespaces/{name}").status == 404


def test_no_server_outlives_its_test_run(tmp_path: Path) -> None:
    source = "import time\nfrom testenv.cluster import control_plane\nwith control_plane() as cluster:\n"
    source += "    print(cluster.home, flush=True)\n    time.sleep(600)\n"
    with subprocess.Popen([sys.executable, "-c", source], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        home = other.stdout.readline().strip()
        assert len(_processes_that_name(home)) == 5
        other.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while _processes_that_name(home) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _processes_that_name(home)
    Path(home).rename(tmp_path / "left")  # a killed run leaves its files, no process


def test_a_control_plane_leaves_nothing() -> None:
    with control_plane() as other:
        home = str(other.home)
        assert len(_processes_that_name(home)) == 5
    assert not _processes_that_name(home)
    assert not Path(home).exists()


def _processes_that_name(text: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:  # it ended meanwhile
                continue
            if text.encode() in command:
                found.append(int(entry.name))
    return found


def _pod(namespace: str, name: str) -> str:
    return f"/api/v1/namespaces/{namespace}/pods/{name}"


def _has(workload: Object, condition: str) -> bool:
    conditions = workload.get("status", {}).get("conditions", [])
    return any(entry["type"] == condition and entry["status"] == "True" for entry in conditions)


def _until_a_pod(cluster: Cluster, namespace: str, name: str, condition: Callable[[Object], object]) -> Object:
    path = f"/api/v1/namespaces/{namespace}/pods?labelSelector=app%3D{name}"
    found = cluster.admin.until(path, lambda all_: any(condition(pod) for pod in all_["items"]))
    return next(pod for pod in found["items"] if condition(pod))
