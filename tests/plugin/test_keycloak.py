"""A real Keycloak's users and roles on Airflow 3: who gets in and how, and what becomes of users in the meantime.

`SCREENSHOTS=directory` keeps pictures of the log-in and of the page.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Page, expect

from airflow_package_manager.web.endpoints import ENDPOINTS
from testenv import airflow_environment, airflow_home, airflow_keycloak_home
from testenv.airflow_home import API
from testenv.chromium import chromium
from testenv.keycloak import CLIENT, Keycloak, server
from testenv.keycloak_program import KeycloakMissing
from tests.plugin import journey, machine

if TYPE_CHECKING:
    from testenv.airflow_home import Airflow
    from testenv.package_index import PackageIndexServer

pytestmark = [pytest.mark.airflow, pytest.mark.browser, pytest.mark.every_airflow]

USERS = ("admin:Admin", "super:SuperAdmin", "operator:Op", "user:User", "viewer:Viewer")
ADMINS = {"admin", "super"}
VALUES = {"id": "0" * 32, "name": "packaging", "n": "0"}
MARKER = {"X-Package-Manager": "1"}
PATIENCE = 60_000
"""Milliseconds for one answer of a busy machine."""
OVER = (401, "not-authenticated")
FORBIDDEN = (403, "forbidden")


@pytest.fixture(scope="module")
def keycloak() -> Iterator[Keycloak]:
    try:
        with server() as started:
            yield started
    except KeycloakMissing as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def airflow(
    keycloak: Keycloak, tmp_path_factory: pytest.TempPathFactory, package_index: PackageIndexServer
) -> Iterator[Airflow]:
    """Its web server alone."""
    settings = {
        "AIRFLOW__PACKAGE_MANAGER__INDEX_URL": package_index.url,
        "AIRFLOW__PACKAGE_MANAGER__SOAK": "1",
    }
    python = airflow_environment.build("3.3-keycloak")
    home = tmp_path_factory.mktemp("airflow")
    prepared = airflow_keycloak_home.prepare(home, python, keycloak, users=USERS, settings=settings)
    with airflow_home.serving(prepared) as started:
        yield started


@pytest.fixture(scope="module")
def machine_with_a_component(airflow: Airflow) -> Iterator[None]:
    with machine.supervised(airflow.python, airflow.environment):
        yield


@pytest.fixture
def ada(airflow: Airflow, keycloak: Keycloak) -> Iterator[str]:
    """The id of an admin of the test's own."""
    airflow.passwords = {**airflow.passwords, "ada": "ada has a password"}
    yield keycloak.add_user("ada", airflow.passwords["ada"], "Admin")
    keycloak.realm("DELETE", f"users/{keycloak.user_id('ada')}")


@pytest.fixture
def lifespan(keycloak: Keycloak, request: pytest.FixtureRequest) -> Iterator[int]:
    """Seconds for which access tokens of Keycloak live meanwhile."""
    found = keycloak.realm("GET", "")
    keycloak.realm("PUT", "", {"accessTokenLifespan": request.param})
    yield request.param
    keycloak.realm("PUT", "", {"accessTokenLifespan": found["accessTokenLifespan"]})


def session(airflow: Airflow, token: str) -> tuple[int, str]:
    """Return the status and, of a refusal, the code."""
    status, found = airflow.api("GET", "session", token=token)
    return status, str(found.get("code", ""))


@pytest.mark.parametrize("user", [None, "viewer", "user", "operator", "super", "admin"])
def test_who_gets_in(airflow: Airflow, user: str | None) -> None:
    token = airflow.token(user) if user else None
    refused = FORBIDDEN if user else OVER
    for endpoint in ENDPOINTS:
        path = API + endpoint.path.format(**VALUES)
        body: object = None if endpoint.request is None else {}
        status, answer = airflow.request(endpoint.method, path, body, token, MARKER)
        if user in ADMINS:
            assert status in {200, 400, 404}, (path, answer)
        else:
            assert (status, answer["code"]) == refused, path
    status, page = airflow.request("GET", "/package-manager/", token=token)
    assert status == (200 if user in ADMINS else refused[0])
    assert "Package Manager" in page
    if user:
        assert airflow.request("GET", "/api/v2/dags", token=token)[0] == 200, "Airflow itself lets everybody look"


