"""All components of Airflow 3 on one machine, on loopback, each under its own supervisor, until asked to stop.

It only starts supervisors, and starts one again that ends; what each component runs on is its supervisor's business.
Signals reach this process alone (Ctrl-C would fail running tasks), and supervisors do not outlive it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from airflow_package_manager.installer import processes
from airflow_package_manager.installer.child import Child
from airflow_package_manager.installer.signals import Signals
from airflow_package_manager.settings import Settings

COMMANDS: Mapping[str, Sequence[str]] = {
    "api-server": ("api-server",),
    # Their log servers would listen on every address; on one machine the api-server reads the files.
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}
RETRIES = {
    # With Airflow's defaults a task that ends while the api-server restarts fails; with these it waits a minute.
    "AIRFLOW__WORKERS__EXECUTION_API_RETRIES": "12",
    "AIRFLOW__WORKERS__EXECUTION_API_RETRY_WAIT_MAX": "5",
    "AIRFLOW__WORKERS__MAX_FAILED_HEARTBEATS": "20",
}
_TICK = 0.2
_PAUSE = 3.0
"""Seconds before a supervisor that ended is started again."""
_SHORT_LIFE = 60.0
_SHORT_LIVES = 5
"""A component that ends so often in a row, each time within `_SHORT_LIFE` seconds, ends everything."""
_LEAVE_SECONDS = 5.0


@dataclass
class _Supervised:
    command: list[str]
    child: Child | None = None
    due_at: float = 0.0
    short_lives: int = 0
    status: int = field(default=0)


def standalone(settings: Settings, *, host: str | None, port: int | None) -> int:
    """Migrate Airflow's database, run the components until a signal asks to stop, and return the exit status.

    Must be called in the main thread. Without `host` and `port` the environment says where the api-server listens, else
    127.0.0.1:8080. What the environment says of its public address and of retries is kept.
    """
    processes.require_linux()
    environment = _environment(os.environ, host, port)
    migrated = subprocess.run(_airflow("db", "migrate"), env=environment, stdin=subprocess.DEVNULL, check=False)
    if migrated.returncode != 0:
        _say(f"'airflow db migrate' ended with status {migrated.returncode}")
        return migrated.returncode
    health = environment["AIRFLOW__API__BASE_URL"].rstrip("/") + "/api/v2/monitor/health"
    supervised = {name: _Supervised(_supervisor(name, command, health)) for name, command in COMMANDS.items()}
    signals = Signals()
    with signals:
        try:
            return _live(supervised, environment, signals)
        finally:
            _end(supervised, settings.stop_timeout, signals)


def _live(supervised: Mapping[str, _Supervised], environment: Mapping[str, str], signals: Signals) -> int:
    while signals.stop is None:
        signals.take(lambda _: None)  # SIGHUP and its like are each component's own business
        now = time.monotonic()
        for name, one in supervised.items():
            if one.child is None and now >= one.due_at:
                one.child = Child(one.command, environment, None)
            status = None if one.child is None else one.child.exit_status()
            if one.child is not None and status is not None:
                lived = time.time() - one.child.started_at
                one.child, one.due_at = None, now + _PAUSE
                one.short_lives = one.short_lives + 1 if lived < _SHORT_LIFE else 0
                _say(f"{name} ended with status {status} after {lived:.0f} s")
                if one.short_lives >= _SHORT_LIVES:
                    _say(f"{name} does not stay alive: giving up")
                    return status or 1
        time.sleep(_TICK)
    return 0


def _end(supervised: Mapping[str, _Supervised], stop_timeout: float, signals: Signals) -> None:
    """End all supervisors at once; each ends its component as that wants to be ended."""
    children = [one.child for one in supervised.values() if one.child is not None]
    stop = signals.stop
    for child in children:
        if stop is not None:
            child.send(stop)
    # A supervisor needs its own stop_timeout, and a moment to end what its component left.
    until = time.monotonic() + stop_timeout + 2 * _LEAVE_SECONDS
    for child in children:
        child.end(lambda _: time.monotonic() < until and not signals.hurry, lambda: None)


def _environment(environ: Mapping[str, str], host: str | None, port: int | None) -> dict[str, str]:
    host = host or environ.get("AIRFLOW__API__HOST") or "127.0.0.1"
    address = {"AIRFLOW__API__HOST": host, "AIRFLOW__API__PORT": str(port or environ.get("AIRFLOW__API__PORT") or 8080)}
    public = {"AIRFLOW__API__BASE_URL": f"http://{host}:{address['AIRFLOW__API__PORT']}"}
    # Supervisors, and the migration, never run on the site: a bad package must not disable its own rescue.
    return {**RETRIES, **public, **environ, **address, "AIRFLOW_PACKAGE_MANAGER_SITE": "off"}


def _supervisor(name: str, command: Sequence[str], health: str) -> list[str]:
    ready = ["--ready-url", health] if name == "api-server" else []
    run = [sys.executable, "-m", "airflow_package_manager.cli.main", "run", "--component", name, *ready]
    return [*run, "--", *_airflow(*command)]


def _airflow(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "airflow", *arguments]


def _say(message: str) -> None:
    sys.stderr.write(f"airflow-package-manager [standalone] {message}\n")
    sys.stderr.flush()
