"""What goes out of the HTTP API, and out of the command line as JSON; `operation_schemas` has what concerns operations.

Answers are built by `wire` from domain values.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict
from pydantic_core import PydanticSerializationError

from airflow_package_manager.domain.undecodable import readable


class Answer(BaseModel):
    """The root of what goes out."""

    model_config = ConfigDict(extra="forbid")

    def to_json(self, *, indent: int | None = None) -> str:
        """Return what goes out; bytes of a file that are no UTF-8 are shown as the replacement character."""
        try:
            return self.model_dump_json(indent=indent)
        except PydanticSerializationError:  # a text holds half of a surrogate pair: rare, so nobody else pays for it
            return readable(json.dumps(self.model_dump(mode="json"), ensure_ascii=False, indent=indent))


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
    place: str
    """Where requirements and locks are kept, in words."""
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
    manager: str | None
    """Who else writes it and may take a change back, as far as that can be seen."""
    kept_lines: list[KeptLine]


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
    node: str | None
    """The machine that it runs on, where there are several."""
    reason: str | None
    """The target's own word for how it stands, for example `ImagePullBackOff`."""


class Component(Answer):
    """One component with its instances."""

    name: str
    status: str
    message: str
    stamp: int | None
    infrastructure: bool
    """What keeps it from being current is no package's fault."""
    unverified: str | None
    """Why `Current` says nothing about packages here."""
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


class Description(Answer):
    """An OpenAPI 3.1 document."""

    model_config = ConfigDict(extra="allow")

    openapi: str
