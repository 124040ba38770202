"""Commands that plan and apply; progress is printed while they wait.

Whoever waits also drives: the operation goes on when no api-server runs, and an api-server takes it up when this
process is stopped.
"""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from pathlib import Path

from airflow_package_manager.cli import rendering
from airflow_package_manager.cli.application import Application
from airflow_package_manager.cli.exit_status import CANCELLED, INTERNAL, OK, STATUS_BY_CODE, STATUS_BY_STATE
from airflow_package_manager.cli.problem import problem, problem_json
from airflow_package_manager.cli.reading import show, wired
from airflow_package_manager.cli.terminal import say, say_json, tell
from airflow_package_manager.domain.operation import TERMINAL, Operation, State
from airflow_package_manager.domain.plan import Action, Change, ChangeSet
from airflow_package_manager.errors import PackageManagerError, TokenInvalid
from airflow_package_manager.refusals import Malformed
from airflow_package_manager.web import wire

TOKEN_VARIABLE = "AIRFLOW_PACKAGE_MANAGER_TOKEN"  # noqa: S105  a variable's name
_POLL_SECONDS = 0.3
_LONGEST_TOKEN = 1024


def plan(arguments: argparse.Namespace) -> int:
    """Plan, and print the plan with the token that applies it, this once."""
    changes = tuple(
        Change(action, requirement) for action in Action for requirement in getattr(arguments, action.value)
    )
    if sum((bool(changes), arguments.file is not None, arguments.restore is not None)) != 1:
        raise Malformed(
            "A plan is of changes, or of a whole file, or of a revision.",
            next_action="Give --add/--update/--remove, or --file, or --restore.",
            field="arguments",
        )
    text = None if arguments.file is None else _read(arguments.file)
    change_set = ChangeSet(changes, text, arguments.restore, frozenset(arguments.acknowledge))
    application: Application = arguments.opened(drive=False)
    operation, token = _planned(application, change_set)
    if operation.plan is None:
        return _refused(arguments, application, operation)
    if arguments.output == "json":
        created = wire.operation_created(
            operation, token, application.clock(), planning_deadline=application.planning_deadline
        )
        return show(arguments, lambda: "", lambda: created)
    say(
        f"{rendering.plan(operation.plan)}\n\n{rendering.operation(operation, application.clock())}\n"
        f"token      {token}\n"
        f"To apply:  {TOKEN_VARIABLE}=… airflow-package-manager apply {operation.id} --digest {operation.plan_digest}"
    )
    return OK


def apply(arguments: argparse.Namespace) -> int:
    """Apply a plan that was made before."""
    token = os.environ.get(TOKEN_VARIABLE)
    if token is None:
        token = getpass.getpass("Token: ") if sys.stdin.isatty() else sys.stdin.readline(_LONGEST_TOKEN)
    token = token.strip()
    if not token:
        raise TokenInvalid(
            "There is no token.", next_action=f"Put it into {TOKEN_VARIABLE}, or write it to standard input."
        )
    application: Application = arguments.opened(drive=not arguments.no_wait)
    return _applied(arguments, application, arguments.operation, token, arguments.digest)


def add(arguments: argparse.Namespace) -> int:
    """Add packages."""
    return _change(arguments, Action.ADD)


def update(arguments: argparse.Namespace) -> int:
    """Update packages."""
    return _change(arguments, Action.UPDATE)


def remove(arguments: argparse.Namespace) -> int:
    """Remove packages."""
    return _change(arguments, Action.REMOVE)


def restore(arguments: argparse.Namespace) -> int:
    """Go back to an earlier revision."""
    return _asked(arguments, ChangeSet(restore=arguments.revision, acknowledge=frozenset(arguments.acknowledge)))


def cancel(arguments: argparse.Namespace) -> int:
    """Drop a plan, or roll a running operation back."""
    application: Application = arguments.opened(drive=False)
    found = application.manager.cancel(application.principal, arguments.operation)
    now = application.clock()
    return show(arguments, lambda: rendering.operation(found, now), lambda: wired(application, found))


def resume(arguments: argparse.Namespace) -> int:
    """Take up the active operation when nobody drives it, and wait for its end."""
    application: Application = arguments.opened(drive=True)
    active = application.manager.active(application.principal)
    if active is None:
        tell("No operation is active: there is nothing to resume.")
        if arguments.output == "json":
            say_json("null")
        return OK
    application.drive(active.id)
    return _waited(arguments, application, active.id)


