"""A node leaves nothing behind: no process, mount, control group or directory, also when its owner is killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPT = """
import sys
from testenv.cluster import control_plane
from testenv.node import real_node
from testenv.node.containerd import PAUSE

with control_plane(fake_node=False) as cluster, real_node(cluster) as node:
    spec = {"hostNetwork": True, "containers": [{"name": "main", "image": PAUSE, "imagePullPolicy": "Never"}]}
    metadata = {"name": "some", "namespace": "some"}
    cluster.admin.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "some"}})
    cluster.admin.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    cluster.admin.until("/api/v1/namespaces/some/pods/some", lambda it: it["status"]["phase"] == "Running", 60)
    print(node.home, cluster.home, flush=True)
    sys.stdin.read()
"""
REPOSITORY = Path(__file__).resolve().parents[2]
MACHINE = (
    "/run/containerd",
    "/var/lib/kubelet",
    "/var/lib/cni",
    "/var/log/containers",
    "/var/log/pods",
    "/opt/containerd",
)
KERNEL = ("vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops")
SECONDS = 30


@pytest.mark.parametrize("end", ["by itself", "killed"])
def test_nothing_is_left_of_a_node(end: str) -> None:
    machine = _machine()
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as owner:
        assert owner.stdin is not None
        assert owner.stdout is not None
        homes = [Path(word) for word in owner.stdout.readline().split()]
        node, cluster = homes
        assert _processes(node), "the container is found when it is there"
        assert _control_groups(node)
        assert _machine() == machine
        assert not _mounts(node), "nobody else sees the mounts of the node, even while it runs"
        if end == "killed":
            owner.send_signal(signal.SIGKILL)
        owner.stdin.close()
        owner.wait(60)
    assert owner.returncode == (-signal.SIGKILL if end == "killed" else 0)
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline and (left := _left(node, cluster)):
        time.sleep(0.1)
    assert not left
    assert _machine() == machine
    if end == "killed":
        shutil.rmtree(cluster)  # a directory, without processes, is all that stays of a control plane
    assert not cluster.exists()


def _machine() -> dict[str, object]:
    """Return what a kubelet and a containerd change on a machine that is theirs."""
    places: dict[str, object] = {place: Path(place).exists() for place in MACHINE}
    return places | {name: Path("/proc/sys", name).read_text() for name in KERNEL}


def _left(node: Path, cluster: Path) -> list[object]:
    return [
        *_processes(node),
        *_processes(cluster),
        *_control_groups(node),
        *_mounts(node),
        *(path for path in (node,) if path.exists()),
    ]


def _processes(home: Path) -> list[str]:
    """Return the processes whose command line or control group speaks of this directory."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdecimal() and int(process.name) != os.getpid():
            try:
                said = (process / "cmdline").read_bytes() + (process / "cgroup").read_bytes()
            except OSError:  # it has ended
                continue
            if home.name.encode() in said:
                found.append(f"{process.name} {said!r}")
    return found


def _mounts(home: Path) -> list[str]:
    return [line for line in Path("/proc/mounts").read_text().splitlines() if home.name in line]


def _control_groups(home: Path) -> list[str]:
    return [path for path, _, _ in os.walk("/sys/fs/cgroup") if home.name in path]


def test_where_no_node_can_be_one_line_says_why() -> None:
    asked = "import os; from testenv.node import why_not; os.setuid(65534); print(why_not())"
    done = subprocess.run(
        [sys.executable, "-c", asked], cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "a real node needs root: containers, mounts and control groups are made\n"
