"""What our plugin costs a process that is no web server, in fresh interpreters that imported Airflow before."""

import json
import statistics
import subprocess
from pathlib import Path

import pytest

from testenv import airflow_environment, airflows

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


@pytest.fixture(scope="module", params=airflows.PREPARE)
def measured(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    python = airflow_environment.build(request.param)
    home = tmp_path_factory.mktemp("airflow")
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(SOURCE), "AIRFLOW_HOME": str(home), "HOME": str(home)}
    found = []
    for _ in range(RUNS + 1):  # the first one writes the byte code
        ended = subprocess.run(
            [str(python), "-c", SCRIPT], env=environment, capture_output=True, text=True, timeout=60, check=True
        )
        found.append(json.loads(ended.stdout.splitlines()[-1]))
    return found[1:]


def test_it_imports_nothing_but_itself(measured: list[dict[str, object]]) -> None:
    for run in measured:
        assert run["new"] == ["airflow_package_manager", "airflow_package_manager.plugin"]


def test_it_costs_less_than_a_millisecond(measured: list[dict[str, object]]) -> None:
    seconds = [run["seconds"] for run in measured]
    assert statistics.median(value for value in seconds if isinstance(value, float)) < LIMIT_SECONDS, seconds
