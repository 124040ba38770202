"""A workload and its pods become the status of a component. Pure.

A restart is over by pods, never by counters alone: the counters of a Deployment say "complete" while a new process is
about to crash, and those of a StatefulSet know no failure at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from airflow_package_manager.adapters.kubernetes import pod_json, pods
from airflow_package_manager.adapters.kubernetes.kinds import DEPLOYMENT, Object
from airflow_package_manager.adapters.kubernetes.pods import Verdict, Wanted
from airflow_package_manager.adapters.kubernetes.stamping import ANNOTATION, REPLICA_SET_REVISION, Workload, stamp_of
from airflow_package_manager.domain.rollout import ComponentStatus, Instance, Status

NOBODY = "no replica is wanted, so nothing was tried"
SILENT = "its pods do not report what they installed"
_MANY_REJECTED = 3


@dataclass(frozen=True)
class Sight:
    """What was seen of one component at one moment."""

    workload: Workload
    own: tuple[Object, ...]
    """Its pods, of every revision."""
    new: frozenset[str]
    """Uids of those of the present template."""
    refusal: tuple[str, float] | None = None
    """Why the controller may not create a pod, and since when (Unix seconds)."""


def new_replica_set(workload: Workload, replica_sets: Iterable[Object]) -> str | None:
    """Return the uid of the ReplicaSet of a Deployment's present template, None while there is none.

    By owner and by the revision that the controller wrote on both: our annotation alone identifies nothing, because
    two templates may carry the same stamp.
    """
    wanted = (workload.object["metadata"].get("annotations") or {}).get(REPLICA_SET_REVISION)
    if not workload.is_observed or wanted is None:
        return None
    for one in replica_sets:
        annotations = one["metadata"].get("annotations") or {}
        if annotations.get(REPLICA_SET_REVISION) == wanted and stamp_of(one) == stamp_of(workload.template):
            return str(one["metadata"]["uid"])
    return None


def trim_replica_set(found: Object) -> Object:
    """Return what identifies a ReplicaSet: uid, owner, the controller's revision, and the stamp of its template."""
    metadata = found["metadata"]
    revision = (metadata.get("annotations") or {}).get(REPLICA_SET_REVISION)
    stamp = (found["spec"]["template"].get("metadata") or {}).get("annotations") or {}
    kept = {**({REPLICA_SET_REVISION: revision} if revision else {})}
    kept |= {key: value for key, value in stamp.items() if key == ANNOTATION}
    return {
        "metadata": {
            "uid": metadata["uid"],
            "annotations": kept,
            "ownerReferences": metadata.get("ownerReferences") or [],
        }
    }


def sight_of_deployment(
    workload: Workload, replica_sets: Mapping[str, Object], new: str | None, found: Iterable[Object]
) -> Sight:
    """Return the pods of the Deployment's own ReplicaSets."""
    own = tuple(pod for pod in found if pod_json.owner_uid(pod) in replica_sets)
    return Sight(
        workload,
        own,
        frozenset(str(pod["metadata"]["uid"]) for pod in own if new is not None and pod_json.owner_uid(pod) == new),
        deployment_refusal(workload),
    )


def sight_of_stateful_set(
    workload: Workload, found: Iterable[Object], refusal: tuple[str, float] | None = None
) -> Sight:
    """Return the pods that the StatefulSet runs."""
    own = tuple(pod for pod in found if pod_json.owner_uid(pod) == workload.uid)
    update = workload.status.get("updateRevision") if workload.is_observed else None
    new = (pod for pod in own if update and pod["metadata"]["labels"].get(pod_json.REVISION_HASH) == update)
    return Sight(workload, own, frozenset(str(pod["metadata"]["uid"]) for pod in new), refusal)


@dataclass(frozen=True)
class Refusal:
    """What events say of pods that a controller may not create; times in Unix seconds."""

    last: float
    first: float
    said: str


def holding(refusal: Refusal | None, own: Iterable[Object], lacking: float) -> tuple[str, float] | None:
    """Return why a pod lacks, and since when, while the refusal may be the reason.

    A pod that was created after it is proof that it is overcome, and one of an earlier rollout began before `lacking`
    (Unix seconds), when a pod was first missed in this one.
    """
    made = (pod_json.seconds(pod["metadata"].get("creationTimestamp")) or 0.0 for pod in own)
    if refusal is None or refusal.last < max(made, default=0.0):
        return None
    return refusal.said, max(refusal.first, lacking)


def deployment_refusal(workload: Workload) -> tuple[str, float] | None:
    """Return why a Deployment's controller may not create pods, as its condition says."""
    for row in workload.status.get("conditions") or ():
        if row.get("type") == "ReplicaFailure" and row.get("status") == "True":
            since = pod_json.seconds(row.get("lastTransitionTime")) or 0.0
            return pod_json.said(row), since
    return None


def stuck(sight: Sight) -> tuple[Object, ...]:
    """Return pods of a StatefulSet's failed revision that nothing replaces by itself, the highest ordinal first.

    With ordered pods the controller waits for such a pod before it looks at its revision; empty while one is leaving.
    """
    if not sight.workload.is_observed or any(pod_json.is_leaving(pod) for pod in sight.own):
        return ()
    return _not_ready(sight, new=False)


