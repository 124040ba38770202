"""Each scripted outcome shows, in order, the statuses that a kubelet would show."""

from __future__ import annotations

import json
import time

import pytest

from testenv.cluster import Cluster, script
from testenv.cluster.script import OUTCOMES, PREFIX
from tests.cluster.workloads import INSTALLER, Object, container, deployment, is_ready, stamp, template

REPORT = json.dumps({"outcome": "failed", "code": "no-wheel", "cause": 'no wheel for "broken"'})
INSTALLED = ("installing", "installed")
"""What the installer goes through when all is well."""

EXPECTED: dict[str, tuple[str, ...]] = {
    "ok": (*INSTALLED, "running"),
    "instant": ("running",),
    "slow": (*INSTALLED, "running"),
    "stuck-terminating": (*INSTALLED, "running"),
    "never-ready": (*INSTALLED, "running, not ready"),
    "hangs": ("installing",),
    "image-pull": ("ErrImagePull", "ImagePullBackOff"),
    "config-error": ("CreateContainerConfigError",),
    "fail-install": (
        "installing",
        "install failed 3",
        "installing 1 after 3",
        "install failed 3 1 after 3",
        "install back-off 1 after 3",
        "installing 2 after 3",
        "install failed 3 2 after 3",
    ),
    "heals": (
        "installing",
        "install failed 3",
        "installing 1 after 3",
        "install failed 3 1 after 3",
        "install back-off 1 after 3",
        "installing 2 after 3",
        "installed 2 after 3",
        "running",
    ),
    "crash-at-start": (
        *INSTALLED,
        "crashed 3",
        "crashed 3 1 after 3",
        "back-off 1 after 3",
        "running 2 after 3",
        "crashed 3 2 after 3",
        "back-off 2 after 3",
    ),
    "crash-after-ready": (
        *INSTALLED,
        "running",
        "crashed 3",
        "running 1 after 3",
        "crashed 3 1 after 3",
        "back-off 1 after 3",
        "running 2 after 3",
    ),
}
_QUICK = {"exit": "3", "crash_after": "400ms", "back_off": "0.5"}


def test_every_outcome_has_its_row() -> None:
    assert set(EXPECTED) == OUTCOMES


def test_an_outcome_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="fail-instal"):
        script(7, "fail-instal")


