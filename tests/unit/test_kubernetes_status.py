from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from airflow_package_manager.adapters.kubernetes import pod_json, pod_template, status
from airflow_package_manager.adapters.kubernetes.stamping import Workload
from airflow_package_manager.domain.rollout import ComponentStatus, Status
from tests.unit import kubernetes_json
from tests.unit.kubernetes_json import NOW, Object, at, deployment, ended, pod, stateful_set, waiting, wanted

SETS = {
    uid: status.trim_replica_set(kubernetes_json.replica_set(uid, revision=revision, stamp=stamp))
    for uid, revision, stamp in (("old", "6", 4), ("new", "7", 5))
}


def seen(workload: Workload, *found: Object, **more: Any) -> ComponentStatus:  # noqa: ANN401 - the refusal
    trimmed = [pod_json.trim(one) for one in found]
    if workload.kind.name == "Deployment":
        sight = status.sight_of_deployment(workload, SETS, status.new_replica_set(workload, SETS.values()), trimmed)
    else:
        sight = status.sight_of_stateful_set(workload, trimmed, more.get("refusal"))
    return status.component_status("scheduler", sight, more.get("against") or wanted(), NOW)


def of_set(name: str, hash_: str = "airflow-scheduler-new", **more: Any) -> Object:  # noqa: ANN401 - JSON
    return pod(name, owner="workload-1", hash_=hash_, **more)


def test_a_deployment_is_current_when_its_new_pods_are() -> None:
    found = seen(deployment(replicas=2), pod("a"), pod("b"))
    assert (found.status, found.message) == (Status.CURRENT, "2 of 2 current")
    assert [row.name for row in found.instances] == ["a", "b"]


def test_old_pods_that_drain_are_shown_and_block_nothing() -> None:
    found = seen(deployment(), pod("a", owner="old", deletionTimestamp=at(9)), pod("b"))
    assert (found.status, found.message) == (Status.CURRENT, "1 of 1 current, 1 draining")
    assert [(row.name, row.status, row.message) for row in found.instances] == [
        ("b", Status.CURRENT, "ready"),
        ("a", Status.TERMINATING, "draining"),
    ]


def test_old_pods_that_stay_are_waited_for() -> None:
    found = seen(deployment(), pod("a", owner="old"), pod("b"))
    assert (found.status, found.message) == (Status.IN_PROGRESS, "1 of 1 current; 1 to be replaced")


def test_a_deployment_that_somebody_paused_meanwhile_says_so() -> None:
    found = seen(deployment(paused=True), pod("a", owner="old"))
    assert found.status is Status.IN_PROGRESS
    assert "it is paused" in found.message


def test_pods_by_label_alone_are_not_its_own() -> None:
    task = pod("task", ready=None)
    task["metadata"]["ownerReferences"] = []
    other = pod("other", owner="of another release", ready=None)
    found = seen(deployment(), pod("a"), task, other)
    assert found.status is Status.CURRENT
    assert [row.name for row in found.instances] == ["a"]


@pytest.mark.parametrize("workload", [deployment(replicas=0), stateful_set(replicas=0)])
def test_nobody_is_never_verified(workload: Workload) -> None:
    found = seen(workload, pod("a", owner="old", deletionTimestamp=at(9)))
    assert found.status is Status.CURRENT
    assert found.unverified == "no replica is wanted, so nothing was tried"
    assert found.message == found.unverified


def test_replicas_without_pods_are_no_success() -> None:
    for workload in (deployment(replicas=2), stateful_set(replicas=2)):
        found = seen(workload)
        assert (found.status, found.message) == (Status.IN_PROGRESS, "0 of 2 current")


def test_pods_that_do_not_report_are_never_verified() -> None:
    assert seen(deployment(), pod("a"), against=wanted(installer=None)).unverified == status.SILENT
    assert seen(deployment(), pod("a")).unverified is None


