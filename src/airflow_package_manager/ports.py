"""The doors to the world, as protocols.

Each has one contract test suite that runs on the fake and on every real adapter. An adapter raises only members of
`errors`; it translates its library's exceptions at this border and keeps the cause.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from airflow_package_manager.domain.access import Identity
from airflow_package_manager.domain.facts import Heartbeat, ImportFailure
from airflow_package_manager.domain.operation import Event, Operation, State
from airflow_package_manager.domain.plan import StoreSnapshot
from airflow_package_manager.domain.removal import Remnant
from airflow_package_manager.domain.resolution import (
    Image,
    InstalledDistribution,
    Project,
    Resolution,
    ResolutionRequest,
    Wheel,
    WheelMetadata,
)
from airflow_package_manager.domain.rollout import ComponentStatus, PreflightStatus, Stamp

Clock = Callable[[], float]
"""Unix seconds, now."""


@dataclass(frozen=True)
class StoreChanges:
    """What one write changes, either the text or locks and `current`; whatever is not named stays."""

    text: str | None = None
    put_locks: Mapping[int, str] = field(default_factory=dict)
    delete_locks: frozenset[int] = frozenset()
    current: int | None = None
    """The new `current`; None leaves it."""


class RequirementStore(Protocol):
    """Where requirements and locks live."""

    def read(self) -> StoreSnapshot:
        """Return everything; an absent text is an empty one. Raises `StoreUnavailable`."""
        ...

    def check_write(self) -> None:
        """Raise what any write would meet for want of a permission, before there is one."""
        ...

    def write(self, changes: StoreChanges, expected_version: str) -> StoreSnapshot:
        """Write all or nothing; raises `StoreConflict`, `StoreTooLarge`, `StoreUnavailable`, `ValueError` for both."""
        ...


class RolloutTarget(Protocol):
    """What runs Airflow's components and can restart them."""

    def components(self) -> tuple[str, ...]:
        """Return the components that are there, in any order; raises `NoComponents` for a named but absent one."""
        ...

    def stamp(self, component: str) -> Stamp:
        """Return the revision that the component was told to use."""
        ...

    def check_restart(self, component: str) -> None:
        """Try the stamp as a dry run; raises what `restart` would."""
        ...

    def restart(self, component: str, revision: int, expected: str) -> None:
        """Stamp the component with the revision; the same revision again is a no-op. Raises `StampConflict`."""
        ...

    def restore(self, component: str, stamp: int | None, expected: str) -> None:
        """Give the component a previous stamp exactly, None included; raises `StampConflict`."""
        ...

    def by_hand(self, component: str, stamp: int | None) -> str:
        """Return the exact command with which a person gives the component that stamp; touches nothing."""
        ...

    def observe(self, component: str, wanted: str | None) -> ComponentStatus:
        """Return how the component stands against the wanted lock digest (None: whatever its stamp says)."""
        ...

    def discard_stuck(self, component: str) -> None:
        """Remove instances of the failed revision that cannot heal by themselves, where the target has such."""
        ...

    def check_preflight(self) -> None:
        """Try to start the check as a dry run; raises what `start_preflight` would."""
        ...

    def start_preflight(self, revision: int, directs: Sequence[str]) -> None:
        """Start the throw-away check of a staged lock; a second start is harmless.

        `directs` are the normalised names whose packages must import; others of the lock only warn.
        """
        ...

    def observe_preflight(self, revision: int) -> PreflightStatus:
        """Return how the check stands."""
        ...

    def end_preflight(self, revision: int) -> None:
        """Remove the check and all it left; harmless when there is none."""
        ...


class Remains(Protocol):
    """What a target keeps of ours beside the stamps; raises `StoreConflict`, `StoreUnavailable`."""

    def find(self, *, text: bool) -> tuple[Remnant, ...]:
        """Return what is there, in the order of its removal; with `text` the requirements of people too."""
        ...

    def remove(self, remnant: Remnant) -> str:
        """Remove it, unless somebody changed it since; return what was done, for people."""
        ...


class InstalledDistributions(Protocol):
    """What the interpreter that plans has, and what the sites beside it hold."""

    def image(self) -> Image:
        """Return the image."""
        ...

    def site(self, digest: str) -> Mapping[str, InstalledDistribution]:
        """Return what the site of a lock digest holds, by normalised name; nothing where that site is not complete."""
        ...


class Resolver(Protocol):
    """Works out a set of versions that fits."""

    def resolve(
        self, request: ResolutionRequest, step: Callable[[str], None], cancelled: Callable[[], bool]
    ) -> Resolution:
        """Return the pins.

        `step` hears what is being done. `cancelled` is asked several times a second; once true, the running child is
        killed and `PlanAbandoned` raised. Otherwise raises `ResolutionImpossible`, `UnknownProject`,
        `UnknownVersion`, `NoWheel`, `IndexRefused`, `IndexUnavailable`, or `ResolverTimeout`.
        """
        ...


