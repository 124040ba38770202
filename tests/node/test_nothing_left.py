"""A node leaves nothing behind: no process, mount, control group or directory, also when its owner is killed."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.node import what_is_left

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
SECONDS = 30


@pytest.mark.parametrize("end", ["by itself", "killed"])
def test_nothing_is_left_of_a_node(end: str) -> None:
    machine = what_is_left.machine()
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
        assert what_is_left.processes(node.name), "the container is found when it is there"
        assert what_is_left.control_groups(node.name)
        assert what_is_left.machine() == machine
        assert not what_is_left.mounts(node.name), "nobody else sees the mounts of the node, even while it runs"
        if end == "killed":
            owner.send_signal(signal.SIGKILL)
        owner.stdin.close()
        owner.wait(60)
    assert owner.returncode == (-signal.SIGKILL if end == "killed" else 0)
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline and (left := _left(node, cluster)):
        time.sleep(0.1)
    assert not left
    assert what_is_left.machine() == machine
    if end == "killed":
        shutil.rmtree(cluster)  # a directory, without processes, is all that stays of a control plane
    assert not cluster.exists()


def _left(node: Path, cluster: Path) -> list[object]:
    found = [*what_is_left.of(node.name), *what_is_left.processes(cluster.name)]
    return [*found, *(path for path in (node,) if path.exists())]


def test_where_no_node_can_be_one_line_says_why() -> None:
    asked = "import os; from testenv.node import why_not; os.setuid(65534); print(why_not())"
    done = subprocess.run(
        [sys.executable, "-c", asked], cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "a real node needs root: containers, mounts and control groups are made\n"
