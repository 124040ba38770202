"""The installer against bare uv and pip: with everything present, and with a warm cache.

`python -m benchmarks.installer [ROUNDS]`, from the root of the repository. Everything is built here: an index on
loopback with 27 wheels of 110 files, and an environment with Airflow and our wheel.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measuring import Figure, Measurement, in_turns, median_ms, ratio, seconds

from testenv.airflow_environment import build
from testenv.package_index import PackageIndexServer
from testenv.wheels import IndexFile, wheel

WHEELS = 27
FILES = 110
UV = str(Path(sys.executable).parent / "uv")
LOCK_CODE = (
    "import sys; from airflow_package_manager.domain.lock import Lock, Pin;"
    "from airflow_package_manager.installer import image;"
    "pins = tuple(sorted(Pin(*word.split('=')[:2], (word.split('=')[2],)) for word in sys.argv[1:]));"
    "lock = Lock(image.python_tag(), image.platform_tag(), image.fingerprint(), '0' * 64, pins, 1);"
    "print(lock.render(), end=''); print(lock.digest(), file=sys.stderr)"
)
_METHOD = (
    f"An index on loopback with {WHEELS} wheels of {FILES} modules each, an environment with Airflow and our wheel."
    " Present: `python -m airflow_package_manager.installer` as each component runs it, the whole process. Warm cache:"
    " the site is removed before each round. Bare uv and pip get the same hashes and options (`--no-deps"
    " --require-hashes --only-binary :all: --target`), into an empty directory of the same file system; pip compiles,"
    " as it does when nobody asks. Ours asks uv without the network first, so the stricter peer stands beside."
)


def packages() -> list[IndexFile]:
    """Return wheels with as many files as the delta of a data-science change has."""
    text = "".join(f"def function_{number}():\n    return {number}\n" for number in range(60))
    return [
        wheel(f"bench-{number}", "1.0", files={f"bench_{number}/m{part}.py": text for part in range(FILES)})
        for number in range(WHEELS)
    ]


class Bench:
    """One directory, one index, one environment."""

    def __init__(self, root: Path, python: Path, index: PackageIndexServer, files: Sequence[IndexFile]) -> None:
        """Stage a lock of all files, and make an environment with pip."""
        self.root = root
        self.python = str(python)
        self.url = index.url
        self.directory = root / "home" / "package_manager"
        self.directory.mkdir(parents=True)
        self.environ = {
            "PATH": os.defpath,
            "HOME": str(root),
            "AIRFLOW_HOME": str(root / "home"),
            "AIRFLOW__PACKAGE_MANAGER__INDEX_URL": index.url,
            "AIRFLOW_PACKAGE_MANAGER_SITE": "off",
        }
        words = [f"{file.project}={file.version}={file.sha256}" for file in files]
        made = subprocess.run(
            [self.python, "-c", LOCK_CODE, *words], env=self.environ, capture_output=True, text=True, check=True
        )
        (self.directory / "lock.1").write_text(made.stdout)
        (self.directory / "current").write_text("1\n")
        self.site = self.directory / "sites" / made.stderr.strip()
        self.pins = root / "pins.txt"
        self.pins.write_text("".join(f"{f.project}=={f.version} --hash=sha256:{f.sha256}\n" for f in files))
        self.pip_python = str(root / "pip" / "bin" / "python")
        seconds([UV, "venv", "--seed", "--python", self.python, str(root / "pip")], os.environ)

    def interpreter(self) -> float:
        """Start Python and end it."""
        return seconds([self.python, "-c", "pass"], self.environ)

    def installer(self) -> float:
        """Run our installer as each component does."""
        command = [self.python, "-m", "airflow_package_manager.installer", "--directory", str(self.directory)]
        return seconds(command, self.environ)

    def fresh_installer(self) -> float:
        """The same with a warm cache and no site."""
        shutil.rmtree(self.site, ignore_errors=True)
        return self.installer()

    def uv(self, *options: str) -> float:
        """Run bare uv with a warm cache into a fresh directory."""
        target = self.root / "uv-target"
        shutil.rmtree(target, ignore_errors=True)
        command = [UV, "pip", "install", "--no-config", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
        command += ["--python", self.python, "--target", str(target), "--default-index", self.url, *options]
        command += ["--cache-dir", str(self.root / "uv-cache"), "--requirements", str(self.pins)]
        return seconds(command, self.environ)

    def pip(self) -> float:
        """Run pip with a warm cache into a fresh directory, as it comes (it compiles)."""
        target = self.root / "pip-target"
        shutil.rmtree(target, ignore_errors=True)
        command = [self.pip_python, "-m", "pip", "install", "--disable-pip-version-check", "--no-deps"]
        command += ["--require-hashes", "--only-binary", ":all:", "--target", str(target), "--index-url", self.url]
        command += ["--cache-dir", str(self.root / "pip-cache"), "--requirement", str(self.pins)]
        return seconds(command, self.environ)


def measure(rounds: int = 30) -> Measurement:
    """Return what the installer costs; `rounds` of the quick ones, pip gets three."""
    python = build()
    files = packages()
    with tempfile.TemporaryDirectory() as folder, PackageIndexServer(files) as index:
        bench = Bench(Path(folder), python, index, files)
        bench.installer()
        bench.uv()
        present = in_turns(rounds, {"bare interpreter": bench.interpreter, "ours, everything present": bench.installer})
        warm = in_turns(
            max(3, rounds // 2),
            {
                "ours, warm cache": bench.fresh_installer,
                "bare uv": bench.uv,
                "bare uv --offline": lambda: bench.uv("--offline"),
            },
        )
        pip = in_turns(3, {"pip, warm cache": bench.pip})
    times = {**present, **warm, **pip}
    ours = "ours, warm cache"
    figures = (
        Figure("everything present, whole process", median_ms(times, "ours, everything present"), "ms", 60),
        Figure(
            "everything present, ours / bare interpreter",
            ratio(times, "ours, everything present", "bare interpreter"),
            "times",
        ),
        Figure("warm cache, ours / bare uv", ratio(times, ours, "bare uv"), "times", 1.3),
        Figure("warm cache, ours / bare uv `--offline`", ratio(times, ours, "bare uv --offline"), "times"),
        Figure("warm cache, pip / ours", ratio(times, "pip, warm cache", ours), "times", 20, at_least=True),
    )
    return Measurement("Installer", _METHOD, figures, times)


if __name__ == "__main__":
    print(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 30).markdown())