def test_a_role_gets_in_by_a_permission_on_the_resource_and_by_no_other(airflow: Airflow, keycloak: Keycloak) -> None:
    """As the installation page says for a role of one's own."""
    airflow.passwords = {**airflow.passwords, "grace": "grace has a password"}
    keycloak.realm("POST", "roles", {"name": "Packagers"})
    role = keycloak.realm("GET", "roles/Packagers")
    keycloak.add_user("grace", airflow.passwords["grace"], "Packagers", "Viewer")
    assert session(airflow, airflow.token("grace")) == FORBIDDEN
    server_of_resources = "/authz/resource-server"
    policy = {"name": "Allow-Packagers", "roles": [{"id": role["id"]}]}
    keycloak.client("POST", f"{server_of_resources}/policy/role", policy)
    permission = {
        "name": "Package-Manager",
        "resources": ["Custom"],
        "scopes": ["PUT"],
        "policies": ["Allow-Packagers"],
    }
    keycloak.client("POST", f"{server_of_resources}/permission/scope", permission)
    assert session(airflow, airflow.token("grace")) == (200, "")
    assert session(airflow, airflow.token("viewer")) == FORBIDDEN


def test_a_program_gets_in_by_its_own_account_when_it_has_the_role(airflow: Airflow, keycloak: Keycloak) -> None:
    credentials = {
        "grant_type": "client_credentials",
        "client_id": CLIENT,
        "client_secret": keycloak.client_secret,
    }

    def token() -> str:
        status, answer = airflow.request("POST", "/auth/token", credentials)
        assert status == 201, answer
        return str(answer["access_token"])

    assert session(airflow, token()) == FORBIDDEN
    account = keycloak.client("GET", "/service-account-user")
    keycloak.change_roles(account["id"], "POST", "Admin")
    status, found = airflow.api("GET", "session", token=token())
    assert (status, found["principal"]["name"]) == (200, f"service-account-{CLIENT}")
    status, answer = airflow.api("POST", "operations", {}, token=token())
    assert (status, answer["code"]) == (400, "malformed"), "it may plan"


@pytest.mark.usefixtures("machine_with_a_component")
def test_a_package_is_added(airflow: Airflow) -> None:
    token = airflow.token("admin")
    done = journey.change(airflow, token, "add good-package")
    assert done["state"] == "SUCCEEDED", done["problem"]
    assert (done["owner"]["auth_manager"], done["owner"]["name"]) == ("keycloak", "admin")
    assert "good-package" in machine.requirements(airflow)


def lose_the_role(keycloak: Keycloak, user: str) -> None:
    keycloak.change_roles(user, "DELETE", "Admin")


def disable(keycloak: Keycloak, user: str) -> None:
    keycloak.realm("PUT", f"users/{user}", {"enabled": False})


def log_out(keycloak: Keycloak, user: str) -> None:
    keycloak.realm("POST", f"users/{user}/logout", {})


@pytest.mark.usefixtures("machine_with_a_component")
@pytest.mark.parametrize(
    ("become", "looks"),
    [(lose_the_role, (200, "")), (disable, OVER), (log_out, OVER)],
    ids=["lost the role", "disabled", "logged out"],
)
def test_who_is_no_admin_any_more_cannot_apply_the_plan(
    airflow: Airflow, keycloak: Keycloak, ada: str, become: Callable[[Keycloak, str], None], looks: tuple[int, str]
) -> None:
    token = airflow.token("ada")
    planned, secret = journey.plan(airflow, token, "add good-extra")
    become(keycloak, ada)
    assert session(airflow, token) == looks, "Keycloak itself judges by the roles in its token for minutes"
    status, answer = journey.apply(airflow, token, planned, secret)
    assert (status, answer["code"]) == OVER
    assert ("session is over" if looks == OVER else "lost a role") in answer["detail"]
    journey.is_unspent(airflow, planned)


@pytest.mark.usefixtures("machine_with_a_component")
def test_a_role_that_was_lost_forbids_and_one_that_came_back_allows(
    airflow: Airflow, keycloak: Keycloak, ada: str
) -> None:
    before = airflow.token("ada")
    planned, secret = journey.plan(airflow, before, requirements="good-package\n# hers\n")
    lose_the_role(keycloak, ada)
    status, answer = journey.apply(airflow, airflow.token("ada"), planned, secret)
    assert (status, answer["code"]) == FORBIDDEN
    journey.is_unspent(airflow, planned)
    keycloak.change_roles(ada, "POST", "Admin")
    status, accepted = journey.apply(airflow, before, planned, secret)
    assert status == 202, accepted
    assert journey.ended(airflow, airflow.token("ada"), planned["id"])["state"] == "SUCCEEDED"


