"""The image of a pod's sandbox: one static program, built by Go and cached by the hash of its source."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from pathlib import Path

from testenv.airflow_environment import cache_directory
from testenv.cluster.toolchain import go_command
from testenv.node import archive
from testenv.node.containerd import PAUSE
from testenv.node.enclosure import NodeFailed

SOURCE = Path(__file__).parent / "pause" / "main.go"
_SECONDS = 300.0


def write(path: Path) -> Path:
    """Write the archive of the image; returns its path."""
    layer = archive.Layer(files={"pause": _program().read_bytes()})
    return archive.write(path, PAUSE, layer, {"Entrypoint": ["/pause"]})


def _program() -> Path:
    made = cache_directory() / "node" / f"pause-{hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]}"
    if not made.exists():
        made.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=made.parent, prefix="building-") as directory:
            built = Path(directory) / "pause"
            command = [go_command(), "build", "-trimpath", "-ldflags=-s -w", "-o", str(built), str(SOURCE)]
            environment = {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off", "GO111MODULE": "off"}
            done = subprocess.run(
                command, cwd=directory, env=environment, capture_output=True, text=True, timeout=_SECONDS, check=False
            )
            if done.returncode:
                raise NodeFailed(f"the pause program was not built: {done.stderr.strip()[-2000:]}")
            built.rename(made)
    return made
