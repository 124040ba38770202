"""Flask-AppBuilder's users and roles on Airflow 3: our two permissions, and what becomes of users in the meantime."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from testenv import airflow_home
from testenv.airflow_home import API
from tests.plugin import fab_roles, journey, machine

if TYPE_CHECKING:
    from typing import Any

    from testenv.airflow_home import Airflow

pytestmark = pytest.mark.airflow

ROLE = "Packagers"
READ, CHANGE = ("can_read", "Package Management"), ("can_edit", "Package Management")
EVERYTHING = ["package_manager:apply", "package_manager:plan", "package_manager:read"]


@pytest.fixture(scope="module")
def airflow(airflow3_fab: Airflow) -> Airflow:
    return airflow3_fab


@pytest.fixture
def ada(airflow: Airflow) -> Iterator[str]:
    """An admin of the test's own; her token."""
    yield fab_roles.add_user(airflow, "ada", "Admin")
    fab_roles.change_database(airflow, "UPDATE ab_user SET username = 'ada' WHERE email = 'ada@example.com'")
    fab_roles.administer(airflow, "DELETE", "users/ada")


def test_only_admin_has_the_permissions_until_somebody_grants_them(airflow: Airflow) -> None:
    found = {role: {READ, CHANGE} & granted for role, granted in fab_roles.permissions(airflow).items()}
    assert found.pop("Admin") == {READ, CHANGE}
    assert set(found) >= {"Op", "User", "Viewer"}
    assert not any(found.values())


def test_a_role_gets_reading_and_then_changing_and_keeps_both(airflow: Airflow) -> None:
    fab_roles.administer(airflow, "POST", "roles", {"name": ROLE, "actions": _granted(READ)})
    grace = fab_roles.add_user(airflow, "grace", ROLE)
    assert fab_roles.session(airflow, grace)["permissions"] == ["package_manager:read"]
    status, refused = airflow.api("POST", "operations", journey.adding("good-extra"), token=grace)
    assert (status, refused["code"], refused["permission"]) == (403, "forbidden", "package_manager:plan")

    granted = {"name": ROLE, "actions": _granted(READ, CHANGE)}
    fab_roles.administer(airflow, "PATCH", f"roles/{ROLE}", granted)
    planned, _ = journey.plan(airflow, grace, "add good-extra")
    assert planned["state"] == "PLANNED", planned["problem"]

    before = fab_roles.permissions(airflow)
    synced = airflow.run(str(airflow.python), "-m", "airflow", "sync-perm")
    assert synced.returncode == 0, synced.stderr
    _restart_server(airflow)
    after = fab_roles.permissions(airflow)
    assert after["Admin"] >= before["Admin"]
    assert after[ROLE] >= {READ, CHANGE}
    assert {role for role, granted in after.items() if granted & {READ, CHANGE}} == {"Admin", ROLE}
    assert fab_roles.session(airflow, airflow.token("grace"))["permissions"] == EVERYTHING


def test_a_permission_that_was_taken_from_a_role_is_not_given_again(airflow: Airflow) -> None:
    fab_roles.administer(airflow, "PATCH", f"roles/{ROLE}", {"name": ROLE, "actions": _granted(READ)})
    _restart_server(airflow)
    assert CHANGE not in fab_roles.permissions(airflow)[ROLE]


def test_a_role_that_is_taken_away_between_plan_and_apply_refuses_the_apply(airflow: Airflow, ada: str) -> None:
    planned, secret = journey.plan(airflow, ada, "add good-extra")
    fab_roles.administer(airflow, "PATCH", "users/ada?update_mask=roles", {"roles": [{"name": "Viewer"}]})
    status, answer = journey.apply(airflow, ada, planned, secret)
    assert (status, answer["code"]) == (403, "forbidden"), "though Airflow remembers the user with the role"
    journey.is_unspent(airflow, planned)