def test_what_the_component_may_not_use_is_never_verified() -> None:
    against = dataclasses.replace(wanted(), unused="its container runs another image")
    found = seen(deployment(), pod("a"), against=against)
    assert (found.status, found.unverified) == (Status.CURRENT, "its container runs another image")
    assert seen(deployment(replicas=0), against=against).unverified == status.NOBODY
    silent = dataclasses.replace(against, installer=None)
    assert seen(deployment(), pod("a"), against=silent).unverified == status.SILENT


VARIABLE = "AIRFLOW_PACKAGE_MANAGER_SITE"


def with_site(value: str = "/opt/package-manager/active", **main: Any) -> Object:  # noqa: ANN401 - JSON
    """Return a template whose component is told where its site is."""
    made = kubernetes_json.template()
    container = made["spec"]["containers"][0]
    container["env"] = [*container["env"], {"name": VARIABLE, "value": value}]
    container |= main
    return made


def elsewhere() -> Object:
    made = with_site()
    init = next(one for one in made["spec"]["initContainers"] if one["name"] == "package-manager")
    init["args"] = ["--directory", "/nowhere", "--active", "/opt/package-manager/active"]
    return made


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (with_site(), None),
        (kubernetes_json.template(installer=False), None),
        (kubernetes_json.template(), f"its container scheduler has no variable {VARIABLE}"),
        (with_site(image="other:1"), "its container scheduler runs another image than its init container"),
        (with_site("/srv/active"), f"its {VARIABLE} names /srv/active, and its container scheduler mounts no volume"),
        (with_site("off"), f"its {VARIABLE} is off"),
        (with_site(volumeMounts=[]), "its container scheduler mounts no volume there"),
        (elsewhere(), "installs into /nowhere, where no volume is mounted"),
    ],
)
def test_a_template_tells_whether_the_component_uses_what_was_installed(made: Object, says: str | None) -> None:
    found = pod_template.unused(deployment(pod=made), "package-manager")
    assert found == says or (says is not None and found is not None and says in found)


def test_a_failed_new_pod_is_final_at_once_and_an_old_one_is_not_looked_at() -> None:
    broken = pod("b", ready=None, main={"state": ended(1, message="ImportError")})
    found = seen(deployment(replicas=2), pod("a"), broken)
    assert (found.status, found.final, found.infrastructure) == (Status.FAILED, True, False)
    assert "ImportError" in found.message
    old = pod("b", owner="old", ready=None, main={"state": ended(1)})
    assert seen(deployment(), pod("a"), old).status is Status.IN_PROGRESS


def test_an_image_that_is_not_there_is_no_packages_fault() -> None:
    found = seen(deployment(), pod("a", ready=None, init={"ready": False, "state": waiting("ImagePullBackOff")}))
    assert (found.status, found.final, found.infrastructure) == (Status.FAILED, True, True)
    assert found.instances[0].reason == "ImagePullBackOff"


def test_the_controller_must_have_taken_notice() -> None:
    behind = deployment()
    behind.object["status"]["observedGeneration"] = 2
    assert seen(behind, pod("a")).message == "its controller has not taken notice yet"
    assert status.new_replica_set(behind, SETS.values()) is None


def test_two_templates_with_one_stamp_are_told_apart() -> None:
    twice = {
        uid: status.trim_replica_set(kubernetes_json.replica_set(uid, revision=revision, stamp=5))
        for uid, revision in (("first", "6"), ("second", "7"))
    }
    assert status.new_replica_set(deployment(), twice.values()) == "second"


def test_a_controller_that_counts_less_is_believed() -> None:
    behind = deployment()
    behind.object["status"]["readyReplicas"] = 0
    assert seen(behind, pod("a")).status is Status.IN_PROGRESS


@pytest.mark.parametrize(("since", "final"), [(10, False), (31, True)])
def test_a_refused_pod_is_no_packages_fault(since: int, *, final: bool) -> None:
    refused = deployment(replicas=2)
    refused.object["status"]["conditions"] = [
        {
            "type": "ReplicaFailure",
            "status": "True",
            "reason": "FailedCreate",
            "message": 'pods "x" is forbidden: exceeded quota: few',
            "lastTransitionTime": at(since),
        }
    ]
    found = seen(refused, pod("a"))
    assert (found.status is Status.FAILED, found.final, found.infrastructure) == (final, final, True)
    assert "exceeded quota" in found.message
    again = seen(stateful_set(replicas=2), of_set("w-0"), refusal=("exceeded quota: few", NOW - since))
    assert (again.final, again.infrastructure, again.message) == (
        final,
        True,
        "no pod may be created: exceeded quota: few",
    )


