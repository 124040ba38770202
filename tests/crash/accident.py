"""Who dies at which effect of a driver: doors that let one process be killed exactly before or after one effect.

An effect is named by the operation's state and what is done, for example ``ROLLING_OUT restart scheduler``; a save by
the state before and what it saves: the next state, or the kind of its event. The file ``accident.json`` in Airflow's
home orders one accident; it is gone when the accident has happened.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from airflow_package_manager.domain.operation import Event, Operation
from airflow_package_manager.domain.plan import StoreSnapshot
from airflow_package_manager.installer.directory import Directory
from airflow_package_manager.ports import OperationRepository, RequirementStore, RolloutTarget, StoreChanges

Answer = TypeVar("Answer")
ORDER, DONE = "accident.json", "accident.done"
MYSELF = "myself"
"""Victim: the process that drives; any other victim is a component, whose supervisor dies."""


class Accidents:
    """What was ordered, and the state of the operation that is being driven."""

    def __init__(self, home: Path, directory: Directory) -> None:
        self._home = home
        self._directory = directory
        self.state = "?"
        self.effects: list[str] = []

    def around(self, what: str, act: Callable[[], Answer]) -> Answer:
        effect = f"{self.state} {what}"
        self._perhaps(f"before {effect}")
        answer = act()
        self.effects.append(effect)
        self._perhaps(f"after {effect}")
        return answer

    def _perhaps(self, moment: str) -> None:
        try:
            order: Mapping[str, str] = json.loads((self._home / ORDER).read_text())
        except FileNotFoundError:
            return
        if order["moment"] != moment:
            return
        victim = order["victim"]
        stamp = None if victim == MYSELF else self._directory.read_stamp(victim).revision
        (self._home / DONE).write_text(json.dumps({"moment": moment, "stamp": stamp}))
        (self._home / ORDER).unlink()
        if victim == MYSELF:
            os.kill(os.getpid(), signal.SIGKILL)
        (old,) = self._children(victim)
        os.kill(old, signal.SIGKILL)
        # A driver that waits here shows what the next supervisor does with the stamp as it is at this moment; until its
        # child has logged its start: a child that is replaced before that would never have been seen.
        until = time.monotonic() + 60
        while not any(pid != old and self._has_started(child) for pid, child in self._children(victim).items()):
            assert time.monotonic() < until, f"no supervisor of {victim} came after {old}"
            time.sleep(0.02)

    def _children(self, component: str) -> dict[int, int]:
        """Return supervisor → its child, of the supervisors that report one, as process ids."""
        reports = map(self._directory.read_report, self._directory.report_paths(component))
        return {
            report.pid: report.child_pid for report in reports if report is not None and report.child_pid is not None
        }

    def _has_started(self, child: int) -> bool:
        starts = (self._home / "starts.log").read_text().splitlines()
        return any(line.split(" ")[1] == str(child) for line in starts)


class Store:
    """A `RequirementStore` with accidents."""

    def __init__(self, real: RequirementStore, accidents: Accidents) -> None:
        self._real = real
        self._accidents = accidents

    def read(self) -> StoreSnapshot:
        return self._real.read()

    def check_write(self) -> None:
        self._real.check_write()

    def write(self, changes: StoreChanges, expected_version: str) -> StoreSnapshot:
        what = "current" if changes.current is not None else "lock" if changes.text is None else "text"
        return self._accidents.around(f"write {what}", lambda: self._real.write(changes, expected_version))


class Target:
    """A `RolloutTarget` with accidents."""

    def __init__(self, real: RolloutTarget, accidents: Accidents) -> None:
        self._real = real
        self._accidents = accidents

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - what only looks has no accidents
        return getattr(self._real, name)

    def restart(self, component: str, revision: int, expected: str) -> None:
        act = lambda: self._real.restart(component, revision, expected)  # noqa: E731
        self._accidents.around(f"restart {component}", act)

    def restore(self, component: str, stamp: int | None, expected: str) -> None:
        act = lambda: self._real.restore(component, stamp, expected)  # noqa: E731
        self._accidents.around(f"restore {component}", act)

    def start_preflight(self, revision: int, directs: Sequence[str]) -> None:
        self._accidents.around("start check", lambda: self._real.start_preflight(revision, directs))

    def end_preflight(self, revision: int) -> None:
        self._accidents.around("end check", lambda: self._real.end_preflight(revision))


class Repository:
    """An `OperationRepository` with accidents."""

    def __init__(self, real: OperationRepository, accidents: Accidents) -> None:
        self._real = real
        self._accidents = accidents

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - what only looks has no accidents
        return getattr(self._real, name)

    def get(self, operation_id: str) -> Operation:
        found = self._real.get(operation_id)
        self._accidents.state = found.state.value
        return found

    def save(self, operation: Operation, events: Sequence[Event], *, holder: str | None = None) -> Operation:
        moved = operation.state.value != self._accidents.state
        what = operation.state.value if moved else " ".join(event.kind for event in events) or "progress"
        act = lambda: self._real.save(operation, events, holder=holder)  # noqa: E731
        return self._accidents.around(f"save {what}", act)
