"""What Airflow's own configuration says: its address, its version, its home, and the settings that tasks depend on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from airflow import __version__
from airflow.configuration import AIRFLOW_HOME, conf

from airflow_package_manager.installer import task_patience
from airflow_package_manager.plugin import AIRFLOW_2

WEB_SECTION = "webserver" if AIRFLOW_2 else "api"
"""Where Airflow keeps the settings of its web server."""
_DEFAULTS = {
    task_patience.RETRIES: 5.0,
    task_patience.WAIT_MIN: 1.0,
    task_patience.WAIT_MAX: 90.0,
    task_patience.FAILED_HEARTBEATS: 3.0,
    task_patience.HEARTBEAT_TIMEOUT: 300.0,
    task_patience.TOKEN_LIFE: 600.0,
}
"""Airflow's own."""


@dataclass(frozen=True)
class AirflowConfiguration:
    """The values that we show, compare with, or check."""

    version: str
    home: str
    base_url: str | None
    """None when it is not set, or as Airflow 2 ships it: then only the Host header says where we are."""
    auth_manager: str
    """Import path of the auth manager."""
    worker_log_server_port: int
    trigger_log_server_port: int
    tasks: Mapping[task_patience.Key, float] | None
    """What running tasks need to outlive a restart of the api-server; None where they never talk to it."""


def read() -> AirflowConfiguration:
    """Return the values as Airflow reads them now."""
    return AirflowConfiguration(
        version=__version__,
        home=AIRFLOW_HOME,
        base_url=_base_url(),
        auth_manager=conf.get("core", "auth_manager"),
        worker_log_server_port=conf.getint("logging", "worker_log_server_port", fallback=8793),
        trigger_log_server_port=conf.getint("logging", "trigger_log_server_port", fallback=8794),
        tasks=None if AIRFLOW_2 else {key: conf.getfloat(*key, fallback=default) for key, default in _DEFAULTS.items()},
    )


def _base_url() -> str | None:
    found: str | None = conf.get(WEB_SECTION, "base_url", fallback=None)
    # Airflow 2 ships one that is nobody's: with it nobody chose an address.
    shipped = conf.get_default_value(WEB_SECTION, "base_url") if AIRFLOW_2 else None
    return None if found == shipped else found or None
