"""The image of Airflow's pods: the machine's own `/usr` and one virtual environment, mounted into empty directories.

Made by the two steps of `deploy/Dockerfile`: an Airflow, then our wheel on top. So the image itself is a few hundred
kilobytes, loaded in a moment, and what a container sees is what it would see in an image that holds it all.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from testenv.airflow_environment import REPOSITORY, cache_directory
from testenv.node import archive
from testenv.node.machine import MachineUnfit

USER = 50_000
"""As in the official image; its group is 0."""
ENVIRONMENT = "/home/airflow/.local"
"""Where the official image has it."""
HOME = "/opt/airflow"
PROBES = "/opt/testenv"
INSIDE = Path(__file__).parent / "inside"
KEPT_SECONDS = 3 * 3600
"""An environment that was asked for more recently may be mounted into pods: it stays."""
_SYSTEM = (Path("/usr/bin/python3"), Path("/usr/local/bin/python3"))
_DIRECTORIES = (
    *("dev", "etc", "etc/package-manager", "etc/package-manager/locks", "etc/ssl", "home", "home/airflow"),
    *("home/airflow/.local", "opt", "opt/airflow", "opt/airflow/config", "opt/airflow/dags", "opt/airflow/logs"),
    *("opt/airflow/pod_templates", "opt/airflow/users", "opt/package-manager", "opt/testenv"),
    *("proc", "root", "run", "sys", "usr", "var"),
)
_MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
"""Links into `/usr` in the root of a current system."""
_PASSWD = (
    f"root:x:0:0:root:/root:/bin/sh\nairflow:x:{USER}:0:airflow:/home/airflow:/bin/sh\nnobody:x:65534:65534::/:/\n"
)
_SECONDS = 900.0


def write(path: Path, tag: str) -> Path:
    """Write the archive of the image with this name and tag; returns its path."""
    links = {name: str(Path(f"/{name}").readlink()) for name in _MERGED if Path(f"/{name}").is_symlink()}
    directories = dict.fromkeys(_DIRECTORIES, 0o775) | {"tmp": 0o1777, "var/tmp": 0o1777}
    files = {"etc/passwd": _PASSWD.encode(), "etc/group": b"root:x:0:\nnogroup:x:65534:\n"}
    cache = Path("/etc/ld.so.cache")  # where libraries outside the usual directories are
    if cache.exists():
        files["etc/ld.so.cache"] = cache.read_bytes()
    for source in sorted(INSIDE.glob("*.py")):
        place = "opt/airflow/config" if source.stem == "pod_name" else PROBES.strip("/")
        files[f"{place}/{source.name}"] = source.read_bytes()
    settings = {
        "Entrypoint": ["dumb-init", "--"],
        "User": f"{USER}:0",
        "WorkingDir": HOME,
        "Env": [
            f"PATH={ENVIRONMENT}/bin:/usr/local/bin:/usr/bin:/bin",
            f"VIRTUAL_ENV={ENVIRONMENT}",
            f"AIRFLOW_HOME={HOME}",
            "HOME=/home/airflow",
            "LANG=C.UTF-8",
        ],
    }
    return archive.write(path, tag, archive.Layer(directories, links, files), settings)


def mounts(environment: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return volumes and volume mounts that fill the image's empty directories; read-only all of them."""
    places = {"usr": ("/usr", "/usr"), "ssl": ("/etc/ssl", "/etc/ssl"), "venv": (str(environment), ENVIRONMENT)}
    volumes = [
        {"name": f"image-{name}", "hostPath": {"path": source, "type": "Directory"}}
        for name, (source, _) in places.items()
    ]
    targets = [{"name": f"image-{name}", "mountPath": target, "readOnly": True} for name, (_, target) in places.items()]
    return volumes, targets


def environment(pins: Path) -> Path:
    """Return the virtual environment with an Airflow and our wheel, of this checkout; builds what is missing.

    The Airflow alone takes half a minute and is kept; our wheel is put onto a copy of it, whose files are links.
    """
    root = cache_directory() / "node"
    root.mkdir(parents=True, exist_ok=True)
    python = _python()
    base_digest = hashlib.sha256(os.path.realpath(python).encode() + pins.read_bytes())
    base = root / f"airflow-{base_digest.hexdigest()[:16]}"
    image = root / f"image-{_digest(base_digest.hexdigest())[:16]}"
    with (root / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (base / "complete").exists():
            print("Building an Airflow for pods (once per machine)", flush=True)
            _install_airflow(base, python, pins)
        if not (image / "complete").exists():
            _install_wheel(image, base)
        for kept in (base, image):
            os.utime(kept)
        _prune(root, keep=(base, image))
    return image


def _python() -> Path:
    found = next((path for path in _SYSTEM if path.exists()), None)
    if found is None:
        raise MachineUnfit("there is no Python under /usr that pods could use (Debian: python3)")
    return found


def _install_airflow(base: Path, python: Path, pins: Path) -> None:
    shutil.rmtree(base, ignore_errors=True)
    _uv("venv", "--quiet", "--relocatable", "--python", str(python), str(base))
    _install(base, "--requirement", str(pins))
    (base / "complete").touch()


def _install_wheel(image: Path, base: Path) -> None:
    wheels = image.with_suffix(".wheel")
    for left in (image, wheels):
        shutil.rmtree(left, ignore_errors=True)
    _run([sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(wheels)])
    (wheel,) = wheels.glob("*.whl")
    _run(["cp", "--archive", "--link", str(base), str(image)])
    (image / "complete").unlink()
    _install(image, str(wheel))
    (image / "complete").touch()
    shutil.rmtree(wheels)


def _install(target: Path, *what: str) -> None:
    _uv("pip", "install", "--quiet", "--compile-bytecode", "--python", str(target / "bin" / "python"), *what)


def _uv(*arguments: str) -> None:
    _run([str(Path(sys.executable).parent / "uv"), *arguments])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=_SECONDS, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"[-4000:])


def _digest(base: str) -> str:
    digest = hashlib.sha256(base.encode())
    sources = [path for path in (REPOSITORY / "src").rglob("*") if path.is_file() and path.suffix != ".pyc"]
    for path in [REPOSITORY / "pyproject.toml", *sorted(sources)]:
        digest.update(f"{path.relative_to(REPOSITORY)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def _prune(root: Path, keep: tuple[Path, ...]) -> None:
    for path in (*root.glob("airflow-*"), *root.glob("image-*")):
        if path not in keep and path.stat().st_mtime < time.time() - KEPT_SECONDS:
            shutil.rmtree(path, ignore_errors=True)
