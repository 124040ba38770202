"""Who gets in, on a real Airflow: every route, every role, other sites, other people's tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_package_manager.web.endpoints import ENDPOINTS
from tests.plugin import journey, machine

if TYPE_CHECKING:
    from airflow_package_manager.web.endpoint import Endpoint
    from testenv.airflow_home import Airflow

pytestmark = pytest.mark.airflow

API = "/package-manager/api/v1/"
VALUES = {"id": "0" * 32, "name": "packaging", "n": "0"}
EVERY = pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda row: f"{row.method} {row.path}")
MARKER = {"X-Package-Manager": "1"}


@pytest.fixture(scope="module", params=["airflow3", "airflow2"])
def airflow(request: pytest.FixtureRequest) -> Airflow:
    """Each of them."""
    started: Airflow = request.getfixturevalue(request.param)
    return started


@pytest.fixture(scope="module")
def tokens(airflow: Airflow) -> dict[str, str]:
    return {user: airflow.token(user) for user in airflow.passwords}


@EVERY
def test_nobody_gets_in_without_a_login(airflow: Airflow, endpoint: Endpoint) -> None:
    status, answer = airflow.request(endpoint.method, _path(endpoint), _body(endpoint), headers=MARKER)
    assert (status, answer["code"]) == (401, "not-authenticated")


@EVERY
@pytest.mark.parametrize("user", ["viewer", "user", "op"])
def test_only_admins_get_in(airflow: Airflow, tokens: dict[str, str], endpoint: Endpoint, user: str) -> None:
    status, answer = airflow.request(endpoint.method, _path(endpoint), _body(endpoint), tokens[user], MARKER)
    assert (status, answer["code"]) == (403, "forbidden")
    assert answer["permission"] == endpoint.permission.value


@EVERY
def test_an_admin_gets_past_the_door(airflow: Airflow, tokens: dict[str, str], endpoint: Endpoint) -> None:
    status, answer = airflow.api(
        endpoint.method, endpoint.path.format(**VALUES), _body(endpoint), token=tokens["admin"]
    )
    expected = {200} if endpoint.request is None and "{id}" not in endpoint.path else {400, 404}
    if endpoint.path == "revisions/{n}":
        expected = {200, 404}  # there is a revision 0 once something was applied
    assert status in expected, answer


def test_the_page_is_for_admins_too(airflow: Airflow, tokens: dict[str, str]) -> None:
    assert airflow.request("GET", "/package-manager/")[0] == 401
    status, page = airflow.request("GET", "/package-manager/", token=tokens["viewer"], headers={"Accept": "text/html"})
    assert status == 403
    assert "Admin" in page
    status, page = airflow.request("GET", "/package-manager/", token=tokens["admin"])
    assert status == 200
    assert "Package Manager" in page


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Origin": "https://evil.example.com"}, "cross-origin"),
        ({"Origin": "null"}, "cross-origin"),
        ({"Sec-Fetch-Site": "cross-site"}, "cross-origin"),
        ({}, "cross-origin"),
    ],
)
def test_another_site_cannot_use_the_cookie_of_an_admin(airflow: Airflow, headers: dict[str, str], code: str) -> None:
    cookie = _browser(airflow)
    body = {"changes": [{"action": "add", "requirement": "good-extra"}]}
    status, answer = airflow.request("POST", API + "operations", body, headers={**cookie, **headers})
    assert (status, answer["code"]) == (403, code)


def test_our_own_page_may_use_the_cookie(airflow: Airflow) -> None:
    headers = {**_browser(airflow), "Origin": airflow.url}
    status, answer = airflow.request("POST", API + "operations", {}, headers=headers)
    assert (status, answer["code"]) == (400, "malformed"), "past the door, and then nothing was asked for"


def test_the_token_of_one_admin_is_worthless_for_another(airflow: Airflow, tokens: dict[str, str]) -> None:
    planned, secret = journey.plan(airflow, tokens["admin"], "add good-extra")
    status, answer = journey.apply(airflow, tokens["admin2"], planned, secret)
    assert (status, answer["code"]) == (403, "token-invalid")
    assert "Invalid or expired token" in answer["detail"]
    assert journey.operation(airflow, tokens["admin"], planned["id"])["state"] == "PLANNED"


def test_a_hand_edit_between_plan_and_apply_makes_the_plan_stale_and_stays(
    airflow: Airflow, tokens: dict[str, str]
) -> None:
    planned, secret = journey.plan(airflow, tokens["admin"], "add good-extra")
    before = machine.requirements(airflow)
    edited = before + "# by hand\ngood-extra\n"
    machine.write_requirements(airflow, edited)
    try:
        status, answer = journey.apply(airflow, tokens["admin"], planned, secret)
        assert (status, answer["code"]) == (409, "stale-plan")
        assert "+# by hand" in answer["difference"]
        assert machine.requirements(airflow) == edited
    finally:
        machine.write_requirements(airflow, before)
    assert journey.operation(airflow, tokens["admin"], planned["id"])["state"] == "PLANNED"
    wrong = airflow.api(
        "POST",
        f"operations/{planned['id']}/apply",
        {"token": secret, "digest": "0" * 64},
        token=tokens["admin"],
    )
    assert wrong[1]["code"] != "token-used", "the token is unspent"


def _browser(airflow: Airflow) -> dict[str, str]:
    """Return what the page of a logged-in admin sends with a change, but for where it comes from."""
    cookie = {"Cookie": airflow.cookie("admin"), **MARKER}
    status, session = airflow.request("GET", API + "session", headers=cookie)
    assert status == 200, "the cookie is good"
    csrf = session["csrf"]
    return {**cookie, **({csrf["header"]: csrf["token"]} if csrf else {})}


def _path(endpoint: Endpoint) -> str:
    return API + endpoint.path.format(**VALUES)


def _body(endpoint: Endpoint) -> object:
    return None if endpoint.request is None else {}
