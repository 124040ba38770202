"""The command lines of the servers: flags that work together, on loopback only."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from pathlib import Path

from testenv.cluster.pki import Pki

CONTROLLERS = (
    "deployment-controller",
    "replicaset-controller",
    "statefulset-controller",
    "job-controller",
    "ttl-after-finished-controller",
    "pod-garbage-collector-controller",
    "persistentvolumeclaim-protection-controller",
    "garbage-collector-controller",
    "namespace-controller",
    "serviceaccount-controller",
    "root-ca-certificate-publisher-controller",
    "disruption-controller",
    "endpoints-controller",
    "endpointslice-controller",
    "resourcequota-controller",
)
"""What acts on the objects of an Airflow; all else would only use memory."""
FAKE_NODES = "kwok.x-k8s.io/node=fake"
"""The annotation of nodes whose pods KWOK plays; a real node beside them is left alone."""


@dataclass(frozen=True)
class Ports:
    """Free ports on loopback."""

    etcd: int
    etcd_peer: int
    apiserver: int
    controller_manager: int
    scheduler: int

    @classmethod
    def free(cls) -> Ports:
        """Choose them; between choosing and using, somebody else may take one."""
        listeners = [socket.socket() for _ in range(5)]
        try:
            for listener in listeners:
                listener.bind(("127.0.0.1", 0))
            return cls(*(listener.getsockname()[1] for listener in listeners))
        finally:
            for listener in listeners:
                listener.close()


def etcd(program: Path, home: Path, ports: Ports) -> list[str]:
    """Return etcd's command: one member that never waits for a disk."""
    client, peer = (f"http://127.0.0.1:{port}" for port in (ports.etcd, ports.etcd_peer))
    return [
        str(program),
        f"--data-dir={home / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def apiserver(program: Path, home: Path, ports: Ports, pki: Pki) -> list[str]:
    """Return kube-apiserver's command; `tokens.csv` in its home says who may come in beside service accounts."""
    return [
        str(program),
        f"--etcd-servers=http://127.0.0.1:{ports.etcd}",
        f"--tls-cert-file={pki.certificate}",
        f"--tls-private-key-file={pki.key}",
        f"--client-ca-file={pki.authority}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        f"--secure-port={ports.apiserver}",
        "--service-cluster-ip-range=10.0.0.0/24",
        "--allow-privileged=true",
        "--authorization-mode=RBAC",
        # Pods here have no account: nothing mounts a token for them that no kubelet would refresh.
        "--disable-admission-plugins=ServiceAccount",
        "--endpoint-reconciler-type=none",
        f"--token-auth-file={home / 'tokens.csv'}",
        f"--service-account-issuer=https://127.0.0.1:{ports.apiserver}/",
        f"--service-account-key-file={pki.accounts_key}",
        f"--service-account-signing-key-file={pki.accounts_key}",
        "--profiling=false",
    ]


def controller_manager(program: Path, kubeconfig: Path, ports: Ports, pki: Pki) -> list[str]:
    """Return kube-controller-manager's command."""
    return [
        str(program),
        f"--kubeconfig={kubeconfig}",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        f"--secure-port={ports.controller_manager}",
        f"--tls-cert-file={pki.certificate}",
        f"--tls-private-key-file={pki.key}",
        "--authorization-always-allow-paths=/healthz,/readyz,/livez",
        "--kube-api-qps=300",
        "--kube-api-burst=600",
        f"--controllers={','.join(CONTROLLERS)}",
        f"--root-ca-file={pki.authority}",
        f"--service-account-private-key-file={pki.accounts_key}",
        "--profiling=false",
    ]


def scheduler(program: Path, home: Path, kubeconfig: Path, ports: Ports, pki: Pki) -> list[str]:
    """Return kube-scheduler's command; claims are not waited for, because nothing here makes volumes."""
    configuration = {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "leaderElection": {"leaderElect": False},
        "clientConnection": {"kubeconfig": str(kubeconfig), "qps": 300, "burst": 600},
        "enableProfiling": False,
        "profiles": [
            {
                "schedulerName": "default-scheduler",
                "plugins": {"multiPoint": {"disabled": [{"name": name} for name in ("VolumeBinding", "VolumeZone")]}},
            }
        ],
    }
    path = home / "scheduler.json"
    path.write_text(json.dumps(configuration))
    return [
        str(program),
        f"--config={path}",
        "--bind-address=127.0.0.1",
        f"--secure-port={ports.scheduler}",
        f"--tls-cert-file={pki.certificate}",
        f"--tls-private-key-file={pki.key}",
        "--authorization-always-allow-paths=/healthz,/readyz,/livez",
    ]


def kwok(program: Path, kubeconfig: Path, stages: Path) -> list[str]:
    """Return KWOK's command: the kubelet of the fake nodes."""
    return [
        str(program),
        f"--kubeconfig={kubeconfig}",
        f"--config={stages}",
        "--manage-all-nodes=false",
        f"--manage-nodes-with-annotation-selector={FAKE_NODES}",
        "--node-lease-duration-seconds=0",
        "--server-address=",
    ]
