"""What having us costs: the activation line in every interpreter, the plugin in every Airflow process.

`python -m benchmarks.activation [ROUNDS]`, from the root of the repository.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.measuring import Figure, Measurement, difference_ms, in_turns, median_ms, seconds

from testenv.airflow_environment import build

LINE = "airflow_package_manager_site"
_MARKER = ".airflow-package-manager-site"
_METHOD = (
    "Two environments that differ only in our `.pth` line and its module; all else in them are links into one"
    " environment with Airflow and our wheel. `python -c pass` in each, in turns; the figure is the median over the"
    " rounds of the difference. A third of it is the list of `site-packages`, which what is imported from there next"
    " finds in Python's cache: `python -c 'import packaging'` shows what is left. The plugin: `airflow.plugins_manager`"
    " is imported first, as a scheduler has it, then"
    " our plugin is imported and created, timed inside a fresh process; modules that this brought are counted."
)
_PLUGIN = """
import json, sys, time
import airflow.plugins_manager
before = set(sys.modules)
started = time.perf_counter()
from airflow_package_manager.plugin import PackageManagerPlugin
PackageManagerPlugin()
taken = time.perf_counter() - started
new = set(sys.modules) - before
foreign = sorted(name for name in new if name.partition(".")[0] != "airflow_package_manager")
print(json.dumps({"seconds": taken, "foreign": foreign}))
"""


def linked_environment(python: Path, root: Path, *, line: bool) -> Path:
    """Return the interpreter of an environment that shows all of another's packages; our line is in it or not."""
    source = python.parent.parent
    (root / "bin").mkdir(parents=True)
    (root / "bin" / "python").symlink_to(os.path.realpath(python))
    shutil.copy(source / "pyvenv.cfg", root / "pyvenv.cfg")
    (there,) = source.glob("lib/python3*/site-packages")
    packages = root / there.relative_to(source)
    packages.mkdir(parents=True)
    for entry in there.iterdir():
        if entry.name == "__pycache__":
            _copy_cache(entry, packages / entry.name, line=line)
        elif not entry.name.startswith(LINE):
            (packages / entry.name).symlink_to(entry)
        elif line:
            shutil.copy2(entry, packages / entry.name)
    return root / "bin" / "python"


def _copy_cache(there: Path, here: Path, *, line: bool) -> None:
    here.mkdir()
    for compiled in there.iterdir():
        if line or not compiled.name.startswith(LINE):
            shutil.copy2(compiled, here / compiled.name)


def _plugin_cost(python: Path, environ: dict[str, str], foreign: set[str]) -> float:
    ended = subprocess.run([str(python), "-c", _PLUGIN], env=environ, capture_output=True, text=True, check=True)
    found = json.loads(ended.stdout.splitlines()[-1])
    foreign.update(found["foreign"])
    return float(found["seconds"])


def measure(rounds: int = 300) -> Measurement:
    """Return both costs; the plugin gets a thirtieth of the rounds, because each one imports Airflow."""
    python = build()
    foreign: set[str] = set()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        having = str(linked_environment(python, root / "with", line=True))
        lacking = str(linked_environment(python, root / "without", line=False))
        site = root / "site"
        site.mkdir()
        (site / _MARKER).touch()
        environ = {"PATH": os.defpath, "HOME": str(root), "AIRFLOW_HOME": str(root / "home")}
        active = {**environ, "AIRFLOW_PACKAGE_MANAGER_SITE": str(site)}
        times = in_turns(
            rounds,
            {
                "interpreter without the line": lambda: seconds([lacking, "-c", "pass"], environ),
                "with the line, no site": lambda: seconds([having, "-c", "pass"], environ),
                "with the line, site active": lambda: seconds([having, "-c", "pass"], active),
                "packaging without the line": lambda: seconds([lacking, "-c", "import packaging"], environ),
                "packaging with the line": lambda: seconds([having, "-c", "import packaging"], environ),
                "packaging with the line, site active": lambda: seconds([having, "-c", "import packaging"], active),
            },
        )
        plugin = in_turns(max(5, rounds // 30), {"plugin": lambda: _plugin_cost(python, environ, foreign)})
    without = "interpreter without the line"
    figures = (
        Figure("line, no site", difference_ms(times, "with the line, no site", without), "ms", 0.5),
        Figure("line, site active", difference_ms(times, "with the line, site active", without), "ms", 0.5),
        Figure(
            "line, no site, where a package is imported anyway",
            difference_ms(times, "packaging with the line", "packaging without the line"),
            "ms",
        ),
        Figure(
            "line, site active, where a package is imported anyway",
            difference_ms(times, "packaging with the line, site active", "packaging without the line"),
            "ms",
        ),
        Figure("plugin in a process that is no web server", median_ms(plugin, "plugin"), "ms", 1),
        Figure("modules it brings that are not ours", len(foreign), "modules", 0, note=", ".join(sorted(foreign))),
    )
    return Measurement("Activation and plugin", _METHOD, figures, {**times, **plugin})


if __name__ == "__main__":
    print(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 300).markdown())
