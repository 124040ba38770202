"""The kubelet of a node: its configuration and command; everything on loopback."""

from __future__ import annotations

import json
import socket
import urllib.request
from pathlib import Path
from typing import Any

from testenv.cluster import Cluster, build
from testenv.node.enclosure import Program

NAME = "node-0"


class Kubelet:
    """One kubelet that registers itself with a cluster as `node-0`."""

    def __init__(self, home: Path, cluster: Cluster, *, runtime: Path) -> None:
        """Write its configuration into this directory."""
        self._home = home
        self._health = _free_port()
        self._configuration = home / "kubelet.json"
        self._kubeconfig = cluster.kubeconfig
        self._configuration.write_text(json.dumps(self._settings(cluster, runtime), indent=1))

    def program(self) -> Program:
        """Return the server; builds it when it is not cached. Raises `cluster.build.ProgramMissing`."""
        return Program(
            (
                str(build.programs("kubelet")["kubelet"]),
                f"--config={self._configuration}",
                f"--kubeconfig={self._kubeconfig}",
                f"--root-dir={self._home / 'kubelet'}",
                f"--cert-dir={self._home / 'kubelet-pki'}",
                f"--hostname-override={NAME}",
                "--node-ip=127.0.0.1",
            ),
            self._home / "kubelet.log",
        )

    def healthy(self) -> bool:
        """Tell whether it answers."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"http://127.0.0.1:{self._health}/healthz", timeout=5) as answer:
                return bool(answer.read() == b"ok")
        except OSError:
            return False

    def _settings(self, cluster: Cluster, runtime: Path) -> dict[str, Any]:
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": "127.0.0.1",
            "port": _free_port(),
            "readOnlyPort": 0,
            "healthzBindAddress": "127.0.0.1",
            "healthzPort": self._health,
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                **({"x509": {"clientCAFile": str(cluster.authority)}} if cluster.authority else {}),
            },
            "authorization": {"mode": "Webhook"},
            "containerRuntimeEndpoint": f"unix://{runtime}",
            "cgroupDriver": "cgroupfs",
            "cgroupsPerQOS": False,
            "enforceNodeAllocatable": [],
            "failCgroupV1": False,
            "failSwapOn": False,
            "oomScoreAdj": 0,
            "makeIPTablesUtilChains": False,
            "podLogsDir": str(self._home / "pod-logs"),
            "volumePluginDir": str(self._home / "volume-plugins"),
            "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
            "syncFrequency": "10s",
            "nodeStatusUpdateFrequency": "10s",
            "maxPods": 60,
            "enableProfilingHandler": False,
            "kubeAPIQPS": 100,
            "kubeAPIBurst": 200,
            "eventRecordQPS": 100,
            "eventBurst": 200,
        }


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
