"""The entry point: arguments in, exit status out."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Sequence

from airflow_package_manager.cli.exit_status import INTERNAL, OK, STATUS_BY_CODE
from airflow_package_manager.cli.grammar import build_parser
from airflow_package_manager.cli.problem import problem
from airflow_package_manager.errors import PackageManagerError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; refusals go to standard error with cause and next action."""
    arguments = build_parser().parse_args(argv)
    module, _, function = arguments.handler.partition(":")
    try:
        command = getattr(importlib.import_module(f"airflow_package_manager.cli.{module}"), function)
        status: int = command(arguments)
        sys.stdout.flush()
    except PackageManagerError as error:
        return _refuse(error, as_json=getattr(arguments, "output", "text") == "json")
    except BrokenPipeError:
        # The reader went away (`… | head`); whatever it wanted, it has. Nothing may be written at exit any more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except KeyboardInterrupt:
        return 130
    return status


def _refuse(error: PackageManagerError, *, as_json: bool) -> int:
    body: dict[str, object] = {
        "code": error.code,
        "title": error.title,
        "detail": error.detail,
        "next_action": error.next_action,
    }
    body = {**error.context, **body}
    if as_json:
        sys.stdout.write(json.dumps(body, indent=2) + "\n")
    else:
        sys.stderr.write(problem(body) + "\n")
    return STATUS_BY_CODE.get(error.code, INTERNAL)


if __name__ == "__main__":
    sys.exit(main())
