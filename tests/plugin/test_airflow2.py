"""What only Airflow 2 has: Flask-AppBuilder's roles and permissions, its menu, its session and its CSRF protection."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from testenv.airflow2_home import Airflow2, cookies
from testenv.airflow_home import API
from tests.plugin import journey, machine

if TYPE_CHECKING:
    from testenv.airflow_home import Airflow

pytestmark = pytest.mark.airflow

PAGE = "/plugin/package-manager"
ROLE = "Packagers"
RESOURCE = "Package Management"
JSON = {"Content-Type": "application/json"}
EVERYTHING = ["package_manager:apply", "package_manager:plan", "package_manager:read"]


@pytest.fixture(scope="module")
def airflow(airflow2: Airflow) -> Airflow2:
    assert isinstance(airflow2, Airflow2)
    return airflow2


@pytest.fixture
def ada(airflow: Airflow2) -> Iterator[str]:
    """An admin of the test's own; her credentials."""
    yield _added(airflow, "ada", "Admin")
    airflow.forget("ada")
    _administer(airflow, "DELETE", "users/ada")


def test_only_an_admin_finds_it_in_the_menu_and_sees_it_in_airflows_own_frame(airflow: Airflow2) -> None:
    admin, op = ({"Cookie": airflow.cookie(name)} for name in ("admin", "op"))
    menu = f'href="{PAGE}"'
    assert menu in airflow.exchange("GET", "/home", None, admin).content.decode()
    assert menu not in airflow.exchange("GET", "/home", None, op).content.decode()
    page = airflow.exchange("GET", PAGE, None, admin)
    assert page.status == 200
    assert 'src="/package-manager/"' in page.content.decode()
    assert 'role="navigation"' in page.content.decode(), "Airflow's menu stays"


@pytest.mark.parametrize("user", ["viewer", "user", "op"])
def test_others_are_refused_by_its_page_too(airflow: Airflow2, user: str) -> None:
    cookie = {"Cookie": airflow.cookie(user)}
    assert airflow.exchange("GET", PAGE, None, cookie).status == 403
    inner = airflow.exchange("GET", "/package-manager/", None, cookie)
    assert inner.status == 403
    assert "Ask an Airflow administrator" in inner.content.decode()


def test_nobody_is_sent_to_the_log_in_and_back(airflow: Airflow2) -> None:
    reply = airflow.exchange("GET", PAGE, None, {})
    assert (reply.status, reply.headers["Location"]) == (302, f"/login/?next={airflow.url}{PAGE}")


def test_an_address_without_its_slash_finds_the_page(airflow: Airflow2) -> None:
    reply = airflow.exchange("GET", "/package-manager", None, {})
    assert (reply.status, reply.headers["Location"]) == (308, "/package-manager/")


@pytest.mark.parametrize(
    ("user", "status", "code"),
    [(None, 401, "not-authenticated"), ("op", 403, "forbidden"), ("admin", 403, "csrf-failed")],
)
def test_airflows_csrf_protection_stays_on_and_answers_as_we_do(
    airflow: Airflow2, user: str | None, status: int, code: str
) -> None:
    who = {"Authorization": airflow.authorization(airflow.token(user))} if user else {}
    headers = {**JSON, "X-Package-Manager": "1", **who}
    reply = airflow.exchange("POST", f"{API}operations", b"{}", headers)
    assert (reply.status, reply.headers["Content-Type"]) == (status, "application/problem+json")
    assert reply.json()["code"] == code


def test_the_session_of_a_script_is_worth_nothing_without_its_password(airflow: Airflow2) -> None:
    reply = airflow.exchange(
        "GET", f"{API}session", None, {"Authorization": airflow.authorization(airflow.token("admin"))}
    )
    assert reply.json()["csrf"]["header"] == "X-CSRFToken"
    cookie = {"Cookie": cookies(reply)}
    assert airflow.exchange("GET", f"{API}session", None, cookie).status == 401
    nobody = airflow.request("GET", "/api/v1/dags")
    assert nobody[0] == 403
    assert airflow.request("GET", "/api/v1/dags", headers=cookie) == nobody, "in Airflow itself neither"


