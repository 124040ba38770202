"""The entry point: arguments in, exit status out."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from airflow_package_manager.cli.exit_status import INTERNAL, OK, STATUS_BY_CODE
from airflow_package_manager.cli.grammar import build_parser
from airflow_package_manager.cli.problem import problem, problem_json
from airflow_package_manager.cli.terminal import accept_any_encoding, say_json, tell
from airflow_package_manager.errors import PackageManagerError

if TYPE_CHECKING:
    from airflow_package_manager.cli.application import Application

_INTERRUPTED = 130


def _open(*, drive: bool) -> Application:
    from airflow_package_manager.cli.application import opened  # noqa: PLC0415  `run` must not need the whole house

    return opened(drive=drive)


def main(argv: Sequence[str] | None = None, *, opened: Callable[..., Application] = _open) -> int:
    """Run one command and return its exit status; refusals go to standard error with cause and next action.

    `opened(drive=…)` returns what the command works with; it is called by those commands that need it.
    """
    accept_any_encoding()
    arguments = build_parser().parse_args(argv)
    arguments.opened = opened
    as_json = arguments.output == "json"
    module, _, function = arguments.handler.partition(":")
    try:
        command = getattr(importlib.import_module(f"airflow_package_manager.cli.{module}"), function)
        status: int = command(arguments)
        sys.stdout.flush()
    except PackageManagerError as error:
        return _refuse(error, as_json=as_json)
    except BrokenPipeError:
        # The reader went away (`… | head`); whatever it wanted, it has. Nothing may be written at exit any more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except KeyboardInterrupt:
        return _INTERRUPTED
    except Exception as error:  # noqa: BLE001  the border: an exit status of 1 would say that an operation failed
        traceback.print_exc()
        unexpected = PackageManagerError(
            f"The command met an unexpected error ({type(error).__name__}).",
            next_action="Read the trace above; report it if it is not a matter of Airflow's own configuration.",
        )
        return _refuse(unexpected, as_json=as_json)
    return status


def _refuse(error: PackageManagerError, *, as_json: bool) -> int:
    body = error.as_problem()
    if as_json:
        say_json(problem_json(body))
    else:
        tell(problem(body))
    return STATUS_BY_CODE.get(error.code, INTERNAL)


if __name__ == "__main__":
    sys.exit(main())