def test_a_user_who_is_deactivated_between_plan_and_apply_is_nobody(airflow: Airflow, ada: str) -> None:
    planned, secret = journey.plan(airflow, ada, "add good-extra")
    fab_roles.change_database(airflow, "UPDATE ab_user SET active = 0 WHERE username = 'ada'")
    status, answer = journey.apply(airflow, ada, planned, secret)
    assert (status, answer["code"]) == (401, "not-authenticated")
    journey.is_unspent(airflow, planned)


def test_a_user_who_is_renamed_between_plan_and_apply_makes_a_new_plan(airflow: Airflow, ada: str) -> None:
    planned, secret = journey.plan(airflow, ada, "add good-extra")
    fab_roles.change_database(airflow, "UPDATE ab_user SET username = 'lovelace' WHERE username = 'ada'")
    status, answer = journey.apply(airflow, ada, planned, secret)
    assert (status, answer["code"]) == (403, "token-invalid")
    journey.is_unspent(airflow, planned)


def test_a_user_who_is_made_again_under_the_same_name_is_another_one(airflow: Airflow, ada: str) -> None:
    planned, secret = journey.plan(airflow, ada, "add good-extra")
    first = fab_roles.session(airflow, ada)["principal"]
    fab_roles.administer(airflow, "DELETE", "users/ada")
    again = fab_roles.add_user(airflow, "ada", "Admin")
    for token in (again, ada):  # the old one names the new user: SQLite gave the number of the deleted one anew
        status, answer = journey.apply(airflow, token, planned, secret)
        assert (status, answer["code"]) == (403, "token-invalid")
    journey.is_unspent(airflow, planned)
    mine, _ = journey.plan(airflow, again, "add good-extra")
    assert (mine["owner"]["name"], mine["owner"]["id"] != first["id"]) == (first["name"], True)


def test_a_user_who_is_deleted_between_plan_and_apply_is_nobody(airflow: Airflow) -> None:
    token = fab_roles.add_user(airflow, "alan", "Admin")
    planned, secret = journey.plan(airflow, token, "add good-extra")
    fab_roles.administer(airflow, "DELETE", "users/alan")
    status, answer = journey.apply(airflow, token, planned, secret)
    assert (status, answer["code"]) == (401, "not-authenticated")
    journey.is_unspent(airflow, planned)


def test_anonymous_people_are_nobody_although_airflow_gives_them_the_role_admin(airflow: Airflow) -> None:
    """As with `[fab] auth_role_public = Admin`, by which Airflow itself lets everybody in."""
    port = airflow_home.free_port()
    public = {
        **airflow.environment,
        "AIRFLOW__FAB__AUTH_ROLE_PUBLIC": "Admin",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
    }
    second = airflow_home.Airflow(airflow.home, airflow.python, port, airflow.passwords, public)
    with (airflow.home / "public.log").open("wb") as log:
        server = subprocess.Popen(
            [str(airflow.python), "-m", "airflow", "api-server"],
            env=public,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
        )
    try:
        found = journey.until(lambda: second.request("GET", "/api/v2/connections"), "Airflow itself", 120)
        assert found[0] == 200, "Airflow lets them in"
        status, answer = second.request("GET", f"{API}session")
        assert (status, answer["code"]) == (401, "not-authenticated")
        assert second.request("GET", "/package-manager/")[0] == 401
        status, answer = second.request(
            "POST", f"{API}operations", journey.adding("good-extra"), headers={"X-Package-Manager": "1"}
        )
        assert (status, answer["code"]) == (401, "not-authenticated")
    finally:
        server.terminate()
        server.wait(60)


def _granted(*wanted: tuple[str, str]) -> list[dict[str, Any]]:
    return [fab_roles.permission(*found) for found in (*wanted, ("can_read", "Website"))]


def _restart_server(airflow: Airflow) -> None:
    before = machine.children(airflow)[airflow.web_server]
    machine.kill(before)
    journey.until(lambda: machine.children(airflow).get(airflow.web_server, before) != before or None, "another server")
    airflow.wait_until_healthy()
