"""A real Airflow 3 with Flask-AppBuilder's users and roles instead of Airflow's simple ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from testenv import airflow_home, fab_users
from testenv.airflow_home import Airflow, roles_of

AUTH_MANAGER = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"


def prepare(
    home: Path,
    python: Path,
    *,
    dags: Mapping[str, str],
    users: tuple[str, ...] = ("admin", "viewer"),
    settings: Mapping[str, str] | None = None,
) -> Airflow:
    """Make a home as `airflow_home.prepare` does, with users in the database; nothing is started."""
    with_manager = {"AIRFLOW__CORE__AUTH_MANAGER": AUTH_MANAGER, **(settings or {})}
    airflow = airflow_home.prepare(home, python, dags=dags, users=users, settings=with_manager)
    fab_users.add(airflow, roles_of(users))
    return airflow
