"""What only Airflow 2 has: Flask-AppBuilder's roles and permissions, its menu, its session and its CSRF protection."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from airflow_package_manager.installer import standalone
from airflow_package_manager.plugin.fab_permissions import RESOURCE
from testenv.airflow2_home import Airflow2, cookies
from testenv.airflow_home import API
from tests.plugin import fab_roles, journey, machine

if TYPE_CHECKING:
    from typing import Any

    from testenv.airflow_home import Airflow

pytestmark = pytest.mark.airflow

PAGE = "/plugin/package-manager"
ROLE = "Packagers"
JSON = {"Content-Type": "application/json"}
EVERYTHING = ["package_manager:apply", "package_manager:plan", "package_manager:read"]


@pytest.fixture(scope="module")
def airflow(airflow2: Airflow) -> Airflow2:
    assert isinstance(airflow2, Airflow2)
    return airflow2


@pytest.fixture
def ada(airflow: Airflow2) -> Iterator[str]:
    """An admin of the test's own; her credentials."""
    yield fab_roles.add_user(airflow, "ada", "Admin")
    airflow.forget("ada")
    fab_roles.administer(airflow, "DELETE", "users/ada")


def test_only_an_admin_finds_it_in_the_menu_and_sees_it_in_airflows_own_frame(airflow: Airflow2) -> None:
    admin = {"Cookie": airflow.cookie("admin")}
    menu = f'href="{PAGE}"'
    assert menu in airflow.exchange("GET", "/home", None, admin).content.decode()
    for other in ("op", "user", "viewer"):
        home = airflow.exchange("GET", "/home", None, {"Cookie": airflow.cookie(other)})
        assert (home.status, menu in home.content.decode()) == (200, False), other
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
    fab_roles.administer(airflow, "POST", "roles", {"name": ROLE, "actions": [fab_roles.permission("can_read")]})
    grace = fab_roles.add_user(airflow, "grace", ROLE)
    assert fab_roles.session(airflow, grace)["permissions"] == ["package_manager:read"]
    status, refused = airflow.api("POST", "operations", journey.adding("good-extra"), token=grace)
    assert (status, refused["code"], refused["permission"]) == (403, "forbidden", "package_manager:plan")

    granted = [fab_roles.permission(action, on) for action, on in GRANTED]
    fab_roles.administer(airflow, "PATCH", f"roles/{ROLE}", {"name": ROLE, "actions": granted})
    assert fab_roles.session(airflow, grace)["permissions"] == EVERYTHING
    planned, _ = journey.plan(airflow, grace, "add good-extra")
    assert planned["state"] == "PLANNED", planned["problem"]
    assert PAGE in airflow.exchange("GET", "/home", None, {"Cookie": airflow.cookie("grace")}).content.decode()

    before = fab_roles.permissions(airflow)
    synced = airflow.run(str(airflow.python), "-m", "airflow", "sync-perm")
    assert synced.returncode == 0, synced.stderr
    _restart_webserver(airflow)
    assert fab_roles.permissions(airflow) == before
    assert before[ROLE] >= set(GRANTED)
    for role in ("Op", "User", "Viewer", "Public"):
        assert not {found for found in before.get(role, set()) if "Package" in found[1]}, role
    assert fab_roles.session(airflow, grace)["permissions"] == EVERYTHING


def test_a_role_that_is_taken_away_between_plan_and_apply_refuses_the_apply(airflow: Airflow2, ada: str) -> None:
    planned, secret = journey.plan(airflow, ada, "add good-extra")
    fab_roles.change_database(
        airflow,
        "UPDATE ab_user_role SET role_id = (SELECT id FROM ab_role WHERE name = 'Viewer')"
        " WHERE user_id = (SELECT id FROM ab_user WHERE username = 'ada')",
    )
    status, answer = journey.apply(airflow, ada, planned, secret)
    assert (status, answer["code"]) == (403, "forbidden")
    journey.is_unspent(airflow, planned)


