"""Plan and lock against the bare uv chain in shell and against pip, and a plan that the image forbids.

`python -m benchmarks.plan [ROUNDS]`, from the root of the repository. This environment's Airflow is the image.
"""

from __future__ import annotations

import functools
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import house
from benchmarks.measuring import Figure, Measurement, in_turns, median_ms, ratio, seconds, timed
from packaging.requirements import Requirement

from airflow_package_manager import uv_command
from airflow_package_manager.adapters.index import SimpleIndex
from airflow_package_manager.adapters.installed import InterpreterDistributions
from airflow_package_manager.adapters.uv.resolver import UvResolver
from airflow_package_manager.domain.operation import State
from airflow_package_manager.domain.plan import Action, Change, ChangeSet
from airflow_package_manager.domain.resolution import Image, ResolutionRequest
from airflow_package_manager.index_access import IndexAccess
from airflow_package_manager.installer.directory import Directory
from testenv.package_index import serve_catalogue
from testenv.wheels import wheel

LOCAL = ("good-with-dependency", "good-extra")
REAL = ("prettytable", "humanize")
FORBIDDEN = "sqlalchemy<1.4"
UV = str(Path(sys.executable).parent / "uv")
_METHOD = (
    "Ours: the resolver of a plan, from question to lock with hashes and metadata. The chain: a shell script that makes"
    " the same planning environment, asks uv the same question with the same roots and options, and compiles the same"
    " lock with hashes (it starts `mkdir` and `ln` for each distribution of the image, which flatters ours)."
    " pip: `pip install --dry-run --report` with the image's names as requirements and its protected versions pinned,"
    " from an environment of its own (`--python` names the image); it makes no lock. In turns, caches"
    f" warm, our own memory of listings off. `{' '.join(LOCAL)}` from an index on loopback, `{' '.join(REAL)}` from the"
    f" real one. Forbidden: `{FORBIDDEN}` against a running house of {house.REQUIREMENTS} requirements, from asking for"
    " the plan until it is REFUSED in the database with its causes."
)
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


class Bench:
    """One question, three ways to answer it."""

    def __init__(self, room: Path, image: Image, requirements: tuple[str, ...], index: str) -> None:
        """Take a fresh directory, the image, what is wanted, and the index (empty: uv's default)."""
        room.mkdir()
        self._room = room
        self._image = image
        self._requirements = requirements
        self._access = IndexAccess(index)
        self._uv = uv_command.find_uv()
        self._index = index or uv_command.default_index(self._uv, room)
        self._protected = frozenset(name for name in image.distributions if name.startswith("apache-airflow"))

    def ours(self) -> float:
        """Resolve and lock as a plan does."""
        index = SimpleIndex(
            self._access, default_index=lambda: self._index, directory=self._room / "metadata", keep_seconds=0
        )
        resolver = UvResolver(
            uv=lambda: self._uv,
            access=self._access,
            index=index,
            wheels=index,
            timeout=300,
            cache=self._room / "cache-ours",
            workdir=self._room / "work",
        )
        request = ResolutionRequest(
            requirements=tuple(map(Requirement, self._requirements)),
            image=self._image,
            current=None,
            protected=self._protected,
            hashes={},
            requirements_digest="0" * 64,
        )
        return timed(lambda: resolver.resolve(request, lambda _: None, lambda: False))

    def chain(self) -> float:
        """Do the same steps in shell."""
        found = self._image.distributions.values()
        (self._room / "image.txt").write_text(
            "".join(f"{one.name.replace('-', '_')} {one.version} {one.metadata_path}\n" for one in found)
        )
        (self._room / "roots.in").write_text("\n".join([*self._roots(), *self._requirements]) + "\n")
        early = [one.name for one in found if Requirement(f"x=={one.version}").specifier.prereleases]
        script = _CHAIN.format(
            image=self._room / "image.txt",
            roots=self._room / "roots.in",
            uv=shlex.quote(str(self._uv)),
            python=shlex.quote(sys.executable),
            cache=self._room / "cache-chain",
            early=" ".join(f"--prerelease-package={name}=allow" for name in early),
        )
        return seconds(["/bin/bash", "-c", script], uv_command.environment(self._access))

    def pip(self, python: str) -> float:
        """Let pip answer."""
        wanted = self._room / "pip.in"
        wanted.write_text("\n".join([*self._roots(), *self._requirements]) + "\n")
        command = [python, "-m", "pip", "--python", sys.executable, "install", "--quiet", "--dry-run"]
        command += ["--disable-pip-version-check", "--only-binary", ":all:", "--index-url", self._index]
        command += ["--cache-dir", str(self._room / "cache-pip"), "--report", str(self._room / "report.json")]
        return seconds([*command, "-r", str(wanted)], {"PATH": os.defpath, "HOME": str(self._room)})

    def _roots(self) -> list[str]:
        found = self._image.distributions.values()
        return [f"{one.name}=={one.version}" if one.name in self._protected else one.name for one in found]


