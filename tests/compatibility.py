"""Writes which Airflow ran which tests, as seen by the run itself: `pytest --compatibility docs/compatibility.md`.

A test counts for an Airflow when one of its fixtures is one, or says with `airflows` which ones it is about. What the
Airflow is, itself says. A fixture that fails stands in every cell of its module, and no earlier number does.
"""

from __future__ import annotations

import inspect
import json
import subprocess
from collections import Counter
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest

from testenv.airflow_home import Airflow

_PROPERTY = "compatibility"
_WHAT, _AIRFLOW = "what", "Airflow"
"""Heads of the first column of the two tables."""
_ASK = """
import importlib.metadata, json, platform
from airflow.configuration import conf
manager = conf.get("core", "auth_manager")
versions = {}
for name in ("fastapi", "flask", "sqlalchemy", "pydantic", "apache-airflow-providers-fab"):
    try:
        versions[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        versions[name] = None
print(json.dumps({
    "airflow": importlib.metadata.version("apache-airflow"),
    "auth_manager": manager.rpartition(".")[2] if manager.startswith("airflow.") else "a stand-in",
    "executor": ", ".join(name.strip().rpartition(".")[2] for name in conf.get("core", "executor").split(",")),
    "database": conf.get("database", "sql_alchemy_conn").partition(":")[0].partition("+")[0],
    "python": platform.python_version(),
    **versions,
}))
"""
_HEAD = (
    "# Compatibility\n\n"
    "Written by a run of the tests from what it saw (`--compatibility FILE`; `make compatibility` runs those that start"
    " an Airflow), not by hand.\nEach column is an Airflow that was really there; a number is how many tests passed"
    " on it. An empty cell was not run.\nThe auth manager `a stand-in` is one of the tests' own, which implements"
    " Airflow's interface of an auth manager and stands for AWS's and unknown ones.\n"
    "`tests/cluster` runs the plugin against a real Kubernetes control plane without an Airflow, and does not count"
    " here.\n\n"
)
_NO_FIXTURE = "a fixture **failed**"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--compatibility", metavar="FILE", type=Path, help="write which Airflow ran which tests")


def pytest_configure(config: pytest.Config) -> None:
    path = config.getoption("--compatibility")
    if path is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Table(path))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say in each report which Airflow it is about; a worker's report reaches the one who writes."""
    report = yield
    if item.config.getoption("--compatibility") is None:
        return report
    found: list[str | None] = []
    if report.when == "call":
        found = [_installation(airflow) for airflow in _started(item)]
    elif report.failed:
        found = [None]  # which Airflow it would have been is not known: none may be there
    what = inspect.getdoc(inspect.getmodule(getattr(item, "function", None))) or item.nodeid
    rows = [(item.nodeid.partition("::")[0], what.partition("\n")[0], installation) for installation in found]
    report.user_properties += [(_PROPERTY, json.dumps(row)) for row in rows]
    return report


def _started(item: pytest.Item) -> Iterable[Airflow]:
    """Return the Airflows among the fixtures of a test that has run, also of those that its fixtures asked for."""
    request = item._request  # type: ignore[attr-defined]  # every fixture is there already: nothing is made
    values = [request.getfixturevalue(name) for name in request.fixturenames]
    named = [airflow for value in values for airflow in getattr(value, "airflows", ())]
    return {(value.home, value.python): value for value in (*values, *named) if isinstance(value, Airflow)}.values()


@dataclass(eq=False)  # pytest keeps its plugins in sets
class Table:
    """What was seen."""

    path: Path
    seen: dict[tuple[str, str], dict[str, Counter[str]]] = field(default_factory=dict)
    """(Module, its first sentence) → installation → outcome → how many of its tests."""
    without: set[tuple[str, str]] = field(default_factory=set)
    """Those of which a fixture failed."""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.outcome == "rerun":  # type: ignore[comparison-overlap]  # pytest-rerunfailures adds this outcome
            return  # another report of the same test follows
        for name, value in report.user_properties:
            if name == _PROPERTY:
                module, what, installation = json.loads(str(value))
                outcomes = self.seen.setdefault((module, what), {})
                if installation is not None and report.when == "call":
                    outcomes.setdefault(installation, Counter())[report.outcome] += 1
                elif installation is None and report.when != "call":
                    self.without.add((module, what))

    def pytest_sessionfinish(self) -> None:
        """Write what was seen, failures too, and keep from the page what this run did not try again."""
        if self.seen:
            before = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
            self.path.write_text(page(before, self.seen, self.without), encoding="utf-8")


