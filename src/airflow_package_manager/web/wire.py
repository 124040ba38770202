"""From domain values to what goes out: names and times translated, nothing decided.

Times leave as UTC (ISO 8601), states and words as they are. Whoever shows an operation passes `now` (Unix seconds),
because `expired` and `abandoned` are labels of the moment and no states. The command line prints the same values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Any, Literal

from airflow_package_manager.domain import inventory, rollout
from airflow_package_manager.domain import operation as operations_
from airflow_package_manager.domain import plan as plans
from airflow_package_manager.domain.access import Identity
from airflow_package_manager.domain.operation import CANCELLABLE, State
from airflow_package_manager.domain.planning import text_difference
from airflow_package_manager.web import operation_schemas, schemas
from airflow_package_manager.web.problems import stored_problem

PLANNING_DEADLINE = 900.0
"""Seconds after which an operation that is still PLANNING counts as abandoned, whatever the settings say."""


def at(seconds: float) -> datetime:
    """Return the moment of Unix seconds."""
    return datetime.fromtimestamp(seconds, timezone.utc)


def maybe_at(seconds: float | None) -> datetime | None:
    """Return the moment, if any."""
    return None if seconds is None else at(seconds)


def who(identity: Identity) -> schemas.Who:
    """Return a principal."""
    return schemas.Who(auth_manager=identity.auth_manager, id=identity.id, name=identity.name)


def components(
    found: Iterable[tuple[rollout.Stamp, rollout.ComponentStatus]], revision: int | None
) -> schemas.Components:
    """Return all components with their instances; `revision` is the current one."""
    return schemas.Components(
        components=[
            schemas.Component(
                name=status.name,
                status=status.status.value,
                message=status.message,
                stamp=stamp.revision,
                infrastructure=status.infrastructure,
                unverified=status.unverified,
                instances=[_instance(instance) for instance in status.instances],
            )
            for stamp, status in found
        ],
        revision=revision,
    )


def health(found: Iterable[inventory.Check]) -> schemas.Health:
    """Return the checks of `doctor`."""
    return schemas.Health(
        checks=[
            schemas.Check(name=row.name, status=row.status.value, cause=row.cause, next_action=row.next_action)
            for row in found
        ]
    )


def _instance(found: rollout.Instance) -> schemas.Instance:
    shown = {name: getattr(found, name) for name in schemas.Instance.model_fields}
    times = {"started_at": maybe_at(found.started_at), "reported_at": maybe_at(found.reported_at)}
    return schemas.Instance(**{**shown, **times, "status": found.status.value})


def operation(
    found: operations_.Operation, now: float, *, planning_deadline: float = PLANNING_DEADLINE, whole: bool = True
) -> operation_schemas.Operation:
    """Return one operation; `planning_deadline` in seconds; without its plan when not `whole` (lists)."""
    return operation_schemas.Operation(
        id=found.id,
        state=found.state.value,
        label=_label(found, now, planning_deadline),
        owner=who(found.owner),
        summary=found.summary,
        request=dict(found.request),
        created_at=at(found.created_at),
        updated_at=at(found.updated_at),
        expires_at=at(found.expires_at),
        accepted_at=maybe_at(found.accepted_at),
        ended_at=maybe_at(found.ended_at),
        revision=found.revision,
        cancel_requested=found.cancel_requested,
        step=found.step,
        problem=_problem(found.problem),
        plan=plan(found.plan, found.plan_digest) if whole and found.plan is not None else None,
        components=_progress(found),
        actions=_actions(found, now),
    )


def plan(found: plans.Plan, digest: str | None = None) -> operation_schemas.Plan:
    """Return a plan; `digest` saves working it out again where the row has it."""
    return operation_schemas.Plan(
        digest=digest or found.digest(),
        base_digest=found.base_digest,
        changes=[
            operation_schemas.Change(action=row.action.value, requirement=row.requirement) for row in found.changes
        ],
        package_changes=[
            operation_schemas.PackageChange(
                **{**asdict(row), "effect": row.effect.value, "required_by": list(row.required_by)}
            )
            for row in found.package_changes
        ],
        base_text=found.base_text,
        proposed_text=found.proposed_text,
        difference=text_difference(found.base_text, found.proposed_text),
        lock=found.lock.render(),
        lock_digest=found.lock.digest(),
        lock_changes=found.lock_changes(),
        components=list(found.components),
        warnings=[operation_schemas.PlanWarning(code=row.code, message=row.message) for row in found.warnings],
        acknowledgements=list(found.acknowledgements),
        longest_seconds=found.longest_seconds,
        usual_seconds=found.usual_seconds,
        adopted=found.adopted,
        tasks=list(found.tasks),
    )


def operation_created(
    found: operations_.Operation, token: str, now: float, *, planning_deadline: float = PLANNING_DEADLINE
) -> operation_schemas.OperationCreated:
    """Return a new operation with its token: nothing else ever carries one."""
    return operation_schemas.OperationCreated(
        operation=operation(found, now, planning_deadline=planning_deadline),
        token=token,
        expires_at=at(found.expires_at),
    )


def operations(
    found: Iterable[operations_.Operation],
    following: str | None,
    active: operations_.Operation | None,
    now: float,
    *,
    planning_deadline: float = PLANNING_DEADLINE,
) -> operation_schemas.Operations:
    """Return a page of history; `following` is the cursor of the next one."""
    return operation_schemas.Operations(
        operations=[operation(row, now, planning_deadline=planning_deadline, whole=False) for row in found],
        next=following,
        active=active.id if active else None,
    )


def event(found: operations_.Event) -> operation_schemas.Event:
    """Return one line of the record."""
    return operation_schemas.Event(
        id=found.id,
        sequence=found.sequence,
        at=at(found.at),
        kind=found.kind,
        message=found.message,
        principal=who(found.identity) if found.identity else None,
        address=found.address,
        operation=found.operation_id,
        state=found.state.value if found.state else None,
        component=found.component,
        details=dict(found.details),
    )


def revision(found: operations_.Operation, *, current: int | None) -> operation_schemas.Revision:
    """Return one accepted text's line in the list."""
    number = found.revision or 0
    return operation_schemas.Revision(
        revision=number,
        operation=found.id,
        owner=who(found.owner),
        summary=found.summary,
        at=at(found.accepted_at if found.accepted_at is not None else found.created_at),
        current=number == current,
    )


