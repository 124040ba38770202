"""What became of the check's Job: by its containers, because an injected sidecar keeps a pod running for ever. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from airflow_package_manager.adapters.kubernetes import pod_json, pods
from airflow_package_manager.adapters.kubernetes.kinds import Object
from airflow_package_manager.adapters.kubernetes.pods import Limits
from airflow_package_manager.adapters.kubernetes.preflight_job import CHECK
from airflow_package_manager.domain.rollout import PreflightStatus, Status
from airflow_package_manager.installer import preflight_record
from airflow_package_manager.installer.preflight_record import PreflightRecord
from airflow_package_manager.redaction import without_credentials

_STOPPED = frozenset({None, preflight_record.CHECK_LOST, "stopped"})
"""Codes that the check and the installer may end with when they are told to stop."""
NOT_FOUND = PreflightStatus(Status.NOT_FOUND, "there is no such check")


def verdict(
    job: Object,
    found: Sequence[Object],
    *,
    installer: str,
    now: float,
    limits: Limits,
    refusal: tuple[str, float] | None = None,
) -> PreflightStatus:
    """Return how the check stands; `found` are trimmed pods, `refusal` is why no pod may be created, and since when."""
    uid = str(job["metadata"]["uid"])
    own = sorted(
        (pod for pod in found if pod_json.owner_uid(pod) == uid),
        key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")),
    )
    ended = _ended(job, own)
    for pod in reversed(own):
        for answer in _of_pod(pod, installer, now, limits):
            late = ended is not None and ended.code == preflight_record.CHECK_TIMEOUT
            # What was told to stop because its time was over says that it was stopped.
            return ended if ended is not None and late and _was_stopped(answer) else answer
    return ended or _on_its_way(job, own, now, limits, refusal)


def _was_stopped(answer: PreflightStatus) -> bool:
    return answer.status is not Status.CURRENT and answer.code in _STOPPED


def _of_pod(pod: Object, installer: str, now: float, limits: Limits) -> Iterator[PreflightStatus]:
    """Yield what a pod says for good; nothing while it is on its way."""
    end = pod_json.state(pod_json.container(pod, CHECK, "containerStatuses"), "terminated")
    if end:
        yield _checked(end)
    status = pod_json.container(pod, installer, "initContainerStatuses")
    installed = pod_json.state(status, "terminated")
    if installed and installed.get("exitCode") != 0:
        report = pod_json.report_of(pod, installer)
        message = (report.cause if report is not None else None) or pod_json.words(installer, installed)
        yield PreflightStatus(
            Status.FAILED,
            message,
            code=None if report is None else report.code,
            detail=None if report is None else report.tail,
        )
    obstacle = next(pods.cannot_start(pod), None) or next(pods.not_scheduled(pod, now, limits), None)
    if obstacle is not None:
        yield PreflightStatus(obstacle.status, obstacle.message, code=obstacle.reason, infrastructure=True)


def _checked(end: Object) -> PreflightStatus:
    """Return the verdict of a check that ended: only a written completion record counts."""
    record: PreflightRecord | None = preflight_record.parse(str(end.get("message") or ""))
    if record is not None and record.status == preflight_record.PASSED and end.get("exitCode") == 0:
        return PreflightStatus(Status.CURRENT, record.message, record.warnings)
    if record is not None and record.status == preflight_record.FAILED:
        lost = record.code == preflight_record.CHECK_LOST
        return PreflightStatus(
            Status.FAILED, record.message, record.warnings, record.code, record.detail, infrastructure=lost
        )
    return PreflightStatus(
        Status.FAILED,
        f"the check ended with status {end.get('exitCode')} ({end.get('reason')}) and said nothing",
        code=preflight_record.CHECK_LOST,
        detail=None if record is not None else without_credentials(str(end.get("message") or "")) or None,
    )


def _ended(job: Object, own: Sequence[Object]) -> PreflightStatus | None:
    """Return what the Job itself says when the cluster gave it up: over its deadline, or its pod evicted or deleted."""
    for row in (job.get("status") or {}).get("conditions") or ():
        if row.get("type") in {"Failed", "FailureTarget"} and row.get("status") == "True":
            late = row.get("reason") == "DeadlineExceeded"
            code = preflight_record.CHECK_TIMEOUT if late else preflight_record.CHECK_LOST
            why = next((pod["status"] for pod in reversed(own) if (pod.get("status") or {}).get("reason")), row)
            message = f"the check was ended by the cluster: {pod_json.said(why)}"
            return PreflightStatus(Status.FAILED, message, code=code, infrastructure=not late)
    return None


def _on_its_way(
    job: Object, own: Sequence[Object], now: float, limits: Limits, refusal: tuple[str, float] | None
) -> PreflightStatus:
    if "deletionTimestamp" in job["metadata"]:
        return PreflightStatus(Status.IN_PROGRESS, "an earlier check is being removed")
    if not own and refusal is not None:
        message, since = refusal
        late = now - since >= limits.refused
        status = Status.FAILED if late else Status.IN_PROGRESS
        return PreflightStatus(status, f"no pod may be created: {message}", code="FailedCreate", infrastructure=True)
    if not own:
        return PreflightStatus(Status.IN_PROGRESS, "the check waits for its pod")
    if pod_json.is_over(own[-1]) or pod_json.is_leaving(own[-1]):
        return PreflightStatus(Status.IN_PROGRESS, "its pod ended; the cluster's word for why is waited for")
    running = pod_json.state(pod_json.container(own[-1], CHECK, "containerStatuses"), "running")
    return PreflightStatus(Status.IN_PROGRESS, "importing" if running else "installing")
