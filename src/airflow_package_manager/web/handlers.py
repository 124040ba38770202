"""What each endpoint does: one use case of the manager, translated in and out. No framework, no decision."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from airflow_package_manager.domain.access import Permission, Principal
from airflow_package_manager.domain.operation import Operation
from airflow_package_manager.domain.plan import Action, Change, ChangeSet
from airflow_package_manager.domain.planning import text_difference
from airflow_package_manager.manager import PackageManager
from airflow_package_manager.refusals import Malformed
from airflow_package_manager.web import operation_schemas, package_wire, requests, schemas, wire


@dataclass(frozen=True)
class SessionFacts:
    """What the page needs to know of this installation."""

    airflow_version: str
    plugin_version: str
    token_lifetime: int
    """Seconds."""
    target: str
    place: str
    """For people: where requirements and locks are kept."""
    components: tuple[str, ...]
    python: str
    platform: str


@dataclass(frozen=True)
class Api:
    """What the handlers work with."""

    manager: PackageManager
    facts: Callable[[], SessionFacts]
    clock: Callable[[], float]
    """Unix seconds, now."""
    planning_deadline: float
    """Seconds after which an operation that is still PLANNING counts as abandoned."""
    csrf: Callable[[], schemas.Csrf | None] = lambda: None
    """The token that Airflow itself wants with a change of the caller who asks now, where it wants one."""


Model = TypeVar("Model")


@dataclass(frozen=True)
class Call:
    """One request, parsed and validated by the models of its endpoint."""

    path: Mapping[str, str]
    query: requests.Query
    body: requests.Request | None


def session(api: Api, principal: Principal, call: Call) -> schemas.Session:
    """Who I am and what the page needs to know."""
    del call
    principal.require(Permission.READ)  # no use case stands behind it that would ask
    facts = api.facts()
    return schemas.Session(
        principal=wire.who(principal.identity),
        permissions=sorted(permission.value for permission in principal.permissions),
        airflow_version=facts.airflow_version,
        plugin_version=facts.plugin_version,
        token_lifetime=facts.token_lifetime,
        target=facts.target,
        place=facts.place,
        components=list(facts.components),
        python=facts.python,
        platform=facts.platform,
        csrf=api.csrf(),
    )


def packages(api: Api, principal: Principal, call: Call) -> schemas.Packages:
    """The inventory, filtered."""
    query = _as(requests.PackagesQuery, call.query)
    return package_wire.packages(api.manager.inventory(principal), scope=query.scope, query=query.q)


def package(api: Api, principal: Principal, call: Call) -> schemas.PackageDetail:
    """One project."""
    return package_wire.package_detail(api.manager.package(principal, call.path["name"]))


def requirements(api: Api, principal: Principal, call: Call) -> schemas.Requirements:
    """The file."""
    del call
    return package_wire.requirements(api.manager.requirements(principal))


def plan(api: Api, principal: Principal, call: Call) -> operation_schemas.OperationCreated:
    """Start a plan; the token leaves here and nowhere else."""
    body = _as(requests.OperationRequest, call.body)
    if body.changes == []:
        raise Malformed("changes is empty: there is nothing to plan.", field="changes")
    question = ChangeSet(
        changes=tuple(Change(Action(row.action), row.requirement) for row in body.changes or ()),
        requirements=body.requirements,
        restore=body.restore,
        acknowledge=frozenset(body.acknowledge),
    )
    created, token = api.manager.plan(principal, question)
    return wire.operation_created(created, token, api.clock(), planning_deadline=api.planning_deadline)


def apply(api: Api, principal: Principal, call: Call) -> operation_schemas.Operation:
    """Apply a plan."""
    body = _as(requests.ApplyRequest, call.body)
    return _operation(api, api.manager.apply(principal, call.path["id"], body.token, body.digest))


def cancel(api: Api, principal: Principal, call: Call) -> operation_schemas.Operation:
    """Cancel a plan or an operation."""
    return _operation(api, api.manager.cancel(principal, call.path["id"]))


def operations(api: Api, principal: Principal, call: Call) -> operation_schemas.Operations:
    """History."""
    query = _as(requests.HistoryQuery, call.query)
    found, following = api.manager.history(principal, query.before, query.limit)
    active = api.manager.active(principal)
    return wire.operations(found, following, active, api.clock(), planning_deadline=api.planning_deadline)


def operation(api: Api, principal: Principal, call: Call) -> operation_schemas.Operation:
    """One operation."""
    return _operation(api, api.manager.operation(principal, call.path["id"]))


def events(api: Api, principal: Principal, call: Call) -> operation_schemas.Events:
    """Progress of one operation."""
    query = _as(requests.EventsQuery, call.query)
    # The state is read before the events: whoever stops polling at a terminal state has then seen its last event.
    found = api.manager.operation(principal, call.path["id"])
    rows = api.manager.events(principal, found.id, query.after, query.limit)
    return operation_schemas.Events(events=[wire.event(row) for row in rows], state=found.state.value, step=found.step)


def audit(api: Api, principal: Principal, call: Call) -> operation_schemas.Audit:
    """The audit record."""
    query = _as(requests.AuditQuery, call.query)
    rows, following = api.manager.audit(principal, query.before, query.limit)
    return operation_schemas.Audit(events=[wire.event(row) for row in rows], next=following)


def revisions(api: Api, principal: Principal, call: Call) -> operation_schemas.Revisions:
    """All that can be restored."""
    del call
    found = api.manager.revisions(principal)
    current = _current(found)
    return operation_schemas.Revisions(revisions=[wire.revision(row, current=current) for row in found])


def revision(api: Api, principal: Principal, call: Call) -> operation_schemas.RevisionDetail:
    """One revision whole."""
    query = _as(requests.RevisionQuery, call.query)
    found = api.manager.revision(principal, int(call.path["n"]))
    text = _text(found)
    other = None if query.diff is None else _text(api.manager.revision(principal, query.diff))
    lock = found.plan.lock if found.plan else None
    return operation_schemas.RevisionDetail(
        revision=wire.revision(found, current=_current(api.manager.revisions(principal))),
        text=text,
        lock=(lock.with_revision(found.revision) if found.revision else lock).render() if lock else "",
        difference=None if other is None else text_difference(other, text),
    )


def components(api: Api, principal: Principal, call: Call) -> schemas.Components:
    """Each component."""
    del call
    found = api.manager.components(principal)
    return wire.components(found, _current(api.manager.revisions(principal)))


def health(api: Api, principal: Principal, call: Call) -> schemas.Health:
    """The checks of `doctor`."""
    del call
    return wire.health(api.manager.health(principal))


def _operation(api: Api, found: Operation) -> operation_schemas.Operation:
    return wire.operation(found, api.clock(), planning_deadline=api.planning_deadline)


def _current(revisions_: tuple[Operation, ...]) -> int | None:
    """The newest success is what `current` names."""
    return max((found.revision for found in revisions_ if found.revision is not None), default=None)


def _text(found: Operation) -> str:
    return found.plan.proposed_text if found.plan else ""


def _as(model: type[Model], value: Any) -> Model:  # noqa: ANN401
    """The dispatcher built it from the endpoint's own row; a mismatch is a mistake in the table."""
    if not isinstance(value, model):
        raise TypeError(f"the endpoint table gives {type(value).__name__} where {model.__name__} is taken")
    return value