@pytest.mark.parametrize("outcome", sorted(EXPECTED))
def test_a_pod_goes_through_the_states_of_its_outcome(cluster: Cluster, namespace: str, outcome: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/pods"
    since = cluster.admin.get(path)["metadata"]["resourceVersion"]
    annotations = script(7, outcome, report=REPORT, **_QUICK)
    cluster.admin.create(deployment(namespace, "worker", template("worker", 7, annotations)))
    expected = EXPECTED[outcome]
    seen: list[str] = []
    last: Object = {}
    for event in cluster.admin.watch(path, 30, since=since):
        state = _state(event["object"])
        if state is not None and seen[-1:] != [state]:
            seen.append(state)
            last = event["object"]
        if len(seen) == len(expected):
            break
    assert tuple(seen) == expected
    assert is_ready(last) == (seen[-1].split(",")[0] == seen[-1] and seen[-1].startswith("running"))
    if "install failed" in seen[-1]:
        for state in ("state", "lastState"):
            assert container(last, INSTALLER)[state]["terminated"]["message"] == REPORT
    begun = outcome not in {"fail-install", "hangs", "image-pull", "config-error"}
    assert last["status"]["phase"] == ("Running" if begun else "Pending")


def test_the_report_of_a_revision_is_the_installers_last_word(cluster: Cluster, namespace: str) -> None:
    annotations = script(7, report='{"revision": 7}') | script(8, report='{"revision": 8}')
    cluster.admin.create(deployment(namespace, "worker", template("worker", 7, annotations)))
    _until_reported(cluster, namespace, '{"revision": 7}')
    stamp(cluster.admin, f"/apis/apps/v1/namespaces/{namespace}/deployments/worker", 8)
    _until_reported(cluster, namespace, '{"revision": 8}')


def test_a_pod_without_init_containers_starts_too(cluster: Cluster, namespace: str) -> None:
    pod = template("plain", None, {}, initContainers=[])
    cluster.admin.create(deployment(namespace, "plain", pod))
    path = f"/api/v1/namespaces/{namespace}/pods?labelSelector=app%3Dplain"
    cluster.admin.until(path, lambda found: [is_ready(entry) for entry in found["items"]] == [True])


def test_a_pod_that_is_stuck_while_it_ends_goes_only_by_force(cluster: Cluster, namespace: str) -> None:
    cluster.admin.create(deployment(namespace, "worker", template("worker", 7, script(7, "stuck-terminating"))))
    path = f"/api/v1/namespaces/{namespace}/pods?labelSelector=app%3Dworker"
    (pod,) = cluster.admin.until(path, lambda found: [is_ready(entry) for entry in found["items"]] == [True])["items"]
    own = f"/api/v1/namespaces/{namespace}/pods/{pod['metadata']['name']}"
    cluster.admin.delete(own)
    time.sleep(1.5)
    assert cluster.admin.get(own)["metadata"]["deletionTimestamp"]
    cluster.admin.delete(own, gracePeriodSeconds="0")
    assert cluster.admin.until_refused(own).status == 404


def test_a_finalizer_holds_a_pod_whose_containers_have_ended(cluster: Cluster, namespace: str) -> None:
    pod = template("worker", 7, {})
    pod["metadata"]["finalizers"] = ["test.invalid/hold"]
    cluster.admin.create(deployment(namespace, "worker", pod))
    path = f"/api/v1/namespaces/{namespace}/pods?labelSelector=app%3Dworker"
    (made,) = cluster.admin.until(path, lambda found: [is_ready(entry) for entry in found["items"]] == [True])["items"]
    own = f"/api/v1/namespaces/{namespace}/pods/{made['metadata']['name']}"
    cluster.admin.delete(own)
    held = cluster.admin.until(own, lambda found: found["status"]["phase"] == "Failed")
    assert container(held, "main")["state"]["terminated"]["exitCode"] == 143
    cluster.admin.request("PATCH", own, {"metadata": {"finalizers": None}})
    assert cluster.admin.until_refused(own).status == 404


def test_one_pod_of_a_set_can_be_scripted_alone(cluster: Cluster, namespace: str) -> None:
    annotations = script(7) | script(7, "fail-install", pod="worker-1")
    assert f"{PREFIX}/outcome-7.worker-1" in annotations
    body = deployment(namespace, "worker", template("worker", 7, annotations), replicas=2)
    body |= {"kind": "StatefulSet", "spec": {**body["spec"], "serviceName": "worker"}}
    cluster.admin.create(body)
    path = f"/api/v1/namespaces/{namespace}/pods?labelSelector=app%3Dworker"
    found = cluster.admin.until(
        path, lambda all_: any(container(entry, INSTALLER).get("lastState") for entry in all_["items"])
    )
    assert {entry["metadata"]["name"]: is_ready(entry) for entry in found["items"]} == {
        "worker-0": True,
        "worker-1": False,
    }


def _until_reported(cluster: Cluster, namespace: str, report: str) -> None:
    def says(pod: Object) -> bool:
        return is_ready(pod) and container(pod, INSTALLER)["state"]["terminated"]["message"] == report

    path = f"/api/v1/namespaces/{namespace}/pods?labelSelector=app%3Dworker"
    cluster.admin.until(path, lambda found: any(says(entry) for entry in found["items"]))


def _state(pod: Object) -> str | None:
    """Say in words where the pod is: what, its exit status, its restarts, and the exit status before."""
    install, main = container(pod, INSTALLER), container(pod, "main")
    if not install:
        return None
    words = {"running": "installing", "terminated": "installed", "waiting": ""}
    acting, prefix = install, "install "
    if main["state"].get("waiting", {}).get("reason") != "PodInitializing":
        acting, prefix = main, ""
        words["running"] = "running" if main["ready"] else "running, not ready"
    ((kind, detail),) = acting["state"].items()
    said = words[kind]
    if kind == "waiting":
        reason = detail["reason"]
        said = f"{prefix}back-off" if reason == "CrashLoopBackOff" else reason
    elif kind == "terminated" and detail["exitCode"]:
        said = f"{prefix}failed {detail['exitCode']}" if acting is install else f"crashed {detail['exitCode']}"
    if acting["restartCount"]:
        said += f" {acting['restartCount']} after {acting['lastState']['terminated']['exitCode']}"
    return said
