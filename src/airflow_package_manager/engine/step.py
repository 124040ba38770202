"""What one step of the engine has at hand: the ports, the operation, the lease, and the one way to save."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from airflow_package_manager.domain.events import Kind, event
from airflow_package_manager.domain.operation import TERMINAL, Event, Operation, Progress, State, require_transition
from airflow_package_manager.domain.plan import Plan, StoreSnapshot
from airflow_package_manager.domain.policy import Policy
from airflow_package_manager.errors import PackageManagerError
from airflow_package_manager.ports import (
    AirflowFacts,
    Clock,
    InstalledDistributions,
    OperationRepository,
    RequirementStore,
    RolloutTarget,
    StoreChanges,
)
from airflow_package_manager.refusals import NoComponents

_log = logging.getLogger(__name__)


class LeaseLost(Exception):
    """Another driver has the operation: stop, silently, and touch nothing more."""


class Lease(Protocol):
    """The right to act on an operation."""

    @property
    def holder(self) -> str:
        """Who has it."""
        ...

    def require(self) -> None:
        """Renew it; raises `LeaseLost` when it is not ours any more."""
        ...


@dataclass(frozen=True)
class Patience:
    """How long each wait may last, in seconds; then it goes back."""

    preflight: float
    """The check before the rollout, starting and installing included."""
    component: float
    """One component, from being told to restart to being ready: stopping and soak included."""
    heartbeat: float
    """Airflow's own sign of life after that; then the words "not verified"."""
    parsing: float = 30.0
    """Since the last component is ready, until Airflow has parsed every DAG file again; then "not verified"."""


@dataclass(frozen=True)
class World:
    """Everything that the engine looks at and acts on."""

    store: RequirementStore
    target: RolloutTarget
    installed: InstalledDistributions
    repository: OperationRepository
    facts: AirflowFacts
    policy: Policy
    clock: Clock
    patience: Patience


class Step:
    """One call of `Engine.advance`."""

    def __init__(self, world: World, operation: Operation, lease: Lease) -> None:
        self.world = world
        self.operation = operation
        self.lease = lease
        self.now = world.clock()

    @property
    def plan(self) -> Plan:
        """The accepted plan."""
        if self.operation.plan is None:
            raise AssertionError("an accepted operation has a plan")
        return self.operation.plan

    @property
    def revision(self) -> int:
        """The number that the accepting UPDATE allocated."""
        if self.operation.revision is None:
            raise AssertionError("an accepted operation has a revision")
        return self.operation.revision

    @property
    def progress(self) -> Progress:
        """What earlier steps remember."""
        return self.operation.progress

    def act(self, mutation: Callable[[], object]) -> None:
        """Do the one mutation of this step, after looking that the lease is still ours."""
        self.lease.require()
        mutation()

    def write(self, snapshot: StoreSnapshot, changes: StoreChanges) -> None:
        """Write the store on condition that it is as `snapshot` read it."""
        self.act(lambda: self.world.store.write(changes, snapshot.version))

    def event(
        self,
        kind: Kind,
        *,
        state: State | None = None,
        component: str | None = None,
        **words: Any,  # noqa: ANN401  whatever the sentence names
    ) -> Event:
        """Return an event of this operation; the driver acts by itself, so it has no principal."""
        return event(kind, self.now, self.operation, state=state, component=component, revision=self.revision, **words)

    def stay(self, text: str, *events: Event, progress: Progress | None = None) -> Operation:
        """Save progress without leaving the state; nothing is written when nothing is new."""
        progress = progress or self.progress
        if not events and text == self.operation.step and progress == self.progress:
            return self.operation
        changed = dataclasses.replace(self.operation, step=text, progress=progress, updated_at=self.now)
        return self.world.repository.save(changed, events, holder=self.lease.holder)

    def to(
        self,
        state: State,
        *events: Event,
        text: str = "",
        progress: Progress | None = None,
        problem: Mapping[str, Any] | None = None,
    ) -> Operation:
        """Save the next state."""
        require_transition(self.operation.state, state)
        changed = dataclasses.replace(
            self.operation,
            state=state,
            step=text,
            progress=progress or self.progress,
            problem=problem,
            updated_at=self.now,
            ended_at=self.now if state in TERMINAL else None,
        )
        return self.world.repository.save(changed, events, holder=self.lease.holder)

    def go_back(self, reason: Mapping[str, Any]) -> Operation:
        """Enter ROLLING_BACK and remember why."""
        return self.to(
            State.ROLLING_BACK,
            self.event(Kind.ROLLING_BACK, state=State.ROLLING_BACK, detail=reason["detail"]),
            text="going back",
            progress=dataclasses.replace(self.progress, reason=reason, waiting_since=self.now),
        )

    def fail(self, problem: Mapping[str, Any]) -> Operation:
        """End as FAILED."""
        return self.to(
            State.FAILED,
            self.event(Kind.FAILED, state=State.FAILED, detail=problem["detail"]),
            problem=problem,
        )

    def succeed(self, *events: Event) -> Operation:
        """End as SUCCEEDED."""
        return self.to(State.SUCCEEDED, *events, self.event(Kind.SUCCEEDED, state=State.SUCCEEDED))

    def unneeded_locks(self, snapshot: StoreSnapshot) -> frozenset[int]:
        """Return the locks that nobody needs once this operation's is current: no component carries their revision.

        None while a named component is absent: nobody knows then what it carries.
        """
        target = self.world.target
        try:
            names = {*target.components(), *self.plan.components}
        except NoComponents:
            return frozenset()
        carried = {target.stamp(name).revision for name in names}
        return frozenset(snapshot.locks) - {self.revision} - carried

    def commands(self, components: Iterable[str]) -> list[str]:
        """Return what a person types to give each component its previous stamp, as far as the target can say."""
        found = []
        for component in components:
            try:
                found.append(self.world.target.by_hand(component, self.progress.stamps.get(component)))
            except PackageManagerError as error:
                _log.warning("How to bring %s back by hand is not known: %s", component, error.detail)
        return found
