"""The page of which Airflow ran what: one column per Airflow, one row per module, and a failure stands in it."""

from __future__ import annotations

import json

from tests.compatibility import page

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