def test_a_wrong_password_is_nobodys(airflow: Airflow2) -> None:
    reply = airflow.exchange("GET", f"{API}session", None, {"Authorization": "Basic YWRtaW46d3Jvbmc="})
    assert (reply.status, reply.json()["code"]) == (401, "not-authenticated")


def test_whom_the_session_names_counts_before_a_header_that_a_proxy_added(airflow: Airflow2) -> None:
    """So a change with such a header still has to say where it comes from."""
    cookie = {"Cookie": airflow.cookie("admin")}
    session = airflow.exchange("GET", f"{API}session", None, cookie).json()
    headers = {**cookie, **JSON, "X-Package-Manager": "1", session["csrf"]["header"]: session["csrf"]["token"]}
    proxy = {"Authorization": "Basic cHJveHk6cHJveHk="}
    assert airflow.exchange("GET", f"{API}session", None, {**cookie, **proxy}).status == 200
    reply = airflow.exchange("POST", f"{API}operations", b"{}", {**headers, **proxy})
    assert reply.json()["code"] == "cross-origin"


def test_a_role_gets_reading_and_then_changing_and_keeps_both(airflow: Airflow2) -> None:
    _administer(airflow, "POST", "roles", {"name": ROLE, "actions": [_permission("can_read")]})
    grace = _added(airflow, "grace", ROLE)
    assert _session(airflow, grace)["permissions"] == ["package_manager:read"]
    status, refused = airflow.api("POST", "operations", _add("good-extra"), token=grace)
    assert (status, refused["code"], refused["permission"]) == (403, "forbidden", "package_manager:plan")

    granted = [_permission(action, on) for action, on in GRANTED]
    _administer(airflow, "PATCH", f"roles/{ROLE}", {"name": ROLE, "actions": granted})
    assert _session(airflow, grace)["permissions"] == EVERYTHING
    planned, _ = journey.plan(airflow, grace, "add good-extra")
    assert planned["state"] == "PLANNED", planned["problem"]
    assert PAGE in airflow.exchange("GET", "/home", None, {"Cookie": airflow.cookie("grace")}).content.decode()

    before = _permissions(airflow)
    synced = airflow.run(str(airflow.python), "-m", "airflow", "sync-perm")
    assert synced.returncode == 0, synced.stderr
    _restart_webserver(airflow)
    assert _permissions(airflow) == before
    assert before[ROLE] >= set(GRANTED)
    for role in ("Op", "User", "Viewer", "Public"):
        assert not {found for found in before.get(role, set()) if "Package" in found[1]}, role
    assert _session(airflow, grace)["permissions"] == EVERYTHING


def test_a_role_that_is_taken_away_between_plan_and_apply_refuses_the_apply(airflow: Airflow2, ada: str) -> None:
    planned, secret = journey.plan(airflow, ada, "add good-extra")
    _change_database(
        airflow,
        "UPDATE ab_user_role SET role_id = (SELECT id FROM ab_role WHERE name = 'Viewer')"
        " WHERE user_id = (SELECT id FROM ab_user WHERE username = 'ada')",
    )
    status, answer = journey.apply(airflow, ada, planned, secret)
    assert (status, answer["code"]) == (403, "forbidden")
    _is_unspent(airflow, planned)


def test_a_user_who_is_deactivated_between_plan_and_apply_is_nobody(airflow: Airflow2, ada: str) -> None:
    browser = {"Cookie": airflow.cookie("ada")}
    planned, secret = journey.plan(airflow, ada, "add good-extra")
    _change_database(airflow, "UPDATE ab_user SET active = 0 WHERE username = 'ada'")
    status, answer = journey.apply(airflow, ada, planned, secret)
    assert (status, answer["code"]) == (401, "not-authenticated")
    assert airflow.exchange("GET", f"{API}session", None, browser).status == 401
    _is_unspent(airflow, planned)


