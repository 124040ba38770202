import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src"
MODULES = sorted(SOURCE.rglob("*.py"))
BANNED = {"utils", "util", "helpers", "helper", "common", "commons", "base", "misc", "constants", "core"}


def _name(path: Path) -> str:
    return str(path.relative_to(SOURCE))


def test_the_tree_is_found() -> None:
    assert len(MODULES) > 30


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_a_module_is_at_most_300_lines_long(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 300


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_no_module_has_a_name_that_says_nothing(path: Path) -> None:
    assert path.stem not in BANNED


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_each_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


@pytest.mark.parametrize("path", [path for path in MODULES if path.name == "__init__.py"], ids=_name)
def test_a_package_holds_its_law_and_little_else(path: Path) -> None:
    body = ast.parse(path.read_text()).body
    if path.parent.name in {"airflow_package_manager", "plugin"}:
        # The version; the plugin class, which must be importable at no cost.
        assert len(path.read_text().splitlines()) <= 80
    else:
        assert len(body) == 1


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_no_exception_is_swallowed(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ExceptHandler):
            broad = node.type is None or (isinstance(node.type, ast.Name) and node.type.id.endswith("Exception"))
            silent = all(isinstance(statement, ast.Pass | ast.Continue) for statement in node.body)
            assert not (broad and silent), f"line {node.lineno}"


def test_our_own_modules_are_never_patched() -> None:
    tests = SOURCE.parent / "tests"
    needle = "patch(" + '"airflow_package_manager'
    assert not [path for path in tests.rglob("*.py") if needle in path.read_text()]
