"""A light image for real processes: our wheel, its real dependencies, uv, and an Airflow that imports at once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from testenv.wheels import IndexFile, wheel

REPOSITORY = Path(__file__).parents[2]
UV = Path(sys.executable).parent / "uv"
AIRFLOW: tuple[IndexFile, ...] = (
    wheel("apache-airflow-core", "3.3.2", files={"airflow/__init__.py": '__version__ = "3.3.2"\n'}),
    wheel("apache-airflow-providers-standard", "1.0", files={"airflow/providers/standard/__init__.py": ""}),
)
DEPENDENCIES = (
    "uv",
    "packaging",
    "pydantic",
    "pydantic_core",
    "annotated-types",
    "typing-inspection",
    "typing_extensions",
    "sqlalchemy",
    "greenlet",
)


def create(root: Path) -> Path:
    """Return the interpreter of a new virtual environment below `root`."""
    wheels = root / "wheels"
    _run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", wheels)
    for file in AIRFLOW:
        (wheels / file.filename).write_bytes(file.content)
    # The interpreter's own path: a venv of a venv would resolve to its parent in surprising ways.
    _run(UV, "venv", "--quiet", "--offline", "--python", os.path.realpath(sys.executable), root / "venv")
    python = root / "venv" / "bin" / "python"
    _run(UV, "pip", "install", "--quiet", "--no-deps", "--offline", "--python", python, *wheels.iterdir())
    (packages,) = (root / "venv" / "lib").glob("python3*/site-packages")
    for name in DEPENDENCIES:
        _copy(name, packages)
    (python.parent / "uv").symlink_to(UV)
    return python


def _copy(name: str, packages: Path) -> None:
    """Copy an installed distribution, record included: the gate asks who owns which file."""
    for file in metadata.distribution(name).files or ():
        source = Path(str(file.locate()))
        if ".." in file.parts or "__pycache__" in file.parts or not source.is_file():
            continue
        target = packages / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def _run(*command: str | Path) -> None:
    environment = {"PATH": os.defpath, "HOME": os.environ.get("HOME", "/"), "LANG": "C.UTF-8"}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{command} → {done.returncode}\n{done.stdout}\n{done.stderr}"
