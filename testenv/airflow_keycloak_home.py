"""A real Airflow 3 whose users, roles and permissions are a real Keycloak's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from testenv import airflow_home
from testenv.airflow_home import Airflow, roles_of
from testenv.keycloak import CLIENT, REALM, Keycloak

AUTH_MANAGER = "airflow.providers.keycloak.auth_manager.keycloak_auth_manager.KeycloakAuthManager"


def prepare(
    home: Path, python: Path, keycloak: Keycloak, *, users: tuple[str, ...], settings: Mapping[str, str] | None = None
) -> Airflow:
    """Make a home, and in Keycloak what belongs to it: a realm, a client, users (``name:role``), permissions.

    The permissions are those that the command of Airflow's provider makes.
    """
    section = "AIRFLOW__KEYCLOAK_AUTH_MANAGER__"
    with_manager = {
        "AIRFLOW__CORE__AUTH_MANAGER": AUTH_MANAGER,
        f"{section}SERVER_URL": keycloak.url,
        f"{section}REALM": REALM,
        f"{section}CLIENT_ID": CLIENT,
        f"{section}CLIENT_SECRET": keycloak.client_secret,
        **(settings or {}),
    }
    airflow = airflow_home.prepare(home, python, dags={}, users=users, settings=with_manager)
    keycloak.make_realm(airflow.url)
    for name, role in roles_of(users).items():
        keycloak.add_user(name, airflow.passwords[name], role)
    create_all(airflow, keycloak)
    return airflow


def create_all(airflow: Airflow, keycloak: Keycloak) -> None:
    """Make scopes, resources, policies and permissions as an operator does; raises `RuntimeError`."""
    command = [str(airflow.python), "-m", "airflow", "keycloak-auth-manager", "create-all"]
    # Without a terminal the password is read from the input.
    asked = ["setsid", "--wait", *command, "--username", keycloak.user, "--password"]
    done = airflow.run(*asked, text=f"{keycloak.password}\n")
    if done.returncode != 0:
        raise RuntimeError(f"create-all ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
