"""The first process of a node's own namespaces: starts containerd and the kubelet, collects the dead, ends with them.

Run as a program, standard library only: `init.py PLAN`, where PLAN is a JSON file (see `enclosure.Plan`). When it is
killed, the kernel kills every process and undoes every mount of the node.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

_TICK = 0.05
_SECONDS = 60.0
"""Until containerd listens."""


def main(plan: dict[str, Any]) -> int:
    """Do what the plan says, until one of the servers ends; returns its status."""
    for place, writes in plan["overlays"].items():
        _overlay(Path(place), Path(writes))
    for source, target in plan["binds"].items():
        subprocess.run(["/bin/mount", "--bind", source, target], check=True)
    runtime = _start(plan["runtime"])
    _await_socket(Path(plan["socket"]), runtime)
    servers = {runtime, _start(plan["kubelet"])}
    while True:
        pid, status = os.wait()  # orphans of every container come here too
        if pid in servers:
            print(f"process {pid} of {servers} ended with {os.waitstatus_to_exitcode(status)}", file=sys.stderr)
            return 1


def _overlay(place: Path, writes: Path) -> None:
    """Let what is written below `place` go to a directory of the node."""
    upper, work = writes / "upper", writes / "work"
    upper.mkdir(parents=True)
    work.mkdir()
    options = f"lowerdir={place},upperdir={upper},workdir={work}"
    subprocess.run(["/bin/mount", "-t", "overlay", "overlay", "-o", options, str(place)], check=True)


def _start(server: dict[str, Any]) -> int:
    with Path(server["log"]).open("ab") as log:
        return subprocess.Popen(
            server["command"], env=server["environment"], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        ).pid


def _await_socket(path: Path, pid: int) -> None:
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        with socket.socket(socket.AF_UNIX) as client:
            if client.connect_ex(str(path)) == 0:
                return
        if os.waitpid(pid, os.WNOHANG) != (0, 0):
            raise SystemExit("containerd ended at once")
        time.sleep(_TICK)
    raise SystemExit(f"containerd does not listen on {path} after {_SECONDS:.0f} s")


if __name__ == "__main__":
    sys.exit(main(json.loads(Path(sys.argv[1]).read_text())))