QUOTA = status.Refusal(last=NOW - 50, first=NOW - 290, said="exceeded quota: few")


@pytest.mark.parametrize(
    ("own", "lacking", "answer"),
    [
        ([pod(creationTimestamp=at(60))], NOW - 280, (QUOTA.said, NOW - 280)),
        ([pod(creationTimestamp=at(50))], NOW - 400, (QUOTA.said, NOW - 290)),
        ([pod(creationTimestamp=at(60)), pod(creationTimestamp=at(49))], NOW - 280, None),
        ([], NOW - 2, (QUOTA.said, NOW - 2)),
    ],
    ids=["it lasts", "made in the same second", "a pod was made since", "of an earlier rollout"],
)
def test_a_refusal_counts_from_when_a_pod_lacked(
    own: list[Object], lacking: float, answer: tuple[str, float] | None
) -> None:
    assert status.holding(QUOTA, own, lacking) == answer
    assert status.holding(None, own, lacking) is None


def test_pods_that_their_node_turns_away_without_end_are_trouble_of_the_cluster() -> None:
    def rejected(name: str) -> Object:
        found = pod(name, ready=None)
        found["status"] |= {"phase": "Failed", "reason": "NodePorts", "message": "Pod was rejected"}
        return found

    assert seen(deployment(), pod("a"), rejected("b")).status is Status.CURRENT, "an eviction once is history"
    found = seen(deployment(), *(rejected(name) for name in "bcd"))
    assert (found.status, found.final, found.infrastructure) == (Status.FAILED, True, True)
    assert found.message == "3 pods were turned away: Pod was rejected"


def test_a_workload_that_is_deleted_says_so() -> None:
    gone = deployment()
    gone.object["metadata"]["deletionTimestamp"] = at(1)
    assert seen(gone, pod("a")).status is Status.TERMINATING


def test_a_stateful_set_is_current_by_the_hash_of_its_update_revision() -> None:
    old = "airflow-scheduler-old"
    found = seen(stateful_set(replicas=2), of_set("w-0", old), of_set("w-1"))
    assert (found.status, found.message) == (Status.IN_PROGRESS, "1 of 2 current; 1 to be replaced")
    leaving = seen(stateful_set(replicas=2), of_set("w-0", old, deletionTimestamp=at(2)), of_set("w-1"))
    assert leaving.status is Status.IN_PROGRESS
    assert seen(stateful_set(replicas=2), of_set("w-0"), of_set("w-1")).status is Status.CURRENT


def stuck(workload: Workload, *found: Object) -> list[str]:
    sight = status.sight_of_stateful_set(workload, [pod_json.trim(one) for one in found])
    return [one["metadata"]["name"] for one in status.stuck(sight)]


def test_only_pods_of_another_revision_that_are_not_ready_are_stuck() -> None:
    bad = "airflow-scheduler-bad"
    pods = (of_set("w-0"), of_set("w-2", bad, ready=None), of_set("w-10", bad, ready=None), of_set("w-1", ready=None))
    assert stuck(stateful_set(replicas=4), *pods, of_set("w-3", bad)) == ["w-10", "w-2"]
    assert stuck(stateful_set(replicas=4), *pods, of_set("w-4", deletionTimestamp=at(1))) == [], "one at a time"
    sight = status.sight_of_stateful_set(stateful_set(replicas=4), [pod_json.trim(one) for one in pods])
    assert [one["metadata"]["name"] for one in status.stuck_once_restored(sight)] == ["w-1"]
    behind = stateful_set(replicas=4)
    behind.object["status"]["observedGeneration"] = 2
    assert stuck(behind, *pods) == [], "the restored template is not seen yet"
