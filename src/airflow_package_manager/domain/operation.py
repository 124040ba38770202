"""The life of one operation: its states as one table, its row as one value, its events."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_package_manager.domain.access import Identity
from airflow_package_manager.domain.plan import Plan
from airflow_package_manager.errors import IllegalTransition


class State(str, enum.Enum):
    """Where an operation stands."""

    PLANNING = "PLANNING"
    PLANNED = "PLANNED"
    REFUSED = "REFUSED"
    ACCEPTED = "ACCEPTED"
    PREFLIGHT = "PREFLIGHT"
    ROLLING_OUT = "ROLLING_OUT"
    VERIFYING = "VERIFYING"
    ROLLING_BACK = "ROLLING_BACK"
    SUCCEEDED = "SUCCEEDED"
    ROLLED_BACK = "ROLLED_BACK"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


TRANSITIONS: Mapping[State, frozenset[State]] = {
    State.PLANNING: frozenset({State.PLANNED, State.REFUSED, State.CANCELLED}),
    State.PLANNED: frozenset({State.ACCEPTED, State.CANCELLED}),
    State.ACCEPTED: frozenset({State.PREFLIGHT, State.SUCCEEDED, State.CANCELLED, State.FAILED}),
    State.PREFLIGHT: frozenset({State.ROLLING_OUT, State.ROLLING_BACK}),
    State.ROLLING_OUT: frozenset({State.VERIFYING, State.ROLLING_BACK}),
    State.VERIFYING: frozenset({State.SUCCEEDED, State.ROLLING_BACK}),
    State.ROLLING_BACK: frozenset({State.ROLLED_BACK, State.FAILED}),
    State.REFUSED: frozenset(),
    State.SUCCEEDED: frozenset(),
    State.ROLLED_BACK: frozenset(),
    State.FAILED: frozenset(),
    State.CANCELLED: frozenset(),
}

ACTIVE = frozenset({State.ACCEPTED, State.PREFLIGHT, State.ROLLING_OUT, State.VERIFYING, State.ROLLING_BACK})
"""States that hold the only active slot and need a driver."""
TERMINAL = frozenset(state for state, following in TRANSITIONS.items() if not following)
CANCELLABLE = frozenset(
    {State.PLANNING, State.PLANNED, State.ACCEPTED, State.PREFLIGHT, State.ROLLING_OUT, State.VERIFYING}
)


def require_transition(before: State, after: State) -> None:
    """Raise `IllegalTransition` unless the table has it (staying is always allowed)."""
    if after is not before and after not in TRANSITIONS[before]:
        raise IllegalTransition(f"An operation cannot go from {before.value} to {after.value}.", state=before.value)


@dataclass(frozen=True)
class Progress:
    """What the engine must remember between two steps; written in the same transaction as the state."""

    stamps: Mapping[str, int | None] = field(default_factory=dict)
    """Previous stamp of every component, saved in the transaction that enters ROLLING_OUT."""
    templates: Mapping[str, str] = field(default_factory=dict)
    """`Stamp.template` of every component at that moment."""
    waiting_since: float | None = None
    """Unix seconds: since when the present step waits without a sign of progress."""
    current: int = 0
    """Most instances that were current at once since the present step began to wait."""
    baseline_errors: tuple[str, ...] = ()
    """DAG files that could not be imported before the rollout."""
    started_at: Mapping[str, float] = field(default_factory=dict)
    """Unix seconds: when each component was told to restart."""
    beats_before: Mapping[str, float] = field(default_factory=dict)
    """Component → when its youngest job began (Unix seconds by its own clock); only of those that Airflow saw alive."""
    verified: Mapping[str, str] = field(default_factory=dict)
    """Component → ``heartbeat`` or ``not verified``."""
    unverified: Mapping[str, str] = field(default_factory=dict)
    """Component → why nobody could tell what it runs on; only those of which nobody could."""
    reason: Mapping[str, Any] | None = None
    """Why it is rolled back or failed, as a problem: code, title, detail, next_action."""
    preflight: bool = False
    """The throw-away check was started."""
    passed: bool = False
    """It passed: the requirements may be written."""
    promoted: bool = False
    """The new text was written: when it is the old one again, another hand took it back."""


@dataclass(frozen=True)
class Operation:
    """One attempt to move from one state of the requirements to another."""

    id: str
    """32 hex digits."""
    state: State
    owner: Identity
    request: Mapping[str, Any]
    """As asked: `changes` | `requirements` | `restore`, and `acknowledge`."""
    summary: str
    """One line for people, for example ``add pandas>=2.1``."""
    created_at: float
    updated_at: float
    expires_at: float
    """Unix seconds: until when the token can be used."""
    token_hash: str
    version: int = 0
    """Grows with every save; a save is conditional on it."""
    plan: Plan | None = None
    plan_digest: str | None = None
    revision: int | None = None
    """Allocated by the accepting UPDATE."""
    accepted_at: float | None = None
    ended_at: float | None = None
    cancel_requested: bool = False
    problem: Mapping[str, Any] | None = None
    """Why REFUSED, ROLLED_BACK or FAILED: a problem body."""
    step: str = ""
    """What is being done now, for people."""
    progress: Progress = field(default_factory=Progress)
    holder: str | None = None
    lease_until: float | None = None


@dataclass(frozen=True)
class Event:
    """One line of an operation's history, also the audit record; append-only."""

    kind: str
    """For example ``operation.accepted``, ``component.restarted``, ``access.refused``."""
    at: float
    """Unix seconds."""
    message: str
    identity: Identity | None
    """None when the driver acts by itself."""
    address: str | None
    operation_id: str | None = None
    sequence: int | None = None
    """1, 2, 3 … within the operation; None without one. Allocated by the repository."""
    id: int | None = None
    """Allocated by the database; orders events of all operations for paging, not for progress."""
    state: State | None = None
    component: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    """JSON values: before, after, outcome …; never a secret."""


def expired(operation: Operation, now: float) -> bool:
    """Tell whether a PLANNED operation is past its hour (a label, not a state)."""
    return operation.state is State.PLANNED and now >= operation.expires_at


def abandoned(operation: Operation, now: float, planning_deadline: float) -> bool:
    """Tell whether a PLANNING operation is older than `planning_deadline` seconds (a label, not a state)."""
    return operation.state is State.PLANNING and now >= operation.created_at + planning_deadline


def orphaned(operation: Operation, now: float) -> bool:
    """Tell whether an active operation has no live lease, so that any driver may take it."""
    return operation.state in ACTIVE and (operation.lease_until is None or operation.lease_until <= now)
