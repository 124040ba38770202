"""Measures the installer against bare uv and pip, and what the activation line costs; rounds are interleaved.

`python -m benchmarks.installer [--rounds N]`, from the root of the repository, on a quiet machine. Everything is
built here: an index on loopback with 27 wheels of about 110 files, and an environment with our wheel.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

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
    "print(Lock(image.python_tag(), image.platform_tag(), image.fingerprint(), '0' * 64, pins, 1).render(), end='');"
    "print(Lock(image.python_tag(), image.platform_tag(), '', '0' * 64, pins).digest(), file=sys.stderr)"
)


def packages() -> list[IndexFile]:
    """Return wheels with as many files as the delta of a data-science change has."""
    text = "".join(f"def function_{number}():\n    return {number}\n" for number in range(60))
    return [
        wheel(f"bench-{number}", "1.0", files={f"bench_{number}/m{part}.py": text for part in range(FILES)})
        for number in range(WHEELS)
    ]


def seconds(command: Sequence[str], environ: Mapping[str, str]) -> float:
    """Return the wall time of one process."""
    started = time.perf_counter()
    done = subprocess.run(command, env=dict(environ), capture_output=True, text=True, check=False)
    taken = time.perf_counter() - started
    if done.returncode != 0:
        raise RuntimeError(f"{command}: {done.stdout}{done.stderr}")
    return taken


def interleaved(rounds: int, cases: Mapping[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Return the times of each case; one round of each after the other, so that noise hits all alike."""
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, case in cases.items():
            times[name].append(case())
    return times


def show(times: Mapping[str, Sequence[float]], unit: str = "ms") -> dict[str, float]:
    """Print median and least of each; return the medians in seconds."""
    for name, taken in times.items():
        middle, least = statistics.median(taken) * 1000, min(taken) * 1000
        print(f"  {name:<44} median {middle:9.1f} {unit}   least {least:9.1f} {unit}")
    return {name: statistics.median(taken) for name, taken in times.items()}


class Bench:
    """One directory, one index, one environment."""

    def __init__(self, root: Path, python: Path, index: PackageIndexServer, files: Sequence[IndexFile]) -> None:
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

    def pip(self, python: Path) -> float:
        """Run pip with a warm cache into a fresh directory, as it comes (it compiles)."""
        target = self.root / "pip-target"
        shutil.rmtree(target, ignore_errors=True)
        command = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--no-deps", "--require-hashes"]
        command += ["--only-binary", ":all:", "--target", str(target), "--index-url", self.url]
        command += ["--cache-dir", str(self.root / "pip-cache"), "--requirement", str(self.pins)]
        return seconds(command, self.environ)

    def interpreter(self, site: str, *options: str) -> float:
        """Start Python and end it."""
        return seconds([self.python, *options, "-c", "pass"], {**self.environ, "AIRFLOW_PACKAGE_MANAGER_SITE": site})


def activation(bench: Bench, rounds: int) -> None:
    """Measure what the `.pth` line costs: with a site, switched off, and without the line at all."""
    module = next(Path(bench.python).parent.parent.glob("lib/python3*/site-packages/airflow_package_manager_site.pth"))
    hidden = module.with_suffix(".hidden")

    def without() -> float:
        module.rename(hidden)
        try:
            return bench.interpreter("off")
        finally:
            hidden.rename(module)

    cases = {
        "no line": without,
        "line, switched off": lambda: bench.interpreter("off"),
        "line, site active": lambda: bench.interpreter(str(bench.site)),
    }
    medians = show(interleaved(rounds, cases))
    for name in ("line, switched off", "line, site active"):
        print(f"  {name}: {1000 * (medians[name] - medians['no line']):+.2f} ms per interpreter (goal 0.5 ms)")


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--python", type=Path, help="an interpreter with our wheel (default: one with Airflow)")
    given = parser.parse_args()
    python = given.python or build()
    files = packages()
    with tempfile.TemporaryDirectory() as folder, PackageIndexServer(files) as index:
        root = Path(folder)
        with_pip = root / "pip"
        seconds([UV, "venv", "--seed", "--python", str(python), str(with_pip)], os.environ)
        bench = Bench(root, python, index, files)
        bench.installer()
        bench.uv()
        bench.pip(with_pip / "bin" / "python")
        print("Everything present, whole process:")
        medians = show(
            interleaved(
                given.rounds,
                {"bare interpreter": lambda: bench.interpreter("off"), "our installer": bench.installer},
            )
        )
        print(f"  goal 60 ms; {medians['our installer'] / medians['bare interpreter']:.1f} times a bare interpreter")
        print(f"Warm cache, {WHEELS} distributions, {WHEELS * FILES} files:")
        medians = show(
            interleaved(
                max(3, given.rounds // 3),
                {
                    "our installer": bench.fresh_installer,
                    "bare uv": bench.uv,
                    "bare uv --offline": lambda: bench.uv("--offline"),
                    "pip": lambda: bench.pip(with_pip / "bin" / "python"),
                },
            )
        )
        ours = medians["our installer"]
        print(f"  ours / bare uv {ours / medians['bare uv']:.2f} (goal 1.3)")
        print(f"  ours / bare uv --offline {ours / medians['bare uv --offline']:.2f}")
        print(f"  pip / ours {medians['pip'] / ours:.1f} (goal 20)")
        print("Activation, per interpreter:")
        activation(bench, given.rounds * 4)


if __name__ == "__main__":
    main()
