"""What the restarts of a change mean for tasks, by Airflow's executor: who waits for whom, and what new tasks see."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from airflow_package_manager.domain.components import SCHEDULER, WORKER


class SchedulerStop(Enum):
    """How a scheduler with running tasks of its own is stopped."""

    HANDOVER = "handover"
    """Its tasks go on without it (one machine)."""
    DRAIN = "drain"
    """It has `stop_timeout` to wait for them (one machine)."""
    POD = "pod"
    """It has the grace period of its pod."""


_STOPS = {
    SchedulerStop.HANDOVER: "those that run go on with the packages they began with, while a new scheduler starts",
    SchedulerStop.DRAIN: "those that run have stop_timeout to end, and nothing new is scheduled meanwhile",
    SchedulerStop.POD: "those that run have the grace period of its pod to end, and are retried as their DAGs say if"
    " that is too short",
}
_DRAINS = (
    "a worker that is told to stop takes no new task, and lets those that run end with the packages they began with,"
    " within its {limit}"
)
_POD = (
    "each task is a pod of its own, which no restart touches; one that starts before the change has succeeded still"
    " gets the packages of before"
)


def on_tasks(executors: Sequence[str], components: Sequence[str], stop: SchedulerStop) -> tuple[str, ...]:
    """Return a sentence for each executor, by its class name, whose tasks the restart of `components` concerns."""
    if not components:
        return ()
    found = (_sentence(name, components, stop) for name in executors)
    return tuple(sentence for sentence in found if sentence is not None)


def _sentence(name: str, components: Sequence[str], stop: SchedulerStop) -> str | None:
    limit = "grace period" if stop is SchedulerStop.POD else "stop_timeout"
    if name in {"LocalExecutor", "SequentialExecutor"}:
        told = f"its tasks are processes of the scheduler; {_STOPS[stop]}"
        return f"{name}: {told}." if SCHEDULER in components else None
    if name == "CeleryExecutor":
        return f"{name}: {_DRAINS.format(limit=limit)}." if WORKER in components else None
    if name == "KubernetesExecutor":
        return f"{name}: {_POD}."
    return f"{name}: what a restart means for its tasks is not known here."