def stuck_once_restored(sight: Sight) -> tuple[Object, ...]:
    """Return the pods that will be stuck when the StatefulSet gets another stamp than it has now."""
    return _not_ready(sight, new=True)


def _not_ready(sight: Sight, *, new: bool) -> tuple[Object, ...]:
    found = [
        pod
        for pod in sight.own
        if (str(pod["metadata"]["uid"]) in sight.new) is new
        and not pod_json.is_ready(pod)
        and not pod_json.is_leaving(pod)
    ]
    return tuple(sorted(found, key=lambda pod: _ordinal(str(pod["metadata"]["name"])), reverse=True))


def component_status(name: str, sight: Sight, wanted: Wanted, heard_at: float) -> ComponentStatus:
    """Return how the component stands; `heard_at` in Unix seconds is when the server was last heard of its pods."""
    rows: list[Instance] = []
    rejected: list[Object] = []
    of_new: list[Verdict] = []
    for pod in sorted(sight.own, key=lambda pod: str(pod["metadata"]["name"])):
        is_new = str(pod["metadata"]["uid"]) in sight.new
        if pod_json.is_over(pod):
            rejected += [pod] if is_new else []
            continue
        verdict = pods.judge(pod, wanted) if is_new else pods.judge_previous(pod)
        if is_new:
            of_new.append(verdict)
        rows.append(pods.instance(pod, verdict, main=wanted.main, installer=wanted.installer, heard_at=heard_at))
    rows.sort(key=lambda row: row.status is Status.TERMINATING)
    verdict = _whole(sight, rows, of_new, rejected, wanted)
    unverified = SILENT if wanted.installer is None else wanted.unused
    return ComponentStatus(
        name,
        verdict.status,
        verdict.message,
        tuple(rows),
        final=verdict.final,
        infrastructure=verdict.infrastructure,
        unverified=NOBODY if sight.workload.replicas == 0 else unverified,
        down=sight.workload.goes_down(),
        stopping=sight.workload.grace,
    )


def _whole(
    sight: Sight,
    rows: list[Instance],
    of_new: list[Verdict],
    rejected: list[Object],
    wanted: Wanted,
) -> Verdict:
    workload = sight.workload
    if "deletionTimestamp" in workload.object["metadata"]:
        return Verdict(Status.TERMINATING, f"{workload.kind.name} {workload.name} is being deleted")
    if not workload.is_observed:
        return Verdict(Status.IN_PROGRESS, "its controller has not taken notice yet")
    for status in (Status.FAILED, Status.UNKNOWN):
        for verdict in sorted(of_new, key=lambda verdict: not verdict.final):
            if verdict.status is status:
                return verdict
    return _rejected(rejected) or _refused(sight, of_new, wanted) or _progress(sight, rows, of_new)


def _rejected(rejected: list[Object]) -> Verdict | None:
    """Judge pods that their node turned away: the controller makes new ones without end."""
    if len(rejected) < _MANY_REJECTED:
        return None
    status = rejected[0].get("status") or {}
    reason = status.get("reason")
    message = f"{len(rejected)} pods were turned away: {pod_json.said(status)}"
    return Verdict(Status.FAILED, message, reason, final=True, infrastructure=True)


def _refused(sight: Sight, of_new: list[Verdict], wanted: Wanted) -> Verdict | None:
    if sight.refusal is None or len(of_new) >= sight.workload.replicas:
        return None
    message, since = sight.refusal
    late = wanted.now - since >= wanted.limits.refused
    status = Status.FAILED if late else Status.IN_PROGRESS
    return Verdict(status, f"no pod may be created: {message}", "FailedCreate", final=late, infrastructure=True)


def _progress(sight: Sight, rows: list[Instance], of_new: list[Verdict]) -> Verdict:
    workload, count = sight.workload, sight.workload.replicas
    draining = sum(row.status is Status.TERMINATING for row in rows)
    previous = len(rows) - draining - sum(verdict.status is not Status.TERMINATING for verdict in of_new)
    current = sum(verdict.status is Status.CURRENT for verdict in of_new)
    on_their_way = [verdict for verdict in of_new if verdict.status is Status.IN_PROGRESS]
    said = f"{current} of {count} current" + (f", {draining} draining" if draining else "")
    if workload.object["spec"].get("paused"):
        said += "; it is paused, so its controller replaces nothing"
    if on_their_way:
        trouble = next((verdict for verdict in on_their_way if verdict.infrastructure), on_their_way[0])
        return Verdict(
            Status.IN_PROGRESS, f"{said}; {trouble.message}", trouble.reason, infrastructure=trouble.infrastructure
        )
    if current < count or previous:
        return Verdict(Status.IN_PROGRESS, f"{said}; {previous} to be replaced" if previous else said)
    if count and int(workload.status.get("readyReplicas") or 0) < count:
        return Verdict(Status.IN_PROGRESS, f"{said}; the controller does not count them as ready yet")
    if workload.kind == DEPLOYMENT and int(workload.status.get("updatedReplicas") or 0) < count:
        return Verdict(Status.IN_PROGRESS, f"{said}; the controller does not count them as updated yet")
    if count == 0:
        return Verdict(Status.CURRENT, NOBODY)
    return Verdict(Status.CURRENT, said)


def _ordinal(name: str) -> int:
    tail = name.rpartition("-")[2]
    return int(tail) if tail.isdigit() else -1