def _label(
    found: operations_.Operation, now: float, planning_deadline: float
) -> Literal["expired", "abandoned"] | None:
    if operations_.expired(found, now):
        return "expired"
    return "abandoned" if operations_.abandoned(found, now, planning_deadline) else None


def _actions(found: operations_.Operation, now: float) -> list[Literal["apply", "cancel"]]:
    actions: list[Literal["apply", "cancel"]] = []
    if found.state is State.PLANNED and not operations_.expired(found, now):
        actions.append("apply")
    return [*actions, "cancel"] if found.state in CANCELLABLE and not found.cancel_requested else actions


def _problem(row: Mapping[str, Any] | None) -> operation_schemas.Problem | None:
    return None if row is None else operation_schemas.Problem(**stored_problem(row))


def _progress(found: operations_.Operation) -> list[operation_schemas.ComponentProgress]:
    progress = found.progress
    components = found.plan.components if found.plan else ()
    return [
        operation_schemas.ComponentProgress(
            name=name,
            stage=_stage(found, name),
            previous_stamp=progress.stamps.get(name),
            verified=progress.verified.get(name),
            unverified=progress.unverified.get(name),
        )
        for name in components
    ]


def _stage(found: operations_.Operation, name: str) -> Literal["waiting", "restarting", "done"]:
    if name in found.progress.verified or found.state is State.SUCCEEDED:
        return "done"
    return "restarting" if name in found.progress.started_at else "waiting"
