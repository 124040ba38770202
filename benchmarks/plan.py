"""Plan and lock against the bare uv chain in shell with the same steps, and against pip; on this environment's Airflow.

Usage: ``python -m benchmarks.plan [--repeat 5] [--index URL] REQUIREMENT…``. Prints a table of medians in seconds, all
measured in one run, one after another in turns. Without ``--index`` uv's default index is asked.
"""

from __future__ import annotations

import argparse
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from packaging.requirements import Requirement

from airflow_package_manager import uv_command
from airflow_package_manager.adapters.index import SimpleIndex
from airflow_package_manager.adapters.installed import InterpreterDistributions
from airflow_package_manager.adapters.uv.resolver import UvResolver
from airflow_package_manager.domain.resolution import Image, ResolutionRequest
from airflow_package_manager.index_access import IndexAccess

_CHAIN = """\
set -e
site=$(mktemp -d) && cd "$site"
while read -r name version metadata; do
  mkdir "$name-$version.dist-info" && ln -s "$metadata" "$name-$version.dist-info/METADATA"
  : > "$name-$version.dist-info/RECORD"
done < {image}
{uv} pip install --no-config --quiet --dry-run --exact --output-format json --no-build --prerelease disallow {early} \
  --cache-dir {cache} --python {python} --target "$site" -r {roots} > plan.json
{python} -c 'import json, sys
for row in json.load(open("plan.json"))["changes"]:
    if row["action"] == "installed": print(row["name"] + "==" + row["version"])' > delta.in
{uv} pip compile --no-config --quiet --no-deps --generate-hashes --no-build --cache-dir {cache} --python {python} \
  delta.in -o lock.txt
rm -r "$site"
"""


def _ours(image: Image, access: IndexAccess, requirements: list[str], room: Path) -> None:
    index = SimpleIndex(
        access,
        default_index=lambda: uv_command.default_index(uv_command.find_uv(), room),
        directory=room / "metadata",
        keep_seconds=0,
    )
    resolver = UvResolver(
        uv=uv_command.find_uv,
        access=access,
        index=index,
        wheels=index,
        timeout=300,
        cache=room / "cache-ours",
        workdir=room / "work",
    )
    request = ResolutionRequest(
        requirements=tuple(map(Requirement, requirements)),
        image=image,
        current=None,
        protected=frozenset(_protected(image)),
        hashes={},
        requirements_digest="0" * 64,
    )
    resolver.resolve(request, lambda _: None, lambda: False)


def _protected(image: Image) -> list[str]:
    return [name for name in image.distributions if name.startswith("apache-airflow")]


def _chain(image: Image, access: IndexAccess, requirements: list[str], room: Path) -> None:
    protected = set(_protected(image))
    found = image.distributions.values()
    (room / "image.txt").write_text(
        "".join(f"{one.name.replace('-', '_')} {one.version} {one.metadata_path}\n" for one in found)
    )
    roots = [f"{one.name}=={one.version}" if one.name in protected else one.name for one in found]
    (room / "roots.in").write_text("\n".join([*roots, *requirements]) + "\n")
    early = [one.name for one in found if Requirement(f"x=={one.version}").specifier.prereleases]
    script = _CHAIN.format(
        image=room / "image.txt",
        roots=room / "roots.in",
        uv=shlex.quote(str(uv_command.find_uv())),
        python=shlex.quote(sys.executable),
        cache=room / "cache-chain",
        early=" ".join(f"--prerelease-package={name}=allow" for name in early),
    )
    subprocess.run(["/bin/bash", "-c", script], env=uv_command.environment(access), check=True, timeout=300)


def _pip(image: Image, access: IndexAccess, requirements: list[str], room: Path) -> None:
    found = image.distributions.values()
    protected = set(_protected(image))
    constraints = [f"{one.name}=={one.version}" for one in found if one.name in protected]
    (room / "pip.in").write_text("\n".join([*constraints, *requirements]) + "\n")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--only-binary", ":all:"]
    command += ["--report", str(room / "report.json"), "-r", str(room / "pip.in")]
    command += ["--index-url", access.index_url] if access.index_url else []
    subprocess.run(command, check=True, capture_output=True, timeout=300)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--index", default="")
    parser.add_argument("requirements", nargs="+")
    arguments = parser.parse_args()
    image, access = InterpreterDistributions(Path("/nonexistent")).image(), IndexAccess(arguments.index)
    ways: dict[str, Callable[[Image, IndexAccess, list[str], Path], None]] = {
        "plan + lock": _ours,
        "bare uv chain": _chain,
    }
    if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0:
        ways["pip --dry-run --report"] = _pip
    times: dict[str, list[float]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as directory:
        for _ in range(arguments.repeat + 1):  # the first fills the caches and is not counted
            for name, way in ways.items():
                started = time.perf_counter()
                way(image, access, arguments.requirements, Path(directory))
                times[name].append(time.perf_counter() - started)
    medians = {name: statistics.median(values[1:]) for name, values in times.items()}
    print(
        f"{' '.join(arguments.requirements)}: {len(image.distributions)} distributions, median of {arguments.repeat}\n"
    )
    print("| way | seconds | ours / it |\n| --- | --- | --- |")
    for name, seconds in medians.items():
        print(f"| {name} | {seconds:.2f} | {medians['plan + lock'] / seconds:.2f} |")


if __name__ == "__main__":
    main()
