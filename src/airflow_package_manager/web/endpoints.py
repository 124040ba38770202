"""The HTTP API as one table: method, address, permission, what comes in, what goes out, and who answers.

Both web frameworks, the OpenAPI document, the docs and the tests iterate `ENDPOINTS`; whoever adds an endpoint adds a
row. A handler translates between the wire and one use case of the manager, and decides nothing.
"""

from __future__ import annotations

from airflow_package_manager import errors, refusals
from airflow_package_manager.domain.access import Permission, Principal
from airflow_package_manager.web import handlers, operation_schemas, requests, schemas
from airflow_package_manager.web.body import MAXIMUM_FILE_BYTES
from airflow_package_manager.web.endpoint import PATH_VALUES, Endpoint
from airflow_package_manager.web.handlers import Api, Call
from airflow_package_manager.web.openapi import document


def openapi(api: Api, principal: Principal, call: Call) -> schemas.Description:
    """The document that describes this table."""
    del api, call
    principal.require(Permission.READ)  # no use case stands behind it that would ask
    return schemas.Description(**document(ENDPOINTS))


_READ, _PLAN, _APPLY = Permission.READ, Permission.PLAN, Permission.APPLY
_WORLD = (errors.StoreUnavailable, errors.ClusterUnavailable, errors.ClusterForbidden, errors.AdmissionRefused)
"""What reading or writing requirements and components may meet."""

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
        refuses=_WORLD,
    ),
    Endpoint(
        "GET",
        "packages/{name}",
        _READ,
        schemas.PackageDetail,
        handlers.package,
        "One project with the releases that the index knows",
        refuses=(
            refusals.InvalidRequirement,
            refusals.UnknownProject,
            errors.IndexRefused,
            errors.IndexUnavailable,
            *_WORLD,
        ),
    ),
    Endpoint(
        "GET",
        "requirements",
        _READ,
        schemas.Requirements,
        handlers.requirements,
        "The requirements file",
        refuses=_WORLD,
    ),
    Endpoint(
        "POST",
        "operations",
        _PLAN,
        operation_schemas.OperationCreated,
        handlers.plan,
        "Plan a change set: poll the operation until it is PLANNED or REFUSED",
        request=requests.OperationRequest,
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
            refusals.ImageDiffers,
            errors.TooManyPlans,
            *_WORLD,
        ),
    ),
    Endpoint(
        "POST",
        "operations/{id}/apply",
        _APPLY,
        operation_schemas.Operation,
        handlers.apply,
        "Apply a plan with its single-use token and the digest that was seen",
        request=requests.ApplyRequest,
        status=202,
        refuses=(
            errors.TokenInvalid,
            errors.TokenUsed,
            errors.TokenExpired,
            errors.StalePlan,
            errors.OperationInProgress,
            errors.IllegalTransition,
            *_WORLD,
        ),
    ),
    Endpoint(
        "POST",
        "operations/{id}/cancel",
        _APPLY,
        operation_schemas.Operation,
        handlers.cancel,
        "Drop a plan, or roll a running operation back",
        request=requests.CancelRequest,
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
        refuses=_WORLD,
    ),
    Endpoint(
        "GET",
        "revisions/{n}",
        _READ,
        operation_schemas.RevisionDetail,
        handlers.revision,
        "One accepted text and lock, compared with another revision if asked",
        query=requests.RevisionQuery,
        refuses=_WORLD,
    ),
    Endpoint(
        "GET",
        "components",
        _READ,
        schemas.Components,
        handlers.components,
        "Each component with its status and instances",
        refuses=_WORLD,
    ),
    Endpoint("GET", "health", _READ, schemas.Health, handlers.health, "What users get wrong, looked at"),
    Endpoint("GET", "openapi.json", _READ, schemas.Description, openapi, "This description, as OpenAPI 3.1"),
)


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
