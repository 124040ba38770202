"""What our plugin costs a process that is no web server, in fresh interpreters that imported Airflow before."""

import json
import statistics
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from testenv import airflow_environment, airflows
from testenv.airflow_home import Airflow

SOURCE = Path(__file__).resolve().parents[2] / "src"
RUNS = 5
LIMIT_SECONDS = 0.001
SCRIPT = """
import json, sys, time
import airflow.plugins_manager
before = set(sys.modules)
start = time.process_time()  # of this process alone: a busy machine would make every process slow
from airflow_package_manager.plugin import PackageManagerPlugin
plugin = PackageManagerPlugin()
seconds = time.process_time() - start
print(json.dumps({"seconds": seconds, "new": sorted(set(sys.modules) - before)}))
"""

ASKED = """
# As a scheduler, a process that parses DAG files, and a task do.
import json, sys
from airflow import plugins_manager
from airflow.listeners.listener import get_listener_manager
before = set(sys.modules)
plugins_manager.ensure_plugins_loaded()
plugins_manager.integrate_macros_plugins()
plugins_manager.integrate_listener_plugins(get_listener_manager())
for what in ("timetables", "priority_weight_strategy"):
    since_3_2 = getattr(plugins_manager, f"get_{what}_plugins", None)
    (since_3_2 or getattr(plugins_manager, f"initialize_{what}_plugins"))()
links = getattr(plugins_manager, "get_operator_extra_links", None)
(links or plugins_manager.initialize_extra_operators_links_plugins)()
known = plugins_manager._get_plugins()[0] if hasattr(plugins_manager, "_get_plugins") else plugins_manager.plugins
new = set(sys.modules) - before
print(json.dumps({"plugins": [plugin.name for plugin in known], "new": sorted(new)}))
"""
WEB = {"fastapi", "starlette", "flask", "flask_appbuilder"}
OTHERS = [pytest.param(name, marks=pytest.mark.every_airflow) for name in airflows.SHORT_PATH]


@dataclass
class Measured:
    """What the runs on one Airflow said."""

    airflows: list[Airflow]
    runs: list[dict[str, object]] = field(default_factory=list)


@pytest.fixture(scope="module", params=airflows.PREPARE)
def measured(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Measured:
    python = airflow_environment.build(request.param)
    home = tmp_path_factory.mktemp("airflow")
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(SOURCE), "AIRFLOW_HOME": str(home), "HOME": str(home)}
    found = Measured([Airflow(home, python, 0, {}, environment)])
    for _ in range(RUNS + 1):  # the first one writes the byte code
        ended = subprocess.run(
            [str(python), "-c", SCRIPT], env=environment, capture_output=True, text=True, timeout=60, check=True
        )
        found.runs.append(json.loads(ended.stdout.splitlines()[-1]))
    del found.runs[0]
    return found


def test_it_imports_nothing_but_itself(measured: Measured) -> None:
    for run in measured.runs:
        assert run["new"] == ["airflow_package_manager", "airflow_package_manager.plugin"]


def test_it_costs_less_than_a_millisecond(measured: Measured) -> None:
    seconds = [run["seconds"] for run in measured.runs]
    assert statistics.median(value for value in seconds if isinstance(value, float)) < LIMIT_SECONDS, seconds


@pytest.mark.parametrize("version", [*airflows.PREPARE, *OTHERS])
def test_airflows_own_plugin_manager_makes_it_import_nothing_else(version: str, tmp_path: Path) -> None:
    python = airflow_environment.build(version)
    environment = {
        "PATH": "/usr/bin:/bin",
        "AIRFLOW_HOME": str(tmp_path),
        "HOME": str(tmp_path),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    }
    ended = subprocess.run(
        [str(python), "-c", ASKED], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout.splitlines()[-1])
    assert "package_manager" in found["plugins"]
    ours = [name for name in found["new"] if name.startswith("airflow_package_manager")]
    assert ours == ["airflow_package_manager", "airflow_package_manager.plugin"]
    foreign = {name for name in found["new"] if name.partition(".")[0] in WEB or name.startswith("airflow.providers.")}
    assert not foreign
