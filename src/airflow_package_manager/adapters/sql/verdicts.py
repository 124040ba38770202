"""What the repository refuses and why, as pure decisions: each works on rows that were just read."""

from __future__ import annotations

import math
from collections.abc import Sequence

from airflow_package_manager.domain.access import Identity
from airflow_package_manager.domain.operation import CANCELLABLE, Operation, State, expired
from airflow_package_manager.errors import (
    IllegalTransition,
    OperationInProgress,
    PackageManagerError,
    StalePlan,
    TokenExpired,
    TokenInvalid,
    TokenUsed,
    TooManyPlans,
)
from airflow_package_manager.refusals import Malformed, NotFound

LARGEST = 2**63 - 1
"""What a database counts to; a number from outside may be larger."""
_LARGEST_REVISION = 2**31 - 1
_LONGEST_RETRY = 10
"""Seconds: most plans take fewer."""


def acceptance_refusal(
    operation: Operation | None, *, token_hash: str, owner: Identity, digest: str, now: float
) -> PackageManagerError | None:
    """Return the refusal, None when only the active slot can stand in the way.

    Whoever lacks the right token or is somebody else learns nothing, not even that the operation exists.
    """
    if operation is None or operation.token_hash != token_hash or operation.owner != owner:
        return TokenInvalid("Invalid or expired token: it does not belong to you and to this operation.")
    if operation.accepted_at is not None:
        return TokenUsed(
            f"This token was used already; the operation is {operation.state.value}.",
            operation=operation.id,
            state=operation.state.value,
        )
    if operation.state is not State.PLANNED:
        return IllegalTransition(
            f"Only a PLANNED operation can be applied; this one is {operation.state.value}.",
            state=operation.state.value,
        )
    if expired(operation, now):
        return TokenExpired("Invalid or expired token: its time is over.", expires_at=operation.expires_at)
    if operation.plan_digest != digest:
        return StalePlan(
            "The digest is not that of the plan that this operation holds: another plan was looked at.", difference=""
        )
    return None


def require_room(
    planning: Sequence[tuple[Identity, float]], owner: Identity, *, per_principal: int, in_all: int, since: float
) -> None:
    """Raise `TooManyPlans` unless one more fits; `planning` are owner and creation time of those that count."""
    own = [created_at for identity, created_at in planning if identity == owner]
    everyone = [created_at for _, created_at in planning]
    for counted, allowed, whose in ((own, per_principal, "of yours"), (everyone, in_all, "in all")):
        if len(counted) >= allowed:
            worst = math.ceil(min(counted, default=since) - since)
            raise TooManyPlans(
                f"{len(counted)} {'plan' if len(counted) == 1 else 'plans'} {whose} still being made;"
                f" at most {allowed} at a time.",
                retry_after=max(1, min(worst, _LONGEST_RETRY)),
            )


def require_cancellable(operation: Operation) -> None:
    """Raise `IllegalTransition` when it is too late."""
    if operation.state not in CANCELLABLE:
        raise IllegalTransition(
            f"An operation that is {operation.state.value} cannot be cancelled.", state=operation.state.value
        )


def in_progress(running: Operation) -> OperationInProgress:
    """Return the refusal that names what is running."""
    return OperationInProgress(
        f"Another change is being applied: {running.summary}.", operation=running.id, summary=running.summary
    )


def not_found(operation_id: str) -> NotFound:
    """Return the refusal for an unknown id."""
    return NotFound(f"There is no operation {operation_id[:64]!r}.", operation=operation_id[:64])


def revision_not_found(number: int) -> NotFound:
    """Return the refusal for an unknown revision."""
    return NotFound(f"There is no revision {number}.", revision=number)


def revision_exists_at_all(number: int) -> bool:
    """Tell whether the number fits the column."""
    return 0 <= number <= _LARGEST_REVISION


def cursor_number(cursor: str) -> int:
    """Return the number that a history cursor stands for; raises `Malformed`."""
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= len(str(LARGEST)) - 1):
        raise Malformed("The cursor is not one that the history returned.", field="before")
    return int(cursor)
