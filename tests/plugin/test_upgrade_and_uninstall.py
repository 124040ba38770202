"""Our wheel comes into each Airflow, makes history, is upgraded, and goes: Airflow works on, and what stays can go too.

Each Airflow is a copy of its environment that shares the original's files, without us at first.
"""

from __future__ import annotations

import json
import re
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_package_manager.adapters.sql.tables import metadata
from testenv import airflow_environment, airflow_home, airflows
from tests.plugin import journey, machine

if TYPE_CHECKING:
    from testenv.airflow_home import Airflow
    from testenv.package_index import PackageIndexServer

pytestmark = pytest.mark.airflow

PAGE = airflow_environment.REPOSITORY / "docs" / "install.md"
OURS = "airflow-package-manager"
OLD, NEW = "0.0.1", "999.0"
VERSIONS = """
import importlib.metadata, json, sys
print(json.dumps([found.version for found in importlib.metadata.distributions(name=sys.argv[1])]))
"""
COMMANDS = (["version"], ["db", "check"], ["plugins"], ["dags", "list"], ["db", "migrate"])


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {
        number: airflow_environment.wheel(tmp_path_factory.mktemp("wheel") / number, number) for number in (OLD, NEW)
    }


OTHERS = [pytest.param(name, marks=pytest.mark.every_airflow) for name in airflows.SHORT_PATH]


@pytest.fixture(params=[*airflows.PREPARE, *OTHERS])
def version(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.fixture
def airflow(version: str, tmp_path: Path, package_index: PackageIndexServer) -> Iterator[Airflow]:
    """One that never heard of us; the environment that other tests use stays as it is."""
    shared = airflow_environment.build(version)
    before = _files_of_ours(shared)
    python = airflow_environment.copy(shared, tmp_path / "environment")
    airflow_environment.uv_pip(python, "uninstall", OURS)
    assert not _files_of_ours(python)
    yield airflows.prepare(
        version,
        tmp_path / "home",
        dags={"plain.py": "from airflow.sdk import dag\n\n\n@dag(schedule=None)\ndef plain(): ...\n\n\nplain()\n"},
        settings={
            "AIRFLOW__PACKAGE_MANAGER__SOAK": "1",
            "AIRFLOW__PACKAGE_MANAGER__HEARTBEAT_TIMEOUT": "5",
            "AIRFLOW__PACKAGE_MANAGER__INDEX_URL": package_index.url,
        },
        python=python,
    )
    assert _files_of_ours(shared) == before
    assert before


def test_history_outlives_an_upgrade_and_airflow_our_end(
    airflow: Airflow, version: str, wheels: dict[str, Path]
) -> None:
    airflow_environment.uv_pip(airflow.python, "install", str(wheels[OLD]))
    with machine.supervised(airflow.python, airflow.environment):
        done = journey.answered(journey.command(airflow, "add", "good-package", "--yes", "--output", "json"))
    assert done["state"] == "SUCCEEDED", done["problem"]
    assert _imports(airflow, "good_package")

    airflow_environment.uv_pip(airflow.python, "install", str(wheels[NEW]))
    with machine.supervised(airflow.python, airflow.environment):
        history = journey.answered(journey.command(airflow, "history", "--output", "json"))
        rows = journey.answered(journey.command(airflow, "list", "--output", "json"))
    assert _installed(airflow) == NEW
    newest = history["operations"][0]  # below it stands what was found first
    assert (newest["id"], newest["state"]) == (done["id"], "SUCCEEDED")
    assert [row["name"] for row in rows["packages"]][:1] == ["good-package"]

    uninstall, remove_files = re.findall(r"```sh\n(pip uninstall.*?|rm .*?)```", PAGE.read_text(), re.DOTALL)
    _shell(airflow, uninstall)
    assert _installed(airflow) is None
    assert not _files_of_ours(airflow.python)
    assert not _imports(airflow, "good_package")
    _works(airflow, version)
    assert _tables(airflow) == set(metadata.tables)
    assert "good-package" in machine.requirements(airflow), "nothing of theirs went with the code"

    _shell(airflow, remove_files)
    (drop,) = re.findall(r"```sql\n(.*?)```", PAGE.read_text(), re.DOTALL)
    with closing(sqlite3.connect(airflow.home / "airflow.db")) as database:
        database.executescript(drop)
    assert not _tables(airflow)
    assert not (airflow.home / "package_manager").exists()
    for command in COMMANDS[-2:]:
        _run(airflow, command)


def _works(airflow: Airflow, version: str) -> None:
    for command in COMMANDS:
        assert OURS not in _run(airflow, command).replace("_", "-")
    if version in airflows.PREPARE:
        with airflow_home.serving(airflow):
            status, health = airflow.request("GET", airflow.health[0])
            assert (status, health["metadatabase"]["status"]) == (200, "healthy")
            assert "Traceback" not in airflow.log_end()


def _run(airflow: Airflow, command: list[str]) -> str:
    done = airflow.run(str(airflow.python), "-m", "airflow", *command)
    said = done.stdout + done.stderr
    assert done.returncode == 0, f"{command}: {said[-4000:]}"
    assert "Traceback" not in said
    return done.stdout


def _shell(airflow: Airflow, script: str) -> None:
    """Run what the page shows; an environment that uv made has no pip, so uv is it."""
    programs = airflow.home.parent / "programs"
    programs.mkdir(exist_ok=True)
    pip = programs / "pip"
    uv = Path(sys.executable).parent / "uv"
    pip.write_text(f'#!/bin/sh\nexec {uv} pip "$@" --python {airflow.python}\n')
    pip.chmod(0o755)
    path = f"{programs}:{airflow.environment['PATH']}"
    done = airflow.run("/bin/sh", "-euc", script, extra={"PATH": path})
    assert done.returncode == 0, done.stdout + done.stderr


def _installed(airflow: Airflow) -> str | None:
    done = airflow.run(str(airflow.python), "-c", VERSIONS, OURS)
    numbers: list[str] = json.loads(done.stdout)
    return numbers[0] if numbers else None


def _imports(airflow: Airflow, module: str) -> bool:
    done = airflow.run(str(airflow.python), "-c", f"import {module}")
    assert done.returncode == 0 or "ModuleNotFoundError" in done.stderr, done.stderr
    return done.returncode == 0


def _tables(airflow: Airflow) -> set[str]:
    with closing(sqlite3.connect(airflow.home / "airflow.db")) as database:
        found = database.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'package_manager%'")
        return {name for (name,) in found}


def _files_of_ours(python: Path) -> dict[Path, tuple[int, int]]:
    """Return the files of our wheel in an environment, each with its size and time."""
    environment = python.parents[1]
    found = [
        *environment.glob("lib/python*/site-packages/airflow_package_manager*"),
        *environment.glob("bin/airflow-p*"),
    ]
    files = [path for top in found for path in ([top] if top.is_file() else top.rglob("*.*")) if path.is_file()]
    return {path.relative_to(environment): (path.stat().st_size, path.stat().st_mtime_ns) for path in files}
