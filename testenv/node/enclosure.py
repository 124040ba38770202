"""The namespaces of a node: processes and mounts of its own, which end with whoever asked for them."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from testenv.cluster.server import Server, Starter
from testenv.node import control_group, guardian, init
from testenv.node.control_group import JOIN, Group
from testenv.node.machine import search_path

PLACES = ("/run", "/var/lib", "/var/log")
"""Where containerd and the kubelet write whatever they are told; what the node writes there stays in its directory."""
KERNEL = {
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "kernel/keys/root_maxkeys": 1_000_000,
    "kernel/keys/root_maxbytes": 25_000_000,
}
"""What the kubelet insists on under /proc/sys, for the whole machine: the node is shown these values instead."""
_CLEANING_SECONDS = 90.0


class NodeFailed(RuntimeError):
    """Something of the node did not start or did not end; shows the ends of the logs."""


@dataclass(frozen=True)
class Program:
    """A server of the node."""

    command: Sequence[str]
    log: Path


class Enclosure:
    """A directory, a control group, and (after `start`) the two servers inside their namespaces."""

    def __init__(self, home: Path, groups: Sequence[Group], starter: Starter) -> None:
        """Use a directory and control groups that are the enclosure's alone."""
        self.home = home
        self._groups = groups
        self._starter = starter
        self._server: Server | None = None
        self._logs: tuple[Path, ...] = ()

    def start(self, runtime: Program, kubelet: Program, *, socket: Path) -> None:
        """Start both servers, the second as soon as the first listens on its socket; does not wait."""
        # Inside, the node's control group looks like the root: what is made there is below it.
        groups = {str(group.directory): str(group.hierarchy) for group in self._groups}
        plan = {
            "overlays": {place: str(self.home / "places" / place.strip("/").replace("/", "-")) for place in PLACES},
            "binds": groups | {str(self._shown(name, value)): f"/proc/sys/{name}" for name, value in KERNEL.items()},
            "socket": str(socket),
            "runtime": _described(runtime),
            "kubelet": _described(kubelet),
        }
        path = self.home / "plan.json"
        path.write_text(json.dumps(plan))
        joining = ["sh", "-c", JOIN, "join", *(str(group.directory) for group in self._groups), "--"]
        apart = ["unshare", "--cgroup", "--pid", "--fork", "--kill-child=KILL", "--mount", "--mount-proc"]
        command = [*joining, *apart, "--propagation=private", sys.executable, "-I", init.__file__, str(path)]
        self._logs = (runtime.log, kubelet.log)
        self._server = Server(self._starter, command, self.home / "init.log")
        self._server.start()

    def await_answer(self, answers: Callable[[], bool], seconds: float) -> None:
        """Wait until it answers; raises `StartFailed` when the node ends before or takes longer."""
        assert self._server is not None, "not started"
        self._server.await_answer(answers, seconds)

    def stop(self) -> None:
        """Kill everything inside at once; harmless when nothing was started."""
        if self._server is not None:
            self._server.stop(at_once=True)

    def log_end(self) -> str:
        """Return the ends of the logs."""
        logs = (self.home / "init.log", *self._logs)
        return "\n".join(f"== {log.name}\n{log.read_text(errors='replace')[-4000:]}" for log in logs if log.exists())

    def _shown(self, name: str, value: int) -> Path:
        file = self.home / "kernel" / name.replace("/", "-")
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"{value}\n")
        return file


@contextmanager
def enclosure() -> Iterator[Enclosure]:
    """Make an enclosure; at the end, or when this process dies, nothing of it is left. Raises `NodeFailed`."""
    home = Path(tempfile.mkdtemp(prefix="package-manager-node-", suffix=f"-{secrets.token_hex(3)}"))
    home.chmod(0o711)  # the users of the pods pass through it
    groups = control_group.planned(home.name)
    (home / guardian.STATE).write_text(json.dumps({"groups": [str(group.directory) for group in groups]}))
    watcher = subprocess.Popen(
        [sys.executable, "-I", guardian.__file__, str(home)],
        cwd="/",
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    starter = Starter()
    made_for = Enclosure(home, groups, starter)
    try:
        for group in groups:
            control_group.make(group)
        yield made_for
    finally:
        made_for.stop()
        starter.close()
        _, said = watcher.communicate(timeout=_CLEANING_SECONDS)
        if watcher.returncode:
            raise NodeFailed(f"the node left something: {said.decode(errors='replace')[-2000:]}")


def _described(program: Program) -> Mapping[str, object]:
    kept = ("HOME", "LANG", "TMPDIR")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    command = [str(word) for word in program.command]
    return {"command": command, "log": str(program.log), "environment": {**environment, "PATH": search_path()}}


def await_true(condition: Callable[[], bool], what: str, seconds: float, details: Callable[[], str] = str) -> None:
    """Wait until the condition holds; raises `NodeFailed` that shows the details."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise NodeFailed(f"{what}: not within {seconds:.0f} s\n{details()}")
        time.sleep(0.1)