class PackageIndex(Protocol):
    """The index's metadata."""

    def project(self, name: str) -> Project:
        """Return all releases; raises `UnknownProject`, `IndexRefused`, `IndexUnavailable`."""
        ...


class WheelSource(Protocol):
    """The files behind the index's metadata, for who writes a lock."""

    def wheels(self, name: str, version: str) -> tuple[Wheel, ...]:
        """Return the wheels of a release that this Python and platform can install, the best first.

        Raises `UnknownProject`, `IndexRefused`, `IndexUnavailable`.
        """
        ...

    def metadata(self, name: str, version: str, hashes: Collection[str]) -> WheelMetadata | None:
        """Return what the best wheel with one of these SHA-256 says of itself, None when it cannot be read."""
        ...


class AirflowFacts(Protocol):
    """What Airflow's own database knows and we show or verify with."""

    def heartbeats(self, component: str, instances: int) -> tuple[Heartbeat, ...] | None:
        """Return its running jobs, waiting for at most `instances`; None where no heartbeat is kept or can be asked."""
        ...

    def import_errors(self) -> tuple[ImportFailure, ...]:
        """Return the DAG files that cannot be imported now."""
        ...

    def unparsed_files(self, since: float) -> int:
        """Return how many DAG files Airflow has not looked at since then (Unix seconds), though it knows them."""
        ...

    def running_tasks(self) -> int:
        """Return how many task instances run now."""
        ...


class OperationRepository(Protocol):
    """Operations and events, in one database, each call one short transaction.

    Every method that changes an operation writes its events in the same transaction; events get their sequence
    under the operation's row. Raises `DatabaseBusy` when the database does not answer in time.
    """

    def add(
        self, operation: Operation, events: Sequence[Event], *, per_principal: int, in_all: int, since: float
    ) -> None:
        """Insert a PLANNING operation; raises `TooManyPlans` when the principal, or all, plan too many already.

        Only PLANNING rows created after `since` (Unix seconds) count: older ones are abandoned.
        """
        ...

    def get(self, operation_id: str) -> Operation:
        """Return it; raises `NotFound`."""
        ...

    def accept(
        self,
        operation_id: str,
        *,
        token_hash: str,
        owner: Identity,
        digest: str,
        now: float,
        at_least: int,
        event: Event,
    ) -> Operation:
        """Use the token up, take the only active slot and allocate the revision, by one conditional UPDATE.

        The revision is one more than the larger of `at_least` and the highest ever given. Raises
        `OperationInProgress` (token unspent), `TokenInvalid`, `TokenUsed`, `TokenExpired`, `StalePlan` (another
        digest than the plan's), `IllegalTransition`.
        """
        ...

    def save(self, operation: Operation, events: Sequence[Event], *, holder: str | None = None) -> Operation:
        """Write the row on condition of its `version` (and of a live lease of `holder`, when given).

        Returns it with the next version; raises `StoreConflict` when somebody else wrote or holds it.
        `cancel_requested`, holder and lease are never written by it. A terminal state frees the active slot.
        """
        ...

    def request_cancel(self, operation_id: str, event: Event) -> Operation:
        """Set the column that the engine reads; a PLANNED operation is CANCELLED at once.

        Raises `IllegalTransition` when its state allows no cancel, `NotFound`.
        """
        ...

    def claim(self, operation_id: str, holder: str, *, now: float, seconds: float) -> bool:
        """Take or renew the lease when it is free, expired or ours; tell whether we hold it."""
        ...

    def release(self, operation_id: str, holder: str) -> None:
        """Give the lease up; harmless when it is not ours."""
        ...

    def active(self) -> Operation | None:
        """Return the operation that holds the only active slot."""
        ...

    def history(
        self, *, before: str | None = None, limit: int = 50, state: State | None = None
    ) -> tuple[tuple[Operation, ...], str | None]:
        """Return operations newest first, and the cursor of the next page."""
        ...

    def revisions(self) -> tuple[Operation, ...]:
        """Return the SUCCEEDED operations that have a revision, newest first (revision 0 included)."""
        ...

    def revision(self, number: int) -> Operation:
        """Return the operation that was accepted as this revision; raises `NotFound`."""
        ...

    def highest_revision(self) -> int:
        """Return the highest revision ever allocated, 0 when none."""
        ...

    def adopt_text(self, operation: Operation, event: Event) -> bool:
        """Insert the text found before the first accepted operation as revision 0, once; tell whether this call did."""
        ...


class EventLog(Protocol):
    """The audit record: append-only, outlives the operation rows."""

    def append(self, event: Event) -> None:
        """Record an event that belongs to no operation (refusals), or to one whose row does not change."""
        ...

    def of_operation(self, operation_id: str, *, after: int, limit: int) -> tuple[Event, ...]:
        """Return events with a sequence greater than `after`, in order."""
        ...

    def all(self, *, before: int | None, limit: int) -> tuple[tuple[Event, ...], int | None]:
        """Return events newest first, and the cursor of the next page."""
        ...
