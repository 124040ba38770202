"""Virtual environments with a pinned Airflow and our wheel, cached outside the repository by the hash of their inputs.

It stands for the image: what the tests and the demo run is installed the way a user installs it, not editable.
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

REPOSITORY = Path(__file__).resolve().parents[1]
KEPT = 3
"""Environments that are left for another checkout."""
KEPT_SECONDS = 3 * 3600
"""An environment that was asked for more recently may be running an Airflow: it is left too."""


def cache_directory() -> Path:
    """Return where everything slow to build is kept."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "airflow-package-manager"


def build(version: str = "3.3") -> Path:
    """Return the interpreter of an environment with Airflow `version` and our wheel; builds it when it is missing."""
    pins = REPOSITORY / "requirements" / f"airflow-{version}.txt"
    root = cache_directory()
    root.mkdir(parents=True, exist_ok=True)
    wanted = root / f"airflow-{version}-{_digest(pins)[:16]}"
    with (root / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (wanted / "complete").exists():
            shutil.rmtree(wanted, ignore_errors=True)
            _install(wanted, pins)
            (wanted / "complete").touch()
        os.utime(wanted)
        _prune(root, f"airflow-{version}-*", keep=wanted)
    return wanted / "bin" / "python"


def _install(environment: Path, pins: Path) -> None:
    uv = str(Path(sys.executable).parent / "uv")
    wheels = environment.with_suffix(".wheel")
    shutil.rmtree(wheels, ignore_errors=True)
    build_wheel = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(wheels)]
    _run(build_wheel, cwd=REPOSITORY)
    (wheel,) = wheels.glob("*.whl")
    # The path of the interpreter that runs us, not of a venv: a venv of a venv would vanish with its parent.
    _run([uv, "venv", "--quiet", "--python", os.path.realpath(sys.executable), str(environment)])
    install = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(environment / "bin" / "python")]
    _run([*install, "--requirement", str(pins), str(wheel)])
    shutil.rmtree(wheels)


def _run(command: list[str], cwd: Path | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=900)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")


def _digest(pins: Path) -> str:
    digest = hashlib.sha256(f"{sys.version}\n".encode())
    sources = [path for path in (REPOSITORY / "src").rglob("*") if path.is_file() and path.suffix != ".pyc"]
    for path in [pins, REPOSITORY / "pyproject.toml", *sorted(sources)]:
        digest.update(f"{path.relative_to(REPOSITORY)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def _prune(root: Path, pattern: str, keep: Path) -> None:
    found = sorted((path for path in root.glob(pattern) if path != keep), key=lambda path: path.stat().st_mtime)
    for path in found[: -(KEPT - 1)]:
        if path.stat().st_mtime < time.time() - KEPT_SECONDS:
            shutil.rmtree(path, ignore_errors=True)


if __name__ == "__main__":
    print(build(*sys.argv[1:]))
