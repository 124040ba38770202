"""Commands that need neither Airflow nor a database: the supervisor, all components, the settings."""

from __future__ import annotations

import argparse
import json

from airflow_package_manager import settings
from airflow_package_manager.cli.exit_status import OK
from airflow_package_manager.cli.terminal import say, say_json
from airflow_package_manager.refusals import Malformed


def show_config(arguments: argparse.Namespace) -> int:
    """Print every setting, its value, and where it came from; credentials masked; a wrong value is refused."""
    values = settings.read()
    settings.load()
    if arguments.output == "json":
        rows = [{"name": value.name, "value": value.shown(), "source": value.source} for value in values]
        say_json(json.dumps(rows, indent=2))
    else:
        for value in values:
            say(f"{value.name} = {value.shown()}  ({value.source})")
    return OK


def run(arguments: argparse.Namespace) -> int:
    """Supervise one component until it ends; return its exit status."""
    from airflow_package_manager.installer.supervisor import supervise  # noqa: PLC0415  only this command needs it

    command = arguments.child[1:] if arguments.child[:1] == ["--"] else arguments.child
    if not command:
        raise Malformed(
            "There is no command to run.",
            next_action="Write it behind '--', for example: run --component scheduler -- airflow scheduler",
            field="arguments",
        )
    return supervise(arguments.component, command, settings.load(), ready_url=arguments.ready_url)


def standalone(arguments: argparse.Namespace) -> int:
    """Run the components of this Airflow on this machine until stopped."""
    from airflow_package_manager.installer.standalone import standalone as run_all  # noqa: PLC0415  only this one

    return run_all(settings.load(), host=arguments.host, port=arguments.port)
