"""What Airflow's own configuration says: its address, its version, its home, and the settings that tasks depend on."""

from __future__ import annotations

from dataclasses import dataclass

from airflow import __version__
from airflow.configuration import AIRFLOW_HOME, conf


@dataclass(frozen=True)
class AirflowConfiguration:
    """The values that we show, compare with, or check."""

    version: str
    home: str
    base_url: str | None
    """`[api] base_url`, None when it is not set: then only the Host header says where we are."""
    auth_manager: str
    """Import path of the auth manager."""
    worker_log_server_port: int
    trigger_log_server_port: int
    execution_api_retries: int
    execution_api_retry_wait_max: float
    """Seconds."""
    max_failed_heartbeats: int


def read() -> AirflowConfiguration:
    """Return the values as Airflow reads them now."""
    return AirflowConfiguration(
        version=__version__,
        home=AIRFLOW_HOME,
        base_url=conf.get("api", "base_url", fallback=None) or None,
        auth_manager=conf.get("core", "auth_manager"),
        worker_log_server_port=conf.getint("logging", "worker_log_server_port", fallback=8793),
        trigger_log_server_port=conf.getint("logging", "trigger_log_server_port", fallback=8794),
        execution_api_retries=conf.getint("workers", "execution_api_retries", fallback=5),
        execution_api_retry_wait_max=conf.getfloat("workers", "execution_api_retry_wait_max", fallback=90.0),
        max_failed_heartbeats=conf.getint("workers", "max_failed_heartbeats", fallback=3),
    )
