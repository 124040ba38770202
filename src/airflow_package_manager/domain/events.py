"""The closed table of what can be recorded: one kind, one sentence; the only place that words an event."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

from airflow_package_manager.domain.access import Identity
from airflow_package_manager.domain.operation import Event, Operation, State


class Kind(str, enum.Enum):
    """What happened."""

    PLAN_REQUESTED = "plan.requested"
    PLAN_READY = "plan.ready"
    PLAN_REFUSED = "plan.refused"
    ACCEPTED = "operation.accepted"
    CANCEL_REQUESTED = "operation.cancel-requested"
    CANCELLED = "operation.cancelled"
    TEXT_ADOPTED = "revision.adopted"
    STAGED = "lock.staged"
    UNSTAGED = "lock.removed"
    PREFLIGHT_STARTED = "preflight.started"
    PREFLIGHT_WARNING = "preflight.warning"
    PREFLIGHT_PASSED = "preflight.passed"
    PROMOTED = "requirements.written"
    ROLLING_OUT = "operation.rolling-out"
    RESTARTING = "component.restarting"
    CURRENT = "component.current"
    VERIFYING = "operation.verifying"
    IMPORT_ERRORS = "dags.import-errors"
    DAGS_NOT_VERIFIED = "dags.not-verified"
    SUCCEEDED = "operation.succeeded"
    ROLLING_BACK = "operation.rolling-back"
    TEXT_RESTORED = "requirements.restored"
    RESTORED = "component.restored"
    ROLLED_BACK = "operation.rolled-back"
    FAILED = "operation.failed"
    LOCKS_REPAIRED = "locks.repaired"
    TAKEN_BACK = "uninstall.removed"
    ACCESS_REFUSED = "access.refused"
    REQUEST_REFUSED = "request.refused"
    MIRROR_FAILED = "audit.mirror-failed"
    NOTICE_FAILED = "notice.failed"


SENTENCES: Mapping[Kind, str] = {
    Kind.PLAN_REQUESTED: "A plan was asked for: {summary}.",
    Kind.PLAN_READY: "The plan is ready. Packages that would change: {packages}; components to restart: {components}.",
    Kind.PLAN_REFUSED: "The plan was refused: {detail}",
    Kind.ACCEPTED: "The plan was accepted: {summary}.",
    Kind.CANCEL_REQUESTED: "It was asked to cancel this.",
    Kind.CANCELLED: "Cancelled; nothing was changed.",
    Kind.TEXT_ADOPTED: "The requirements as they were found are kept as revision 0.",
    Kind.STAGED: "The lock of revision {revision} was stored beside the current one.",
    Kind.UNSTAGED: "The lock of revision {revision} was removed.",
    Kind.PREFLIGHT_STARTED: "The check before the rollout was started.",
    Kind.PREFLIGHT_WARNING: "The check before the rollout warns: {detail}",
    Kind.PREFLIGHT_PASSED: "The check before the rollout passed.",
    Kind.PROMOTED: "The requirements were written.",
    Kind.ROLLING_OUT: "The rollout began: {components}.",
    Kind.RESTARTING: "{component} was told to restart on revision {revision}.",
    Kind.CURRENT: "{component} is current ({verified}).",
    Kind.VERIFYING: "All components restarted; what they report is compared with the lock.",
    Kind.IMPORT_ERRORS: "DAG files that could be imported before the rollout and cannot since: {count}.",
    Kind.DAGS_NOT_VERIFIED: "DAG files not parsed since the restart yet: {count}. Their imports are not verified.",
    Kind.SUCCEEDED: "Done: revision {revision} is current.",
    Kind.ROLLING_BACK: "Going back: {detail}",
    Kind.TEXT_RESTORED: "The previous requirements were written back.",
    Kind.RESTORED: "{component} was told to go back to {stamp}.",
    Kind.ROLLED_BACK: "Everything is as it was before.",
    Kind.FAILED: "Failed: {detail}",
    Kind.LOCKS_REPAIRED: "Written back from the database, where the store had lost it: {what}.",
    Kind.TAKEN_BACK: "Removed to uninstall the package manager: {what}.",
    Kind.ACCESS_REFUSED: "Refused to {what}: {detail}",
    Kind.REQUEST_REFUSED: "Refused to {what}: {detail}",
    Kind.MIRROR_FAILED: "The event {kind_of_event} could not be copied into the other logs ({error}).",
    Kind.NOTICE_FAILED: '{hook} did not tell that "{ended}" has ended: {error}.',
}


def event(
    kind: Kind,
    at: float,
    operation: Operation | None = None,
    *,
    identity: Identity | None = None,
    address: str | None = None,
    state: State | None = None,
    component: str | None = None,
    details: Mapping[str, Any] | None = None,
    **words: object,
) -> Event:
    """Return the event; `words` fill the sentence and must be free of secrets."""
    return Event(
        kind=kind.value,
        at=at,
        message=SENTENCES[kind].format(**{"component": component, **words}),
        identity=identity,
        address=address,
        operation_id=operation.id if operation else None,
        state=state or (operation.state if operation else None),
        component=component,
        details=details or {},
    )
