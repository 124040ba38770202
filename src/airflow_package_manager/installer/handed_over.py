"""What a scheduler leaves that handed its running tasks over: ended once nobody of it works any more.

Airflow 2's LocalExecutor keeps its queues in a process that outlives it, and a worker of either Airflow that was idle
when its scheduler was killed waits for tasks that nobody sends. All of them say in their titles that they do nothing.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Mapping

from airflow_package_manager.installer import processes
from airflow_package_manager.installer.task_patience import END_PATIENCE

VARIABLE = "AIRFLOW_PACKAGE_MANAGER_HANDED_OVER"
"""Tells a scheduler whose tasks are its own from now on: our process, and the sessions, separated by spaces."""
_IDLE = re.compile(r"airflow (?:executor|worker) -- LocalExecutor(?:\S* <idle>)?")
"""Titles of Airflow's own; a worker that works says on what, and so does a task."""


class HandedOver:
    """The sessions of schedulers that are gone, as far as they were seen to go."""

    def __init__(self, pause: float, say: Callable[[str], object]) -> None:
        """Take for how many seconds all of a session must have been idle: between two tasks a worker is, too."""
        self._pause = pause
        self._say = say
        self._idle_since: dict[int, float | None] = {}
        self._looked = float("-inf")

    def add(self, sessions: Iterable[int]) -> None:
        """Look after these, each named by the process id of its scheduler."""
        self._idle_since.update(dict.fromkeys(sessions))

    def told(self) -> Mapping[str, str]:
        """Return the variables of a scheduler that is started after these."""
        return {VARIABLE: " ".join(map(str, (os.getpid(), *self._idle_since)))} if self._idle_since else {}

    def look(self) -> None:
        """End what only waits; looks at the processes once in a pause."""
        now = time.monotonic()
        if not self._idle_since or now - self._looked < self._pause:
            return
        self._looked = now
        for session, since in tuple(self._idle_since.items()):
            left = processes.members(session)
            if not left:
                del self._idle_since[session]
            elif not all(_IDLE.fullmatch(processes.title(one)) for one in left):
                self._idle_since[session] = None
            elif since is None:
                self._idle_since[session] = now
            else:
                self._say(f"ending {len(left)} idle processes of scheduler {session}, which has handed over")
                processes.end_all(left, END_PATIENCE, say=self._say)