def test_a_user_who_is_made_again_under_the_same_name_is_another_one(airflow: Airflow2, ada: str) -> None:
    planned, secret = journey.plan(airflow, ada, "add good-extra")
    first = _session(airflow, ada)["principal"]
    _administer(airflow, "DELETE", "users/ada")
    airflow.forget("ada")
    again = _added(airflow, "ada", "Admin")
    second = _session(airflow, again)["principal"]
    assert (second["name"], second["id"].partition("@")[0]) == (first["name"], first["id"].partition("@")[0])
    status, answer = journey.apply(airflow, again, planned, secret)
    assert (status, answer["code"]) == (403, "token-invalid"), "SQLite gave the number of the deleted one anew"
    _is_unspent(airflow, planned)


def test_what_was_done_stands_in_airflows_own_audit_log(airflow: Airflow2) -> None:
    journey.plan(airflow, airflow.token("admin"), "add good-extra")
    status, found = airflow.request(
        "GET", "/api/v1/eventLogs?event=package_manager.plan.requested&order_by=-when", token=airflow.token("admin")
    )
    assert status == 200
    assert found["event_logs"][0]["event"] == "package_manager.plan.requested"
    assert '"principal": "admin"' in found["event_logs"][0]["extra"]


GRANTED = (
    ("can_read", RESOURCE),
    ("can_edit", RESOURCE),
    ("can_read", "Website"),
    ("menu_access", "Package Manager"),
    ("menu_access", "Admin"),
)


def _permission(action: str, resource: str = RESOURCE) -> dict[str, dict[str, str]]:
    return {"action": {"name": action}, "resource": {"name": resource}}


def _add(requirement: str) -> dict[str, object]:
    return {"changes": [{"action": "add", "requirement": requirement}]}


def _administer(airflow: Airflow2, method: str, path: str, body: object = None) -> None:
    """Do with users and roles what their administrator does."""
    status, answer = airflow.request(method, f"/auth/fab/v1/{path}", body, airflow.token("admin"))
    assert status in {200, 204}, answer


def _added(airflow: Airflow2, name: str, role: str) -> str:
    password = {"password": f"{name} has a password"}
    airflow.passwords = {**airflow.passwords, name: password["password"]}
    who = {"username": name, "first_name": name, "last_name": "Test", "email": f"{name}@example.com"}
    _administer(airflow, "POST", "users", {**who, **password, "roles": [{"name": role}]})
    return airflow.token(name)


def _session(airflow: Airflow2, token: str) -> dict[str, Any]:
    status, found = airflow.api("GET", "session", token=token)
    assert status == 200, found
    session: dict[str, Any] = found
    return session


def _is_unspent(airflow: Airflow2, planned: dict[str, Any]) -> None:
    assert journey.operation(airflow, airflow.token("admin"), planned["id"])["state"] == "PLANNED"


def _permissions(airflow: Airflow2) -> dict[str, set[tuple[str, str]]]:
    """Return role → (action, resource), as Airflow's database has them."""
    wanted = """
        SELECT ab_role.name, ab_permission.name, ab_view_menu.name FROM ab_permission_view_role
        JOIN ab_role ON ab_role.id = role_id
        JOIN ab_permission_view ON ab_permission_view.id = permission_view_id
        JOIN ab_permission ON ab_permission.id = permission_id
        JOIN ab_view_menu ON ab_view_menu.id = view_menu_id
    """
    found: dict[str, set[tuple[str, str]]] = {}
    with sqlite3.connect(airflow.home / "airflow.db", timeout=30) as database:
        for role, action, resource in database.execute(wanted):
            found.setdefault(role, set()).add((action, resource))
    database.close()
    return found


def _change_database(airflow: Airflow2, statement: str) -> None:
    with sqlite3.connect(airflow.home / "airflow.db", timeout=30) as database:
        database.execute(statement)
    database.close()


def _restart_webserver(airflow: Airflow2) -> None:
    before = machine.children(airflow)[airflow.web_server]

    def another() -> bool | None:
        report = machine.reports(airflow).get(airflow.web_server, {})  # gone, or without a child, for a moment
        return report.get("child_pid") not in {None, before} or None

    machine.kill(before)
    journey.until(another, "another webserver")
    airflow.wait_until_healthy()