def _change(arguments: argparse.Namespace, action: Action) -> int:
    changes = tuple(Change(action, requirement) for requirement in arguments.requirement)
    return _asked(arguments, ChangeSet(changes, acknowledge=frozenset(arguments.acknowledge)))


def _asked(arguments: argparse.Namespace, change_set: ChangeSet) -> int:
    if not arguments.yes and (arguments.output == "json" or not sys.stdin.isatty()):
        raise Malformed(
            "Nobody can be asked: standard input is no terminal, or the output is for a program.",
            next_action="Give --yes, or use 'plan' and 'apply' to look in between.",
            field="arguments",
        )
    application: Application = arguments.opened(drive=not arguments.no_wait)
    operation, token = _planned(application, change_set)
    if operation.plan is None:
        return _refused(arguments, application, operation)
    if arguments.output == "text":
        say(rendering.plan(operation.plan))
    if not arguments.yes and not _confirmed(application, operation):
        application.manager.cancel(application.principal, operation.id)
        tell("Nothing was changed.")
        return CANCELLED
    return _applied(arguments, application, operation.id, token, operation.plan_digest or "")


def _confirmed(application: Application, operation: Operation) -> bool:
    sys.stderr.write("Apply? [y/N] ")
    sys.stderr.flush()
    try:
        return sys.stdin.readline().strip().lower() in {"y", "yes"}
    except KeyboardInterrupt:
        application.manager.cancel(application.principal, operation.id)
        tell("\nNothing was changed.")
        raise


def _planned(application: Application, change_set: ChangeSet) -> tuple[Operation, str]:
    operation, token = application.manager.plan(application.principal, change_set)
    said = ""
    try:
        while True:
            operation = application.manager.operation(application.principal, operation.id)
            if operation.state is not State.PLANNING:
                return operation, token
            if operation.step != said and sys.stderr.isatty():
                said = operation.step
                tell(f"{said} …")
            application.sleep(_POLL_SECONDS)
    except KeyboardInterrupt:
        application.manager.cancel(application.principal, operation.id)
        tell("\nThe plan was dropped; nothing was changed.")
        raise


def _applied(
    arguments: argparse.Namespace, application: Application, operation_id: str, token: str, digest: str
) -> int:
    operation = application.manager.apply(application.principal, operation_id, token, digest)
    if arguments.no_wait:
        now = application.clock()
        return show(arguments, lambda: rendering.operation(operation, now), lambda: wired(application, operation))
    return _waited(arguments, application, operation_id)


def _waited(arguments: argparse.Namespace, application: Application, operation_id: str) -> int:
    after = 0
    try:
        while True:
            operation = application.manager.operation(application.principal, operation_id)
            for event in application.manager.events(application.principal, operation_id, after, 100):
                after = max(after, event.sequence or 0)
                if arguments.output == "text":
                    say(rendering.event(event))
            if operation.state in TERMINAL:
                application.stop()  # a driver of this process may still be telling others about the end
                break
            application.sleep(_POLL_SECONDS)
    except KeyboardInterrupt:
        application.stop()
        tell(
            "\nStopped waiting. The operation goes on in the web server; look with"
            f" 'airflow-package-manager status {operation_id}', go on here with 'airflow-package-manager resume',"
            f" undo with 'airflow-package-manager cancel {operation_id}'."
        )
        raise
    now = application.clock()
    show(arguments, lambda: rendering.operation(operation, now), lambda: wired(application, operation))
    return STATUS_BY_STATE[operation.state.value]


def _refused(arguments: argparse.Namespace, application: Application, operation: Operation) -> int:
    if operation.state is State.CANCELLED:
        tell("The plan was cancelled meanwhile; nothing was changed.")
        if arguments.output == "json":
            say_json(wired(application, operation).to_json(indent=2))
        return CANCELLED
    why = operation.problem or PackageManagerError("The plan ended without a reason.").as_problem()
    if arguments.output == "json":
        say_json(problem_json(why))
    else:
        tell(problem(why))
    return STATUS_BY_CODE.get(str(why["code"]), INTERNAL)


def _read(path: str) -> str:
    try:
        raw = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise Malformed(
            f"{path} cannot be read: {error}", next_action="Give a text file that can be read.", field="--file"
        ) from error
    return raw.decode("utf-8", "surrogateescape")  # as the store reads it: bytes that are no UTF-8 may stay
