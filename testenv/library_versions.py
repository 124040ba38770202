"""Libraries in the versions that some Airflow brings, each in a directory to put before all others.

A directory instead of an environment: the tests' own packages stay those of the development environment.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

from testenv.airflow_environment import cache_directory

KUBERNETES = ("31.0.0", "36.0.3", "37.0.2")
SQLALCHEMY = ("1.4.54",)
"""Airflow 2's; the development environment has a newer one."""


def build(library: str, version: str) -> Path:
    """Return the directory that holds this version and what it needs; makes it when it is missing."""
    root = cache_directory()
    root.mkdir(parents=True, exist_ok=True)
    wanted = root / f"{library}-{version}-cp{sys.version_info[0]}{sys.version_info[1]}"
    with (root / f"{library}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (wanted / "complete").exists():
            shutil.rmtree(wanted, ignore_errors=True)
            uv = str(Path(sys.executable).parent / "uv")
            install = [uv, "pip", "install", "--quiet", "--python", sys.executable, "--target", str(wanted)]
            done = subprocess.run([*install, f"{library}=={version}"], capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise RuntimeError(f"{library} {version} cannot be installed:\n{done.stderr}")
            (wanted / "complete").touch()
    return wanted


def environment(library: str, version: str) -> dict[str, str]:
    """Return the environment variables of a Python that uses this version."""
    return {**os.environ, "PYTHONPATH": str(build(library, version))}
