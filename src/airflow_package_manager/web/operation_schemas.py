"""What goes out about operations: plans, progress, history, the audit record, and what can be restored."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import ConfigDict

from airflow_package_manager.web.schemas import Answer, Who


class Change(Answer):
    """What was asked."""

    action: str
    requirement: str


class PackageChange(Answer):
    """What would happen to one distribution."""

    name: str
    effect: Literal["new", "upgraded", "downgraded", "removed", "in-image"]
    before: str | None
    after: str | None
    direct: bool
    image_version: str | None
    shadows: bool
    required_by: list[str]
    summary: str
    size: int | None


class PlanWarning(Answer):
    """Something to know before applying."""

    code: str
    message: str


class Plan(Answer):
    """What was shown is what is applied."""

    digest: str
    base_digest: str
    changes: list[Change]
    package_changes: list[PackageChange]
    base_text: str
    proposed_text: str
    difference: str
    """Unified diff of the text."""
    lock: str
    lock_digest: str
    lock_changes: bool
    components: list[str]
    warnings: list[PlanWarning]
    acknowledgements: list[str]
    longest_seconds: int | None
    """At most; when it has to go back, as long again."""
    usual_seconds: int | None
    """How long such a change took here before; null when nothing was ever restarted."""
    adopted: bool
    tasks: list[str]
    """What the restarts mean for tasks, a sentence for each executor."""


class Problem(Answer):
    """RFC 9457; context of the code stands beside these members.

    `commands`, where a rollback could not end: what a person types to give each component its previous stamp.
    """

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    code: str
    next_action: str


class ComponentProgress(Answer):
    """How far one component of an operation is."""

    name: str
    stage: Literal["waiting", "restarting", "done"]
    previous_stamp: int | None
    verified: str | None
    unverified: str | None
    """Why nobody could tell what it runs on: then its restart says nothing about packages."""


class Operation(Answer):
    """One attempt."""

    id: str
    state: str
    label: Literal["expired", "abandoned"] | None
    owner: Who
    summary: str
    request: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    expires_at: datetime
    accepted_at: datetime | None
    ended_at: datetime | None
    revision: int | None
    cancel_requested: bool
    step: str
    problem: Problem | None
    plan: Plan | None
    """Null while planning, and in lists: ask for the one operation."""
    components: list[ComponentProgress]
    actions: list[Literal["apply", "cancel"]]
    """What its state allows, whoever asks."""


class OperationCreated(Answer):
    """The token is shown this once."""

    operation: Operation
    token: str
    expires_at: datetime


class Operations(Answer):
    """A page of history."""

    operations: list[Operation]
    next: str | None
    active: str | None
    """Id of the operation that is being applied."""


class Event(Answer):
    """One line of the record."""

    id: int | None
    sequence: int | None
    at: datetime
    kind: str
    message: str
    principal: Who | None
    address: str | None
    operation: str | None
    state: str | None
    component: str | None
    details: dict[str, Any]


class Events(Answer):
    """Progress of one operation; ask again with `after` = the last sequence."""

    events: list[Event]
    state: str
    step: str


class Audit(Answer):
    """A page of the audit record."""

    events: list[Event]
    next: int | None


class Revision(Answer):
    """One accepted text."""

    revision: int
    operation: str
    owner: Who
    summary: str
    at: datetime
    current: bool


class Revisions(Answer):
    """All that can be restored."""

    revisions: list[Revision]


class RevisionDetail(Answer):
    """One accepted text whole."""

    revision: Revision
    text: str
    lock: str
    difference: str | None
    """Unified diff from revision `diff` to this one."""
