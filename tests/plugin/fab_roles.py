"""What an administrator of Flask-AppBuilder's users and roles does, and what its tables say."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

from airflow_package_manager.plugin.fab_permissions import RESOURCE
from testenv.airflow_home import Airflow


def permission(action: str, resource: str = RESOURCE) -> dict[str, dict[str, str]]:
    """Return a permission as the API of roles has it."""
    return {"action": {"name": action}, "resource": {"name": resource}}


def administer(airflow: Airflow, method: str, path: str, body: object = None) -> None:
    """Do with users and roles what their administrator does."""
    status, answer = airflow.request(method, f"/auth/fab/v1/{path}", body, airflow.token("admin"))
    assert status in {200, 201, 204}, answer


def add_user(airflow: Airflow, name: str, role: str) -> str:
    """Add a user and return what names it in requests."""
    password = {"password": f"{name} has a password"}
    airflow.passwords = {**airflow.passwords, name: password["password"]}
    who = {"username": name, "first_name": name, "last_name": "Test", "email": f"{name}@example.com"}
    administer(airflow, "POST", "users", {**who, **password, "roles": [{"name": role}]})
    return airflow.token(name)


def session(airflow: Airflow, token: str) -> dict[str, Any]:
    """Return who the caller is for us."""
    status, found = airflow.api("GET", "session", token=token)
    assert status == 200, found
    known: dict[str, Any] = found
    return known


def permissions(airflow: Airflow) -> dict[str, set[tuple[str, str]]]:
    """Return role → (action, resource), as Airflow's database has them."""
    wanted = """
        SELECT ab_role.name, ab_permission.name, ab_view_menu.name FROM ab_permission_view_role
        JOIN ab_role ON ab_role.id = role_id
        JOIN ab_permission_view ON ab_permission_view.id = permission_view_id
        JOIN ab_permission ON ab_permission.id = permission_id
        JOIN ab_view_menu ON ab_view_menu.id = view_menu_id
    """
    found: dict[str, set[tuple[str, str]]] = {}
    with closing(_database(airflow)) as database:
        for role, action, resource in database.execute(wanted):
            found.setdefault(role, set()).add((action, resource))
    return found


def change_database(airflow: Airflow, statement: str) -> None:
    """Do what another hand does in the tables."""
    with closing(_database(airflow)) as database, database:
        database.execute(statement)


def _database(airflow: Airflow) -> sqlite3.Connection:
    return sqlite3.connect(airflow.home / "airflow.db", timeout=30)
