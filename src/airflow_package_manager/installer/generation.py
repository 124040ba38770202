"""What one machine runs of each major version of Airflow: its components, and how its web server is told where to be.

Standard library only: which version is installed is read from its metadata, for nothing of Airflow is imported here.
"""

from __future__ import annotations

import configparser
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata

from airflow_package_manager.installer.task_patience import Key, variable

_NO_LOG_SERVER = ("--skip-serve-logs",)
"""Without it scheduler and triggerer serve their logs on every network address."""
_DISTRIBUTIONS = ("apache-airflow-core", "apache-airflow")
"""Airflow 3 may be installed without the second one."""


@dataclass(frozen=True)
class Generation:
    """One major version."""

    components: Mapping[str, tuple[str, ...]]
    """Component → options of its command."""
    web_server: str
    host: str
    """Variable that says on which address the web server listens."""
    port: str
    base_url: Key
    """The address that people use, in Airflow's configuration."""
    health: str
    """Path that answers 2xx when the web server is ready."""
    certificates: tuple[Key, ...]
    """Settings of which the first one that is set is the web server's certificate: then it speaks https alone."""
    tasks_call_it: bool
    """Running tasks talk to the web server, so its restart needs their patience."""
    dag_processor: Key | None = None
    """The setting of Airflow's that makes the DAG processor a component of its own, where it may be none."""

    def commands(
        self, environ: Mapping[str, str], configured: configparser.ConfigParser
    ) -> Mapping[str, tuple[str, ...]]:
        """Return the components with their options, as this machine is configured."""
        if self.dag_processor is None:
            return self.components
        found = environ.get(variable(self.dag_processor)) or configured.get(*self.dag_processor, fallback="false")
        alone = (found or "").strip().lower() in {"true", "t", "1"}  # Airflow's own words
        return {**self.components, "dag-processor": ()} if alone else self.components

    def scheme(self, environ: Mapping[str, str], configured: configparser.ConfigParser) -> str:
        """Return what the web server of this machine speaks: http, or https where it has a certificate."""
        found = [environ.get(variable(key)) or configured.get(*key, fallback=None) for key in self.certificates]
        return "https" if any(name and name.strip() for name in found) else "http"


AIRFLOW_3 = Generation(
    components={
        "api-server": (),
        "scheduler": _NO_LOG_SERVER,
        "dag-processor": (),
        "triggerer": _NO_LOG_SERVER,
    },
    web_server="api-server",
    host="AIRFLOW__API__HOST",
    port="AIRFLOW__API__PORT",
    base_url=("api", "base_url"),
    health="/api/v2/monitor/health",
    certificates=(("api", "ssl_cert"), ("webserver", "web_server_ssl_cert")),
    tasks_call_it=True,
)
AIRFLOW_2 = Generation(
    components={"webserver": (), "scheduler": _NO_LOG_SERVER, "triggerer": _NO_LOG_SERVER},
    web_server="webserver",
    host="AIRFLOW__WEBSERVER__WEB_SERVER_HOST",
    port="AIRFLOW__WEBSERVER__WEB_SERVER_PORT",
    base_url=("webserver", "base_url"),
    health="/health",
    certificates=(("webserver", "web_server_ssl_cert"),),
    tasks_call_it=False,
    dag_processor=("scheduler", "standalone_dag_processor"),
)


def installed() -> Generation:
    """Return the generation of the Airflow that this interpreter has; one without any is taken for the newest."""
    for name in _DISTRIBUTIONS:
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
        return AIRFLOW_2 if version.startswith("2.") else AIRFLOW_3
    return AIRFLOW_3
