"""`kubernetes uninstall`: stamps and locks go, one after another, after somebody agreed to the list."""

from __future__ import annotations

import argparse
import json
import sys

from airflow_package_manager.cli.application import Application
from airflow_package_manager.cli.exit_status import CANCELLED, OK
from airflow_package_manager.cli.terminal import say, say_json, tell
from airflow_package_manager.domain.removal import Removed
from airflow_package_manager.refusals import ComponentsUnsettled, Malformed

_POLL_SECONDS = 2.0
_NAMING = (
    *("kubeconfig", "context", "offline", "namespace", "release", "account"),
    *("account_namespace", "config_map", "workload", "template", "image"),
)
"""Options that fill in what is printed; what is removed is what the settings say."""
_REST = (
    "What is left for an administrator (values of the chart, Role, policies):\n"
    "  airflow-package-manager kubernetes uninstall --dry-run"
)


def uninstall(arguments: argparse.Namespace) -> int:
    """Show what would go, ask, and remove it; safe to run again, from wherever it was stopped."""
    _require_plain(arguments)
    if not arguments.yes and (arguments.output == "json" or not sys.stdin.isatty()):
        raise Malformed(
            "Nobody can be asked: standard input is no terminal, or the output is for a program.",
            next_action="Look with --dry-run first, then give --yes.",
            field="arguments",
        )
    application: Application = arguments.opened(drive=False)
    found = application.manager.remnants(application.principal, text=arguments.requirements)
    if found:
        tell("This is removed, in this order:")
        tell("\n".join(f"  {one}" for one in found))
        tell(
            "Components that carry a stamp restart, one after another, the web server too: when this runs in its pod,"
            " it ends with the pod; run it again in the new one.\nPods that start after the locks are gone run on their"
            " image alone: what was added is missing there. "
            + (
                "The history in Airflow's database keeps the requirements."
                if arguments.requirements
                else "The requirements stay in their ConfigMap."
            )
        )
        if not arguments.yes and not _confirmed():
            tell("Nothing was removed.")
            return CANCELLED
    removed = _removed(application, arguments)
    if arguments.output == "json":
        say_json(json.dumps({"removed": removed}, indent=2))
    else:
        say(f"Done: {len(removed)} removed." if removed else "Nothing is left to remove.")
        say(_REST)
    return OK


def _removed(application: Application, arguments: argparse.Namespace) -> list[str]:
    removed: list[str] = []
    until = application.clock() + arguments.wait
    said = ""
    while True:
        step = application.manager.uninstall(application.principal, text=arguments.requirements)
        if step is None:
            return removed
        if isinstance(step, Removed):
            removed.append(step.what)
            until = application.clock() + arguments.wait  # each component has its time
            if arguments.output == "text":
                say(f"Removed: {step.what}")
            continue
        waits = f"{step.component}: {step.message}"
        if step.failed or application.clock() >= until:
            raise ComponentsUnsettled(
                f"{waits}. Nothing more was removed. The locks are kept, because its pods may need them."
                + ("" if step.failed else f" It was waited for {arguments.wait} s."),
                component=step.component,
                removed=removed,
            )
        if waits != said:
            said = waits
            tell(f"waiting for {waits}")
        application.sleep(_POLL_SECONDS)


def _require_plain(arguments: argparse.Namespace) -> None:
    wrong = ["--" + name.replace("_", "-") for name in _NAMING if getattr(arguments, name)]
    if wrong:
        raise Malformed(
            f"{', '.join(wrong)} only fill in what --dry-run prints; what is removed is what the settings name.",
            next_action="Leave them out, or add --dry-run.",
            field="arguments",
        )


def _confirmed() -> bool:
    sys.stderr.write("Remove? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}
