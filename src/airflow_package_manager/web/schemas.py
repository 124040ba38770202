"""The wire: what goes in and out of the HTTP API, and out of the command line as JSON.

Requests are strict (unknown fields are refused by name); answers are built by `wire` from domain values.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

MAXIMUM_CHANGES = 100
MAXIMUM_REQUIREMENT = 1_000
MAXIMUM_FILE = 1_048_576
"""Characters of a whole requirements file."""

Text = Annotated[str, Field(max_length=MAXIMUM_REQUIREMENT)]


class Request(BaseModel):
    """The root of what comes in."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Answer(BaseModel):
    """The root of what goes out."""

    model_config = ConfigDict(extra="forbid")


class ChangeRequest(Request):
    """One project to add, update or remove."""

    action: Literal["add", "update", "remove"]
    requirement: Text


class OperationRequest(Request):
    """Exactly one of `changes`, `requirements`, `restore`."""

    changes: Annotated[list[ChangeRequest], Field(max_length=MAXIMUM_CHANGES)] | None = None
    requirements: Annotated[str, Field(max_length=MAXIMUM_FILE)] | None = None
    restore: Annotated[int, Field(ge=0, le=999_999_999)] | None = None
    acknowledge: Annotated[list[Text], Field(max_length=1000)] = []


class ApplyRequest(Request):
    """The token that was shown once, and the digest of the plan that was seen."""

    token: Annotated[str, Field(max_length=200)]
    digest: Annotated[str, Field(max_length=64)]


class CancelRequest(Request):
    """Nothing to say."""


class Who(Answer):
    """A principal."""

    auth_manager: str
    id: str
    name: str


class Csrf(Answer):
    """The token that Airflow 2 wants in a header."""

    header: str
    token: str


class Session(Answer):
    """Who I am and what the page needs to know."""

    principal: Who
    permissions: list[str]
    airflow_version: str
    plugin_version: str
    token_lifetime: int
    """Seconds."""
    target: str
    directory: str
    components: list[str]
    python: str
    platform: str
    csrf: Csrf | None


class InstalledIn(Answer):
    """What one component has of one project."""

    component: str
    version: str | None
    source: Literal["site", "image", "absent", "unknown"]


class Package(Answer):
    """One project, three columns."""

    name: str
    summary: str
    requested: str | None
    locked: str | None
    image: str | None
    installed: list[InstalledIn]
    badges: list[str]
    required_by: list[str]


class KeptLine(Answer):
    """A line that we show but never use."""

    number: int
    kind: str
    text: str


class Packages(Answer):
    """The inventory."""

    packages: list[Package]
    kept_lines: list[KeptLine]
    components: list[str]
    revision: int | None
    edited_by_hand: bool
    requirements_digest: str


class Release(Answer):
    """One version on the index."""

    version: str
    yanked: str | None
    requires_python: str | None
    uploaded_at: str | None
    has_wheel: bool | None
    size: int | None


class PackageDetail(Answer):
    """One project with its releases."""

    package: Package
    requires: list[str]
    releases: list[Release]
    index: str | None
    index_problem: str | None


class Requirements(Answer):
    """The file."""

    text: str
    digest: str
    edited_by_hand: bool
    kept_lines: list[KeptLine]


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
    adopted: bool


class Problem(Answer):
    """RFC 9457; context of the code stands beside these members."""

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


class Instance(Answer):
    """One process or pod."""

    name: str
    status: str
    message: str
    stamp: int | None
    lock_digest: str | None
    started_at: datetime | None
    reported_at: datetime | None
    restarts: int
    alive: bool
    install_outcome: str | None
    install_code: str | None
    install_cause: str | None


class Component(Answer):
    """One component with its instances."""

    name: str
    status: str
    message: str
    stamp: int | None
    instances: list[Instance]


class Components(Answer):
    """All of them."""

    components: list[Component]
    revision: int | None


class Check(Answer):
    """One check of `doctor`."""

    name: str
    status: Literal["ok", "warning", "failed", "unknown"]
    cause: str
    next_action: str


class Health(Answer):
    """All checks."""

    checks: list[Check]
