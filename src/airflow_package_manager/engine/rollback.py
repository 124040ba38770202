"""ROLLING_BACK: text back, stamps back exactly, in reverse order; what another hand changed stays theirs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from airflow_package_manager.domain import lock as locks
from airflow_package_manager.domain.events import Kind
from airflow_package_manager.domain.operation import Operation, State
from airflow_package_manager.domain.plan import StoreSnapshot
from airflow_package_manager.domain.planning import text_difference
from airflow_package_manager.domain.reasons import reason
from airflow_package_manager.domain.rollout import Status
from airflow_package_manager.engine.step import Step
from airflow_package_manager.errors import PackageManagerError
from airflow_package_manager.ports import StoreChanges


def rolling_back(step: Step) -> Operation:
    """Undo the next thing, in this order: check, text, stamps, stuck instances, lock; then end."""
    if step.progress.preflight:
        step.act(lambda: step.world.target.end_preflight(step.revision))
        return step.stay("going back", progress=dataclasses.replace(step.progress, preflight=False))
    snapshot = step.world.store.read()
    plan = step.plan
    if snapshot.text == plan.proposed_text != plan.base_text:
        step.write(snapshot, StoreChanges(text=plan.base_text))
        return step.stay("writing the previous requirements back", step.event(Kind.TEXT_RESTORED))
    restored = _restore_next(step)
    if restored is not None:
        return restored
    waiting = _not_back(step, snapshot)
    began = step.progress.waiting_since or step.now
    if waiting and step.now < began + step.world.patience.component:
        step.act(lambda: step.world.target.discard_stuck(next(iter(waiting))))
        return step.stay("waiting for " + ", ".join(f"{name}: {message}" for name, message in waiting.items()))
    return _end(step, snapshot, waiting)


def _reversed(step: Step) -> tuple[str, ...]:
    """Return the components that may have been stamped, the last one first."""
    return tuple(name for name in reversed(step.plan.components) if name in step.progress.started_at)


def _restore_next(step: Step) -> Operation | None:
    """Give one component its previous stamp; one that refuses does not keep the others from getting theirs."""
    refusals: list[PackageManagerError] = []
    target = step.world.target
    for component in _reversed(step):
        previous = step.progress.stamps[component]
        try:
            stamp = target.stamp(component)
            if stamp.revision != step.revision:
                continue  # never stamped, restored already, or stamped by another hand: theirs
            step.lease.require()
            target.restore(component, previous, stamp.version)
        except PackageManagerError as error:
            refusals.append(error)
            continue
        named = "its image alone" if previous is None else f"revision {previous}"
        progress = dataclasses.replace(step.progress, waiting_since=step.now)
        restored = step.event(Kind.RESTORED, component=component, stamp=named)
        return step.stay(f"taking {component} back", restored, progress=progress)
    if refusals:
        raise refusals[0]
    return None


def _not_back(step: Step, snapshot: StoreSnapshot) -> dict[str, str]:
    """Return component → message of those that are not Current on their previous lock."""
    waiting = {}
    for component in _reversed(step):
        previous = step.progress.stamps[component]
        if step.world.target.stamp(component).revision != previous:
            continue
        found = step.world.target.observe(component, _digest(snapshot, previous))
        if found.status is not Status.CURRENT:
            waiting[component] = found.message
    return waiting


def _digest(snapshot: StoreSnapshot, revision: int | None) -> str | None:
    """Return the digest of a previous lock; None leaves it to the stamp."""
    if revision is None or revision not in snapshot.locks:
        return None
    try:
        return locks.parse(snapshot.locks[revision]).digest()
    except locks.InvalidLock:
        return None


def _end(step: Step, snapshot: StoreSnapshot, waiting: Mapping[str, str]) -> Operation:
    foreign = [name for name in _reversed(step) if step.world.target.stamp(name).revision != step.progress.stamps[name]]
    carried = any(step.world.target.stamp(name).revision == step.revision for name in foreign)
    if step.revision in snapshot.locks and not carried:
        step.write(snapshot, StoreChanges(delete_locks=frozenset({step.revision})))
        return step.stay("removing the lock", step.event(Kind.UNSTAGED))
    problem = _unfinished(step, waiting, foreign)
    if problem is None and snapshot.text != step.plan.base_text:
        problem = reason(
            "edited-meanwhile",
            "Every component is on its previous packages; the requirements were edited by"
            f" {snapshot.manager or 'somebody else'} and stay so.",
            manager=snapshot.manager,
            difference=text_difference(step.plan.base_text, snapshot.text),
        )
    if problem is not None:
        return step.fail({**problem, "because": step.progress.reason})
    return step.to(
        State.ROLLED_BACK, step.event(Kind.ROLLED_BACK, state=State.ROLLED_BACK), problem=step.progress.reason
    )


def _unfinished(step: Step, waiting: Mapping[str, str], foreign: list[str]) -> dict[str, Any] | None:
    """Return what a person must see to, None when every component is back."""
    if waiting:
        return reason(
            "rollback-incomplete",
            "These components were told to go back and are not ready: "
            + ", ".join(f"{name} ({message})" for name, message in waiting.items()),
            components=list(waiting),
            commands=step.commands(waiting),
        )
    if foreign:
        return reason(
            "component-restamped",
            f"Somebody else restarted {', '.join(foreign)} meanwhile, so they were left as they are.",
            components=foreign,
            commands=step.commands(foreign),
        )
    return None
