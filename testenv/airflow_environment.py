"""Virtual environments with a pinned Airflow and our wheel, cached outside the repository by the hash of their inputs.

It stands for the image: what the tests and the demo run is installed the way a user installs it, not editable.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
KEPT = 3
"""Environments that are left for another checkout."""
_UV = str(Path(sys.executable).parent / "uv")
_HEX, _DIGITS = "[0-9a-f]", 16
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
    wanted = root / f"airflow-{version}-{_digest(pins)[:_DIGITS]}"
    with (root / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (wanted / "complete").exists():
            shutil.rmtree(wanted, ignore_errors=True)
            _install(wanted, pins)
            (wanted / "complete").touch()
        os.utime(wanted)
        _prune(root, f"airflow-{version}-{_HEX * _DIGITS}", keep=wanted)
    return wanted / "bin" / "python"


def wheel(directory: Path, version: str | None = None) -> Path:
    """Build our wheel into a directory that is not there yet; another `version` is written into a copy of the sources.

    Returns the wheel.
    """
    sources = REPOSITORY
    if version is not None:
        sources = directory / "sources"
        shutil.copytree(REPOSITORY / "src", sources / "src", ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(REPOSITORY / name, sources)
        about = sources / "src" / "airflow_package_manager" / "__init__.py"
        text = about.read_text(encoding="utf-8")
        about.write_text(re.sub(r'(?m)^__version__ = ".*"$', f'__version__ = "{version}"', text), encoding="utf-8")
    _run([sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(directory)], cwd=sources)
    (built,) = directory.glob("*.whl")
    return built


def copy(python: Path, to: Path) -> Path:
    """Copy the environment of an interpreter and return that of the copy; something may be changed there by uv.

    Its files are those of the original, linked, which takes seconds: uv and Python replace files and never write into
    one. Only the programs, which name their interpreter, are written anew.
    """
    original = python.parents[1]
    shutil.copytree(original, to, symlinks=True, copy_function=_link)
    for program in (to / "bin").iterdir():
        if program.is_symlink() or str(original).encode() not in (content := program.read_bytes()):
            continue
        mode = program.stat().st_mode
        program.unlink()
        program.write_bytes(content.replace(str(original).encode(), str(to).encode()))
        program.chmod(mode)
    return to / "bin" / python.name


def uv_pip(python: Path, command: str, *arguments: str) -> None:
    """Install into an environment, or uninstall from it; raises `RuntimeError` with what uv said."""
    _run([_UV, "pip", command, "--quiet", "--python", str(python), *arguments])


def _link(source: str, to: str) -> None:
    try:
        os.link(source, to)
    except OSError:  # another file system
        shutil.copy2(source, to)


def _install(environment: Path, pins: Path) -> None:
    wheels = environment.with_suffix(".wheel")
    shutil.rmtree(wheels, ignore_errors=True)
    ours = wheel(wheels)
    # The path of the interpreter that runs us, not of a venv: a venv of a venv would vanish with its parent.
    _run([_UV, "venv", "--quiet", "--python", os.path.realpath(sys.executable), str(environment)])
    uv_pip(environment / "bin" / "python", "install", "--compile-bytecode", "--requirement", str(pins), str(ours))
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
