"""Operations and events as rows and back; whatever was stored reads back equal, except text that no database takes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from airflow_package_manager.domain import plan as plans
from airflow_package_manager.domain.access import Identity
from airflow_package_manager.domain.operation import Event, Operation, Progress, State

_OPERATION_ID_LENGTH = 64
_NAME_LENGTH = 255
_KIND_LENGTH = 64


def storable(text: str) -> str:
    """Return the text with NUL and lone surrogates, which PostgreSQL refuses, spelled out as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")


def storable_identity(identity: Identity) -> Identity:
    """Return the identity as a row gives it back."""
    return Identity(storable(identity.auth_manager), storable(identity.id), storable(identity.name))


def new_values(operation: Operation) -> dict[str, Any]:
    """Return the columns of a new row that no later write touches, with those that `saved_values` gives."""
    owner = storable_identity(operation.owner)
    return {
        "id": operation.id,
        "active": None,
        "version": operation.version,
        "last_sequence": 0,
        "owner_auth_manager": owner.auth_manager,
        "owner_id": owner.id,
        "owner_name": owner.name,
        "request": _dump(operation.request),
        "created_at": operation.created_at,
        "accepted_at": operation.accepted_at,
        "token_hash": operation.token_hash,
        "revision": operation.revision,
        "cancel_requested": False,
        "holder": None,
        "lease_until": None,
        **saved_values(operation),
    }


def saved_values(operation: Operation) -> dict[str, Any]:
    """Return the columns that a save writes."""
    return {
        "state": operation.state.value,
        "summary": storable(operation.summary),
        "updated_at": operation.updated_at,
        "expires_at": operation.expires_at,
        "ended_at": operation.ended_at,
        "plan": None if operation.plan is None else _dump(plans.to_json(operation.plan)),
        "plan_digest": operation.plan_digest,
        "problem": None if operation.problem is None else _dump(operation.problem),
        "step": storable(operation.step),
        "progress": _dump(asdict(operation.progress)),
    }


def operation_from(row: Mapping[Any, Any]) -> Operation:
    """Return the operation that a row holds."""
    progress = json.loads(row["progress"])
    return Operation(
        id=row["id"],
        state=State(row["state"]),
        owner=Identity(row["owner_auth_manager"], row["owner_id"], row["owner_name"]),
        request=json.loads(row["request"]),
        summary=row["summary"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        expires_at=row["expires_at"],
        token_hash=row["token_hash"],
        version=row["version"],
        plan=None if row["plan"] is None else plans.from_json(json.loads(row["plan"])),
        plan_digest=row["plan_digest"],
        revision=row["revision"],
        accepted_at=row["accepted_at"],
        ended_at=row["ended_at"],
        cancel_requested=bool(row["cancel_requested"]),
        problem=None if row["problem"] is None else json.loads(row["problem"]),
        step=row["step"],
        progress=Progress(**{**progress, "baseline_errors": tuple(progress["baseline_errors"])}),
        holder=row["holder"],
        lease_until=row["lease_until"],
    )


def event_values(event: Event, *, operation_id: str | None, sequence: int | None) -> dict[str, Any]:
    """Return the columns of an event's row, cut to what they hold: an event is never lost for being odd."""
    identity = None if event.identity is None else storable_identity(event.identity)
    return {
        "operation_id": None if operation_id is None else storable(operation_id)[:_OPERATION_ID_LENGTH],
        "sequence": sequence,
        "kind": storable(event.kind)[:_KIND_LENGTH],
        "at": event.at,
        "message": storable(event.message),
        "auth_manager": None if identity is None else identity.auth_manager,
        "identity_id": None if identity is None else identity.id,
        "identity_name": None if identity is None else identity.name,
        "address": None if event.address is None else storable(event.address),
        "state": None if event.state is None else event.state.value,
        "component": None if event.component is None else storable(event.component)[:_NAME_LENGTH],
        "details": _dump(event.details),
    }


def event_from(row: Mapping[Any, Any]) -> Event:
    """Return the event that a row holds."""
    known = row["auth_manager"] is not None
    return Event(
        kind=row["kind"],
        at=row["at"],
        message=row["message"],
        identity=Identity(row["auth_manager"], row["identity_id"], row["identity_name"]) if known else None,
        address=row["address"],
        operation_id=row["operation_id"],
        sequence=row["sequence"],
        id=row["id"],
        state=None if row["state"] is None else State(row["state"]),
        component=row["component"],
        details=json.loads(row["details"]),
    )


def _dump(values: object) -> str:
    return json.dumps(values, ensure_ascii=True, separators=(",", ":"))
