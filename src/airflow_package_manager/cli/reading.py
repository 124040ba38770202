"""Commands that only look, but for `doctor --repair`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable

from airflow_package_manager.cli import rendering
from airflow_package_manager.cli.application import Application
from airflow_package_manager.cli.exit_status import FAILED, OK
from airflow_package_manager.cli.terminal import say, say_json, tell
from airflow_package_manager.domain.inventory import CheckStatus
from airflow_package_manager.domain.operation import Operation
from airflow_package_manager.domain.planning import text_difference
from airflow_package_manager.web import package_wire, wire
from airflow_package_manager.web.schemas import Answer


def list_packages(arguments: argparse.Namespace) -> int:
    """Print requested, locked and installed."""
    application: Application = arguments.opened(drive=False)
    found = application.manager.inventory(application.principal)
    found = package_wire.filtered(found, scope=arguments.scope, query=arguments.query)
    return show(arguments, lambda: rendering.inventory(found), lambda: package_wire.packages(found))


def show_package(arguments: argparse.Namespace) -> int:
    """Print one project whole."""
    application: Application = arguments.opened(drive=False)
    found = application.manager.package(application.principal, arguments.name)
    return show(arguments, lambda: rendering.package(found), lambda: package_wire.package_detail(found))


def status(arguments: argparse.Namespace) -> int:
    """Print the components, or one operation."""
    application: Application = arguments.opened(drive=False)
    now = application.clock()
    if arguments.operation:
        operation = application.manager.operation(application.principal, arguments.operation)
        return show(arguments, lambda: rendering.operation(operation, now), lambda: wired(application, operation))
    found = application.manager.components(application.principal)
    revision = application.manager.inventory(application.principal).revision
    return show(arguments, lambda: rendering.components(found, now), lambda: wire.components(found, revision))


def history(arguments: argparse.Namespace) -> int:
    """Print operations, newest first."""
    application: Application = arguments.opened(drive=False)
    found, following = application.manager.history(application.principal, None, arguments.limit)
    active = application.manager.active(application.principal)
    return show(
        arguments,
        lambda: rendering.history(found),
        lambda: wire.operations(
            found, following, active, application.clock(), planning_deadline=application.planning_deadline
        ),
    )


def difference(arguments: argparse.Namespace) -> int:
    """Print how the requirements differ, as a unified diff."""
    application: Application = arguments.opened(drive=False)
    before = _text_of(application, arguments.before)
    after = (
        application.manager.requirements(application.principal).text
        if arguments.after is None
        else _text_of(application, arguments.after)
    )
    found = text_difference(before, after)
    if arguments.output == "json":
        say_json(json.dumps({"before": arguments.before, "after": arguments.after, "difference": found}, indent=2))
    elif found:
        say(found.removesuffix("\n"))
    return OK


def doctor(arguments: argparse.Namespace) -> int:
    """Repair when asked to, then print every check; the exit status tells whether one failed."""
    application: Application = arguments.opened(drive=False)
    if arguments.repair:
        done = application.manager.repair(application.principal)
        tell(f"Written back from the database: {done}." if done.is_needed() else "No lock had to be repaired.")
    found = application.manager.health(application.principal)
    lines: list[str] = []
    for check in found:
        lines.append(f"{rendering.checks_mark(check.status):8} {check.name}: {check.cause}")
        if check.next_action:
            lines.append(f"{'':8} Next: {check.next_action}")
    show(arguments, lambda: "\n".join(lines), lambda: wire.health(found))
    return FAILED if any(check.status is CheckStatus.FAILED for check in found) else OK


def show(arguments: argparse.Namespace, text: Callable[[], str], model: Callable[[], Answer]) -> int:
    """Print one answer in the output that was asked for."""
    if arguments.output == "json":
        say_json(model().to_json(indent=2))
    else:
        say(text())
    return OK


def wired(application: Application, operation: Operation) -> Answer:
    """Return an operation as the HTTP API would send it now."""
    return wire.operation(operation, application.clock(), planning_deadline=application.planning_deadline)


def _text_of(application: Application, revision: int) -> str:
    operation = application.manager.revision(application.principal, revision)
    return operation.plan.proposed_text if operation.plan is not None else ""
