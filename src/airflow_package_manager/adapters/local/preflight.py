"""The throw-away check as a process of its own, which survives whoever started it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from airflow_package_manager.domain.rollout import PreflightStatus, Status
from airflow_package_manager.installer import child_record, preflight_record, processes
from airflow_package_manager.installer.child import launched
from airflow_package_manager.installer.child_record import ChildRecord
from airflow_package_manager.installer.directory import Directory
from airflow_package_manager.installer.sweeping import SITE_VARIABLE

_LAUNCH_SECONDS = 30.0
_END_PATIENCE = 5.0
_LOST = PreflightStatus(Status.NOT_FOUND, "the check was lost")


class LocalPreflight:
    """Starts, looks at, and ends the checks in `preflight/<revision>/`; raises `OSError`, `ValueError`."""

    def __init__(self, directory: Directory, *, timeout: float, install_timeout: float) -> None:
        """Take the bounds in seconds of the check itself and of the installation before it."""
        self._directory = directory
        self._timeout = timeout
        self._whole = timeout + install_timeout + 60

    def start(self, revision: int, directs: Sequence[str]) -> None:
        """Start it unless it runs or has ended with an answer."""
        directory = self._directory
        directory.prepare()
        with directory.locked():
            if self.observe(revision).status is not Status.NOT_FOUND:
                return
            folder = directory.preflight_of(revision)
            _remove(folder)
            folder.mkdir()
            own = processes.process(os.getpid())
            if own is not None:
                child_record.write_record(directory, folder / "process", own, processes.world())
            self._launch(folder, revision, directs)

    def observe(self, revision: int) -> PreflightStatus:
        """Return how it stands; a process that is gone without an answer was lost, as if never started."""
        folder = self._directory.preflight_of(revision)
        alive = self._may_live(folder / "process")  # first: an answer that comes after this look is not missed
        try:
            record = preflight_record.read(folder / "record.json")
        except ValueError:
            return _LOST
        if record is not None and record.status == preflight_record.PASSED:
            return PreflightStatus(Status.CURRENT, record.message, record.warnings)
        if record is not None and record.status == preflight_record.FAILED:
            if record.code == preflight_record.CHECK_LOST:
                return _LOST
            return PreflightStatus(Status.FAILED, record.message, record.warnings, record.code, record.detail)
        if not alive:
            return _LOST
        return PreflightStatus(Status.IN_PROGRESS, record.message if record is not None else "The check is starting.")

    def end(self, revision: int) -> None:
        """End it and remove all it left."""
        folder = self._directory.preflight_of(revision)
        record = child_record.read_record(folder / "process")
        if record is not None and record.child is not None and record.world == processes.world():
            below = processes.descendants(record.child.pid) if processes.is_alive(record.child) else ()
            processes.end_all([record.child], _END_PATIENCE)  # it ends its own child when told to
            processes.end_all(below, _END_PATIENCE)
        _remove(folder)

    def _launch(self, folder: Path, revision: int, directs: Sequence[str]) -> None:
        command = [
            *(sys.executable, "-m", "airflow_package_manager.installer.preflight_check"),
            *("--directory", str(self._directory.root), "--revision", str(revision)),
            *("--record", str(folder / "record.json"), "--timeout", f"{self._timeout:g}"),
            *(word for name in directs for word in ("--direct", name)),
        ]
        with (folder / "output").open("wb") as output:
            subprocess.run(
                launched(command, folder / "process", detached=True),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, SITE_VARIABLE: "off"},
                check=True,
                timeout=_LAUNCH_SECONDS,
            )

    def _may_live(self, path: Path) -> bool:
        record: ChildRecord | None = child_record.read_record(path)
        if record is None:
            return False
        if record.world != processes.world():  # another container's: only its time tells
            return time.time() - path.stat().st_mtime < self._whole
        if record.child is None:  # being launched, or its launch failed
            return time.time() - path.stat().st_mtime < _LAUNCH_SECONDS
        return processes.is_alive(record.child)


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
