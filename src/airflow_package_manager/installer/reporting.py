"""The supervisor's report file: kept up to date by a beat, never a reason to fail."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable
from typing import Any

from airflow_package_manager.domain.report import STARTING, InstanceReport
from airflow_package_manager.installer import image
from airflow_package_manager.installer.directory import Directory


class Reporter:
    """Holds the report and writes it at once when it changes, else every few seconds."""

    def __init__(self, directory: Directory, report: InstanceReport, beat: float, say: Callable[[str], None]) -> None:
        """Take the first report; nothing is written before `change` or `keep_up`."""
        self.report = report
        self._directory = directory
        self._beat = beat
        self._say = say
        self._written = float("-inf")
        self._problem = ""

    def change(self, **values: Any) -> None:  # noqa: ANN401 - the fields of InstanceReport
        """Replace fields and write, unless they are what they were."""
        changed = dataclasses.replace(self.report, **values)
        if changed != self.report or self._written == float("-inf"):
            self.report = changed
            self._write()

    def keep_up(self) -> bool:
        """Write when the beat is due; tell whether it was."""
        due = time.monotonic() - self._written >= self._beat
        if due:
            self._write()
        return due

    def remove(self) -> None:
        """Remove the file: this instance is no more."""
        report = self.report
        self._directory.report_path(report.component, report.host, report.pid).unlink(missing_ok=True)

    def _write(self) -> None:
        self._written = time.monotonic()
        self.report = dataclasses.replace(self.report, beat_at=time.time())
        try:
            self._directory.write_report(self.report)
            self._problem = ""
        except OSError as error:  # a full disk must not end a healthy component
            if str(error) != self._problem:
                self._say(f"the report cannot be written: {error}")
            self._problem = str(error)


def first_report(component: str, host: str) -> InstanceReport:
    """Return what a supervisor of this process says before it has done anything."""
    now = time.time()
    return InstanceReport(
        component=component,
        host=host,
        pid=os.getpid(),
        child_pid=None,
        state=STARTING,
        stamp=None,
        lock_digest=None,
        image=image.fingerprint(),
        python=image.python_tag(),
        platform=image.platform_tag(),
        started_at=now,
        beat_at=now,
    )
