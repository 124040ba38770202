"""Operations, plans and events for the contract suites: everything filled in, nothing meaningful."""

from __future__ import annotations

import dataclasses
import uuid
from typing import Any

from airflow_package_manager.domain.access import Identity, token_hash
from airflow_package_manager.domain.lock import Lock, Pin
from airflow_package_manager.domain.operation import Event, Operation, State
from airflow_package_manager.domain.plan import Action, Change, Effect, PackageChange, Plan, PlanWarning
from airflow_package_manager.ports import OperationRepository

NOW = 1_800_000_000.0
ADA = Identity("simple", "ada", "Ada")
BOB = Identity("simple", "bob", "Bob")
TOKEN = "a token"


def plan(text: str = "pandas>=2.1\n") -> Plan:
    pins = (Pin("pandas", "2.1.0", ("a" * 64, "b" * 64)),)
    return Plan(
        base_digest="c" * 64,
        base_text="# été\r\n",
        proposed_text=text,
        changes=(Change(Action.ADD, "pandas>=2.1"),),
        package_changes=(PackageChange("pandas", Effect.NEW, None, "2.1.0", True, None, False, ("dask",)),),  # noqa: FBT003
        lock=Lock("cp311", "linux_x86_64", "d" * 64, "e" * 64, pins),
        base_lock_digest="f" * 64,
        components=("scheduler", "api-server"),
        warnings=(PlanWarning("yanked", "pandas 2.1.0 was yanked"),),
        acknowledgements=("shadows:pandas",),
        directs=("pandas",),
        longest_seconds=90,
    )


def event(kind: str = "operation.planned", **changes: Any) -> Event:  # noqa: ANN401 - any field
    values: dict[str, Any] = {"at": NOW, "message": "Something happened.", "identity": ADA, "address": "192.0.2.1"}
    return Event(kind=kind, **{**values, **changes})


def planning(owner: Identity = ADA, *, at: float = NOW, **changes: Any) -> Operation:  # noqa: ANN401 - any field
    operation = Operation(
        id=uuid.uuid4().hex,
        state=State.PLANNING,
        owner=owner,
        request={"changes": [{"action": "add", "requirement": "pandas>=2.1"}], "acknowledge": []},
        summary="add pandas>=2.1",
        created_at=at,
        updated_at=at,
        expires_at=at + 3600,
        token_hash=token_hash(TOKEN),
    )
    return dataclasses.replace(operation, **changes)


def add(operations: OperationRepository, operation: Operation, *events: Event, **limits: Any) -> Operation:  # noqa: ANN401 - any field
    values: dict[str, Any] = {"per_principal": 100, "in_all": 100, "since": 0.0}
    operations.add(operation, events, **{**values, **limits})
    return operations.get(operation.id)


def add_planned(operations: OperationRepository, owner: Identity = ADA, **changes: Any) -> Operation:  # noqa: ANN401 - any field
    """Add an operation and make it PLANNED."""
    added, made = add(operations, planning(owner, **changes)), plan()
    return operations.save(dataclasses.replace(added, state=State.PLANNED, plan=made, plan_digest=made.digest()), [])


def accept(operations: OperationRepository, operation: Operation, **changes: Any) -> Operation:  # noqa: ANN401 - any field
    values: dict[str, Any] = {
        "token_hash": operation.token_hash,
        "owner": operation.owner,
        "digest": operation.plan_digest or "",
        "now": NOW + 10,
        "at_least": 0,
        "event": event("operation.accepted"),
    }
    return operations.accept(operation.id, **{**values, **changes})


def finish(operations: OperationRepository, operation: Operation, state: State = State.SUCCEEDED) -> Operation:
    """Save the operation as ended."""
    return operations.save(dataclasses.replace(operation, state=state), [])
