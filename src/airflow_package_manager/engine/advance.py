"""One step of an active operation, and what becomes of a step that cannot be done."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from airflow_package_manager.domain.operation import Operation, State
from airflow_package_manager.domain.reasons import reason
from airflow_package_manager.engine.rollback import rolling_back
from airflow_package_manager.engine.rollout import rolling_out, verifying
from airflow_package_manager.engine.start import accepted, preflight
from airflow_package_manager.engine.step import Lease, Step, World
from airflow_package_manager.errors import PackageManagerError

_STEPS: Mapping[State, Callable[[Step], Operation]] = {
    State.ACCEPTED: accepted,
    State.PREFLIGHT: preflight,
    State.ROLLING_OUT: rolling_out,
    State.VERIFYING: verifying,
    State.ROLLING_BACK: rolling_back,
}


class Engine:
    """Moves an active operation on."""

    def __init__(self, world: World) -> None:
        """Take everything that it looks at and acts on."""
        self._world = world

    def advance(self, operation: Operation, lease: Lease) -> Operation:
        """Do the next step and return the operation as saved; the same value means that there is something to wait for.

        Raises `LeaseLost`, and whatever the ports raise: nothing was half done, and the same step may be tried again.
        """
        return _STEPS[operation.state](Step(self._world, operation, lease))

    def give_up(self, operation: Operation, error: PackageManagerError, lease: Lease) -> Operation:
        """Turn away from a step that cannot be done: back when something may have changed, else FAILED."""
        step = Step(self._world, operation, lease)
        problem = error.as_problem()
        if operation.state is State.ACCEPTED and step.progress.reason is None:
            return step.stay("giving up", progress=dataclasses.replace(step.progress, reason=problem))
        if operation.state in {State.PREFLIGHT, State.ROLLING_OUT, State.VERIFYING}:
            return step.go_back(problem)
        if operation.state is State.ROLLING_BACK:
            problem = reason(
                "rollback-incomplete",
                f"Going back met what does not pass: {error.detail}",
                cause=problem,
                components=list(step.progress.started_at),
                commands=step.commands(step.progress.started_at),
                because=step.progress.reason,
            )
        return step.fail(problem)
