"""One machine for tests: what people ask of it, what accidents befall it, and what is there afterwards."""

from __future__ import annotations

import fcntl
import json
import queue
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from airflow_package_manager.domain import lock as locks
from airflow_package_manager.domain.operation import TERMINAL
from airflow_package_manager.domain.report import READY, InstanceReport
from tests.crash.accident import DONE, ORDER
from tests.crash.machine import Machine

PATIENCE = 45.0
ENDS = frozenset(state.value for state in TERMINAL)
Answer = TypeVar("Answer")


def eventually(
    look: Callable[[], Answer | None], what: object = "it", *, seconds: float = PATIENCE, every: float = 0.03
) -> Answer:
    """Return the first answer that is true; fails after so many seconds."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        answer = look()
        if answer:
            return answer
        time.sleep(every)
    raise AssertionError(f"{what} did not happen in time")


@dataclass(frozen=True)
class Start:
    """One start of a component's child."""

    component: str
    pid: int
    at: float
    site: str
    """Lock digest, or ``off``."""


class World(Machine):
    """A machine with people; use it as a context manager."""

    # --- people --------------------------------------------------------------------------------------------------

    def ask(self, do: str, **arguments: object) -> dict[str, Any]:
        """Send a request to the desk and return its answer: `is`, `problem`, or `died`."""
        assert self._desk is not None
        assert self._desk.stdin is not None
        self._desk.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        self._desk.stdin.flush()
        try:
            answer: dict[str, Any] = json.loads(self._answers.get(timeout=2 * PATIENCE))
        except queue.Empty:
            raise AssertionError(f"no answer to {do} {arguments}\n{self.said()}") from None
        assert "broken" not in answer, answer["broken"]
        return answer

    def told(self, do: str, **arguments: object) -> Any:  # noqa: ANN401 - whatever was asked for
        """Return what the desk says; fails when it was refused or nobody lived to say it."""
        answer = self.ask(do, **arguments)
        assert "is" in answer, f"{do}: {answer}"
        return answer["is"]

    def plan(self, *changes: str, who: str = "admin") -> dict[str, Any]:
        """Plan changes such as ``add good-package``; return the PLANNED operation with its token."""
        found: dict[str, Any] = self.told("plan", who=who, changes=[change.split(" ", 1) for change in changes])
        assert found["state"] == "PLANNED", found["problem"]
        return found

    def apply(self, planned: dict[str, Any], who: str = "admin") -> dict[str, Any]:
        """Apply a plan and return the answer, a refusal included."""
        return self.ask("apply", who=who, id=planned["id"], token=planned["token"], digest=planned["digest"])

    def accepted(self, *changes: str) -> dict[str, Any]:
        """Plan and apply; return the plan."""
        planned = self.plan(*changes)
        assert self.apply(planned).get("is", {}).get("state") == "ACCEPTED"
        return planned

    def done(self, *changes: str) -> dict[str, Any]:
        """Plan, apply, and drive to the end."""
        found: dict[str, Any] = self.told("drive", id=self.accepted(*changes)["id"])
        return found

    def ended(self, planned: dict[str, Any]) -> dict[str, Any]:
        """Wait until somebody else has driven the operation to its end."""

        def look() -> dict[str, Any] | None:
            found: dict[str, Any] = self.told("look", id=planned["id"])
            return found if found["state"] in ENDS else None

        return eventually(look, "its end", every=0.3)

    # --- accidents -----------------------------------------------------------------------------------------------

    def order(self, moment: str, victim: str) -> None:
        """Order one accident (see `accident`)."""
        (self.home / DONE).unlink(missing_ok=True)
        (self.home / ORDER).write_text(json.dumps({"moment": moment, "victim": victim}))

    def accident(self) -> dict[str, Any] | None:
        """Return the accident that happened; None as long as it did not."""
        try:
            found: dict[str, Any] = json.loads((self.home / DONE).read_text())
        except (FileNotFoundError, ValueError):
            return None
        return found

    # --- what is there -------------------------------------------------------------------------------------------

    def requirements(self) -> str:
        """Return the file's text."""
        path = self.directory.requirements
        return path.read_text() if path.exists() else ""

    def digest(self, revision: int | None) -> str:
        """Return the lock digest of a revision, ``off`` without one."""
        text = None if revision is None else self.directory.read_lock(revision)
        return "off" if text is None else locks.parse(text).digest()

    def stored(self) -> dict[str, bytes]:
        """Return everything that the store holds and every stamp, byte for byte."""
        directory = self.directory
        paths = [directory.requirements, directory.current, *map(directory.lock, directory.revisions())]
        paths += map(directory.stamp_path, self.components)
        found = {str(path): path.read_bytes() for path in paths if path.exists()}
        if directory.active.is_symlink():
            found["active"] = bytes(directory.active.readlink())
        return found

    def reports(self, component: str) -> list[InstanceReport]:
        """Return the reports of a component, those of the dead included."""
        found = map(self.directory.read_report, self.directory.report_paths(component))
        return [report for report in found if report is not None]

    def children(self) -> dict[str, int | None]:
        """Return component → process id of its child, as reported."""
        return {component: report.child_pid for component in self.components for report in self.reports(component)}

    def starts(self, component: str | None = None) -> list[Start]:
        """Return every start of a child, in order."""
        path = self.home / "starts.log"
        rows = (line.split(" ") for line in path.read_text().splitlines()) if path.exists() else ()
        found = [Start(name, int(pid), float(at), site) for name, pid, at, site in rows]
        return [start for start in found if component in {None, start.component}]

    def runs_on(self, component: str) -> str | None:
        """Return the site (a lock digest, or ``off``) of the component's one ready child; None until it has one.

        Ready, proven, reported by its living supervisor alone, and really alive with nobody else playing its part.
        """
        reports = self.reports(component)
        if len(reports) != 1 or reports[0].state != READY or reports[0].pid != self._supervisors[component].pid:
            return None
        good = self.directory.read_last_good(component)
        report = reports[0]
        if good is None or good.digest != report.lock_digest or report.stamp != self._stamp(component):
            return None
        players = {pid for pid in self.living(component) if pid != report.pid}
        if players != {report.child_pid}:
            return None
        wanted = report.lock_digest or "off"
        sites = [start.site for start in self.starts(component) if start.pid == report.child_pid]
        return wanted if sites[-1:] == [wanted] else None

    def _stamp(self, component: str) -> int | None:
        return self.directory.read_stamp(component).revision

    def require_all_good(self) -> None:
        """Wait until every component runs, once, on the lock of its stamp, and is proven there."""
        for component in self.components:

            def good(component: str = component) -> bool:
                if component not in self._supervisors:
                    return False
                # Without a stamp it runs on what was current when it started, however long ago that was.
                stamp, site = self._stamp(component), self.runs_on(component)
                return site is not None and (stamp is None or site == self.digest(stamp))

            try:
                eventually(good, seconds=20)
            except AssertionError:
                raise AssertionError(
                    f"{component} is not well: stamp {self._stamp(component)}, reports {self.reports(component)},"
                    f" processes {self.living(component)}, starts {self.starts(component)}\n{self.said()}"
                ) from None

    def require_clean(self, ended: dict[str, Any]) -> None:
        """Assert that an operation ended cleanly and left the world in order."""
        assert ended["state"] in {"SUCCEEDED", "ROLLED_BACK", "CANCELLED"}, (ended["state"], ended["problem"])
        base, target = ended["texts"]
        assert self.requirements() == (target if ended["state"] == "SUCCEEDED" else base)
        assert self.told("active") is None
        assert not self.told("look", id=ended["id"])["leased"]
        directory = self.directory
        with (directory.root / ".lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert not (directory.root / ".pending").exists()
        assert list(directory.preflight.iterdir()) == []
        carried = {self._stamp(component) for component in self.components} | {directory.read_current()}
        assert set(directory.revisions()) == carried - {None}
        if ended["state"] == "SUCCEEDED":
            assert directory.read_current() == ended["revision"]
            assert self.digest(ended["revision"]) == ended["lock_digest"]
            assert [self._stamp(name) for name in ended["components"]] == [ended["revision"]] * len(ended["components"])
        else:
            assert ended["revision"] not in carried
        self.require_all_good()


def kinds(operation: dict[str, Any]) -> list[str]:
    """Return the kinds of an operation's events, in order."""
    return [event["kind"] for event in operation["events"]]
