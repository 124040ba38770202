"""What a pod means: the row of an instance and its verdict. Pure, on objects as `pod_json.trim` leaves them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from airflow_package_manager.adapters.kubernetes.kinds import Object
from airflow_package_manager.adapters.kubernetes.pod_json import (
    condition,
    container,
    containers,
    ended,
    is_leaving,
    is_ready,
    report_of,
    said,
    seconds,
    state,
    words,
)
from airflow_package_manager.adapters.kubernetes.stamping import stamp_of
from airflow_package_manager.domain import report as reports
from airflow_package_manager.domain.rollout import Instance, Status

_CANNOT_START = frozenset(
    {
        *("ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError", "RegistryUnavailable"),
        *("CreateContainerConfigError", "CreateContainerError", "RunContainerError", "PreCreateHookError"),
    }
)
"""A kubelet's words for what no package caused and waiting does not mend."""
_FIRST_TRY = frozenset({"ErrImagePull"})
"""The same, but it is tried again at once."""
_BACK_OFF = "CrashLoopBackOff"
_RETRIES_OF_INSTALLER = 3
_OTHER_INIT_RESTARTS = 2
_MESSAGE_CHARACTERS = 4200


@dataclass(frozen=True)
class Limits:
    """How long what may last, in seconds."""

    soak: float = 30.0
    """A new pod is ready, and did not restart, for so long before it counts as current."""
    unschedulable: float = 120.0
    """No node has room; an autoscaler may need a minute to bring one."""
    refused: float = 30.0
    """The controller may not create pods: quota, admission."""


@dataclass(frozen=True)
class Wanted:
    """What the pods of the new revision are judged against."""

    digest: str | None
    """Of the lock that they shall report; None: whatever they do."""
    main: str
    """Name of the container that is the component."""
    installer: str | None
    """Name of the init container that installs; None where the template has none."""
    now: float
    """Unix seconds."""
    limits: Limits
    unused: str | None = None
    """Why the component may not use what its installer reports; None where nothing says so."""


@dataclass(frozen=True)
class Verdict:
    """How one pod stands."""

    status: Status
    message: str
    reason: str | None = None
    """The kubelet's or scheduler's own word."""
    final: bool = False
    infrastructure: bool = False


def judge(pod: Object, wanted: Wanted) -> Verdict:
    """Return how a pod of the new revision stands."""
    if is_leaving(pod):
        return Verdict(Status.TERMINATING, "draining")
    for found in _obstacles(pod, wanted):
        return found
    return _settled(pod, wanted)


def judge_previous(pod: Object) -> Verdict:
    """Return how a pod of an earlier revision stands: all that matters is that it goes."""
    if is_leaving(pod):
        return Verdict(Status.TERMINATING, "draining")
    return Verdict(Status.IN_PROGRESS, "to be replaced")


def instance(pod: Object, verdict: Verdict, *, main: str, installer: str | None, heard_at: float) -> Instance:
    """Return the row of a pod; `heard_at` in Unix seconds is when the server was last heard."""
    report, status = report_of(pod, installer), container(pod, main, "containerStatuses")
    started = state(status, "running").get("startedAt") or (pod.get("status") or {}).get("startTime")
    return Instance(
        name=str(pod["metadata"]["name"]),
        status=verdict.status,
        message=verdict.message,
        stamp=stamp_of(pod),
        lock_digest=None if report is None else report.lock_digest,
        image=None if report is None else report.image,
        python=None,
        platform=None,
        started_at=seconds(started or pod["metadata"].get("creationTimestamp")),
        restarts=int(status.get("restartCount", 0)),
        reported_at=heard_at,
        alive=verdict.status is not Status.UNKNOWN,
        install_outcome=None if report is None else report.outcome,
        install_code=None if report is None else report.code,
        install_cause=None if report is None else report.cause,
        node=(pod.get("spec") or {}).get("nodeName"),
        reason=verdict.reason,
    )


# --- one pod -----------------------------------------------------------------------------------------------------


def _obstacles(pod: Object, wanted: Wanted) -> Iterator[Verdict]:
    """Yield what keeps the pod from running, the most telling first."""
    yield from not_scheduled(pod, wanted.now, wanted.limits)
    yield from cannot_start(pod)
    yield from _installer(pod, wanted)
    yield from _other_init(pod, wanted)
    yield from _main(pod, wanted)


def not_scheduled(pod: Object, now: float, limits: Limits) -> Iterator[Verdict]:
    """Yield that no node takes it; `now` in Unix seconds."""
    scheduled = condition(pod, "PodScheduled")
    if scheduled is not None and scheduled.get("status") == "False":
        since = now - (seconds(scheduled.get("lastTransitionTime")) or now)
        message = f"no node takes it: {said(scheduled)}"
        late = since >= limits.unschedulable
        status = Status.FAILED if late else Status.IN_PROGRESS
        yield Verdict(status, message, scheduled.get("reason"), final=late, infrastructure=True)


