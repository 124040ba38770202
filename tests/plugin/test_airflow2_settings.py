"""Airflow 2 as operators set it up otherwise: each time its real web application, in a fresh process."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from testenv import airflow2_home, airflow_environment
from testenv.airflow2_home import Airflow2

pytestmark = pytest.mark.airflow

SCRIPT = """
import json, sys
from airflow.www.app import create_app

client = create_app().test_client()
asked = json.load(sys.stdin)
if asked["user"]:
    with client.session_transaction(base_url=asked["base"]) as session:
        session["_user_id"], session["_fresh"] = str(asked["user"]), True
answers = []
for method, path, headers in asked["requests"]:
    headers = {"X-Package-Manager": "1", **headers}
    found = client.open(path, method=method, base_url=asked["base"], headers=headers, json={})
    answers.append([found.status_code, found.headers.get("Location"), found.get_data(as_text=True)])
print("ANSWERS" + json.dumps(answers))
"""
ADMIN = 1
"""The number of the user who was made first."""
PAGE, OURS, SESSION = "/plugin/package-manager", "/package-manager/", "/package-manager/api/v1/session"
OPERATIONS = "/package-manager/api/v1/operations"
OWN_MANAGER = """
from airflow.providers.fab.auth_manager.fab_auth_manager import FabAuthManager


class OwnManager(FabAuthManager):
    pass
"""
SILENT = """
from airflow.providers.fab.auth_manager.fab_auth_manager import FabAuthManager


before = FabAuthManager.is_authorized_custom_view


def fails(self, *, resource_name, **more):
    if resource_name == "Package Management":
        raise ConnectionError("https://secret.example.com/token=hunter2")
    return before(self, resource_name=resource_name, **more)


FabAuthManager.is_authorized_custom_view = fails
"""
"""As when the server behind it is away; Airflow itself asks for its menu."""
OWN_BACKEND = """
from functools import wraps

from airflow.utils.airflow_flask_app import get_airflow_app
from flask import Response, request
from flask_login import login_user

CLIENT_AUTH = None


def init_app(_app):
    pass


def requires_authentication(function):
    @wraps(function)
    def decorated(*args, **kwargs):
        if request.headers.get("X-Proxy-User") != "admin":
            return Response("nobody", 401)
        login_user(get_airflow_app().appbuilder.sm.find_user("admin"))
        return function(*args, **kwargs)

    return decorated
