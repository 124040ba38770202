"""Who drives: takes the lease of an active operation, lets the engine step, adopts what a dead driver left.

No decision about packages. A lost lease means stop, silently: the other driver goes on.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from airflow_package_manager import unexpected
from airflow_package_manager.domain.operation import ACTIVE, TERMINAL, Operation, State
from airflow_package_manager.engine.advance import Engine
from airflow_package_manager.engine.step import LeaseLost
from airflow_package_manager.errors import PackageManagerError
from airflow_package_manager.ports import Clock, OperationRepository

LEASE_SECONDS = 15.0
BACK_OFF = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds before each further try of a step that met what may pass by itself; then it goes back."""
TRIES_OF_GOING_BACK = 20
"""About five minutes."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pace:
    """How long a driver waits for what, in seconds; tests give shorter ones."""

    lease: float = LEASE_SECONDS
    """A dead driver's operation is free for others after this."""
    renew: float = 5.0
    """Seconds of the lease that pass before it is renewed."""
    watch: float = 10.0
    """Between two looks for an orphaned operation."""
    poll: float = 1.0
    """Between two looks at what is being waited for."""
    back_off: tuple[float, ...] = BACK_OFF
    """Before each further try of a step that met what may pass by itself; the last one again and again."""


DEFAULT_PACE = Pace()


class HeldLease:
    """The lease of one operation in the hands of one run."""

    def __init__(
        self, repository: OperationRepository, clock: Clock, pace: Pace, operation_id: str, holder: str
    ) -> None:
        """Take what it needs to ask; nothing is held before `require`."""
        self._pace = pace
        self._repository = repository
        self._clock = clock
        self._operation_id = operation_id
        self._holder = holder
        self._renewed_at = float("-inf")

    @property
    def holder(self) -> str:
        """Unique per run: two runs of one process never share a lease."""
        return self._holder

    def require(self) -> None:
        """Take or renew it; raises `LeaseLost`."""
        now = self._clock()
        if not self._repository.claim(self._operation_id, self._holder, now=now, seconds=self._pace.lease):
            raise LeaseLost(self._operation_id)
        self._renewed_at = now

    def keep(self) -> None:
        """Renew it when a third of its life is over; raises `LeaseLost`."""
        if self._clock() >= self._renewed_at + self._pace.renew:
            self.require()


class Driver:
    """Drives operations to their end, one run per thread."""

    def __init__(
        self,
        *,
        repository: OperationRepository,
        engine: Engine,
        clock: Clock,
        name: str,
        sleep: Callable[[float], object] | None = None,
        pace: Pace = DEFAULT_PACE,
    ) -> None:
        """Take the ports; `name` says which process this is, for example ``host:pid``.

        `sleep` (seconds) replaces waiting on the `stop` of a run.
        """
        self._repository = repository
        self._engine = engine
        self._clock = clock
        self._name = name
        self._sleep = sleep
        self._pace = pace

    def run(self, operation_id: str, stop: threading.Event | None = None) -> Operation:
        """Drive the operation until it has ended, `stop` is set, or another driver has it; return it as it then is.

        Raises `NotFound`, and `DatabaseBusy` when not even the lease could be asked for.
        """
        holder = f"{self._name}:{uuid.uuid4().hex[:8]}"
        lease = HeldLease(self._repository, self._clock, self._pace, operation_id, holder)
        try:
            if self._repository.get(operation_id).state in ACTIVE:
                lease.require()
                self._drive(operation_id, lease, stop or threading.Event())
                self._repository.release(operation_id, lease.holder)
        except LeaseLost:
            _log.debug("Operation %s is driven by somebody else.", operation_id)
        return self._repository.get(operation_id)

    def adopt_orphan(self, stop: threading.Event | None = None) -> Operation | None:
        """Drive the active operation when no live lease holds it; return it as it then is, None when there is none."""
        found = self._repository.active()
        return None if found is None else self.run(found.id, stop)

    def watch(self, stop: threading.Event) -> None:
        """Look every few seconds for an active operation without a live lease, until `stop` is set."""
        while not stop.is_set():
            try:
                self.adopt_orphan(stop)
            except PackageManagerError as error:
                _log.warning("Looking for an operation to go on with failed: %s", error.detail)
            except Exception:  # noqa: BLE001  the watch outlives whatever one look met
                _log.exception("Looking for an operation to go on with failed.")
            stop.wait(self._pace.watch)

    def _drive(self, operation_id: str, lease: HeldLease, stop: threading.Event) -> None:
        sleep = self._sleep or stop.wait
        tries = 0
        hopeless: PackageManagerError | None = None
        operation: Operation | None = None
        while not stop.is_set():
            try:
                lease.keep()
                found = self._repository.get(operation_id)
                if operation is not None and found.version != operation.version:
                    tries, hopeless = 0, None  # it was saved and the answer lost, or asked to cancel: another step
                operation = found
                if operation.state in TERMINAL:
                    return
                if hopeless is None:
                    after = self._engine.advance(operation, lease)
                else:
                    after = self._engine.give_up(operation, hopeless, lease)
            except LeaseLost:
                raise
            except Exception as error:  # noqa: BLE001  whatever a step meets ends in a state, not in a dead thread
                tries += 1
                known = _known(operation_id, error)
                back_off = self._pace.back_off
                if not _worth_trying_again(operation, known, tries, len(back_off)):
                    hopeless = hopeless or known
                sleep(back_off[min(tries, len(back_off)) - 1])
                continue
            tries, hopeless = 0, None
            if _only_waits(operation, after):
                sleep(self._pace.poll)


def _only_waits(before: Operation, after: Operation) -> bool:
    """Tell whether there is nothing to do but to look again; one more instance that is current is nothing to do.

    With a thousand instances there is always one more, and looking again at once would ask the target without pause.
    """
    if after.state is not before.state:
        return False
    was, now = before.progress, after.progress
    if now.current > was.current:
        now = dataclasses.replace(now, current=was.current, waiting_since=was.waiting_since)
    return now == was


def _worth_trying_again(operation: Operation | None, error: PackageManagerError, tries: int, most: int) -> bool:
    """Tell whether the same step may pass later; going back is tried longest, whatever stands in its way."""
    if operation is not None and _goes_back(operation):
        return tries <= TRIES_OF_GOING_BACK
    return error.retryable and tries <= most


def _goes_back(operation: Operation) -> bool:
    """Tell whether what it has begun is being undone; before PREFLIGHT that needs no state of its own."""
    return operation.state is State.ROLLING_BACK or (
        operation.state is State.ACCEPTED and operation.progress.reason is not None
    )


def _known(operation_id: str, error: Exception) -> PackageManagerError:
    """Return the error as one of ours; the trace of an unexpected one goes to the log under a correlation id."""
    if isinstance(error, PackageManagerError):
        _log.warning("Operation %s met: %s", operation_id, error.detail)
        return error
    return unexpected.as_ours(error, f"A step of operation {operation_id}", _log)
