"""Removes what the kernel leaves of a node when its processes are gone: its control groups and its directory.

`guardian.py HOME` waits until its standard input ends, which it does however the process at the other end dies. No
mount of the node is visible here, so that removing HOME can never reach what the node had mounted under it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

STATE = "guardian.json"
_TICK = 0.05
_SECONDS = 60.0


def guard(home: Path) -> int:
    """Wait for the end of the input, then clean up; returns 0 when nothing is left."""
    sys.stdin.buffer.read()
    return clean(home)


def clean(home: Path) -> int:
    """Wait for the node's processes to end, and remove what is left; returns how many things stayed."""
    state: dict[str, Any] = json.loads((home / STATE).read_text())
    deadline = time.monotonic() + _SECONDS
    left = [path for path in map(Path, state["groups"]) if not _removed(path, deadline)]
    mounted = [line for line in Path("/proc/self/mounts").read_text().splitlines() if str(home) in line]
    if mounted:  # never remove through a mount: it may be a directory of the machine
        print(f"still mounted: {mounted}", file=sys.stderr)
        return len(left) + len(mounted)
    while not _cleared(home) and time.monotonic() < deadline:
        time.sleep(_TICK)
    return len(left) + home.exists()


def _cleared(home: Path) -> bool:
    """Remove a directory, as far as a process that is being ended does not write into it."""
    shutil.rmtree(home, ignore_errors=True)
    return not home.exists()


def _removed(root: Path, deadline: float) -> bool:
    """Remove a control group and those below it, as soon as their processes have ended."""
    while root.exists():
        for path, _, _ in os.walk(root, topdown=False):
            with contextlib.suppress(OSError):  # a process in it is still being ended
                Path(path).rmdir()
        if time.monotonic() > deadline:
            return False
        time.sleep(_TICK)
    return True


if __name__ == "__main__":
    sys.exit(guard(Path(sys.argv[1])))
