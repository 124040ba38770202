"""The question of a person as it is kept in an operation's row, and as one line for people."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from airflow_package_manager.domain.operation import Operation, State
from airflow_package_manager.domain.plan import Action, Change, ChangeSet, Plan
from airflow_package_manager.domain.requirements import apply_change_set, parse_requirement
from airflow_package_manager.domain.undecodable import given_back
from airflow_package_manager.refusals import Malformed, NotFound

_SHOWN = 3
"""Changes that a summary names one by one."""


def accepted(change_set: ChangeSet) -> ChangeSet:
    """Return the change set with each requirement as packaging writes it.

    Raises `Malformed` unless it asks exactly one of the three questions, `InvalidRequirement` or `PolicyViolation`
    for a requirement that may not pass the door.
    """
    asked = [bool(change_set.changes), change_set.requirements is not None, change_set.restore is not None]
    if sum(asked) != 1:
        raise Malformed("Give exactly one of 'changes' (at least one), 'requirements', or 'restore'.", field="changes")
    changes = []
    for number, change in enumerate(change_set.changes):
        field = f"changes[{number}].requirement"
        requirement = parse_requirement(change.requirement, field)
        if change.action is Action.REMOVE and str(requirement) != requirement.name:
            raise Malformed("A removal takes the name of the project alone.", field=field)
        changes.append(Change(change.action, str(requirement)))
    return dataclasses.replace(change_set, changes=tuple(changes))


def proposed_text(change_set: ChangeSet, text: str, restored: str | None) -> str:
    """Return the whole text that is asked for, from the text that the store holds and that of a restored revision."""
    if restored is not None:
        return restored
    if change_set.requirements is not None:
        return given_back(change_set.requirements, text)
    return apply_change_set(text, change_set.changes)


def restorable(operation: Operation) -> Plan:
    """Return the plan of a revision; raises `NotFound` unless it succeeded."""
    if operation.state is not State.SUCCEEDED or operation.plan is None:
        raise NotFound(
            f"Revision {operation.revision} never became current, so there is nothing to restore.",
            next_action="Choose one of the revisions that the history offers.",
            revision=operation.revision,
        )
    return operation.plan


def to_json(change_set: ChangeSet) -> dict[str, Any]:
    """Return the change set as JSON values in the shape of the HTTP API; `from_json` reads it back equal."""
    values: dict[str, Any] = {}
    if change_set.changes:
        values["changes"] = [
            {"action": change.action.value, "requirement": change.requirement} for change in change_set.changes
        ]
    if change_set.requirements is not None:
        values["requirements"] = change_set.requirements
    if change_set.restore is not None:
        values["restore"] = change_set.restore
    if change_set.acknowledge:
        values["acknowledge"] = sorted(change_set.acknowledge)
    return values


def from_json(values: Mapping[str, Any]) -> ChangeSet:
    """Return the change set that `to_json` wrote."""
    return ChangeSet(
        changes=tuple(Change(Action(row["action"]), row["requirement"]) for row in values.get("changes", ())),
        requirements=values.get("requirements"),
        restore=values.get("restore"),
        acknowledge=frozenset(values.get("acknowledge", ())),
    )


def summary(change_set: ChangeSet) -> str:
    """Return one line, for example ``add pandas>=2.1, remove six``."""
    if change_set.restore is not None:
        return f"restore revision {change_set.restore}"
    if change_set.requirements is not None:
        return "edit the whole file"
    named = [f"{change.action.value} {change.requirement}" for change in change_set.changes[:_SHOWN]]
    more = len(change_set.changes) - _SHOWN
    return ", ".join(named) + (f" and {more} more" if more > 0 else "")
