"""The reference pages that repeat a table of the code: written from the table, below a marker, by `make docs`.

The prose above the marker is written by people and kept. A test compares what this module would write with what
stands in the repository.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

from airflow_package_manager.adapters.kubernetes import manifests
from airflow_package_manager.cli.exit_status import STATUS_BY_CODE as EXIT_BY_CODE
from airflow_package_manager.cli.grammar import build_parser
from airflow_package_manager.refusals import all_errors
from airflow_package_manager.setting_table import SETTINGS
from airflow_package_manager.settings import ENVIRONMENT_PREFIX
from airflow_package_manager.web.endpoints import ENDPOINTS
from airflow_package_manager.web.problems import STATUS_BY_CODE

DOCS = Path(__file__).resolve().parents[1] / "docs"
MANIFESTS = DOCS.parent / "deploy" / "kubernetes"
"""Files that are generated whole: filled in for the defaults, the source is the package's own template."""
MARKER = "<!-- Below: written by `make docs` from the code. -->\n"


def configuration() -> str:
    """Return a section per setting."""
    sections = []
    for setting in SETTINGS:
        default = f"`{setting.default}`" if setting.default else "empty"
        sections.append(
            f"### `{setting.name}`\n\n{setting.help}\n\n"
            f"Default: {default}. Environment: `{ENVIRONMENT_PREFIX}{setting.name.upper()}`. Since {setting.since}.\n"
        )
    return "\n".join(sections)


def errors() -> str:
    """Return a section per error code."""
    sections = []
    for error in sorted(all_errors(), key=lambda error: error.code):
        meaning = (error.__doc__ or "").strip().replace("\n    ", " ")
        again = " May be tried again." if error.retryable else ""
        sections.append(
            f"### `{error.code}`\n\n**{error.title}.** {meaning}\n\n"
            f"HTTP {STATUS_BY_CODE[error.code]}, exit status {EXIT_BY_CODE[error.code]}.{again}"
            f" Next: {error.default_next_action}\n"
        )
    return "\n".join(sections)


def cli() -> str:
    """Return a section per command."""
    parser = build_parser()
    (subparsers,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))  # noqa: SLF001
    sections = []
    for name, command in subparsers.choices.items():
        rows = []
        for action in command._actions:  # noqa: SLF001
            if "--help" in action.option_strings:
                continue
            label = ", ".join(action.option_strings) or action.metavar or action.dest.upper()
            rows.append(f"| `{label}` | {action.help or ''} |")
        sections.append(
            f"### `{name}`\n\n{command.description}\n\n| argument | meaning |\n| --- | --- |\n" + "\n".join(rows)
        )
    return "\n\n".join(sections) + "\n"


def http_api() -> str:
    """Return a section per endpoint, with the shape of what goes in and out."""
    sections = []
    for endpoint in ENDPOINTS:
        permission = endpoint.permission.value if endpoint.permission else "none"
        text = f"### `{endpoint.method} {endpoint.path}`\n\n{endpoint.summary}\n\nPermission: `{permission}`."
        text += f" Answer: {endpoint.status}, `{endpoint.response.__name__}`."
        if endpoint.request is not None:
            schema = endpoint.request.model_json_schema()
            fields = ", ".join(f"`{name}`" for name in schema.get("properties", {}))
            text += f" Body: `{endpoint.request.__name__}`" + (f" with {fields}." if fields else ", an empty object.")
        sections.append(text)
    return "\n\n".join(sections) + "\n"


PAGES: dict[str, Callable[[], str]] = {
    "configuration.md": configuration,
    "errors.md": errors,
    "cli.md": cli,
    "http-api.md": http_api,
}


def expected(name: str) -> str:
    """Return the whole page as it should stand: its prose, the marker, what the code says."""
    prose = (DOCS / name).read_text(encoding="utf-8").partition(MARKER)[0]
    return prose + MARKER + "\n" + PAGES[name]()


def expected_manifest(name: str) -> str:
    """Return a file of `deploy/kubernetes/` as it should stand."""
    return manifests.manifest(name, manifests.Installation())


if __name__ == "__main__":
    for file in (*manifests.FILES, *manifests.FURTHER):
        (MANIFESTS / file).write_text(expected_manifest(file), encoding="utf-8")
    for page in PAGES:
        (DOCS / page).write_text(expected(page), encoding="utf-8")
    print(json.dumps(sorted(PAGES)))
