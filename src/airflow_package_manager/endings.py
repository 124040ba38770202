"""What is told when an operation that was accepted has ended: hooks, called after the commit.

A hook may fail without failing what was done; that it failed is an event itself. Told at most once: a process that
dies between the commit and the hook tells nobody.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from airflow_package_manager.domain.events import Kind, event
from airflow_package_manager.domain.operation import Operation, State
from airflow_package_manager.errors import PackageManagerError
from airflow_package_manager.ports import Clock, EventLog

log = logging.getLogger(__name__)

ENDS = frozenset({State.SUCCEEDED, State.ROLLED_BACK, State.FAILED})

Hook = Callable[[Operation], None]


class HookFailed(Exception):
    """A hook could not tell; its text is free of secrets and may be recorded."""


class Endings:
    """Calls every hook, one after another, and keeps going when one fails."""

    def __init__(self, hooks: Mapping[str, Hook], record: EventLog, clock: Clock) -> None:
        """Take the hooks by the name under which a failure is recorded, and the record (not mirrored) of failures."""
        self._hooks = hooks
        self._record = record
        self._clock = clock

    def of(self, operation: Operation) -> None:
        """Tell that it has ended, if it has; never raises."""
        if operation.state not in ENDS:
            return
        for name, hook in self._hooks.items():
            try:
                hook(operation)
            except HookFailed as error:
                log.warning("%s did not tell that operation %s has ended: %s", name, operation.id, error)
                self._remember(name, operation, str(error))
            except Exception as error:
                log.exception("%s did not tell that operation %s has ended", name, operation.id)
                self._remember(name, operation, type(error).__name__)

    def _remember(self, name: str, operation: Operation, error: str) -> None:
        failed = event(
            Kind.NOTICE_FAILED,
            self._clock(),
            details={"hook": name, "operation": operation.id, "error": error},
            hook=name,
            ended=operation.summary,
            error=error,
        )
        try:
            self._record.append(failed)
        except PackageManagerError:
            log.exception("That %s failed could not be recorded either", name)
