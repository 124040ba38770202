"""Processes as Linux shows them: told apart by number *and* start time, never by name.

A process number alone may belong to somebody else a moment later; number and start time (ticks since boot) together
are one process for ever. A dead process that nobody has collected yet counts as gone.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from airflow_package_manager.errors import InvalidSetting

_PROC = Path("/proc")
_PR_SET_CHILD_SUBREAPER = 36
_POLL = 0.02
_STATE, _PARENT, _SESSION, _START = 0, 1, 3, 19
"""Places in /proc/<pid>/stat, counted after the command's closing bracket."""


@dataclass(frozen=True)
class Process:
    """One process, for as long as the machine runs."""

    pid: int
    start: int
    """Clock ticks since boot."""


@dataclass(frozen=True)
class _Row:
    process: Process
    parent: int
    session: int


def require_linux() -> None:
    """Raise `InvalidSetting` where processes cannot be told apart."""
    if not (_PROC / "self" / "stat").exists():
        raise InvalidSetting(
            "The supervisor needs Linux: it tells processes apart by /proc.",
            next_action="Run Airflow's components on Linux, or in containers.",
            setting="target",
            allowed="local, on Linux",
        )


def world() -> str:
    """Name the kernel's run and the process namespace: process numbers mean something only within one of them."""
    boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{boot}:{(_PROC / 'self/ns/pid').stat().st_ino}"


def process(pid: int) -> Process | None:
    """Return the living process with this number, None when there is none."""
    row = _row(pid)
    return None if row is None else row.process


def is_alive(known: Process) -> bool:
    """Tell whether this very process still lives."""
    return process(known.pid) == known


def members(session: int) -> tuple[Process, ...]:
    """Return the living processes of a session."""
    return tuple(row.process for row in _table() if row.session == session)


def descendants(ancestor: int) -> tuple[Process, ...]:
    """Return the living children of a process, their children, and so on."""
    children: dict[int, list[_Row]] = {}
    for row in _table():
        children.setdefault(row.parent, []).append(row)
    found: list[Process] = []
    waiting = [ancestor]
    while waiting:
        for row in children.get(waiting.pop(), ()):
            found.append(row.process)
            waiting.append(row.process.pid)
    return tuple(found)


def environment_values(variable: str) -> frozenset[str]:
    """Return the values of an environment variable over all living processes that this user may look into."""
    prefix = f"{variable}=".encode()
    found = set()
    for row in _table():
        with contextlib.suppress(OSError):  # it ended, or belongs to somebody else
            for part in (_PROC / str(row.process.pid) / "environ").read_bytes().split(b"\0"):
                if part.startswith(prefix):
                    found.add(os.fsdecode(part.removeprefix(prefix)))
    return frozenset(found)


def title(known: Process) -> str:
    """Return what this process calls itself, its command line unless it chose something else; empty when it is gone."""
    try:
        found = (_PROC / str(known.pid) / "cmdline").read_bytes()
    except OSError:
        return ""
    return found.rstrip(b"\0 ").replace(b"\0", b" ").decode(errors="replace") if is_alive(known) else ""


def send(known: Process, signum: int) -> bool:
    """Send a signal to this very process; tell whether it was there, and ours to send signals to."""
    try:
        descriptor = os.pidfd_open(known.pid)
    except ProcessLookupError:
        return False
    try:
        if process(known.pid) != known:  # looked at after opening: the descriptor cannot change its process
            return False
        signal.pidfd_send_signal(descriptor, signum)
    except (ProcessLookupError, PermissionError):  # the latter: another user's, such as a task's with `run_as_user`
        return False
    finally:
        os.close(descriptor)
    return True


def end_all(
    known: Iterable[Process],
    patience: float,
    waiting: Callable[[], object] = lambda: None,
    say: Callable[[str], object] = lambda _: None,
) -> None:
    """End processes: SIGTERM, at most `patience` seconds, SIGKILL. `waiting` is called all the while.

    `say` hears of those that belong to another user and go on.
    """
    left = []
    for one in known:
        if send(one, signal.SIGTERM):
            left.append(one)
        elif is_alive(one):
            say(f"process {one.pid} belongs to another user and is left alone")
    for signum in (None, signal.SIGKILL):
        for one in left:
            if signum is not None:
                send(one, signum)
        until = time.monotonic() + patience
        while (left := [one for one in left if is_alive(one)]) and time.monotonic() < until:
            waiting()
            time.sleep(_POLL)


def adopt_orphans() -> None:
    """Let orphaned descendants become children of this process instead of the machine's first one."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap_orphans(own: Iterable[int]) -> None:
    """Collect dead children that are not our own: adopted ones, whose exit status nobody wants."""
    kept = frozenset(own)
    for row in _table(dead=True):
        if row.parent == os.getpid() and row.process.pid not in kept:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(row.process.pid, os.WNOHANG)


def _table(*, dead: bool = False) -> list[_Row]:
    numbers = (int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit())
    return [row for row in (_row(number, dead=dead) for number in numbers) if row is not None]


def _row(pid: int, *, dead: bool = False) -> _Row | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    fields = text[text.rindex(")") + 2 :].split()
    if fields[_STATE] in {"X", "x"} or (fields[_STATE] == "Z" and not dead):
        return None
    return _Row(Process(pid, int(fields[_START])), int(fields[_PARENT]), int(fields[_SESSION]))
