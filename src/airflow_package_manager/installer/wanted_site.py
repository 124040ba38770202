"""What a component is told to use: watches its stamp and has the lock of that revision installed."""

from __future__ import annotations

import os
import time

from airflow_package_manager.domain import lock as locks
from airflow_package_manager.domain.report import FAILED, NO_SITE, InstallReport
from airflow_package_manager.installer import site_choice
from airflow_package_manager.installer.directory import Directory, StampFile
from airflow_package_manager.installer.installing import Installation, InstallCommand
from airflow_package_manager.installer.sweeping import SITE_VARIABLE


class WantedSite:
    """The stamp as last read, and the one installation that it asks for."""

    def __init__(
        self,
        directory: Directory,
        component: str,
        command: InstallCommand,
        *,
        timeout: float,
        retry: float,
        poll: float,
    ) -> None:
        """Take the times in seconds: bound of one installation, pause before another try, between two looks."""
        self._directory = directory
        self._component = component
        self._command = command
        self._timeout = timeout
        self._retry = retry
        self._poll = poll
        self._looked = float("-inf")
        self._seen: StampFile | None = None
        self._installation: Installation | None = None
        self._nothing = False
        self._retry_at: float | None = None
        self._message = ""

    @property
    def stamp(self) -> int | None:
        """The revision of the stamp as last read."""
        return None if self._seen is None else self._seen.revision

    def message(self) -> str:
        """Return what is being done or went wrong, for people; empty when all is well."""
        return self._message

    def look(self) -> bool:
        """Read the stamp when the time has come; tell whether it was written since (also with the same revision)."""
        if time.monotonic() - self._looked < self._poll:
            return False
        self._looked = time.monotonic()
        try:
            found = self._directory.read_stamp(self._component)
        except (OSError, ValueError) as error:
            self._message = f"the stamp cannot be read: {error}"
            return False
        if found == self._seen:
            return False
        self._seen = found
        return True

    def revision(self) -> int | None:
        """Return the revision whose lock is wanted now; raises `OSError`, `ValueError`."""
        directory = self._directory
        return site_choice.wanted_revision(self.stamp, directory.read_current(), directory.revisions())

    def in_flight(self) -> bool:
        """Tell whether the stamp's revision is still being rolled out; in doubt it is.

        A component that dies late, on a slow machine or while the next one restarts, must still be able to go back.
        """
        try:
            current = self._directory.read_current()
        except (OSError, ValueError):
            return True
        return self.stamp is not None and (current is None or self.stamp > current)

    def digest(self) -> str | None:
        """Return the lock digest that is wanted; None for none at all, and for a lock that cannot be read."""
        try:
            revision = self.revision()
            text = None if revision is None else self._directory.read_lock(revision)
            return None if text is None else locks.parse(text).digest()
        except (OSError, ValueError):  # the installer says why
            return None

    def begin(self) -> None:
        """Start installing what is wanted; whatever was being installed is given up."""
        self.forget()
        try:
            revision = self.revision()
        except (OSError, ValueError) as error:
            self._message = f"the directory cannot be read: {error}"
            self._retry_at = time.monotonic() + self._retry
            return
        if revision is None:
            self._nothing = True
            return
        self._message = f"installing revision {revision}"
        self._installation = Installation(
            self._command(self._directory.root, revision),
            {**os.environ, SITE_VARIABLE: "off"},
            revision=revision,
            timeout=self._timeout,
        )

    def answer(self) -> InstallReport | None:
        """Return the report of an installation that has just ended; starts the next try when its time has come."""
        if self._nothing:
            self._nothing = False
            return InstallReport(NO_SITE)
        if self._installation is None:
            if self._retry_at is not None and time.monotonic() >= self._retry_at:
                self.begin()
            return None
        report = self._installation.answer()
        if report is None:
            return None
        self._installation.kill()
        self._installation = None
        self._message = ""
        if report.outcome == FAILED:
            self._message = site_choice.install_failure(report)
            self._retry_at = time.monotonic() + self._retry if report.retryable else None
        return report

    def pids(self) -> tuple[int, ...]:
        """Return the process ids that it waits for itself."""
        return () if self._installation is None else (self._installation.pid,)

    def forget(self) -> None:
        """Give up what is being installed and what went wrong."""
        if self._installation is not None:
            self._installation.kill()
        self._installation = None
        self._nothing = False
        self._retry_at = None
        self._message = ""
