import logging
from collections.abc import Iterator, Mapping

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.types import Receive, Scope, Send

from airflow_package_manager.domain.access import Principal
from airflow_package_manager.errors import DatabaseBusy, StoreUnavailable
from airflow_package_manager.web.endpoint import Endpoint
from airflow_package_manager.web.endpoints import ENDPOINTS
from airflow_package_manager.web.handlers import Api
from tests.web.client import ADDRESS, Client
from tests.web.house import FRAMEWORKS, PREFIX, House, as_, caller, changing, fastapi_app, served

EVERY = pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda row: f"{row.method} {row.path}")
VALUES = {"id": "0" * 32, "name": "six", "n": "0"}
OTHER_METHODS = ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"]


def _dependencies(dependant: Dependant) -> Iterator[Dependant]:
    yield dependant
    for inner in dependant.dependencies:
        yield from _dependencies(inner)


def path(endpoint: Endpoint) -> str:
    return PREFIX + endpoint.path.format(**VALUES)


def assert_problem(reply_content_type: str, body: dict[str, object], code: str) -> None:
    assert reply_content_type == "application/problem+json"
    assert body["code"] == code
    assert body["next_action"]


@EVERY
def test_without_a_login_every_route_answers_401(house: House, endpoint: Endpoint) -> None:
    reply = house.client.request(endpoint.method, path(endpoint), {"content-type": "application/json"}, [b"{}"])
    assert reply.status == 401
    assert reply.headers["www-authenticate"] == "Bearer"
    assert_problem(reply.headers["content-type"], reply.json(), "not-authenticated")
    assert house.client.read == 0, "the body of a stranger is not read"


@EVERY
def test_a_viewer_gets_403_from_every_route(house: House, endpoint: Endpoint) -> None:
    headers = {**changing("viewer"), "content-type": "application/json"}
    reply = house.client.request(endpoint.method, path(endpoint), headers, [b"not even JSON"])
    assert reply.status == 403
    assert_problem(reply.headers["content-type"], reply.json(), "forbidden")
    assert reply.json()["permission"] == endpoint.permission.value


@EVERY
def test_an_admin_gets_past_the_door_of_every_route(house: House, endpoint: Endpoint) -> None:
    if endpoint.request is None:
        reply = house.client.get(path(endpoint), as_("admin"))
        expected = {200} if "{" not in endpoint.path or "{name}" in endpoint.path else {404}
    else:
        reply = house.client.post(path(endpoint), changing("admin"), {})
        expected = {400} if endpoint.path != "operations/{id}/cancel" else {404}
    assert reply.status in expected, reply.text


@EVERY
def test_a_reader_may_look_and_not_touch(house: House, endpoint: Endpoint) -> None:
    if endpoint.request is None:
        assert house.client.get(path(endpoint), as_("reader")).status in {200, 404}
    else:
        assert house.client.post(path(endpoint), changing("reader"), {}).status == 403


@EVERY
@pytest.mark.parametrize("method", OTHER_METHODS)
def test_another_method_is_refused_with_those_that_exist(house: House, endpoint: Endpoint, method: str) -> None:
    reply = house.client.request(method, path(endpoint), changing("admin"))
    assert (reply.status, reply.json()["code"]) == (405, "method-not-allowed")
    if method != "PROPFIND":  # no framework routes it, so nobody knows the address
        assert endpoint.method in reply.headers["allow"].split(", ")


@pytest.mark.parametrize("method", ["GET", "POST", *OTHER_METHODS[:-1]])
@pytest.mark.parametrize("address", ["/", "/static/app.js", "/openapi.json", "/docs", "/api/v1/nothing", "/%2e%2e/x"])
def test_nothing_at_all_can_be_reached_without_a_login(house: House, method: str, address: str) -> None:
    assert house.client.request(method, address).status == 401


@EVERY
def test_head_answers_as_get_without_a_body(house: House, endpoint: Endpoint) -> None:
    if endpoint.method != "GET":
        assert house.client.request("HEAD", path(endpoint), as_("admin")).status in {200, 405}
        return
    wanted = house.client.get(path(endpoint), as_("admin"))
    reply = house.client.request("HEAD", path(endpoint), as_("admin"))
    assert (reply.status, reply.content) == (wanted.status, b"")
    assert reply.headers["content-length"] == str(len(wanted.content))


@pytest.mark.parametrize("endpoint", [row for row in ENDPOINTS if row.method == "POST"], ids=lambda row: row.path)
@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"sec-fetch-site": "cross-site", "x-package-manager": "1"}, "cross-origin"),
        ({"origin": "https://evil.example.com", "x-package-manager": "1"}, "cross-origin"),
        ({"origin": "null", "x-package-manager": "1"}, "cross-origin"),
        ({"x-package-manager": "1", "cookie": "_token=abc"}, "cross-origin"),
        ({"sec-fetch-site": "same-origin"}, "csrf-failed"),
        ({"authorization": "Bearer abc"}, "csrf-failed"),
    ],
)
def test_no_change_is_taken_from_another_site(
    house: House, endpoint: Endpoint, headers: dict[str, str], code: str
) -> None:
    reply = house.client.post(path(endpoint), as_("admin", **headers), {})
    assert (reply.status, reply.json()["code"]) == (403, code)
    newest = house.repository.all(before=None, limit=1)[0][0]
    assert (newest.kind, newest.details["code"], newest.address) == ("access.refused", code, ADDRESS)
    assert newest.identity is not None
    assert newest.identity.name == "admin"


def test_a_program_with_a_bearer_token_may_change(house: House) -> None:
    headers = as_("admin", authorization="Bearer abc", **{"x-package-manager": "1"})
    body = {"changes": [{"action": "remove", "requirement": "six"}]}
    assert house.client.post(PREFIX + "operations", headers, body).status == 202


