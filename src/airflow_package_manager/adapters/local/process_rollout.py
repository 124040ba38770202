"""Components as supervised processes that share the single-machine directory: stamps out, reports in."""

from __future__ import annotations

import contextlib
import shlex
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence

from airflow_package_manager.adapters.local import verdicts
from airflow_package_manager.adapters.local.preflight import LocalPreflight
from airflow_package_manager.domain import lock as locks
from airflow_package_manager.domain.report import InstanceReport
from airflow_package_manager.domain.rollout import ComponentStatus, Instance, PreflightStatus, Stamp
from airflow_package_manager.errors import ClusterUnavailable, StampConflict
from airflow_package_manager.installer import child_record, processes, site_choice
from airflow_package_manager.installer.directory import Directory
from airflow_package_manager.refusals import NoComponents

SILENT_SECONDS = 15.0
"""After five missed beats a supervisor no longer reports."""


class ProcessRollout:
    """Implements `ports.RolloutTarget`; a component is there when an instance of it reports."""

    def __init__(
        self,
        directory: Directory,
        *,
        clock: Callable[[], float],
        named: Sequence[str] = (),
        preflight_timeout: float,
        install_timeout: float,
        silent: float = SILENT_SECONDS,
    ) -> None:
        """Take the components that the settings name (none: all that are there) and times in seconds."""
        self._directory = directory
        self._clock = clock
        self._named = tuple(named)
        self._silent = silent
        self._preflight = LocalPreflight(directory, timeout=preflight_timeout, install_timeout=install_timeout)

    def components(self) -> tuple[str, ...]:
        """Return the named components, or all that have a report."""
        with _translated():
            there = [name for name in self._directory.component_names() if self._directory.report_paths(name)]
        absent = [name for name in self._named if name not in there]
        if absent:
            raise NoComponents(
                f"No instance of {', '.join(absent)} reports in {self._directory.components}.", components=absent
            )
        return self._named or tuple(there)

    def stamp(self, component: str) -> Stamp:
        """Return the revision that the component was told to use."""
        with _translated():
            self._require(component)
            found = self._directory.read_stamp(component)
        return Stamp(found.revision, str(found.counter))

    def check_restart(self, component: str) -> None:
        """See whether a stamp could be written here."""
        with _translated():
            self._require(component)
            self._directory.read_stamp(component)
            self._directory.prepare()
            for folder in (self._directory.tmp, self._directory.component(component)):
                with tempfile.TemporaryFile(dir=folder):
                    pass  # being able to is all

    def restart(self, component: str, revision: int, expected: str) -> None:
        """Stamp the component with the revision."""
        self._write(component, revision, expected)

    def restore(self, component: str, stamp: int | None, expected: str) -> None:
        """Give the component its previous stamp."""
        self._write(component, stamp, expected)

    def by_hand(self, component: str, stamp: int | None) -> str:
        """Return a command that writes the stamp as its supervisor reads it."""
        with _translated():
            self._require(component)
            counter = self._directory.read_stamp(component).counter + 1
        line = f"{'-' if stamp is None else stamp} {counter}"
        return f"echo '{line}' > {shlex.quote(str(self._directory.stamp_path(component)))}"

    def observe(self, component: str, wanted: str | None) -> ComponentStatus:
        """Return how its instances stand, as they report it."""
        with _translated():
            self._require(component)
            found = self._directory.read_stamp(component)
            stamp = found.revision
            digest = self._digest(stamp) if wanted is None else wanted
            later = self._directory.read_current() if wanted is None and found.counter == 0 else None
            rows: list[tuple[Instance, bool]] = []
            for path in self._directory.report_paths(component):
                report = self._directory.read_report(path)
                if report is None:
                    if path.exists() or path.is_symlink():  # else it was removed while we looked
                        rows.append((verdicts.unreadable(path.stem), False))
                    continue
                alive = self._is_alive(report)
                verdict = verdicts.judge(report, stamp=stamp, wanted=digest, alive=alive, at_next_start=later)
                rows.append((verdicts.instance(path.stem, report, verdict, alive=alive), verdict.final))
        return verdicts.component_status(component, rows)

    def discard_stuck(self, component: str) -> None:
        """Do nothing: a supervisor replaces its child by itself."""

    def check_preflight(self) -> None:
        """Do nothing: the check is a process of this machine, and whether it can be written here is known."""

    def start_preflight(self, revision: int, directs: Sequence[str]) -> None:
        """Start the throw-away check of a staged lock."""
        with _translated():
            self._preflight.start(revision, directs)

    def observe_preflight(self, revision: int) -> PreflightStatus:
        """Return how the check stands."""
        with _translated():
            return self._preflight.observe(revision)

    def end_preflight(self, revision: int) -> None:
        """End the check and remove all it left."""
        with _translated():
            self._preflight.end(revision)

    def _require(self, component: str) -> None:
        if not self._directory.component(component).is_dir():
            raise NoComponents(f"No instance of {component} was ever started here.", components=[component])

    def _write(self, component: str, revision: int | None, expected: str) -> None:
        with _translated():
            self._require(component)
            found = self._directory.read_stamp(component)
            if str(found.counter) != expected:
                raise StampConflict(f"{component} was stamped by somebody else meanwhile.", component=component)
            if found.revision != revision:
                self._directory.write_stamp(component, revision, found.counter)

    def _digest(self, stamp: int | None) -> str | None:
        directory = self._directory
        revision = site_choice.wanted_revision(stamp, directory.read_current(), directory.revisions())
        text = None if revision is None else directory.read_lock(revision)
        return None if text is None else locks.parse(text).digest()

    def _is_alive(self, report: InstanceReport) -> bool:
        if self._clock() - report.beat_at > self._silent:
            return False
        path = child_record.record_path(self._directory, report.component, report.host, report.pid)
        record = child_record.read_record(path)
        if record is None or record.world != processes.world():
            return True  # cannot be looked at from here: its beat speaks for it
        return processes.is_alive(record.supervisor)


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise ClusterUnavailable(
            f"The components cannot be observed or restarted: {error}.",
            next_action="Check the directory's owner and free space; 'airflow-package-manager doctor' helps.",
        ) from error