@pytest.mark.usefixtures("machine_with_a_component")
def test_a_user_who_is_made_again_under_the_same_name_is_another_one(
    airflow: Airflow, keycloak: Keycloak, ada: str
) -> None:
    token = airflow.token("ada")
    planned, secret = journey.plan(airflow, token, "add good-extra")
    keycloak.realm("DELETE", f"users/{ada}")
    keycloak.add_user("ada", airflow.passwords["ada"], "Admin")
    for mine, refused in {token: OVER, airflow.token("ada"): (403, "token-invalid")}.items():
        status, answer = journey.apply(airflow, mine, planned, secret)
        assert (status, answer["code"]) == refused
    journey.is_unspent(airflow, planned)


@pytest.mark.parametrize("lifespan", [5], indirect=True)
def test_a_token_is_over_with_the_one_of_keycloak_in_it_and_says_so(airflow: Airflow, lifespan: int) -> None:
    token = airflow.token("admin")
    assert session(airflow, token) == (200, "")
    time.sleep(lifespan + 1)
    status, answer = airflow.api("GET", "session", token=token)
    assert (status, answer["code"]) == OVER
    assert "expired" in answer["detail"]
    assert "fetches a new token" in answer["next_action"]


@pytest.mark.parametrize("lifespan", [30], indirect=True)  # a page takes seconds: no token shall end on its way
def test_a_person_logs_in_through_keycloak_and_stays(airflow: Airflow, lifespan: int) -> None:
    # In a thread of its own: a browser of tests that ran before may still have its event loop in this one.
    with ThreadPoolExecutor(1) as own:
        own.submit(_look, airflow, lifespan).result()


def _look(airflow: Airflow, lifespan: int) -> None:
    with chromium() as browser:
        for user in ("admin", "viewer"):
            context = browser.new_context(viewport={"width": 1440, "height": 1000}, base_url=airflow.url)
            context.set_default_timeout(PATIENCE)
            page = context.new_page()
            refused = page.goto("/package-manager/")
            assert refused is not None
            assert refused.status == OVER[0]
            page.get_by_role("link", name="Log in to Airflow").click()
            page.get_by_label(re.compile("username", re.IGNORECASE)).fill(user)
            page.locator("input[name=password]").fill(airflow.passwords[user])
            _picture(page, f"keycloak-log-in-{user}")
            page.get_by_role("button", name="Sign In").click()
            page.get_by_role("button", name="Admin").click()
            page.get_by_role("menuitem", name="Package Manager").click()
            if user == "admin":
                _works(page, lifespan)
            else:
                _is_refused(page)
            _picture(page, f"keycloak-{user}")
            context.close()


def _works(page: Page, lifespan: int) -> None:
    frame = page.frame_locator("iframe")
    heading = frame.get_by_role("heading", name="Installed Packages")
    expect(heading).to_be_visible(timeout=PATIENCE)
    page.wait_for_timeout((lifespan + 1) * 1000)
    page.reload()  # with an access token that expired: Airflow gets another one
    expect(heading).to_be_visible(timeout=PATIENCE)
    frame.get_by_role("button", name="Add New Package").first.click()
    expect(frame.get_by_role("dialog")).to_be_visible(timeout=PATIENCE)


def _is_refused(page: Page) -> None:
    expect(page.frame_locator("iframe").get_by_role("heading", name="You may not do this")).to_be_visible()


def _picture(page: Page, name: str) -> None:
    directory = os.environ.get("SCREENSHOTS")
    if directory:
        page.screenshot(path=str(Path(directory) / f"{name}.png"))


def test_nobody_gets_in_while_keycloak_is_away_and_airflow_answers(airflow: Airflow, keycloak: Keycloak) -> None:
    token = airflow.token("admin")
    keycloak.stop()
    try:
        for method, path, body in (("GET", "session", None), ("POST", "operations", journey.adding("good-extra"))):
            status, answer = airflow.api(method, path, body, token=token)
            assert (status, answer["code"]) == FORBIDDEN
            assert "could not be asked" in answer["detail"]
            assert "log has the reason" in answer["next_action"]
        headers = {"Authorization": airflow.authorization(token), "Accept": "text/html"}
        page = airflow.exchange("GET", "/package-manager/", None, headers)
        assert page.status == FORBIDDEN[0]
        assert "could not be asked" in page.content.decode()
        assert airflow.request("GET", "/api/v2/version")[0] == 200
        assert airflow.request("GET", "/api/v2/monitor/health")[0] == 200
    finally:
        keycloak.start()
    assert token not in airflow.log.read_text(errors="replace")
    found: Any = journey.until(lambda: airflow.api("GET", "session", token=airflow.token("admin")), "Keycloak")
    assert found[0] == 200