def _forbidden(room: Path, index: str, rounds: int) -> list[float]:
    """Return the seconds from asking for a plan that the image forbids to its refusal."""
    house.fill(Directory(room / "package_manager"))
    built = house.build(room, index)
    change = ChangeSet(changes=(Change(Action.ADD, FORBIDDEN),))

    def refused() -> None:
        operation, _ = built.manager.plan(house.ADMIN, change)
        while operation.state is State.PLANNING:
            time.sleep(0.001)
            operation = built.manager.operation(house.ADMIN, operation.id)
        problem = operation.problem or {}
        if operation.state is not State.REFUSED or not problem.get("causes"):
            raise RuntimeError(f"not explained by us: {operation.state} {problem}")

    times = in_turns(rounds, {"refused": lambda: timed(refused)}, warm=2)
    built.close(5)
    return times["refused"]


def measure(rounds: int = 7) -> Measurement:
    """Return plan and lock beside its peers, on loopback and on the real index, and the refusal."""
    image = InterpreterDistributions(Path(os.devnull)).image()
    with tempfile.TemporaryDirectory() as folder, serve_catalogue() as index:
        root = Path(folder)
        subprocess.run([UV, "venv", "--quiet", "--seed", str(root / "pip")], check=True)
        pip = str(root / "pip" / "bin" / "python")
        for version in ("1.3.24", "1.4.54", "2.0.51"):
            index.add(wheel("sqlalchemy", version))
        times: dict[str, list[float]] = {}
        for place, wanted, address in (("loopback", LOCAL, index.url), ("real index", REAL, "")):
            bench = Bench(root / place.replace(" ", "-"), image, wanted, address)
            ways: dict[str, Callable[[], float]] = {
                f"ours, {place}": bench.ours,
                f"uv chain, {place}": bench.chain,
                f"pip, {place}": functools.partial(bench.pip, pip),
            }
            times.update(in_turns(rounds, ways))
        (root / "house").mkdir()
        times["forbidden by the image"] = _forbidden(root / "house", index.url, 20)
    figures = (
        Figure(
            "plan + lock, ours / uv chain, loopback", ratio(times, "ours, loopback", "uv chain, loopback"), "times", 1.1
        ),
        Figure("plan + lock, pip / ours, loopback", ratio(times, "pip, loopback", "ours, loopback"), "times"),
        Figure(
            "plan + lock, ours / uv chain, real index",
            ratio(times, "ours, real index", "uv chain, real index"),
            "times",
            1.1,
        ),
        Figure("plan + lock, pip / ours, real index", ratio(times, "pip, real index", "ours, real index"), "times"),
        Figure("forbidden by the image", median_ms(times, "forbidden by the image") / 1000, "s", 0.1),
    )
    return Measurement("Plan and lock", _METHOD, figures, times)


if __name__ == "__main__":
    print(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 7).markdown())