def test_a_bearer_token_counts_for_nothing_where_the_server_found_the_caller_by_a_cookie() -> None:
    """As a middleware of Airflow does, which never looks at the header then."""
    house = House()
    app = fastapi_app(lambda: house.api, caller)

    async def found_before(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"] = {"user": "admin"}
        await app(scope, receive, send)

    body = {"changes": [{"action": "remove", "requirement": "six"}]}
    headers = as_("admin", authorization="Bearer abc", cookie="_token=abc", **{"x-package-manager": "1"})
    reply = Client(found_before).post(PREFIX + "operations", headers, body)
    assert (reply.status, reply.json()["code"]) == (403, "cross-origin")
    assert Client(app).post(PREFIX + "operations", headers, body).status == 202, "nobody was found by the cookie"


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_an_origin_that_base_url_names_is_ours(framework: str) -> None:
    house = House(base_url="https://data.example.com/airflow", framework=framework)
    headers = as_("admin", origin="https://data.example.com", **{"x-package-manager": "1"})
    assert house.client.post(PREFIX + "operations", headers, {}).status == 400


def test_strangers_cannot_flood_the_record_and_are_in_it(house: House) -> None:
    for _ in range(20):
        house.client.get(PREFIX + "session")
        house.client.get(PREFIX + "operations/" + "0" * 32)
        house.client.request("POST", PREFIX + "operations")
    for number in range(20):
        house.client.get(f"{PREFIX}{number}")
    events, _ = house.repository.all(before=None, limit=100)
    assert sorted(event.details["what"] for event in events) == [
        "call GET operations/{id}",
        "call GET session",
        "call POST operations",
        "call an unknown address",
    ]
    assert {event.address for event in events} == {ADDRESS}


def test_a_refused_change_of_somebody_who_may_change_is_recorded_each_time(house: House) -> None:
    for _ in range(3):
        house.client.post(PREFIX + "operations", changing("admin"), {})
    events, _ = house.repository.all(before=None, limit=100)
    assert [event.details["code"] for event in events] == ["malformed"] * 3


@pytest.mark.parametrize("caller", ["viewer", "reader"])
def test_who_may_change_nothing_cannot_flood_the_record_and_is_in_it(house: House, caller: str) -> None:
    for number in range(20):
        house.client.post(PREFIX + "operations", changing(caller), {})
        house.client.post(f"{PREFIX}nothing/{number}", changing(caller), {})
        house.client.request("DELETE", PREFIX + "operations", changing(caller))
    events, _ = house.repository.all(before=None, limit=100)
    assert sorted(event.details["what"] for event in events) == [
        "call DELETE operations",
        "call POST operations",
        "call an unknown address",
    ]
    assert {event.identity.name for event in events if event.identity} == {caller}


def test_a_page_elsewhere_cannot_flood_the_record_by_the_browser_of_an_admin(house: House) -> None:
    for _ in range(20):
        house.client.post(PREFIX + "operations", {**changing("admin"), "sec-fetch-site": "cross-site"}, {})
    events, _ = house.repository.all(before=None, limit=100)
    assert [event.details["code"] for event in events] == ["cross-origin"]


def test_the_application_has_no_route_beside_the_one_that_authenticates() -> None:
    house = House()
    (route,) = fastapi_app(lambda: house.api, caller).routes
    assert isinstance(route, APIRoute)
    assert route.path == "/{path:path}"
    called = {inner.call.__qualname__ for inner in _dependencies(route.dependant) if inner.call}
    assert "fastapi_app.<locals>.authenticate" in called


def test_a_refusal_stands_when_it_cannot_be_recorded(house: House, caplog: pytest.LogCaptureFixture) -> None:
    house.repository.faults.fail("repository.append", DatabaseBusy("locked"))
    with caplog.at_level(logging.ERROR):
        assert house.client.get(PREFIX + "session").status == 401
    assert "could not be recorded" in caplog.text


def test_what_nobody_expected_is_500_with_a_correlation_id_and_the_trace_in_the_log_only(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.store.faults.fail("store.read", RuntimeError("secret inside"))
    with caplog.at_level(logging.ERROR):
        reply = house.client.get(PREFIX + "requirements", as_("admin"))
    assert reply.status == 500
    assert "secret inside" not in reply.text
    assert "Traceback" not in reply.text
    assert reply.json()["correlation_id"] in caplog.text
    assert "secret inside" in caplog.text


def test_an_outage_of_the_world_is_no_500(house: House) -> None:
    house.store.faults.fail("store.read", StoreUnavailable("The disk is gone."))
    reply = house.client.get(PREFIX + "requirements", as_("admin"))
    assert (reply.status, reply.json()["code"]) == (503, "store-unavailable")


def test_an_authentication_that_breaks_lets_nobody_in(house: House, caplog: pytest.LogCaptureFixture) -> None:
    def broken(_headers: Mapping[str, str], _address: str | None) -> Principal:
        raise RuntimeError("the identity provider is away")

    client = served(house.framework, lambda: house.api, broken)
    with caplog.at_level(logging.ERROR):
        reply = client.get(PREFIX + "session")
    assert (reply.status, reply.json()["code"]) == (500, "internal")
    assert "identity provider" not in reply.text


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_house_that_cannot_be_built_is_a_problem_and_no_crash(framework: str) -> None:
    def broken() -> Api:
        raise StoreUnavailable("The tables are missing.")

    client = served(framework, broken, caller)
    assert client.get(PREFIX + "session").status == 401
    reply = client.get(PREFIX + "session", as_("admin"))
    assert (reply.status, reply.json()["detail"]) == (503, "The tables are missing.")