def cannot_start(pod: Object) -> Iterator[Verdict]:
    """Yield that the kubelet cannot start one of its containers."""
    for row in containers(pod):
        waiting = state(row, "waiting")
        reason = waiting.get("reason")
        if reason in _CANNOT_START | _FIRST_TRY:
            final = reason in _CANNOT_START
            message = f"{row['name']} cannot start: {said(waiting)}"[:_MESSAGE_CHARACTERS]
            status = Status.FAILED if final else Status.IN_PROGRESS
            yield Verdict(status, message, reason, final=final, infrastructure=True)


def _installer(pod: Object, wanted: Wanted) -> Iterator[Verdict]:
    """Yield the end of an installer that failed, whether it is tried again or not."""
    row = container(pod, wanted.installer, "initContainerStatuses")
    if not row or state(row, "terminated").get("exitCode") == 0:
        return
    end = ended(row)
    if end is None or end.get("exitCode") == 0:
        return
    report = report_of(pod, wanted.installer)
    message = (report.cause if report is not None else None) or words(wanted.installer or "", end)
    again = report.retryable if report is not None else end.get("exitCode") == reports.EXIT_RETRYABLE
    if again and int(row.get("restartCount", 0)) < _RETRIES_OF_INSTALLER:
        yield Verdict(Status.IN_PROGRESS, f"the installer tries again: {message}", end.get("reason"))
    else:
        yield Verdict(Status.FAILED, message, end.get("reason"), final=True)


def _other_init(pod: Object, wanted: Wanted) -> Iterator[Verdict]:
    for row in (pod.get("status") or {}).get("initContainerStatuses") or ():
        end = ended(row)
        if row["name"] == wanted.installer or end is None or end.get("exitCode") == 0 or row.get("ready"):
            continue
        late = int(row.get("restartCount", 0)) >= _OTHER_INIT_RESTARTS
        status = Status.FAILED if late else Status.IN_PROGRESS
        yield Verdict(status, words(row["name"], end), end.get("reason"), final=late)


def _main(pod: Object, wanted: Wanted) -> Iterator[Verdict]:
    """Yield the first end of the component itself: a crash loop is ready for an instant at each start.

    A restart that is older than the soak and was followed by a steady run is history.
    """
    row = container(pod, wanted.main, "containerStatuses")
    end = ended(row)
    if end is None:
        return
    running = seconds(state(row, "running").get("startedAt"))
    steady = running is not None and is_ready(pod) and wanted.now - running >= wanted.limits.soak
    if not steady:
        yield Verdict(Status.FAILED, words(wanted.main, end), end.get("reason"), final=True)


def _settled(pod: Object, wanted: Wanted) -> Verdict:
    """Judge a pod that nothing keeps from running."""
    ready = condition(pod, "Ready") or {}
    if ready.get("status") == "Unknown":
        return Verdict(Status.UNKNOWN, "its node no longer reports", ready.get("reason"))
    if ready.get("status") != "True":
        return _on_its_way(pod, wanted)
    report = report_of(pod, wanted.installer)
    digest = None if report is None else report.lock_digest
    if wanted.installer is not None and wanted.digest is not None and digest != wanted.digest:
        why = "it does not say on what" if report is None else report.cause or "other packages than the wanted ones"
        return Verdict(Status.FAILED, f"runs, but not on the wanted lock: {why}", final=True)
    main = container(pod, wanted.main, "containerStatuses")
    times = (seconds(ready.get("lastTransitionTime")), seconds(state(main, "running").get("startedAt")))
    since = max((time for time in times if time is not None), default=wanted.now)
    left = wanted.limits.soak - (wanted.now - since)
    if left > 0:
        return Verdict(Status.IN_PROGRESS, f"ready, and watched for {left:.0f} s more")
    if report is not None and report.outcome in {reports.NO_SITE, reports.IMAGE_CHANGED} and report.cause:
        return Verdict(Status.CURRENT, f"ready: {report.cause}")
    return Verdict(Status.CURRENT, "ready")


def _on_its_way(pod: Object, wanted: Wanted) -> Verdict:
    if condition(pod, "PodScheduled") is None:
        return Verdict(Status.IN_PROGRESS, "waits for a node")
    row = container(pod, wanted.installer, "initContainerStatuses")
    if row and "running" in (row.get("state") or {}):
        return Verdict(Status.IN_PROGRESS, "installing")
    waiting = next((state(row, "waiting") for row in containers(pod) if state(row, "waiting")), {})
    if "running" in (container(pod, wanted.main, "containerStatuses").get("state") or {}):
        return Verdict(Status.IN_PROGRESS, "not ready yet", waiting.get("reason"))
    return Verdict(Status.IN_PROGRESS, "starting", waiting.get("reason"))
