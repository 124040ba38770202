"""What the machine must have for a real node: Linux, root, and a few packages of Debian, installed when missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "redis-server": "redis-server",
    "unshare": "util-linux",
    "setpriv": "util-linux",
}
"""Program → Debian's package."""
CNI = Path("/usr/lib/cni/loopback")
POSTGRES = Path("/usr/lib/postgresql")
CONTROL_GROUPS = Path("/sys/fs/cgroup")
_POLICY = Path("/usr/sbin/policy-rc.d")
"""Debian asks this program whether a service may be started while its package is installed."""
_SECONDS = 900.0


class MachineUnfit(RuntimeError):
    """This machine cannot be a node; says why in one line."""


def why_not() -> str | None:
    """Return in one line why there can be no real node here, None when there can; changes nothing."""
    if sys.platform != "linux":
        return f"a real node needs Linux, this is {sys.platform}"
    if os.geteuid() != 0:
        return "a real node needs root: containers, mounts and control groups are made"
    if not os.access(CONTROL_GROUPS, os.W_OK):
        return f"a real node needs control groups that it may write under {CONTROL_GROUPS}"
    if os.environ.get("USE_EXISTING_CLUSTER", "").lower() == "true":
        return "USE_EXISTING_CLUSTER is set: a real node joins a control plane of its own only"
    if missing() and shutil.which("apt-get") is None:
        return f"{', '.join(missing())} are missing, and there is no apt-get to install them with"
    return None


def missing() -> tuple[str, ...]:
    """Return the packages that are to be installed."""
    wanted = [package for program, package in PROGRAMS.items() if shutil.which(program, path=search_path()) is None]
    if not CNI.exists():
        wanted.append("containernetworking-plugins")
    if not any(POSTGRES.glob("*/bin/initdb")):
        wanted.append("postgresql")
    return tuple(dict.fromkeys(wanted))


def search_path() -> str:
    """Return where programs are looked for: a person's PATH may lack those of the administrator."""
    return f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"


def program(name: str) -> str:
    """Return the path of one of the programs; raises `MachineUnfit`."""
    found = shutil.which(name, path=search_path())
    if found is None:
        raise MachineUnfit(f"{name} is not installed (Debian: {PROGRAMS.get(name, name)})")
    return found


def make_ready() -> None:
    """Install what is missing; no service is started. Raises `MachineUnfit`."""
    reason = why_not()
    if reason is not None:
        raise MachineUnfit(reason)
    packages = missing()
    if not packages:
        return
    print(f"Installing {', '.join(packages)} (once per machine)", flush=True)
    _apt("update", "-qq")
    with _no_services():
        _apt("install", "-y", "-qq", "--no-install-recommends", *packages)
    if missing():
        raise MachineUnfit(f"{', '.join(missing())} are still missing after apt-get install")


def _apt(*arguments: str) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", *arguments]
    done = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    if done.returncode:
        raise MachineUnfit(f"'{' '.join(command)}' ended with {done.returncode}: {done.stderr.strip()[-1500:]}")


@contextmanager
def _no_services() -> Iterator[None]:
    """Keep Debian from starting containerd, redis and PostgreSQL as services of this machine: tests start their own."""
    cluster = Path("/etc/postgresql-common/createcluster.conf")
    if not cluster.exists():
        cluster.parent.mkdir(parents=True, exist_ok=True)
        cluster.write_text("create_main_cluster = false\n")
    if _POLICY.exists():
        yield
        return
    with tempfile.NamedTemporaryFile("w", dir=_POLICY.parent, delete=False) as script:
        script.write("#!/bin/sh\nexit 101\n")
    made = Path(script.name)
    made.chmod(0o755)
    made.rename(_POLICY)
    try:
        yield
    finally:
        _POLICY.unlink()
