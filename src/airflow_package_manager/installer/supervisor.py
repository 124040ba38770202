"""The supervisor: one child, kept on the site of its stamp; installs before it stops, falls back by itself.

It is the one exception to the law that only the engine restarts anything: when a child ends or is not ready in time
on a site that is new to it, the supervisor starts it again on the last good site, leaves the stamp alone and says so,
because the broken component may be the one that runs the driver. A child that ends on a proven site ends the
supervisor with the same status: whoever started it (systemd, a container's restart policy, `standalone`) decides.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Sequence

from airflow_package_manager.domain import report as reports
from airflow_package_manager.domain.report import InstallReport
from airflow_package_manager.installer import child_record, processes, site_choice, sweeping
from airflow_package_manager.installer.arguments import askable, known_component
from airflow_package_manager.installer.child import Child
from airflow_package_manager.installer.directory import Directory, LastGood
from airflow_package_manager.installer.handed_over import HandedOver
from airflow_package_manager.installer.installing import InstallCommand, installer_command
from airflow_package_manager.installer.readiness import Readiness
from airflow_package_manager.installer.reporting import Reporter, first_report
from airflow_package_manager.installer.signals import Signals
from airflow_package_manager.installer.site_choice import Run
from airflow_package_manager.installer.task_patience import END_PATIENCE
from airflow_package_manager.installer.timing import Timing
from airflow_package_manager.installer.wanted_site import WantedSite
from airflow_package_manager.settings import Settings


def supervise(
    component: str,
    command: Sequence[str],
    settings: Settings,
    *,
    ready_url: str | None = None,
    timing: Timing | None = None,
    install_command: InstallCommand = installer_command,
) -> int:
    """Run the command under supervision until it ends or a signal asks to stop; return the exit status to end with.

    Must be called in the main thread of a process of its own: it takes signals over and adopts orphans. Raises
    `InvalidSetting` for a name or address that is none, and without /proc, `OSError` when the directory
    cannot be written.
    """
    known_component(component)
    processes.require_linux()
    return _Supervisor(
        component,
        command,
        settings,
        ready_url=askable(ready_url),
        timing=timing or Timing.of(settings),
        install_command=install_command,
    ).run()


class _Supervisor:
    """The one loop; every decision is made in `site_choice`."""

    def __init__(
        self,
        component: str,
        command: Sequence[str],
        settings: Settings,
        *,
        ready_url: str | None,
        timing: Timing,
        install_command: InstallCommand,
    ) -> None:
        self._component, self._command = component, tuple(command)
        self._ready_url = ready_url
        self._timing = timing
        self._hands_over = component == "scheduler" and settings.scheduler_restart == "handover"
        self._patience = timing.handover if self._hands_over else timing.stop_timeout
        self._handed_over = HandedOver(timing.beat, self._say)
        self._directory = Directory(settings.directory)
        self._host = socket.gethostname()
        self._signals = Signals()
        self._wanted = WantedSite(
            self._directory,
            component,
            install_command,
            timeout=timing.install_timeout,
            retry=timing.retry,
            poll=timing.poll,
        )
        self._record = child_record.record_path(self._directory, component, self._host, os.getpid())
        self._child: Child | None = None
        self._run = Run(None)
        self._installed: InstallReport | None = None  # how the site of the child came to be, as far as is known here
        self._sweeper = sweeping.Sweeper(self._directory, component, self._host, timing, self._say)
        self._reporter = Reporter(self._directory, first_report(component, self._host), timing.beat, self._say)

    def run(self) -> int:
        """Take over, live, leave."""
        self._directory.prepare()
        self._directory.component(self._component).mkdir(exist_ok=True)
        processes.adopt_orphans()
        with self._signals:
            try:
                return self._live()
            finally:
                self._leave()

    def _live(self) -> int:
        self._reporter.change(message="looking for what an earlier supervisor left")
        going_on = sweeping.end_orphans(
            *(self._directory, self._component, self._host),
            patience=self._patience,
            tasks_go_on=self._hands_over,
            waiting=self._tick,
            say=self._say,
        )
        self._handed_over.add(going_on)
        self._write_record()
        run = self._first_run()
        while run is not None:
            child = self._start(run)
            outcome = self._watch(child)
            if isinstance(outcome, int):
                return outcome
            run = outcome
        return 128 + (self._signals.stop or signal.SIGTERM)

    def _first_run(self) -> Run | None:
        """Return what to start on, None when asked to stop before that."""
        while True:
            if self._signals.stop is not None:
                return None
            if self._wanted.look():
                self._wanted.begin()
            report = self._wanted.answer()
            if report is not None:
                break
            self._reporter.change(stamp=self._wanted.stamp, message=self._wanted.message())
            self._wait()
        self._installed = report
        self._reporter.change(stamp=self._wanted.stamp, install=report)
        run = site_choice.first_run(report, self._wanted.digest(), self._directory.read_last_good(self._component))
        if run.digest is not None and not self._directory.site(run.digest).is_dir():
            return Run(None, fell_back=True, failed_digest=run.failed_digest, message=run.message)
        return run

    def _start(self, run: Run) -> Child:
        site = "off" if run.digest is None else str(self._directory.site(run.digest).absolute())
        self._write_record()
        again = self._child is not None
        environment = {**os.environ, **self._handed_over.told(), sweeping.SITE_VARIABLE: site}
        self._child = Child(self._command, environment, self._record)
        self._run = run
        self._say(f"started process {self._child.pid}, site: {site}")
        self._reporter.change(
            state=reports.FELL_BACK if run.fell_back else reports.STARTING,
            child_pid=self._child.pid,
            lock_digest=run.digest,
            failed_digest=run.failed_digest,
            started_at=self._child.started_at,
            restarts=self._reporter.report.restarts + again,
            message=run.message or "started, not ready yet",
        )
        return self._child

    def _watch(self, child: Child) -> Run | int:
        """Return what to start next on, or the status to end with; the child has ended then."""
        readiness = Readiness(self._ready_url, self._timing.soak, self._timing.probe)
        good = self._directory.read_last_good(self._component)
        proven, settled = good is not None and good.digest == self._run.digest, False
        try:
            while True:
                self._signals.take(child.send)
                if self._signals.stop is not None:
                    return self._stop(child)
                status = child.exit_status()
                if status is not None:
                    processes.end_all(child.leftovers(), END_PATIENCE, self._tick, self._say)
                    why = f"the child ended with status {status} after {readiness.age():.0f} s on its new site"
                    proven = proven or (settled and not self._wanted.in_flight())
                    return self._after_failure(why, proven=proven) or status
                ready = readiness.is_ready()
                settled = settled or (ready and readiness.has_soaked() and not self._run.fell_back)
                if settled and not proven and not self._wanted.in_flight():
                    proven = True
                    self._remember_good(LastGood(self._run.digest))
                if not ready and readiness.age() > self._timing.ready_timeout:
                    why = f"the child was not ready within {self._timing.ready_timeout:.0f} s on its new site"
                    back = self._after_failure(why, proven=proven)
                    if back is not None:
                        self._end(child)
                        return back
                following = self._follow(ready=ready)
                if following is not None:
                    self._end(child)
                    return following
                self._sweeper.sweep()
                self._handed_over.look()
                self._wait()
        finally:
            readiness.end()

    def _follow(self, *, ready: bool) -> Run | None:
        """Look at the stamp; return what to restart on, when that is something else than what runs."""
        if self._wanted.look():
            if self._run.digest is not None and self._wanted.digest() == self._run.digest:
                self._wanted.forget()
                self._run = Run(self._run.digest)
                made = self._installed
                self._reporter.change(install=None if made is None or made.outcome == reports.FAILED else made)
            else:
                self._wanted.begin()
        report = self._wanted.answer()
        if report is not None and report.outcome != reports.FAILED:
            self._installed = report
            digest = None if report.outcome == reports.NO_SITE else report.lock_digest
            if digest != self._run.digest:
                self._reporter.change(install=report)
                return Run(digest)
            self._run = Run(digest)
        state = reports.READY if ready else reports.STARTING
        message = self._wanted.message() or self._run.message or ("ready" if ready else "started, not ready yet")
        self._reporter.change(
            state=reports.FELL_BACK if self._run.fell_back else state,
            failed_digest=self._run.failed_digest,
            stamp=self._wanted.stamp,
            install=report or self._reporter.report.install,
            message=message,
        )
        return None

    def _after_failure(self, why: str, *, proven: bool) -> Run | None:
        good = self._directory.read_last_good(self._component)
        back = site_choice.after_failure(self._run, good, proven=proven, why=why)
        if back is not None:
            self._say(f"{why}; going back to the last good one")
        return back

    def _end(self, child: Child) -> None:
        """End the child before another one starts; a scheduler's running tasks go on where it hands over."""
        self._reporter.change(state=reports.STARTING, message="stopping the old child")
        self._say(f"stopping process {child.pid}")
        child.end(lambda waited: waited < self._patience and not self._signals.hurry, self._tick)
        if self._hands_over:
            self._handed_over.add((child.pid,))
        else:
            processes.end_all(child.leftovers(), END_PATIENCE, self._tick, self._say)

    def _stop(self, child: Child) -> int:
        """End the child and all below us, because we are to end; return the child's status."""
        self._reporter.change(state=reports.STOPPING, message="stopping")
        self._wanted.forget()
        until = time.monotonic() + self._timing.stop_timeout
        status = child.end(lambda _: time.monotonic() < until and not self._signals.hurry, self._tick)
        self._handed_over.add((child.pid,))
        while self._hands_over and time.monotonic() < until and not self._signals.hurry:
            if not processes.descendants(os.getpid()):  # tasks of a scheduler that handed over may finish too
                break
            self._handed_over.look()
            self._wait()
        processes.end_all(processes.descendants(os.getpid()), END_PATIENCE, self._tick, self._say)
        return status

    def _leave(self) -> None:
        """Leave nothing behind, whatever brought us here."""
        self._wanted.forget()
        if self._child is not None and self._child.exit_status() is None:
            self._stop(self._child)
        self._reporter.remove()
        self._record.unlink(missing_ok=True)

    def _wait(self) -> None:
        self._tick()
        time.sleep(self._timing.tick)

    def _tick(self) -> None:
        if self._reporter.keep_up():
            own = (child.pid for child in (self._child,) if child is not None)
            processes.reap_orphans((*own, *self._wanted.pids()))

    def _write_record(self) -> None:
        own = processes.process(os.getpid())
        try:
            if own is not None:
                child_record.write_record(self._directory, self._record, own, processes.world())
        except OSError as error:  # a full disk is no reason to take the component down
            self._say(f"the record of the child cannot be written: {error}")

    def _remember_good(self, good: LastGood) -> None:
        try:
            self._directory.write_last_good(self._component, good)
        except OSError as error:  # as above
            self._say(f"the last good site cannot be remembered: {error}")

    def _say(self, message: str) -> None:
        sys.stderr.write(f"airflow-package-manager [{self._component}] {message}\n")
        sys.stderr.flush()
