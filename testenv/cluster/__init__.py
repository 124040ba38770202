"""A real Kubernetes control plane for tests: `with control_plane() as cluster, cluster.namespace() as namespace: …`.

Real kube-apiserver, kube-controller-manager, kube-scheduler and etcd, built from pinned Go modules; KWOK stands for the
kubelet and plays what a pod's annotations script (see `stages.yaml`). No simulator of Kubernetes is written here.
"""

from testenv.cluster.client import Client, Refused
from testenv.cluster.cluster import Cluster, NotOurs
from testenv.cluster.script import REVISION, script
from testenv.cluster.servers import control_plane

__all__ = ["REVISION", "Client", "Cluster", "NotOurs", "Refused", "control_plane", "script"]
