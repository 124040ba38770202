"""The parts of a pod's JSON that are looked at, and short words for them. Pure.

What somebody wrote in free words (a termination message may be the end of a log) leaves this module masked.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import datetime

from airflow_package_manager.adapters.kubernetes.kinds import Object
from airflow_package_manager.adapters.kubernetes.stamping import ANNOTATION, controller_of, stamp_of
from airflow_package_manager.domain import report as reports
from airflow_package_manager.domain.report import InstallReport
from airflow_package_manager.redaction import without_credentials

POD_TEMPLATE_HASH = "pod-template-hash"
REVISION_HASH = "controller-revision-hash"
_KEPT_LABELS = (POD_TEMPLATE_HASH, REVISION_HASH)


def trim(pod: Object) -> Object:
    """Return what is looked at, and no more: arguments may hold secrets, and 1,000 pods must be small."""
    metadata, status = pod["metadata"], pod.get("status") or {}
    labels, owner, stamp = metadata.get("labels") or {}, controller_of(pod), stamp_of(pod)
    return {
        "metadata": {
            **{
                key: metadata[key]
                for key in ("name", "uid", "creationTimestamp", "deletionTimestamp")
                if key in metadata
            },
            "labels": {key: labels[key] for key in _KEPT_LABELS if key in labels},
            "annotations": {} if stamp is None else {ANNOTATION: str(stamp)},
            "ownerReferences": [] if owner is None else [owner],
        },
        "spec": {"nodeName": (pod.get("spec") or {}).get("nodeName")},
        "status": {
            **{key: status[key] for key in ("phase", "reason", "message", "startTime") if key in status},
            "conditions": [
                {key: row[key] for key in ("type", "status", "reason", "message", "lastTransitionTime") if key in row}
                for row in status.get("conditions") or ()
                if row.get("type") in {"Ready", "PodScheduled"}
            ],
            **{
                key: [_trimmed_container(row) for row in status.get(key) or ()]
                for key in ("initContainerStatuses", "containerStatuses")
            },
        },
    }


def _trimmed_container(row: Object) -> Object:
    return {key: row[key] for key in ("name", "ready", "restartCount", "state", "lastState") if key in row}


def owner_uid(pod: Object) -> str | None:
    """Return the uid of the controller that runs the pod, None for one that nobody runs (a KubernetesExecutor task)."""
    owner = controller_of(pod)
    return None if owner is None else str(owner["uid"])


def is_leaving(pod: Object) -> bool:
    """Tell whether somebody deleted it and it still stops."""
    return "deletionTimestamp" in pod["metadata"]


def is_over(pod: Object) -> bool:
    """Tell whether it ended for good (evicted, rejected by its node): its controller makes another one."""
    return (pod.get("status") or {}).get("phase") in {"Failed", "Succeeded"} and not is_leaving(pod)


def is_ready(pod: Object) -> bool:
    """Tell whether the kubelet calls it ready."""
    return (condition(pod, "Ready") or {}).get("status") == "True"


def seconds(text: object) -> float | None:
    """Return the Unix seconds of a time as the API writes it."""
    return datetime.fromisoformat(str(text).replace("Z", "+00:00")).timestamp() if text else None


def report_of(pod: Object, installer: str | None) -> InstallReport | None:
    """Return what the installer said last, None where it said nothing that is a report."""
    end = ended(container(pod, installer, "initContainerStatuses")) if installer is not None else None
    report = None if end is None else reports.load_install(str(end.get("message") or "").strip())
    if report is None:
        return None
    cause, tail = (None if text is None else without_credentials(text) for text in (report.cause, report.tail))
    return dataclasses.replace(report, cause=cause, tail=tail)


def condition(pod: Object, kind: str) -> Object | None:
    """Return a condition of the pod."""
    rows: Sequence[Object] = (pod.get("status") or {}).get("conditions") or ()
    return next((row for row in rows if row.get("type") == kind), None)


def containers(pod: Object) -> list[Object]:
    """Return the status of every container, init containers first."""
    status = pod.get("status") or {}
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]


def container(pod: Object, name: str | None, where: str) -> Object:
    """Return the status of one container, empty before there is one."""
    rows: Sequence[Object] = (pod.get("status") or {}).get(where) or ()
    return next((row for row in rows if row["name"] == name), {})


def state(row: Object, word: str) -> Object:
    """Return a container's present state when it is waiting, running or terminated, as `word` says; else empty."""
    found: Object = (row.get("state") or {}).get(word) or {}
    return found


def ended(row: Object) -> Object | None:
    """Return how a container ended last, None when it never did."""
    now, before = state(row, "terminated"), (row.get("lastState") or {}).get("terminated")
    return now or before or None


def said(row: Object) -> str:
    """Return what the cluster says in a condition, a state or an event; its reason where it says no more."""
    return without_credentials(str(row.get("message") or row.get("reason")))


def words(name: str, end: Object) -> str:
    """Return how a container ended, for people."""
    last = without_credentials(str(end.get("message") or "").strip())
    reason = end.get("reason")
    named = f" ({reason})" if reason and reason not in {"Error", "Completed"} else ""
    return f"{name} ended with status {end.get('exitCode')}{named}" + (f": {last}" if last else "")