"""
"""As behind a proxy that names the user in a header."""


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Airflow2:
    """A home with users; nothing runs."""
    return airflow2_home.prepare(
        tmp_path_factory.mktemp("home"), airflow_environment.build("2.11"), dags={}, users=("admin",)
    )


def test_a_public_role_of_admin_lets_nobody_in(airflow: Airflow2, tmp_path: Path) -> None:
    config = tmp_path / "webserver_config.py"
    config.write_text("AUTH_ROLE_PUBLIC = 'Admin'\n")
    requests = [("GET", SESSION), ("GET", OURS), ("POST", OPERATIONS), ("GET", "/home")]
    answers = _asked(airflow, requests, AIRFLOW__WEBSERVER__CONFIG_FILE=str(config))
    assert [answer[0] for answer in answers] == [401, 401, 401, 200], "Airflow itself is open"


def test_where_airflow_forbids_frames_the_page_takes_the_window(airflow: Airflow2) -> None:
    [answer] = _asked(airflow, [("GET", PAGE)], user=ADMIN, AIRFLOW__WEBSERVER__X_FRAME_ENABLED="False")
    assert answer[:2] == [302, OURS]


def test_addresses_hold_under_a_prefix(airflow: Airflow2) -> None:
    prefix = "/team/airflow"
    requests = [("GET", prefix + path) for path in (PAGE, OURS, OURS.rstrip("/"))]
    base = f"http://airflow.example.com{prefix}"
    page, ours, slash = _asked(airflow, requests, user=ADMIN, AIRFLOW__WEBSERVER__BASE_URL=base)
    assert page[0] == 200
    assert 'src="/team/airflow/package-manager/"' in page[2]
    assert ours[0] == 200
    assert 'href="static/style.css"' in ours[2], "relative"
    assert slash[:2] == [308, "/team/airflow/package-manager/"]


def test_an_auth_manager_that_nobody_verified_lets_nobody_in_and_is_named(airflow: Airflow2, tmp_path: Path) -> None:
    settings = _own_manager(tmp_path)
    session, page = _asked(airflow, [("GET", SESSION), ("GET", PAGE)], user=ADMIN, **settings)
    problem = json.loads(session[2])
    assert (session[0], problem["code"], problem["auth_manager"]) == (403, "forbidden", "own_manager.OwnManager")
    assert page[0] == 403
    assert "own_manager.OwnManager is not supported: nobody gets in" in _doctor(airflow, **settings)


def test_an_auth_manager_that_nobody_verified_lets_in_whom_the_settings_name(airflow: Airflow2, tmp_path: Path) -> None:
    settings = {**_own_manager(tmp_path), "AIRFLOW__PACKAGE_MANAGER__ADMIN_USERS": "admin"}
    session, page = _asked(airflow, [("GET", SESSION), ("GET", PAGE)], user=ADMIN, **settings)
    assert (session[0], page[0]) == (200, 200), session[2]
    assert json.loads(session[2])["principal"]["auth_manager"] == "own_manager.OwnManager"
    assert "own_manager.OwnManager is not known; by name" in _doctor(airflow, **settings)


def test_an_auth_manager_that_cannot_answer_lets_nobody_in_and_tells_no_secret(airflow: Airflow2) -> None:
    session, page = _asked(airflow, [("GET", SESSION), ("GET", PAGE)], user=ADMIN, before=SILENT)
    problem = json.loads(session[2])
    assert (session[0], problem["code"], page[0]) == (403, "forbidden", 403)
    assert "ConnectionError" in problem["detail"]
    assert "hunter2" not in session[2] + page[2]


@pytest.mark.parametrize("backend", ["default", "deny_all"])
def test_a_backend_that_lets_everybody_in_or_nobody_lets_nobody_in_here(airflow: Airflow2, backend: str) -> None:
    requests = [("GET", SESSION), ("GET", OURS), ("POST", OPERATIONS)]
    session, page, change = _asked(airflow, requests, AIRFLOW__API__AUTH_BACKENDS=f"airflow.api.auth.backend.{backend}")
    assert (session[0], page[0], change[0]) == (401, 401, 401)
    assert json.loads(session[2])["code"] == json.loads(change[2])["code"] == "not-authenticated"


def test_a_backend_that_logs_in_whom_a_header_names_leaves_no_cookie_that_is_worth_something(
    airflow: Airflow2, tmp_path: Path
) -> None:
    (tmp_path / "own_backend.py").write_text(OWN_BACKEND)
    proxy = {"X-Proxy-User": "admin"}
    nobody: dict[str, str] = {}
    requests = [
        ("GET", SESSION, proxy),
        ("GET", SESSION, nobody),
        ("POST", OPERATIONS, proxy),
        ("GET", SESSION, nobody),
    ]
    named, cookie, change, again = _asked(
        airflow, requests, AIRFLOW__API__AUTH_BACKENDS="own_backend", PYTHONPATH=str(tmp_path)
    )
    assert (named[0], cookie[0], again[0]) == (200, 401, 401)
    assert json.loads(named[2])["principal"]["name"] == "admin"
    assert (change[0], json.loads(change[2])["code"]) == (403, "cross-origin"), "a header that a proxy adds is no lock"


def test_the_address_that_airflow_ships_is_nobodys(airflow: Airflow2) -> None:
    shipped = "http://localhost:8080"
    requests = [("POST", OPERATIONS, {"Origin": shipped})]
    [change] = _asked(airflow, requests, user=ADMIN, AIRFLOW__WEBSERVER__BASE_URL=shipped)
    assert (change[0], json.loads(change[2])["code"]) == (403, "cross-origin")
    chosen = {name: value for name, value in airflow.environment.items() if name != "AIRFLOW__WEBSERVER__BASE_URL"}
    said = _doctor(dataclasses.replace(airflow, environment=chosen))
    assert "[webserver] base_url is not set: only the Host header says where we are." in said
    assert f"[webserver] base_url is {airflow.url}." in _doctor(airflow)


def test_a_package_manager_that_cannot_start_says_so_and_airflow_starts_all_the_same(
    airflow: Airflow2,
) -> None:
    requests = [("GET", OURS), ("GET", SESSION), ("POST", OPERATIONS), ("GET", PAGE)]
    answers = _asked(airflow, requests, user=ADMIN, before=BROKEN)
    assert [answer[0] for answer in answers] == [503, 503, 503, 200]
    assert "could not start" in answers[0][2]
    assert answers[2][2] == answers[1][2]
    assert "could not start" in json.loads(answers[2][2])["detail"]


def test_a_package_manager_that_lacks_what_it_needs_leaves_airflow_its_frame(airflow: Airflow2) -> None:
    answers = _asked(airflow, [("GET", OURS), ("GET", PAGE)], user=ADMIN, before=LACKING)
    assert [answer[0] for answer in answers] == [503, 503]
    assert 'src="/package-manager/"' in answers[1][2]


def test_without_airflows_csrf_protection_ours_is_still_there(airflow: Airflow2, tmp_path: Path) -> None:
    config = tmp_path / "webserver_config.py"
    config.write_text("WTF_CSRF_ENABLED = False\n")
    requests = [("GET", SESSION), ("POST", OPERATIONS)]
    session, change = _asked(airflow, requests, user=ADMIN, AIRFLOW__WEBSERVER__CONFIG_FILE=str(config))
    assert json.loads(session[2])["csrf"] is None
    assert (change[0], json.loads(change[2])["code"]) == (403, "cross-origin")


BROKEN = "import sys; sys.modules['airflow_package_manager.plugin.airflow2'] = None\n"
"""As when a dependency cannot be imported."""
LACKING = "import sys; sys.modules['airflow_package_manager.web.flask_blueprint'] = None\n"
"""As when one is missing that all of it needs."""


def _own_manager(directory: Path) -> dict[str, str]:
    """Return the settings of an auth manager of the operator's own."""
    (directory / "own_manager.py").write_text(OWN_MANAGER)
    return {"AIRFLOW__CORE__AUTH_MANAGER": "own_manager.OwnManager", "PYTHONPATH": str(directory)}


def _doctor(airflow: Airflow2, **settings: str) -> str:
    """Return what it prints; without components it never ends well."""
    return airflow.run(*airflow.command("doctor"), extra=settings).stdout


def _asked(
    airflow: Airflow2,
    requests: Sequence[tuple[str, str] | tuple[str, str, dict[str, str]]],
    *,
    user: int | None = None,
    before: str = "",
    **settings: str,
) -> list[list[Any]]:
    """Return status, where to, and text of each answer."""
    with_headers = [request if len(request) == 3 else (*request, {}) for request in requests]
    asked = json.dumps({"requests": with_headers, "user": user, "base": "http://airflow.example.com"})
    done = airflow.run(str(airflow.python), "-c", before + SCRIPT, text=asked, extra=settings)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    found: list[list[Any]] = json.loads(done.stdout.rpartition("ANSWERS")[2])
    return found
