"""The use cases that only look: permission → read → put side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from airflow_package_manager.domain import lock as locks
from airflow_package_manager.domain.access import Identity, Permission, Principal
from airflow_package_manager.domain.events import Kind, event
from airflow_package_manager.domain.inventory import (
    Check,
    InstalledIn,
    Inventory,
    PackageDetail,
    PackageRow,
    Requirements,
    Source,
)
from airflow_package_manager.domain.inventory_rows import InventoryInputs, rows
from airflow_package_manager.domain.operation import Event, Operation, orphaned
from airflow_package_manager.domain.planning import edited_by_hand
from airflow_package_manager.domain.policy import Policy
from airflow_package_manager.domain.requirements import RequirementsFile, parse_requirement
from airflow_package_manager.domain.rollout import ComponentStatus, Stamp
from airflow_package_manager.errors import Forbidden, IndexRefused, IndexUnavailable, PackageManagerError
from airflow_package_manager.ports import (
    Clock,
    EventLog,
    InstalledDistributions,
    OperationRepository,
    PackageIndex,
    RequirementStore,
    RolloutTarget,
)
from airflow_package_manager.refusals import NoComponents, UnknownProject

_ABOUT_ACCESS = frozenset(
    {"not-authenticated", "forbidden", "cross-origin", "csrf-failed", "token-invalid", "token-used", "token-expired"}
)


class Reading:
    """What may be seen. `manager.PackageManager` adds what may be changed."""

    def __init__(
        self,
        *,
        store: RequirementStore,
        target: RolloutTarget,
        installed: InstalledDistributions,
        index: PackageIndex,
        repository: OperationRepository,
        events: EventLog,
        policy: Policy,
        clock: Clock,
        drive_soon: Callable[[str], None],
        checks: Callable[[], tuple[Check, ...]],
    ) -> None:
        """Take the ports; see `manager.PackageManager`."""
        self._store = store
        self._target = target
        self._installed = installed
        self._index = index
        self._repository = repository
        self._events = events
        self._policy = policy
        self._clock = clock
        self._drive_soon = drive_soon
        self._checks = checks

    def inventory(self, principal: Principal) -> Inventory:
        """Return requested, locked and installed of every project."""
        self._require_read(principal)
        return self._inventory()

    def package(self, principal: Principal, name: str) -> PackageDetail:
        """Return one project with its releases.

        Raises `InvalidRequirement`, and for a project that is nowhere here what the index says: `UnknownProject`,
        `IndexRefused`, `IndexUnavailable`.
        """
        self._require_read(principal)
        name = locks.normalised(parse_requirement(name, "name").name)
        inventory = self._inventory()
        row = next((row for row in inventory.rows if row.name == name), None)
        problem = None
        try:
            project = self._index.project(name)
        except (UnknownProject, IndexRefused, IndexUnavailable) as error:
            if row is None:
                raise
            project, problem = None, error.detail
        in_image = self._installed.image().distributions.get(name)
        requires = in_image.requires if in_image else ()
        return PackageDetail(row or _nowhere(name, inventory.components), requires, project, problem)

    def requirements(self, principal: Principal) -> Requirements:
        """Return the file as it is."""
        self._require_read(principal)
        snapshot = self._store.read()
        return Requirements(
            text=snapshot.text,
            digest=locks.text_digest(snapshot.text),
            edited_by_hand=edited_by_hand(snapshot, snapshot.usable_lock()),
            kept_lines=RequirementsFile.parse(snapshot.text).kept_lines(),
            manager=snapshot.manager,
        )

    def operation(self, principal: Principal, operation_id: str) -> Operation:
        """Return one operation, and have an orphaned one adopted; raises `NotFound`."""
        self._require_read(principal)
        return self._woken(self._repository.get(operation_id))

    def active(self, principal: Principal) -> Operation | None:
        """Return the operation that is being applied, and have an orphaned one adopted."""
        self._require_read(principal)
        found = self._repository.active()
        return None if found is None else self._woken(found)

    def history(
        self, principal: Principal, before: str | None = None, limit: int = 50
    ) -> tuple[tuple[Operation, ...], str | None]:
        """Return operations newest first, and the cursor of the next page."""
        self._require_read(principal)
        return self._repository.history(before=before, limit=limit)

    def events(self, principal: Principal, operation_id: str, after: int = 0, limit: int = 100) -> tuple[Event, ...]:
        """Return an operation's events with a sequence greater than `after`, in order; raises `NotFound`."""
        self._require_read(principal)
        self._woken(self._repository.get(operation_id))
        return self._events.of_operation(operation_id, after=after, limit=limit)

    def audit(
        self, principal: Principal, before: int | None = None, limit: int = 100
    ) -> tuple[tuple[Event, ...], int | None]:
        """Return the audit record newest first, and the cursor of the next page."""
        self._require_read(principal)
        return self._events.all(before=before, limit=limit)

    def revisions(self, principal: Principal) -> tuple[Operation, ...]:
        """Return what can be restored, newest first, revision 0 included."""
        self._require_read(principal)
        return self._repository.revisions()

    def revision(self, principal: Principal, number: int) -> Operation:
        """Return the operation that was accepted as this revision; raises `NotFound`."""
        self._require_read(principal)
        return self._repository.revision(number)

    def components(self, principal: Principal) -> tuple[tuple[Stamp, ComponentStatus], ...]:
        """Return every component with its stamp and how it stands against the lock that its stamp names."""
        self._require_read(principal)
        return tuple((self._target.stamp(name), self._target.observe(name, None)) for name in self._present())

    def health(self, principal: Principal) -> tuple[Check, ...]:
        """Return the checks of `doctor`."""
        self._require_read(principal)
        return self._checks()

    def record_refusal(
        self, identity: Identity | None, address: str | None, error: PackageManagerError, what: str
    ) -> None:
        """Put a refusal into the audit record, once per error; doors call it for what never reached a use case.

        `what` completes "Refused to …", for example ``open the page``.
        """
        self._record_refusal(identity, address, error, what, None)

    # --- how -------------------------------------------------------------------------------------------------

    def _inventory(self) -> Inventory:
        image, snapshot = self._installed.image(), self._store.read()
        lock = snapshot.usable_lock()
        return rows(
            InventoryInputs(
                snapshot=snapshot,
                image=image,
                statuses={name: self._target.observe(name, None) for name in self._present()},
                protected=self._policy.protected_in(image),
                known={} if lock is None else self._installed.site(lock.digest()),
            )
        )

    def _present(self) -> tuple[str, ...]:
        """Return the components that are there; whoever only looks is not refused for a named one that is absent."""
        try:
            return self._target.components()
        except NoComponents:
            return ()

    def _woken(self, operation: Operation) -> Operation:
        if orphaned(operation, self._clock()):
            self._drive_soon(operation.id)
        return operation

    def _require_read(self, principal: Principal) -> None:
        with self._recording(principal, "look", only=Forbidden):
            principal.require(Permission.READ)

    @contextmanager
    def _recording(
        self,
        principal: Principal,
        what: str,
        operation_id: str | None = None,
        *,
        only: type[PackageManagerError] = PackageManagerError,
    ) -> Iterator[None]:
        try:
            yield
        except only as error:
            self._record_refusal(principal.identity, principal.address, error, what, operation_id)
            raise

    def _record_refusal(
        self,
        identity: Identity | None,
        address: str | None,
        error: PackageManagerError,
        what: str,
        operation_id: str | None,
    ) -> None:
        if error.recorded:
            return
        error.recorded = True
        kind = Kind.ACCESS_REFUSED if error.code in _ABOUT_ACCESS else Kind.REQUEST_REFUSED
        refused = event(
            kind,
            self._clock(),
            identity=identity,
            address=address,
            details={"code": error.code, "what": what, "operation": operation_id},
            what=what,
            detail=error.detail,
        )
        self._events.append(refused)


def _nowhere(name: str, components: tuple[str, ...]) -> PackageRow:
    """Return the row of a project that only the index knows."""
    absent = tuple(InstalledIn(component, None, Source.ABSENT) for component in components)
    return PackageRow(name, "", None, None, None, absent, (), ())
