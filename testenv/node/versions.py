"""The Airflows that pods run: what each is made of, and what is its own of settings, DAG files and users."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from testenv import airflow2_home, fab_users
from testenv.airflow2_home import Airflow2
from testenv.airflow_environment import REPOSITORY
from testenv.airflow_home import Airflow
from testenv.node import airflow_image
from testenv.node.components import COMPONENTS, COMPONENTS_2, Component

USERS = ("admin", "viewer")
"""Each has the role of its name."""


@dataclass(frozen=True)
class Version:
    """One of them."""

    pins: Path
    """What is installed into its image."""
    image: str
    """Name and tag of it."""
    components: tuple[Component, ...]
    airflow: type[Airflow]
    """How it is talked to."""
    variables: Callable[[str, int], Mapping[str, str]]
    """Address and port of its web server → settings beside those of every Airflow."""
    dag: Callable[[str], str] = str
    """Text of a DAG file for the newest Airflow → for this one."""
    add_users: Callable[[Airflow], None] = lambda _: None
    """Makes the users in a migrated database; the newest Airflow reads them from its settings."""

    @property
    def web_server(self) -> Component:
        """Return the component that people talk to."""
        (found,) = (one for one in self.components if one.answers)
        return found


def _variables_of_3(address: str, port: int) -> Mapping[str, str]:
    return {
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor,KubernetesExecutor",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{address}/execution/",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{name}:{name}" for name in USERS),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": f"{airflow_image.HOME}/users/passwords.json",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": address,
        "AIRFLOW__API__SECRET_KEY": secrets.token_urlsafe(24),
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(48),
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "5",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
        # The api-server restarts too: tasks that end meanwhile shall find it again.
        "AIRFLOW__WORKERS__EXECUTION_API_RETRIES": "12",
        "AIRFLOW__WORKERS__EXECUTION_API_RETRY_WAIT_MAX": "5",
        "AIRFLOW__WORKERS__MAX_FAILED_HEARTBEATS": "20",
    }


def _variables_of_2(address: str, port: int) -> Mapping[str, str]:
    return {
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW__SCHEDULER__MIN_FILE_PROCESS_INTERVAL": "5",
        "AIRFLOW__WEBSERVER__SECRET_KEY": secrets.token_urlsafe(24),
        **airflow2_home.variables(address, port),
    }


def _users_of_2(airflow: Airflow) -> None:
    fab_users.add(airflow, {name: name for name in USERS})


VERSIONS: Mapping[str, Version] = {
    "3.3": Version(
        REPOSITORY / "requirements" / "node.txt",
        "localhost/airflow-package-manager:3.3.2",
        COMPONENTS,
        Airflow,
        _variables_of_3,
    ),
    "2.11": Version(
        REPOSITORY / "requirements" / "node-2.11.txt",
        "localhost/airflow-package-manager:2.11.2",
        COMPONENTS_2,
        Airflow2,
        _variables_of_2,
        airflow2_home.dag,
        _users_of_2,
    ),
}
NEWEST = VERSIONS["3.3"]
