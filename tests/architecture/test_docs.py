"""Where the documentation repeats a table of the code, the two must agree."""

import argparse
import re
from pathlib import Path

from airflow_package_manager.cli.exit_status import STATUS_BY_CODE as EXIT_BY_CODE
from airflow_package_manager.cli.grammar import build_parser
from airflow_package_manager.refusals import all_errors
from airflow_package_manager.settings import SETTINGS
from airflow_package_manager.web.endpoints import ENDPOINTS
from airflow_package_manager.web.problems import STATUS_BY_CODE

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


def _headings(name: str) -> set[str]:
    return {match.strip("`") for match in re.findall(r"^#{2,4} (.+)$", (DOCS / name).read_text(), re.MULTILINE)}


def _rows(name: str, columns: int) -> set[tuple[str, ...]]:
    rows = set()
    for line in (DOCS / name).read_text().splitlines():
        if line.startswith("| `"):
            cells = [cell.strip() for cell in line.strip("|").split(" | ")]
            rows.add(tuple(cell.strip("`") for cell in cells[:columns]))
    return rows


def test_every_error_code_has_an_http_status_an_exit_status_and_a_heading() -> None:
    codes = {error.code for error in all_errors()}
    assert set(STATUS_BY_CODE) == codes
    assert set(EXIT_BY_CODE) == codes
    assert codes <= _headings("errors.md")
    text = (DOCS / "errors.md").read_text()
    for code in codes:
        section = text.split(f"### `{code}`")[1].split("###")[0]
        assert f"HTTP {STATUS_BY_CODE[code]}" in section, code
        assert f"exit status {EXIT_BY_CODE[code]}" in section, code


def test_every_setting_is_documented_with_its_default_and_help() -> None:
    text = (DOCS / "configuration.md").read_text()
    for setting in SETTINGS:
        section = text.split(f"### `{setting.name}`")[1].split("### ")[0]
        assert f"Default: `{setting.default}`" in section or (not setting.default and "Default: empty" in section)
        assert setting.help in " ".join(section.split()), setting.name
    documented = {heading for heading in _headings("configuration.md") if heading.isidentifier()}
    assert {name for name in documented if name.islower()} == {setting.name for setting in SETTINGS}


def test_every_endpoint_is_documented() -> None:
    text = (DOCS / "http-api.md").read_text()
    for endpoint in ENDPOINTS:
        assert f"### `{endpoint.method} {endpoint.path}`" in text
    assert len(re.findall(r"^### `(?:GET|POST) ", text, re.MULTILINE)) == len(ENDPOINTS)


def test_every_command_and_option_is_documented() -> None:
    text = (DOCS / "cli.md").read_text()
    (subparsers,) = (action for action in build_parser()._actions if isinstance(action, argparse._SubParsersAction))
    for name, parser in subparsers.choices.items():
        assert f"### `{name}`" in text, name
        section = text.split(f"### `{name}`")[1].split("### `")[0]
        for action in parser._actions:
            for option in action.option_strings:
                if option.startswith("--") and option not in {"--help", "--output"}:
                    assert f"`{option}" in section, f"{name} {option}"
    documented = re.findall(r"^### `([a-z]+)`", text, re.MULTILINE)
    assert sorted(documented) == sorted(subparsers.choices)