def test_a_user_who_is_deactivated_between_plan_and_apply_is_nobody(airflow: Airflow2, ada: str) -> None:
    browser = {"Cookie": airflow.cookie("ada")}
    planned, secret = journey.plan(airflow, ada, "add good-extra")
    fab_roles.change_database(airflow, "UPDATE ab_user SET active = 0 WHERE username = 'ada'")
    status, answer = journey.apply(airflow, ada, planned, secret)
    assert (status, answer["code"]) == (401, "not-authenticated")
    assert airflow.exchange("GET", f"{API}session", None, browser).status == 401
    journey.is_unspent(airflow, planned)


def test_a_user_who_is_made_again_under_the_same_name_is_another_one(airflow: Airflow2, ada: str) -> None:
    planned, secret = journey.plan(airflow, ada, "add good-extra")
    first = fab_roles.session(airflow, ada)["principal"]
    fab_roles.administer(airflow, "DELETE", "users/ada")
    airflow.forget("ada")
    again = fab_roles.add_user(airflow, "ada", "Admin")
    second = fab_roles.session(airflow, again)["principal"]
    assert (second["name"], second["id"].partition("@")[0]) == (first["name"], first["id"].partition("@")[0])
    status, answer = journey.apply(airflow, again, planned, secret)
    assert (status, answer["code"]) == (403, "token-invalid"), "SQLite gave the number of the deleted one anew"
    journey.is_unspent(airflow, planned)


def test_a_user_who_is_renamed_between_plan_and_apply_makes_a_new_plan(airflow: Airflow2, ada: str) -> None:
    """The session of her browser goes on under the new name."""
    browser = _browser(airflow, "ada")
    planned, secret = journey.plan(airflow, ada, "add good-extra")
    fab_roles.change_database(airflow, "UPDATE ab_user SET username = 'lovelace' WHERE username = 'ada'")
    try:
        status, answer = _apply(airflow, browser, planned, secret)
        assert (status, answer["code"]) == (403, "token-invalid")
    finally:
        fab_roles.change_database(airflow, "UPDATE ab_user SET username = 'ada' WHERE username = 'lovelace'")
    journey.is_unspent(airflow, planned)


def test_a_user_who_is_deleted_between_plan_and_apply_is_nobody(airflow: Airflow2) -> None:
    credentials = fab_roles.add_user(airflow, "alan", "Admin")
    browser = _browser(airflow, "alan")
    planned, secret = journey.plan(airflow, credentials, "add good-extra")
    fab_roles.administer(airflow, "DELETE", "users/alan")
    status, answer = journey.apply(airflow, credentials, planned, secret)
    assert (status, answer["code"]) == (401, "not-authenticated")
    # Airflow itself cannot read the session of somebody whom it does not have any more, on no page.
    status, _ = _apply(airflow, browser, planned, secret)
    assert status == airflow.exchange("GET", "/home", None, {"Cookie": browser["Cookie"]}).status == 500
    journey.is_unspent(airflow, planned)
    airflow.forget("alan")


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


def _browser(airflow: Airflow2, user: str) -> dict[str, str]:
    """Return the headers of our page in the browser of somebody who logged in."""
    cookie = {"Cookie": airflow.cookie(user)}
    csrf = airflow.exchange("GET", f"{API}session", None, cookie).json()["csrf"]
    return {**cookie, csrf["header"]: csrf["token"], "X-Package-Manager": "1", "Sec-Fetch-Site": "same-origin"}


def _apply(airflow: Airflow2, browser: dict[str, str], planned: dict[str, Any], secret: str) -> tuple[int, Any]:
    body = {"token": secret, "digest": planned["plan"]["digest"]}
    return airflow.request("POST", f"{API}operations/{planned['id']}/apply", body, headers=browser)


def _restart_webserver(airflow: Airflow2) -> None:
    before = machine.children(airflow)[airflow.web_server]

    def another() -> bool | None:
        report = machine.reports(airflow).get(airflow.web_server, {})  # gone, or without a child, for a moment
        return report.get("child_pid") not in {None, before} or None

    machine.kill(before)
    journey.until(another, "another webserver")
    airflow.wait_until_healthy()


def test_the_address_that_nobody_chose_is_the_one_that_airflow_writes_into_its_file(airflow: Airflow2) -> None:
    ask = "from airflow.configuration import conf; print(conf.get_default_value('webserver', 'base_url'))"
    done = airflow.run(str(airflow.python), "-c", ask)
    assert done.stdout.split()[-1:] == [standalone._SHIPPED_BASE_URL], done.stderr
