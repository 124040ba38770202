"""The whole grammar of the command line as one parser; `docs/cli.md` is compared with it by a test."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from airflow_package_manager import __version__
from airflow_package_manager.domain.components import WEB_SERVERS

if TYPE_CHECKING:
    from typing import TypeAlias

    Subparsers: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001  its only name

_ACTIONS = ("add", "update", "remove")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser; each command sets `handler` to ``module:function`` of this room."""
    parser = argparse.ArgumentParser(
        prog="airflow-package-manager",
        description="Add, update and remove the Python packages of a running Airflow.",
        epilog="Exit statuses and examples: docs/cli.md.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_reading(commands)
    _add_changing(commands)
    _add_running(commands)
    _add_cluster(commands)
    return parser


def _revision(text: str) -> int:
    return _number(text, 0, 999_999_999)


def _count(text: str) -> int:
    return _number(text, 1, 200)


def _patience(text: str) -> int:
    return _number(text, 1, 86_400)


def _number(text: str, low: int, high: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10 and low <= int(text) <= high):  # noqa: PLR2004
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {low} to {high}")
    return int(text)


def _command(commands: Subparsers, name: str, handler: str, text: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=text)
    parser.add_argument(
        "--output", choices=("text", "json"), default="text", help="text for people (default), or JSON for scripts"
    )
    parser.set_defaults(handler=handler)
    return parser


def _add_reading(commands: Subparsers) -> None:
    parser = _command(commands, "list", "reading:list_packages", "Show requested, locked and installed packages.")
    parser.add_argument(
        "--scope",
        choices=("managed", "requested", "locked", "image", "all"),
        default="managed",
        help="which rows (default: managed, what is requested or locked)",
    )
    parser.add_argument("--query", default="", help="only names that contain this")
    parser = _command(commands, "show", "reading:show_package", "Show one project: releases, needs, where installed.")
    parser.add_argument("name", help="a project")
    parser = _command(commands, "status", "reading:status", "Show the components, or how one operation stands.")
    parser.add_argument("operation", nargs="?", help="id of an operation (default: the components)")
    parser = _command(commands, "history", "reading:history", "Show operations, newest first.")
    parser.add_argument("--limit", type=_count, default=20, help="how many, up to 200 (default: 20)")
    parser = _command(commands, "diff", "reading:difference", "Show how the requirements differ between revisions.")
    parser.add_argument("before", type=_revision, help="a revision")
    parser.add_argument("after", type=_revision, nargs="?", help="a later revision (default: the file as it is now)")
    parser = _command(commands, "doctor", "reading:doctor", "Look at what users get wrong, and say the next action.")
    parser.add_argument(
        "--repair",
        action="store_true",
        help="first write lost or torn locks back from the database; restarts nothing",
    )
    _command(commands, "config", "running:show_config", "Print every setting, its value, and where it came from.")


def _add_changing(commands: Subparsers) -> None:
    parser = _command(commands, "plan", "changing:plan", "Work out what a change would do; restarts nothing.")
    for action in _ACTIONS:
        parser.add_argument(f"--{action}", action="append", default=[], metavar="REQUIREMENT", help=f"{action} this")
    parser.add_argument("--file", metavar="PATH", help="a whole new requirements file ('-': standard input)")
    parser.add_argument("--restore", type=_revision, metavar="REVISION", help="go back to this revision")
    _add_acknowledge(parser)
    parser = _command(
        commands,
        "apply",
        "changing:apply",
        "Apply a plan. The token is read from AIRFLOW_PACKAGE_MANAGER_TOKEN, else from standard input.",
    )
    parser.add_argument("operation", help="id of the plan")
    parser.add_argument("--digest", required=True, help="digest of the plan that was seen")
    _add_waiting(parser)
    for action in _ACTIONS:
        text = f"{action.capitalize()} packages: plan, show, ask, apply, and wait for the verdict."
        parser = _command(commands, action, f"changing:{action}", text)
        parser.add_argument("requirement", nargs="+", help="for example 'pandas>=2.1'; names only to remove")
        _add_asking(parser)
    parser = _command(commands, "restore", "changing:restore", "Go back to an earlier revision.")
    parser.add_argument("revision", type=_revision, help="its number, as in the history; 0 is what was found first")
    _add_asking(parser)
    parser = _command(commands, "cancel", "changing:cancel", "Drop a plan, or roll a running operation back.")
    parser.add_argument("operation", help="id of a plan or operation")
    _command(commands, "resume", "changing:resume", "Take up an operation whose driver died, and end it.")


def _add_acknowledge(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--acknowledge", action="append", default=[], metavar="WHAT", help="accept by name, e.g. shadows:protobuf"
    )


def _add_waiting(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-wait", action="store_true", help="leave the work to the running web server")


def _add_asking(parser: argparse.ArgumentParser) -> None:
    _add_acknowledge(parser)
    _add_waiting(parser)
    parser.add_argument("--yes", "-y", action="store_true", help="apply without asking")


def _add_running(commands: Subparsers) -> None:
    parser = _command(
        commands,
        "run",
        "running:run",
        "Supervise one Airflow component: install its lock, start it, restart it when a change asks for it.",
    )
    parser.add_argument(
        "--component",
        required=True,
        help="scheduler, triggerer, dag-processor, worker, api-server (Airflow 2: webserver)",
    )
    parser.add_argument("--ready-url", help="an address that answers 2xx when the component is ready")
    parser.add_argument("child", nargs=argparse.REMAINDER, metavar="-- COMMAND", help="how to start the component")
    parser = _command(
        commands,
        "standalone",
        "running:standalone",
        "Start Airflow's web server, scheduler, DAG processor and triggerer, each supervised, on loopback.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="where the web server listens (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=8080, help="its port (default: 8080)")


def _add_cluster(commands: Subparsers) -> None:
    parser = _command(
        commands,
        "kubernetes",
        "cluster:kubernetes",
        "Print what an administrator of the cluster applies (install), what the chart needs (values), or how to take it"
        " all back (uninstall), filled in for what is in the cluster: options win over what is found, and what is"
        " neither found nor named there is an error, never guessed. Only 'uninstall' without --dry-run changes"
        " something: it removes stamps and locks.",
    )
    parser.add_argument("action", choices=("install", "values", "uninstall"), help="install, values or uninstall")
    parser.add_argument("--dry-run", action="store_true", help="only print; install and values know no other way")
    parser.add_argument("--yes", "-y", action="store_true", help="uninstall: remove stamps and locks without asking")
    parser.add_argument(
        "--requirements", action="store_true", help="uninstall: the ConfigMap of the requirements too (it stays else)"
    )
    parser.add_argument(
        "--wait",
        type=_patience,
        default=1800,
        metavar="SECONDS",
        help="uninstall: for how long each restarting component is waited for (default: 1800)",
    )
    parser.add_argument("--kubeconfig", default="", metavar="PATH", help="look with this file (default: the setting)")
    parser.add_argument("--context", default="", help="of the kubeconfig (default: the setting, else its current one)")
    parser.add_argument("--offline", action="store_true", help="look into no cluster")
    parser.add_argument("--namespace", default="", help="of Airflow (default: the setting, or where Airflow is found)")
    parser.add_argument(
        "--release", default="", help="Helm release, the start of all names (default: what is found, else airflow)"
    )
    parser.add_argument(
        "--account",
        default="",
        help="service account of the web server (default: what is found, else RELEASE-api-server or RELEASE-webserver)",
    )
    parser.add_argument(
        "--web-server",
        choices=WEB_SERVERS,
        default="",
        help="which one the chart runs: Airflow 2's is the webserver (default: what is found, else api-server)",
    )
    parser.add_argument("--account-namespace", default="", help="its namespace (default: that of Airflow)")
    parser.add_argument("--config-map", default="", help="of the requirements (default: the setting)")
    parser.add_argument(
        "--workload",
        action="append",
        default=[],
        metavar="KIND/NAME",
        help="a component's workload, each one (default: what is found, else those of the official chart)",
    )
    parser.add_argument("--template", default="", metavar="KIND/NAME", help="the one that is checked before a rollout")
    parser.add_argument("--image", default="", help="Airflow's image with this plugin, with its tag")
