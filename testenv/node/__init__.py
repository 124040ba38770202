"""A real node for tests and the demo: kubelet, containerd and runc on this machine, and a whole Airflow in real pods.

Everything that runs for it lives in process and mount namespaces of its own, so that the kernel ends all of it with the
process that asked for it, however that ends; what the kernel leaves (directories, control groups) a guardian removes.
"""

from testenv.node.enclosure import NodeFailed
from testenv.node.machine import why_not
from testenv.node.node import Node, real_node

__all__ = ["Node", "NodeFailed", "real_node", "why_not"]
