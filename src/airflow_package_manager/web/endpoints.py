"""The HTTP API as one table: method, address, permission, what comes in, what goes out, and who answers.

Both web frameworks, the OpenAPI document, the docs and the tests iterate `ENDPOINTS`; whoever adds an endpoint adds a
row. A handler translates between the wire and one use case of the manager, and decides nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from airflow_package_manager import errors, refusals
from airflow_package_manager.domain.access import Permission, Principal
from airflow_package_manager.errors import PackageManagerError
from airflow_package_manager.web import handlers, operation_schemas, requests, schemas
from airflow_package_manager.web.body import MAXIMUM_BYTES, MAXIMUM_FILE_BYTES
from airflow_package_manager.web.handlers import Api, Call

PREFIX = "api/v1/"
"""Below the address where the plugin is mounted."""

Handler = Callable[[Api, Principal, Call], schemas.Answer]

PATH_VALUES: Mapping[str, re.Pattern[str]] = {
    "id": re.compile(r"[0-9a-f]{32}"),
    "name": re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,198}[A-Za-z0-9])?"),
    "n": re.compile(r"0|[1-9][0-9]{0,8}"),
}
"""What may stand in an address; anything else names nothing."""


@dataclass(frozen=True)
class Endpoint:
    """One row."""

    method: str
    path: str
    """Template below `PREFIX`; names in braces are those of `PATH_VALUES`."""
    permission: Permission
    answer: type[schemas.Answer]
    handler: Handler
    summary: str
    query: type[requests.Query] = requests.NoQuery
    body: type[requests.Request] | None = None
    body_limit: int = MAXIMUM_BYTES
    status: int = 200
    refuses: tuple[type[PackageManagerError], ...] = ()
    """Beyond those of every endpoint (see `refusals_of`)."""

    @property
    def name(self) -> str:
        """Return the operation id of the OpenAPI document."""
        return self.handler.__name__


_READ, _PLAN, _APPLY = Permission.READ, Permission.PLAN, Permission.APPLY

ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint("GET", "session", _READ, schemas.Session, handlers.session, "Who I am and what the page needs to know"),
    Endpoint(
        "GET",
        "packages",
        _READ,
        schemas.Packages,
        handlers.packages,
        "Requested, locked and installed packages, one row per project",
        query=requests.PackagesQuery,
        refuses=(errors.StoreUnavailable, errors.ClusterUnavailable, refusals.NoComponents),
    ),
    Endpoint(
        "GET",
        "packages/{name}",
        _READ,
        schemas.PackageDetail,
        handlers.package,
        "One project with the releases that the index knows",
        refuses=(errors.StoreUnavailable, errors.ClusterUnavailable, refusals.NoComponents),
    ),
    Endpoint(
        "GET",
        "requirements",
        _READ,
        schemas.Requirements,
        handlers.requirements,
        "The requirements file",
        refuses=(errors.StoreUnavailable,),
    ),
    Endpoint(
        "POST",
        "operations",
        _PLAN,
        operation_schemas.OperationCreated,
        handlers.plan,
        "Plan a change set: poll the operation until it is PLANNED or REFUSED",
        body=requests.OperationRequest,
        body_limit=MAXIMUM_FILE_BYTES,
        status=202,
        refuses=(
            refusals.NotFound,
            refusals.InvalidRequirement,
            refusals.InvalidRequirementsFile,
            refusals.AmbiguousRequirement,
            refusals.RequirementNotFound,
            refusals.AlreadyRequired,
            refusals.PolicyViolation,
            refusals.NothingToChange,
            refusals.StoreTooLarge,
            refusals.NoComponents,
            errors.TooManyPlans,
            errors.StoreUnavailable,
            errors.ClusterUnavailable,
        ),
    ),
    Endpoint(
        "POST",
        "operations/{id}/apply",
        _APPLY,
        operation_schemas.Operation,
        handlers.apply,
        "Apply a plan with its single-use token and the digest that was seen",
        body=requests.ApplyRequest,
        status=202,
        refuses=(
            errors.TokenInvalid,
            errors.TokenUsed,
            errors.TokenExpired,
            errors.StalePlan,
            errors.OperationInProgress,
            errors.IllegalTransition,
            errors.StoreUnavailable,
            errors.ClusterUnavailable,
        ),
    ),
    Endpoint(
        "POST",
        "operations/{id}/cancel",
        _APPLY,
        operation_schemas.Operation,
        handlers.cancel,
        "Drop a plan, or roll a running operation back",
        body=requests.CancelRequest,
        status=202,
        refuses=(errors.IllegalTransition,),
    ),
    Endpoint(
        "GET",
        "operations",
        _READ,
        operation_schemas.Operations,
        handlers.operations,
        "History, newest first",
        query=requests.HistoryQuery,
    ),
    Endpoint("GET", "operations/{id}", _READ, operation_schemas.Operation, handlers.operation, "One operation"),
    Endpoint(
        "GET",
        "operations/{id}/events",
        _READ,
        operation_schemas.Events,
        handlers.events,
        "Progress of one operation after a sequence number",
        query=requests.EventsQuery,
    ),
    Endpoint(
        "GET",
        "events",
        _READ,
        operation_schemas.Audit,
        handlers.audit,
        "The audit record of everything, newest first",
        query=requests.AuditQuery,
    ),
    Endpoint(
        "GET",
        "revisions",
        _READ,
        operation_schemas.Revisions,
        handlers.revisions,
        "The revisions that can be restored, newest first",
        refuses=(errors.StoreUnavailable,),
    ),
    Endpoint(
        "GET",
        "revisions/{n}",
        _READ,
        operation_schemas.RevisionDetail,
        handlers.revision,
        "One accepted text and lock, compared with another revision if asked",
        query=requests.RevisionQuery,
        refuses=(errors.StoreUnavailable,),
    ),
    Endpoint(
        "GET",
        "components",
        _READ,
        schemas.Components,
        handlers.components,
        "Each component with its status and instances",
        refuses=(errors.StoreUnavailable, errors.ClusterUnavailable, refusals.NoComponents),
    ),
    Endpoint("GET", "health", _READ, schemas.Health, handlers.health, "What users get wrong, looked at"),
)

_ALWAYS: tuple[type[PackageManagerError], ...] = (
    refusals.Malformed,
    errors.NotAuthenticated,
    errors.Forbidden,
    PackageManagerError,
    errors.DatabaseBusy,
)
_WITH_BODY: tuple[type[PackageManagerError], ...] = (
    errors.CrossOrigin,
    errors.CsrfFailed,
    refusals.BodyTooLarge,
    refusals.UnsupportedMediaType,
)


def refusals_of(endpoint: Endpoint) -> tuple[type[PackageManagerError], ...]:
    """Return every error that the endpoint may answer with; the OpenAPI document and its test keep to it."""
    found = [*_ALWAYS, *endpoint.refuses]
    if "{" in endpoint.path:
        found.append(refusals.NotFound)
    if endpoint.body is not None:
        found.extend(_WITH_BODY)
    return tuple(dict.fromkeys(found))


def match(path: str) -> tuple[tuple[Endpoint, ...], dict[str, str]]:
    """Return the rows with this address (below `PREFIX`) and the values in it; raises `NotFound`."""
    segments = path.split("/")
    for endpoint in ENDPOINTS:
        values = _values(endpoint.path.split("/"), segments)
        if values is not None:
            return tuple(row for row in ENDPOINTS if row.path == endpoint.path), values
    raise refusals.NotFound("The API has no such address; openapi.json lists what exists.")


def _values(template: list[str], segments: list[str]) -> dict[str, str] | None:
    if len(template) != len(segments):
        return None
    values = {}
    for wanted, found in zip(template, segments, strict=True):
        if not wanted.startswith("{"):
            if wanted != found:
                return None
            continue
        name = wanted.strip("{}")
        if not PATH_VALUES[name].fullmatch(found):
            return None
        values[name] = found
    return values
