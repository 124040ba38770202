"""A real node of a control plane: started, ready, and gone without a trace."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testenv.cluster import Cluster
from testenv.cluster.server import StartFailed
from testenv.node import machine, pause_image
from testenv.node.containerd import Containerd
from testenv.node.enclosure import Enclosure, NodeFailed, await_true, enclosure
from testenv.node.kubelet import NAME, Kubelet

SECONDS_TO_START = 120.0


@dataclass(frozen=True)
class Node:
    """A running node."""

    cluster: Cluster
    name: str
    home: Path
    """A directory that is removed with the node; the users of pods may pass through it."""
    runtime: Containerd
    enclosure: Enclosure

    def load(self, archive: Path) -> None:
        """Load the images of an archive, so that pods can use them."""
        self.runtime.load(archive)

    def execute(self, pod: Mapping[str, Any], *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the first container of a running pod, as `kubectl exec` does; return what it said."""
        (status, *_) = pod["status"]["containerStatuses"]
        return self.runtime.execute(str(status["containerID"]).rpartition("/")[2], command)

    def log_end(self) -> str:
        """Return the ends of the logs of containerd and kubelet."""
        return self.enclosure.log_end()

    def container_logs(self, namespace: str, pod: str, container: str) -> str:
        """Return the ends of what the runs of a container printed, the newest last."""
        logs = sorted((self.home / "pod-logs").glob(f"{namespace}_{pod}_*/{container}/*.log"))
        return "\n".join(log.read_text(errors="replace")[-4000:] for log in logs)


@contextmanager
def real_node(cluster: Cluster) -> Iterator[Node]:
    """Add this machine to a control plane of ours as `node-0`, the only node; whatever happens, nothing is left of it.

    Raises `machine.MachineUnfit` where that cannot be, and `NodeFailed` with the ends of the logs.
    """
    machine.make_ready()
    with enclosure() as own:
        runtime = Containerd(own.home)
        kubelet = Kubelet(own.home, cluster, runtime=runtime.socket)
        own.start(runtime.program(), kubelet.program(), socket=runtime.socket)
        node = Node(cluster, NAME, own.home, runtime, own)
        try:
            own.await_answer(kubelet.healthy, SECONDS_TO_START)
        except StartFailed as error:
            raise NodeFailed(f"{error}\n{node.log_end()}") from error
        node.load(pause_image.write(own.home / "pause.tar"))
        await_true(lambda: _ready(cluster), f"{NAME} is ready", SECONDS_TO_START, node.log_end)
        # Admission taints every new node; the controller that would lift it is not among ours.
        cluster.admin.request("PATCH", f"/api/v1/nodes/{NAME}", {"spec": {"taints": None}})
        try:
            yield node
        finally:
            cluster.admin.delete(f"/api/v1/nodes/{NAME}")


def _ready(cluster: Cluster) -> bool:
    nodes: list[dict[str, Any]] = cluster.admin.items("/api/v1/nodes")
    conditions = [entry for node in nodes if node["metadata"]["name"] == NAME for entry in node["status"]["conditions"]]
    return any(entry["type"] == "Ready" and entry["status"] == "True" for entry in conditions)
