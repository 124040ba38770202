"""The page of which Airflow ran what: one column per Airflow, one row per module, and a failure stands in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import pytest

from tests.compatibility import Table, page

When = Literal["setup", "call", "teardown"]
LIBRARIES = {"python": "3.11.7", "database": "sqlite", "sqlalchemy": "2.1.9", "pydantic": "2.14.3"}


def installation(airflow: str, auth_manager: str, **more: str) -> str:
    return json.dumps(
        {
            "airflow": airflow,
            "auth_manager": auth_manager,
            "executor": "LocalExecutor",
            **LIBRARIES,
            "fastapi": None,
            "flask": None,
            "apache-airflow-providers-fab": None,
            **more,
        }
    )


def test_each_airflow_is_a_column_the_newest_first_and_each_module_a_row() -> None:
    old, new = installation("3.1.8", "SimpleAuthManager", fastapi="0.117.1"), installation("3.10.2", "FabAuthManager")
    written = page(
        "",
        {
            ("tests/plugin/test_b.py", "Second."): {new: {"failed": 1, "passed": 12}},
            ("tests/plugin/test_a.py", "First: a colon."): {old: {"passed": 3}, new: {"skipped": 2}},
        },
    )
    lines = written.splitlines()
    head = next(number for number, line in enumerate(lines) if line.startswith("| what"))
    new_title, old_title = (
        f"{name}<br>LocalExecutor" for name in ("3.10.2<br>FabAuthManager", "3.1.8<br>SimpleAuthManager")
    )
    assert lines[head : head + 4] == [
        f"| what | {new_title} | {old_title} |",
        "| --- | --- | --- |",
        "| First: a colon (`tests/plugin/test_a.py`) | 2 skipped | 3 |",
        "| Second (`tests/plugin/test_b.py`) | 12, 1 **failed** |  |",
    ]
    assert "| 3.1.8<br>SimpleAuthManager<br>LocalExecutor | 3.11.7 | sqlite | 2.1.9 | 2.14.3 | 0.117.1 |  |  |" in lines


def test_a_run_replaces_what_it_tried_again_and_keeps_the_rest() -> None:
    old, new = installation("3.1.8", "SimpleAuthManager"), installation("3.3.2", "FabAuthManager", flask="3.1.3")
    first = page("", {("a.py", "A."): {old: {"passed": 3}, new: {"failed": 1}}, ("b.py", "B."): {old: {"passed": 5}}})
    assert page(first, {("a.py", "A."): {old: {"passed": 3}}}) == first
    second = page(first, {("a.py", "A."): {new: {"passed": 2}}})
    assert "| A (`a.py`) | 2 | 3 |" in second.splitlines()
    assert "| B (`b.py`) |  | 5 |" in second.splitlines()
    assert "failed" not in second


def test_a_fixture_that_fails_leaves_no_earlier_number_of_its_module() -> None:
    old, new = installation("3.1.8", "SimpleAuthManager"), installation("3.3.2", "SimpleAuthManager")
    first = page("", {("a.py", "A."): {old: {"passed": 3}, new: {"passed": 3}}, ("b.py", "B."): {old: {"passed": 5}}})
    assert "| A (`a.py`) | 3 | 3 |" in first.splitlines()
    second = page(first, {("a.py", "A."): {new: {"passed": 2}}, ("c.py", "C."): {}}, {("a.py", "A."), ("c.py", "C.")})
    assert "| A (`a.py`) | 2, a fixture **failed** | a fixture **failed** |" in second.splitlines()
    assert "| B (`b.py`) |  | 5 |" in second.splitlines(), "another module's stay"
    assert "| C (`c.py`) | a fixture **failed** | a fixture **failed** |" in second.splitlines(), "none was seen"


def report(when: When, outcome: str, installed: str | None) -> pytest.TestReport:
    properties = [("compatibility", json.dumps(("a.py", "A.", installed)))]
    made = pytest.TestReport("a.py::test", ("a.py", 1, ""), {}, "passed", None, when, user_properties=properties)
    made.outcome = outcome  # type: ignore[assignment]  # pytest-rerunfailures adds one
    return made


def test_a_test_that_is_run_again_counts_once_and_a_fixture_only_where_it_failed(tmp_path: Path) -> None:
    table, here = Table(tmp_path / "page.md"), installation("3.3.2", "SimpleAuthManager")
    table.pytest_runtest_logreport(report("call", "rerun", here))
    table.pytest_runtest_logreport(report("call", "passed", here))
    table.pytest_runtest_logreport(report("setup", "rerun", None))
    assert not table.without
    table.pytest_runtest_logreport(report("teardown", "failed", None))
    assert table.seen == {("a.py", "A."): {here: {"passed": 1}}}
    assert table.without == {("a.py", "A.")}
    table.pytest_sessionfinish()
    assert "| A (`a.py`) | 1, a fixture **failed** |" in table.path.read_text()
