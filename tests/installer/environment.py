"""A throw-away environment that plays the image: our wheel, uv, packaging, and a tiny Airflow; and locks for it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_package_manager.domain.lock import Lock, Pin
from airflow_package_manager.installer.directory import Directory
from testenv.wheels import IndexFile, wheel

REPOSITORY = Path(__file__).parents[2]
UV = str(Path(sys.executable).parent / "uv")

IMAGE = (
    wheel("apache-airflow-core", "3.3.2", files={"airflow/__init__.py": 'STARTED = True\n__version__ = "3.3.2"\n'}),
    wheel("apache-airflow-providers-standard", "1.0", files={"airflow/providers/standard/__init__.py": ""}),
    wheel("image-package", "1.0", files={"image_package/__init__.py": "WHO = 'image'\n", "image_package/part.py": ""}),
    wheel("needs-image-package", "1.0", requires=["image-package<2"]),
    wheel("image-namespace", "1.0", files={"shared/one/__init__.py": ""}),
    wheel("careless-tests", "1.0", files={"careless_tests.py": "", "tests/__init__.py": "", "tests/test_one.py": ""}),
)


def run(
    command: Sequence[str | Path], *, environ: Mapping[str, str] | None = None, timeout: float = 60, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run a command with a small environment of its own."""
    base = {"PATH": os.defpath, "HOME": os.environ.get("HOME", "/"), "LANG": "C.UTF-8"}
    words = [str(word) for word in command]
    done = subprocess.run(
        words, env={**base, **(environ or {})}, capture_output=True, text=True, timeout=timeout, check=False
    )
    assert not check or done.returncode == 0, f"{words} → {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


@dataclass(frozen=True)
class Environment:
    """One virtual environment."""

    root: Path

    @property
    def python(self) -> Path:
        return self.root / "bin" / "python"

    @property
    def packages(self) -> Path:
        (found,) = (self.root / "lib").glob("python3*/site-packages")
        return found

    def install(self, *wheels: Path) -> None:
        run([UV, "pip", "install", "--quiet", "--no-deps", "--offline", "--python", self.python, *wheels])

    def add(self, folder: Path, *files: IndexFile) -> None:
        folder.mkdir(exist_ok=True)
        for file in files:
            (folder / file.filename).write_bytes(file.content)
        self.install(*(folder / file.filename for file in files))

    def facts(self) -> dict[str, str]:
        """Return what the installer knows of this interpreter."""
        code = (
            "import json; from airflow_package_manager.installer import image;"
            "print(json.dumps({'python': image.python_tag(), 'platform': image.platform_tag(),"
            " 'image': image.fingerprint()}))"
        )
        facts: dict[str, str] = json.loads(self.run("-c", code, environ={"AIRFLOW_PACKAGE_MANAGER_SITE": "off"}).stdout)
        return facts

    def run(
        self, *arguments: str | Path, environ: Mapping[str, str] | None = None, timeout: float = 60, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        return run([self.python, *arguments], environ=environ, timeout=timeout, check=check)

    def lock(self, *files: IndexFile, revision: int | None = 1, **header: str) -> Lock:
        pins = tuple(sorted(Pin(file.project, file.version, (file.sha256,)) for file in files))
        facts = {"requirements": "0" * 64, **self.facts(), **header}
        return Lock(pins=pins, revision=revision, **facts)


def build_wheel(folder: Path) -> Path:
    """Return our own wheel."""
    run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], environ={"PWD": str(REPOSITORY)})
    (built,) = folder.glob("*.whl")
    return built


def create(root: Path, ours: Path) -> Environment:
    """Return a new environment with our wheel, the image's packages, uv and packaging."""
    # The interpreter's own path: a venv of a venv would resolve to its parent in surprising ways.
    run([UV, "venv", "--quiet", "--offline", "--python", os.path.realpath(sys.executable), root])
    made = Environment(root)
    made.install(ours)
    made.add(root / "wheels", *IMAGE)
    shutil.copytree(_installed("packaging"), made.packages / "packaging", copy_function=os.link)
    (made.root / "bin" / "uv").symlink_to(UV)
    return made


def _installed(name: str) -> Path:
    module = __import__(name)
    return Path(str(module.__file__)).parent


@dataclass(frozen=True)
class Installer:
    """The installer of one environment on one directory and one index."""

    environment: Environment
    directory: Directory
    index_url: str

    @property
    def environ(self) -> dict[str, str]:
        return {"AIRFLOW__PACKAGE_MANAGER__INDEX_URL": self.index_url, "AIRFLOW_HOME": str(self.directory.root.parent)}

    def stage(self, lock: Lock, revision: int, *, current: int | None = None) -> Lock:
        placed = lock.with_revision(revision)
        self.directory.lock(revision).write_text(placed.render())
        if current is not None:
            self.directory.write_current(current)
        return placed

    def command(self, *arguments: str) -> list[str]:
        module = "airflow_package_manager.installer"
        return [str(self.environment.python), "-m", module, "--directory", str(self.directory.root), *arguments]

    def run(self, *arguments: str, environ: Mapping[str, str] | None = None) -> tuple[int, dict[str, Any]]:
        done = run(self.command(*arguments), environ={**self.environ, **(environ or {})}, check=False)
        assert done.stdout.count("\n") == 1, done.stdout + done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return done.returncode, answer

    def install(self, lock: Lock, revision: int = 1) -> tuple[int, dict[str, Any]]:
        """Stage and install a lock that was promoted."""
        self.stage(lock, revision, current=revision)
        return self.run("--revision", str(revision))

    def site(self, lock: Lock) -> Path:
        return self.directory.site(lock.digest())
