"""One directory with supervisors in it, for tests: real processes, light children, nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from airflow_package_manager.domain.lock import Lock, Pin
from airflow_package_manager.domain.report import READY, InstanceReport
from airflow_package_manager.installer import processes
from airflow_package_manager.installer.directory import Directory, LastGood

HERE = Path(__file__).parent
SOURCE = HERE.parents[1] / "src"
Answer = TypeVar("Answer")


def lock_of(revision: int, *pins: str) -> Lock:
    """Return a lock whose digest depends on `pins` (names) only."""
    return Lock(
        python="cp311",
        platform="linux_x86_64",
        image="a" * 64,
        requirements="b" * 64,
        pins=tuple(Pin(name, "1.0", ("c" * 64,)) for name in sorted(pins)),
        revision=revision,
    )


def eventually(look: Callable[[], Answer | None], seconds: float = 10.0) -> Answer:
    """Return the first answer that is true; fails after so many seconds."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        answer = look()
        if answer:
            return answer
        time.sleep(0.02)
    raise AssertionError("it did not happen in time")


class House:
    """A directory, the supervisors started in it, and the log of their children."""

    def __init__(self, root: Path) -> None:
        self.directory = Directory(root / "package_manager")
        self.directory.prepare()
        self.log = root / "children.log"
        self.supervisors: list[subprocess.Popen[bytes]] = []
        self.seen: set[processes.Process] = set()

    def lock(self, revision: int, behaviour: str = "", *, current: bool = False, name: str | None = None) -> str:
        """Put a lock there and how its site behaves; return its digest."""
        lock = lock_of(revision, name or f"package-{revision}")
        self.directory.write(self.directory.lock(revision), lock.render().encode())
        (self.directory.root / f"install.{revision}").write_text(behaviour)
        if current:
            self.directory.write_current(revision)
        return lock.digest()

    def stamp(self, revision: int | None, component: str = "triggerer") -> None:
        counter = self.directory.read_stamp(component).counter
        self.directory.write_stamp(component, revision, counter)

    def supervise(
        self,
        component: str = "triggerer",
        *,
        url: str = "-",
        times: str = "",
        command: list[str] | None = None,
        **environment: str,
    ) -> subprocess.Popen[bytes]:
        """Start a supervisor with a light child."""
        child = command or [sys.executable, str(HERE / "light_child.py"), str(self.log)]
        supervisor = subprocess.Popen(
            [sys.executable, str(HERE / "light_supervisor.py"), component, url, times, *child],
            env={
                **os.environ,
                "PYTHONPATH": str(SOURCE),
                "AIRFLOW_HOME": str(self.directory.root.parent),
                **environment,
            },
        )
        self.supervisors.append(supervisor)
        return supervisor

    def events(self) -> list[tuple[str, int, str]]:
        """Return event, process id, and the site's name, of all children."""
        if not self.log.exists():
            return []
        rows = (line.rsplit(" ", 2) for line in self.log.read_text().splitlines())
        return [(event, int(pid), site) for event, pid, site in rows]

    def said(self, event: str, site: str | None = None) -> list[int]:
        """Return the process ids that logged the event (on that site)."""
        self.look_around()
        return [pid for said, pid, where in self.events() if said == event and site in {None, where}]

    def let_tasks_end(self) -> None:
        """Tell every `task=told` to end."""
        self.log.with_name("tasks-may-end").touch()

    def reports(self, component: str = "triggerer") -> list[InstanceReport]:
        self.look_around()
        found = (self.directory.read_report(path) for path in self.directory.report_paths(component))
        return [report for report in found if report is not None]

    def report(self, state: str, component: str = "triggerer", **wanted: object) -> InstanceReport:
        """Wait for a report in this state with these values."""

        def look() -> InstanceReport | None:
            for report in self.reports(component):
                if report.state == state and all(getattr(report, name) == value for name, value in wanted.items()):
                    return report
            return None

        try:
            return eventually(look)
        except AssertionError:
            raise AssertionError(f"no report {state} {wanted}; there are {self.reports(component)}") from None

    def look_around(self) -> None:
        """Remember every process below our supervisors, to be able to say at the end that none is left.

        Not below the test's own process: other tests' servers live there too.
        """
        for supervisor in self.supervisors:
            found = processes.process(supervisor.pid)
            self.seen.update(
                processes.descendants(supervisor.pid)
                if found is None
                else (found, *processes.descendants(supervisor.pid))
            )
        for _, pid, _ in self.events():
            found = processes.process(pid)
            if found is not None:
                self.seen.add(found)

    def living(self) -> list[processes.Process]:
        """Return who still lives of those that were ever seen."""
        return [found for found in self.seen if processes.is_alive(found)]

    def living_children(self) -> list[int]:
        """Return the process ids of light children that live."""
        return [pid for pid in dict.fromkeys(self.said("start")) if processes.process(pid) is not None]

    def ready_and_remembered(self, digest: str, component: str = "triggerer") -> InstanceReport:
        """Wait until the component was proven on this site."""
        eventually(lambda: self.directory.read_last_good(component) == LastGood(digest))
        return self.report(READY, component, lock_digest=digest)

    def stop_after_ready(self) -> None:
        """Let a supervisor prove the current lock, and stop it."""
        supervisor = self.supervise()
        eventually(lambda: self.directory.read_last_good("triggerer"))
        assert self.stop(supervisor) == 0

    def kill(self, supervisor: subprocess.Popen[bytes]) -> None:
        """End a supervisor as the kernel does when memory is short."""
        self.look_around()
        supervisor.send_signal(signal.SIGKILL)
        supervisor.wait()

    def stop(self, supervisor: subprocess.Popen[bytes], signum: int = signal.SIGTERM) -> int:
        self.look_around()
        supervisor.send_signal(signum)
        return supervisor.wait(20)

    def close(self) -> None:
        """Stop everything by process id, whatever the test did."""
        self.look_around()
        for supervisor in self.supervisors:
            if supervisor.poll() is None:
                supervisor.terminate()
        for supervisor in self.supervisors:
            try:
                supervisor.wait(10)
            except subprocess.TimeoutExpired:
                supervisor.kill()
                supervisor.wait()
        for found in self.living():
            processes.send(found, signal.SIGKILL)
