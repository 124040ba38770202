"""Opens the house on Airflow's database for one command, with the command line's own principal."""

from __future__ import annotations

import contextlib
import logging
import os
import pwd
import socket
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

from airflow_package_manager.domain.access import Identity, Permission, Principal
from airflow_package_manager.manager import PackageManager

_LEASE_SECONDS = 5.0
"""How long a stopped command waits for its driver to give up the lease, beside what hooks may take."""


@dataclass(frozen=True)
class Application:
    """What a command works with."""

    manager: PackageManager
    principal: Principal
    planning_deadline: float
    """Seconds after which an operation that is still PLANNING counts as abandoned."""
    drive: Callable[[str], None]
    """Drives an operation in the background of this process."""
    close: Callable[[float], None]
    patience: float = _LEASE_SECONDS
    clock: Callable[[], float] = time.time
    """Unix seconds, now."""
    sleep: Callable[[float], None] = time.sleep  # noqa: TID251  the command line waits

    def stop(self) -> None:
        """Give up the lease, so that another process goes on at once."""
        self.close(self.patience)


def opened(*, drive: bool = False) -> Application:
    """Return the application; with `drive` this process drives what it applies, else an api-server does.

    Whoever can call this owns Airflow's database already, so all permissions are held; everything is on record.
    """
    # Airflow 3's logging keeps the standard output that it finds at its import; ours is for answers alone.
    with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
        warnings.simplefilter("ignore")  # what Airflow's own modules deprecate at import is no news for our user
        from airflow_package_manager.plugin import metrics  # noqa: PLC0415  imports Airflow: takes seconds
        from airflow_package_manager.plugin.application import build  # noqa: PLC0415  imports Airflow: takes seconds

        if drive:
            metrics.begin()

    _log_to_standard_error()
    if sys.stderr.isatty():  # events are on record; the person at the terminal reads them as sentences
        logging.getLogger("airflow_package_manager.audit").setLevel(logging.WARNING)
    house = build(drive=drive)
    who = f"{_user()}@{socket.gethostname()}"
    principal = Principal(Identity("cli", who, f"cli:{who}"), frozenset(Permission), None)
    hooks = bool(house.settings.on_finished_command) + bool(house.settings.on_finished_url)
    return Application(
        manager=house.manager,
        principal=principal,
        planning_deadline=house.planning_deadline,
        drive=house.drives.soon,
        close=house.close,
        patience=_LEASE_SECONDS + hooks * house.settings.on_finished_timeout,
    )


def _log_to_standard_error() -> None:
    """Move what Airflow 2's logging writes to the standard output of the moment."""
    root = logging.getLogger()
    for found in [handler for handler in root.handlers if getattr(handler, "stream", None) is sys.stdout]:
        moved = logging.StreamHandler(sys.stderr)
        moved.setLevel(found.level)
        moved.setFormatter(found.formatter)
        for one in found.filters:
            moved.addFilter(one)
        root.removeHandler(found)
        root.addHandler(moved)


def _user() -> str:
    """Return the name of the process's own user: a variable such as LOGNAME could name anybody in the record."""
    number = os.getuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:  # a container may run under a number that has no name
        return f"uid-{number}"
