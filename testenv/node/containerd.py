"""The container runtime of a node: containerd's configuration and command, and images without a registry."""

from __future__ import annotations

import json
import secrets
import subprocess
from collections.abc import Sequence
from pathlib import Path

from testenv.node import machine
from testenv.node.enclosure import NodeFailed, Program

PAUSE = "localhost/pause:1"
NAMESPACE = "k8s.io"
"""Containerd's name for what the kubelet sees."""
_CNI_DIRECTORY = machine.CNI.parent
_SECONDS = 120.0
_CONFIGURATION = """\
version = 2
root = "{home}/containerd"
state = "{home}/containerd-state"
disabled_plugins = [
  "io.containerd.internal.v1.opt", "io.containerd.internal.v1.restart", "io.containerd.tracing.processor.v1.otlp",
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
]
[grpc]
address = "{socket}"
[debug]
level = "warn"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
restrict_oom_score_adj = true # without CAP_SYS_RESOURCE no sandbox would start
disable_apparmor = true
disable_tcp_service = true
stream_server_address = "127.0.0.1"
stream_server_port = "0"
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"
default_runtime_name = "runc"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
BinaryName = "{runc}"
SystemdCgroup = false
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{cni}"
conf_dir = "{home}/cni"
"""


class Containerd:
    """One containerd of a node's own: root, state and socket in the node's directory."""

    def __init__(self, home: Path) -> None:
        """Write its configuration into this directory."""
        self.socket = home / "containerd.sock"
        self._configuration = home / "containerd.toml"
        self._log = home / "containerd.log"
        self._configuration.write_text(
            _CONFIGURATION.format(
                home=home, socket=self.socket, pause=PAUSE, runc=machine.program("runc"), cni=_CNI_DIRECTORY
            )
        )
        network = {"cniVersion": "0.4.0", "name": "loopback", "plugins": [{"type": "loopback"}]}
        (home / "cni").mkdir()
        (home / "cni" / "10-loopback.conflist").write_text(json.dumps(network))

    def program(self) -> Program:
        """Return the server."""
        return Program((machine.program("containerd"), "--config", str(self._configuration)), self._log)

    def load(self, archive: Path) -> None:
        """Load the images of an archive as `docker save` writes it; raises `NodeFailed`."""
        self._ctr("images", "import", "--snapshotter=overlayfs", str(archive))

    def execute(self, container: str, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run a command in a running container, as its user and in its environment; return what it said."""
        pipes = self.socket.parent / "pipes"  # both see this directory, and `ctr` no other of the runtime's
        pipes.mkdir(exist_ok=True)
        called = ("--fifo-dir", str(pipes), "--exec-id", f"exec-{secrets.token_hex(6)}")
        return self._run("tasks", "exec", *called, container, *command)

    def _ctr(self, *arguments: str) -> str:
        done = self._run(*arguments)
        if done.returncode:
            raise NodeFailed(f"'{' '.join(done.args)}' ended with {done.returncode}: {done.stderr.strip()[-2000:]}")
        return done.stdout

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [machine.program("ctr"), "--address", str(self.socket), "--namespace", NAMESPACE, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