def page(
    before: str,
    seen: Mapping[tuple[str, str], Mapping[str, Mapping[str, int]]],
    without: Iterable[tuple[str, str]] = (),
) -> str:
    """Return the page: what `before`, such a page, says, and in its place what was seen since.

    Of those `without` a fixture, what was seen before is not seen any more.
    """
    rows, libraries = _read(before)
    for installation in {found for cells in seen.values() for found in cells}:
        known = json.loads(installation)
        libraries[_title(known)] = [known[name] or "" for name in _LIBRARIES]
    titles = sorted(libraries, key=_order)
    for (module, sentence), found in seen.items():
        cells = rows.setdefault(f"{sentence.rstrip('.:')} (`{module}`)", {})
        renewed = {_title(json.loads(installation)): _cell(outcomes) for installation, outcomes in found.items()}
        cells.update(renewed)
        if (module, sentence) in without:  # of which Airflow is not known, so it stands in all
            for title in cells or titles:
                cells[title] = ", ".join([*([renewed[title]] if title in renewed else []), _NO_FIXTURE])
    what = [[name, *(cells.get(title, "") for title in titles)] for name, cells in sorted(rows.items())]
    return (
        f"{_HEAD}{_markdown([_WHAT, *titles], what)}\n## With what\n\n"
        f"{_markdown([_AIRFLOW, *_LIBRARIES.values()], [[title, *libraries[title]] for title in titles])}"
    )


def _read(before: str) -> tuple[dict[str, dict[str, str]], dict[str, list[str]]]:
    """Return row → column → cell of the first table, and the rows of the second one."""
    titles: list[str] = []
    rows: dict[str, dict[str, str]] = {}
    libraries: dict[str, list[str]] = {}
    for line in before.splitlines():
        first, *cells = [cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|")]
        if not line.startswith("|") or first == "---":
            continue
        if first == _WHAT:
            titles = cells
        elif first == _AIRFLOW:
            titles = []
        elif titles:
            rows[first] = {title: cell for title, cell in zip(titles, cells, strict=True) if cell}
        else:
            libraries[first] = cells
    return rows, libraries


def _cell(outcomes: Mapping[str, int]) -> str:
    words = {"passed": "{}", "failed": "{} **failed**", "skipped": "{} skipped"}
    return ", ".join(words[outcome].format(number) for outcome, number in sorted(outcomes.items(), reverse=True))


_LIBRARIES = {
    "python": "Python",
    "database": "database",
    "sqlalchemy": "SQLAlchemy",
    "pydantic": "pydantic",
    "fastapi": "FastAPI",
    "flask": "Flask",
    "apache-airflow-providers-fab": "FAB provider",
}


@cache
def _asked(home: Path, python: Path, environment: tuple[tuple[str, str], ...]) -> str:
    del home  # part of what makes it another one
    done = subprocess.run(
        [str(python), "-c", _ASK], env=dict(environment), capture_output=True, text=True, timeout=120, check=True
    )
    return done.stdout.splitlines()[-1]


def _installation(airflow: Airflow) -> str:
    return _asked(airflow.home, airflow.python, tuple(sorted(airflow.environment.items())))


def _title(known: Mapping[str, str]) -> str:
    return f"{known['airflow']}<br>{known['auth_manager']}<br>{known['executor']}"


def _order(title: str) -> tuple[list[int], str]:
    version, _, rest = title.partition("<br>")
    return [-int(part) for part in version.split(".") if part.isdigit()], rest


def _markdown(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
