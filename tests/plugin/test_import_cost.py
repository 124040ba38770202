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
start = time.perf_counter()
from airflow_package_manager.plugin import PackageManagerPlugin
plugin = PackageManagerPlugin()
seconds = time.perf_counter() - start
print(json.dumps({"seconds": seconds, "new": sorted(set(sys.modules) - before)}))
"""


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
