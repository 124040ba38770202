from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_package_manager.adapters.kubernetes import pod_json, pods
from airflow_package_manager.domain import report as reports
from airflow_package_manager.domain.rollout import Status
from tests.unit.kubernetes_json import DIGEST, NOW, Object, at, ended, pod, report, waiting, wanted

REFUSED = report(reports.FAILED, code="no-wheel", cause="demo 1.0 has no wheel for this Python.", tail="uv says no")
AWAY = report(reports.FAILED, code="index-unavailable", cause="The index cannot be reached.", retryable=True)
NOT_READY = [
    {"type": "PodScheduled", "status": "True", "lastTransitionTime": at(5)},
    {"type": "Ready", "status": "False", "reason": "ContainersNotReady", "lastTransitionTime": at(5)},
]
NO_NODE = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": "0/3 nodes are available: 3 Insufficient memory.",
}


def judged(found: Object, **against: Any) -> pods.Verdict:  # noqa: ANN401 - limits and the wanted digest
    return pods.judge(pod_json.trim(found), wanted(**against))


CASES: dict[str, tuple[Object, Status, str, bool, bool]] = {
    "ready and soaked": (pod(), Status.CURRENT, "ready", False, False),
    "ready, in its soak": (pod(ready=10), Status.IN_PROGRESS, "watched for 20 s more", False, False),
    "restarted long ago": (
        pod(ready=300, main={"restartCount": 2, "lastState": ended(1)}),
        Status.CURRENT,
        "ready",
        False,
        False,
    ),
    "restarted, ready for an instant": (
        pod(ready=2, main={"restartCount": 1, "lastState": ended(1, message="ImportError: nope")}),
        Status.FAILED,
        "ended with status 1: ImportError: nope",
        True,
        False,
    ),
    "ended once, not yet restarted": (
        pod(ready=None, main={"state": ended(1)}, conditions=NOT_READY),
        Status.FAILED,
        "scheduler ended with status 1",
        True,
        False,
    ),
    "ended with 0": (
        pod(ready=None, main={"state": ended(0, reason="Completed")}, conditions=NOT_READY),
        Status.FAILED,
        "scheduler ended with status 0",
        True,
        False,
    ),
    "out of memory": (
        pod(ready=None, main={"state": ended(137, reason="OOMKilled")}, conditions=NOT_READY),
        Status.FAILED,
        "status 137 (OOMKilled)",
        True,
        False,
    ),
    "in back-off": (
        pod(
            ready=None,
            conditions=NOT_READY,
            main={"restartCount": 3, "state": waiting("CrashLoopBackOff"), "lastState": ended(1)},
        ),
        Status.FAILED,
        "ended with status 1",
        True,
        False,
    ),
    "the installer refused": (
        pod(ready=None, init={"ready": False, "state": ended(1, message=REFUSED)}, conditions=NOT_READY),
        Status.FAILED,
        "demo 1.0 has no wheel for this Python.",
        True,
        False,
    ),
    "the installer refused and is in back-off": (
        pod(
            ready=None,
            conditions=NOT_READY,
            init={
                "ready": False,
                "restartCount": 1,
                "state": waiting("CrashLoopBackOff"),
                "lastState": ended(1, message=REFUSED),
            },
        ),
        Status.FAILED,
        "demo 1.0 has no wheel",
        True,
        False,
    ),
    "the installer refused and tries again": (
        pod(
            ready=None,
            conditions=NOT_READY,
            init={"ready": False, "restartCount": 1, "state": {"running": {}}, "lastState": ended(1, message=REFUSED)},
        ),
        Status.FAILED,
        "demo 1.0 has no wheel",
        True,
        False,
    ),
    "the installer said nothing": (
        pod(ready=None, init={"ready": False, "state": ended(2, message="no such module")}, conditions=NOT_READY),
        Status.FAILED,
        "package-manager ended with status 2: no such module",
        True,
        False,
    ),
    "the index is away": (
        pod(ready=None, init={"ready": False, "state": ended(75, message=AWAY)}, conditions=NOT_READY),
        Status.IN_PROGRESS,
        "the installer tries again: The index cannot be reached.",
        False,
        False,
    ),
    "the index stays away": (
        pod(
            ready=None,
            conditions=NOT_READY,
            init={"ready": False, "restartCount": 3, "state": ended(75, message=AWAY)},
        ),
        Status.FAILED,
        "The index cannot be reached.",
        True,
        False,
    ),
    "another init container failed once": (
        pod(
            ready=None,
            conditions=NOT_READY,
            init={"name": "other", "ready": False, "restartCount": 1, "state": ended(1)},
        ),
        Status.IN_PROGRESS,
        "other ended with status 1",
        False,
        False,
    ),
    "another init container fails": (
        pod(
            ready=None,
            conditions=NOT_READY,
            init={"name": "other", "ready": False, "restartCount": 2, "state": ended(1)},
        ),
        Status.FAILED,
        "other ended with status 1",
        True,
        False,
    ),
    "first failed pull": (
        pod(ready=None, init={"ready": False, "state": waiting("ErrImagePull", "not found")}, conditions=NOT_READY),
        Status.IN_PROGRESS,
        "package-manager cannot start: not found",
        False,
        True,
    ),
    "no image": (
        pod(ready=None, init={"ready": False, "state": waiting("ImagePullBackOff")}, conditions=NOT_READY),
        Status.FAILED,
        "package-manager cannot start: ImagePullBackOff",
        True,
        True,
    ),
    "no secret": (
        pod(
            ready=None,
            main={"state": waiting("CreateContainerConfigError", 'secret "s" not found')},
            conditions=NOT_READY,
        ),
        Status.FAILED,
        'scheduler cannot start: secret "s" not found',
        True,
        True,
    ),
    "no room yet": (
        pod(ready=None, conditions=[{**NO_NODE, "lastTransitionTime": at(20)}]),
        Status.IN_PROGRESS,
        "no node takes it: 0/3 nodes are available",
        False,
        True,
    ),
    "no room": (
        pod(ready=None, conditions=[{**NO_NODE, "lastTransitionTime": at(121)}]),
        Status.FAILED,
        "no node takes it: 0/3 nodes are available",
        True,
        True,
    ),
    "the node is lost": (
        pod(conditions=[{"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown"}]),
        Status.UNKNOWN,
        "its node no longer reports",
        False,
        False,
    ),
    "draining": (pod(deletionTimestamp=at(3)), Status.TERMINATING, "draining", False, False),
    "draining after a failure": (
        pod(ready=None, main={"state": ended(1)}, deletionTimestamp=at(3)),
        Status.TERMINATING,
        "draining",
        False,
        False,
    ),
    "installing": (
        pod(ready=None, init={"ready": False, "state": {"running": {}}}, conditions=NOT_READY),
        Status.IN_PROGRESS,
        "installing",
        False,
        False,
    ),
    "running, not ready": (pod(ready=None), Status.IN_PROGRESS, "not ready yet", False, False),
    "other packages": (
        pod(init={"state": ended(0, reason="Completed", message=report(digest="e" * 64))}),
        Status.FAILED,
        "runs, but not on the wanted lock",
        True,
        False,
    ),
    "its image alone": (
        pod(
            init={
                "state": ended(0, message=report(reports.NO_SITE, None, code="wrong-platform", cause="Another Python."))
            }
        ),
        Status.FAILED,
        "not on the wanted lock: Another Python.",
        True,
        False,
    ),
    "no report": (
        pod(init={"state": ended(0, reason="Completed", message="not ours")}),
        Status.FAILED,
        "does not say on what",
        True,
        False,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_pod_stands(case: str) -> None:
    found, status, message, final, infrastructure = CASES[case]
    verdict = judged(found)
    assert verdict.status is status, verdict
    assert message in verdict.message
    assert (verdict.final, verdict.infrastructure) == (final, infrastructure)


ADDRESS = "postgresql://airflow:s3cret@db"


@pytest.mark.parametrize(
    "found",
    [
        pod(ready=None, main={"state": ended(1, message=f"cannot connect to {ADDRESS}")}, conditions=NOT_READY),
        pod(ready=None, init={"ready": False, "state": ended(1, message=ADDRESS)}, conditions=NOT_READY),
        pod(
            ready=None,
            init={"ready": False, "state": ended(1, message=report(reports.FAILED, code="gate", cause=ADDRESS))},
            conditions=NOT_READY,
        ),
        pod(ready=None, main={"state": waiting("CreateContainerError", ADDRESS)}, conditions=NOT_READY),
        pod(ready=None, conditions=[{**NO_NODE, "message": ADDRESS}]),
    ],
)
def test_what_was_said_is_shown_without_credentials(found: Object) -> None:
    trimmed, verdict = pod_json.trim(found), judged(found)
    row = pods.instance(trimmed, verdict, main="scheduler", installer="package-manager", heard_at=NOW)
    assert "postgresql://****@db" in verdict.message
    assert "s3cret" not in f"{verdict} {row}"


def test_without_a_wanted_digest_whatever_is_installed_is_right() -> None:
    alone = pod(init={"state": ended(0, message=report(reports.NO_SITE, None))})
    assert judged(alone, digest=None).status is Status.CURRENT
    changed = pod(init={"state": ended(0, message=report(reports.IMAGE_CHANGED, cause="The image is another one."))})
    assert judged(changed).message == "ready: The image is another one."


def test_a_pod_without_our_installer_is_judged_by_readiness_alone() -> None:
    assert judged(pod(), digest="e" * 64, installer=None).status is Status.CURRENT
    assert judged(pod(ready=None), digest="e" * 64, installer=None).status is Status.IN_PROGRESS


def test_a_pod_that_is_new_has_nothing_yet() -> None:
    bare = {"metadata": {**pod()["metadata"]}, "spec": {}, "status": {"phase": "Pending"}}
    assert judged(bare).message == "waits for a node"
    assert judged({"metadata": bare["metadata"]}).status is Status.IN_PROGRESS


def test_what_is_kept_of_a_pod_is_small_and_holds_no_argument() -> None:
    kept = json.dumps(pod_json.trim({**pod(), "metadata": {**pod()["metadata"], "managedFields": [{"x": "y" * 9000}]}}))
    assert "secret" not in kept
    assert len(kept) < 2_500
    assert pod_json.trim(json.loads(kept)) == json.loads(kept), "trimming again changes nothing"


def test_a_row_says_what_the_installer_said() -> None:
    found = pod_json.trim(pod(main={"restartCount": 2}))
    row = pods.instance(found, judged(pod()), main="scheduler", installer="package-manager", heard_at=NOW - 1)
    assert (row.name, row.node, row.stamp, row.lock_digest) == ("airflow-scheduler-1", "node-1", 5, DIGEST)
    assert (row.install_outcome, row.restarts, row.reported_at, row.alive) == ("installed", 2, NOW - 1, True)
    assert row.started_at == NOW - 61


@pytest.mark.parametrize("stamp", ["", "x", "05", "-1", "1e3", "9999999999", "٣"])
def test_a_stamp_that_is_no_number_is_none(stamp: str) -> None:
    found = pod()
    found["metadata"]["annotations"] = {"airflow-package-manager/revision": stamp}
    row = pods.instance(pod_json.trim(found), judged(found), main="scheduler", installer=None, heard_at=NOW)
    assert row.stamp is None


def test_a_sidecar_that_restarts_is_not_the_component() -> None:
    found = pod()
    found["status"]["containerStatuses"][1] |= {"restartCount": 9, "lastState": ended(1)}
    assert judged(found).status is Status.CURRENT
