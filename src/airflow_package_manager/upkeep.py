"""The use cases that look after the installation itself: mending its locks, and taking it off the target."""

from __future__ import annotations

from typing import Any

from airflow_package_manager.domain import repair
from airflow_package_manager.domain.access import Permission, Principal
from airflow_package_manager.domain.events import Kind, event
from airflow_package_manager.domain.removal import Removed, Unsettled
from airflow_package_manager.domain.repair import Repair
from airflow_package_manager.domain.rollout import Status
from airflow_package_manager.errors import InvalidSetting, OperationInProgress
from airflow_package_manager.ports import Remains, StoreChanges
from airflow_package_manager.reading import Reading


class Upkeep(Reading):
    """What may be mended and removed. `manager.PackageManager` adds what may be changed."""

    def __init__(self, *, remains: Remains | None, **ports: Any) -> None:  # noqa: ANN401  those of `Reading`
        """Take the ports; see `manager.PackageManager`. Without `remains` the target has nothing to take back."""
        super().__init__(**ports)
        self._remains = remains

    def repair(self, principal: Principal) -> Repair:
        """Write locks and `current` back from the record where the store lost or tore them; return what was written.

        Restarts nothing. Raises `OperationInProgress`, `StoreConflict`, `StoreUnavailable`, `StoreTooLarge`.
        """
        with self._recording(principal, "repair the locks"):
            principal.require(Permission.APPLY)
            self._require_idle("What is missing may be on its way.")
            snapshot = self._store.read()
            stamps = [self._target.stamp(name).revision for name in self._present()]
            found = repair.needed(snapshot, self._repository.revisions(), stamps)
            if found.is_needed():
                self._store.write(StoreChanges(put_locks=found.locks, current=found.current), snapshot.version)
                self._events.append(
                    event(
                        Kind.LOCKS_REPAIRED,
                        self._clock(),
                        identity=principal.identity,
                        address=principal.address,
                        details={"revisions": sorted(found.locks), "current": found.current},
                        what=str(found),
                    )
                )
            return found

    def remnants(self, principal: Principal, *, text: bool) -> tuple[str, ...]:
        """Return what `uninstall` would remove, in words and in its order, after trying it as a dry run.

        With `text` the requirements of people too. Raises `OperationInProgress`, `InvalidSetting` (a target that has
        nothing to take back), and what a restart of each component would meet.
        """
        with self._recording(principal, "uninstall"):
            principal.require(Permission.APPLY)
            remains = self._require_remains()
            self._require_idle("It needs what would be removed.")
            stamped = self._stamped()
            for name, _, _ in stamped:
                self._target.check_restart(name)
            return (
                *(_stamp(name, stamp) for name, stamp, _ in stamped),
                *(one.what for one in remains.find(text=text)),
            )

    def uninstall(self, principal: Principal, *, text: bool) -> Removed | Unsettled | None:
        """Remove one thing: the stamp of one component after another, then what is left; None: nothing is left.

        Each waits until the components before it have restarted: a failure takes one down, and no more. At most one
        change per call, each refused while an operation is active, so it may die anywhere and be called again. Raises
        `OperationInProgress`, `InvalidSetting`, `StampConflict`, `StoreConflict`, `StoreUnavailable`.
        """
        with self._recording(principal, "uninstall"):
            principal.require(Permission.APPLY)
            remains = self._require_remains()
            self._require_idle("It needs what would be removed.")
            stamped, left = self._stamped(), remains.find(text=text)
            if not stamped and not left:
                return None
            waits = self._unsettled(frozenset(name for name, _, _ in stamped))
            if waits is not None:
                return waits
            if not stamped:
                return self._removed(principal, remains.remove(left[0]), None)
            name, stamp, version = stamped[0]
            self._target.restore(name, None, version)
            return self._removed(principal, _stamp(name, stamp), name)

    # --- how -----------------------------------------------------------------------------------------------------

    def _stamped(self) -> list[tuple[str, int, str]]:
        """Return component, stamp and version of what carries a stamp."""
        stamps = ((name, self._target.stamp(name)) for name in self._target.components())
        return [(name, stamp.revision, stamp.version) for name, stamp in stamps if stamp.revision is not None]

    def _unsettled(self, stamped: frozenset[str]) -> Unsettled | None:
        """Return a component without a stamp whose instances have not all restarted, one that failed first."""
        names = (name for name in self._target.components() if name not in stamped)
        seen = [(name, self._target.observe(name, None)) for name in names]
        for wrong in ({Status.FAILED}, set(Status) - {Status.CURRENT}):
            for name, found in seen:
                if found.status in wrong:
                    return Unsettled(name, found.message, found.status is Status.FAILED)
        return None

    def _removed(self, principal: Principal, what: str, component: str | None) -> Removed:
        self._events.append(
            event(
                Kind.TAKEN_BACK,
                self._clock(),
                identity=principal.identity,
                address=principal.address,
                component=component,
                what=what,
            )
        )
        return Removed(what)

    def _require_remains(self) -> Remains:
        if self._remains is None:
            raise InvalidSetting(
                "The target is this machine: there are no stamps and locks in a cluster.",
                next_action="Run it where the settings name the cluster (target, kubeconfig); docs/install.md says what"
                " a machine keeps.",
                setting="target",
                allowed="kubernetes",
            )
        return self._remains

    def _require_idle(self, why: str) -> None:
        active = self._repository.active()
        if active is not None:
            raise OperationInProgress(
                f"{active.owner.name} is applying: {active.summary}. {why}",
                operation=active.id,
                summary=active.summary,
            )


def _stamp(component: str, stamp: int) -> str:
    return f"stamp {stamp} of {component}"
