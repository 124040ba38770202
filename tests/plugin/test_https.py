"""Airflow over https, its web server's own or that of a proxy before it: the page, who may change, a change."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Browser, Response

from testenv import airflow_home, airflows, chromium, tls_proxy
from testenv.airflow_home import API
from testenv.cluster import pki
from tests.browser import in_airflow
from tests.conftest import QUICK
from tests.plugin import journey, machine

if TYPE_CHECKING:
    from testenv.airflow_home import Airflow
    from testenv.package_index import PackageIndexServer

pytestmark = [pytest.mark.airflow, pytest.mark.browser, pytest.mark.every_airflow]

DAG = Path(__file__).parents[1] / "data" / "dags" / "needs_good_package.py"


@dataclass(frozen=True)
class Site:
    """One Airflow that people reach over https only."""

    airflow: Airflow
    proxied: bool

    @property
    def airflows(self) -> tuple[Airflow, ...]:
        """Return the one that it is."""
        return (self.airflow,)

    def origin(self, scheme: str = "https") -> str:
        """Return its own origin, or what it would be over another scheme."""
        return self.airflow.url.replace("https", scheme, 1)

    def post(self, cookie: str, headers: dict[str, str]) -> tuple[int, Any]:
        """Ask for a plan as a browser does that has the cookie."""
        body = {"requirements": f"# from {headers.get('Origin')}\n"}
        return self.airflow.request("POST", f"{API}operations", body, headers={"Cookie": cookie, **headers})


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> pki.Pki:
    made = pki.make(tmp_path_factory.mktemp("keys") / "pki")
    # The chain: Airflow 3 gives this file also to its tasks, as all that they trust.
    with made.certificate.open("ab") as chain, made.authority.open("rb") as authority:
        shutil.copyfileobj(authority, chain)
    return made


@pytest.fixture(scope="module", params=["3.3-own", "3.3-proxied", "2.11-own", "2.11-proxied"])
def site(
    request: pytest.FixtureRequest,
    keys: pki.Pki,
    tmp_path_factory: pytest.TempPathFactory,
    package_index: PackageIndexServer,
) -> Iterator[Site]:
    version, _, how = request.param.partition("-")
    proxied = how == "proxied"
    home, public = tmp_path_factory.mktemp("airflow"), airflow_home.free_port()
    settings = {**QUICK, "AIRFLOW__PACKAGE_MANAGER__INDEX_URL": package_index.url}
    prepared = airflows.prepare(version, home, dags={DAG.name: DAG.read_text()}, settings=settings)
    prepared.authority = keys.authority
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: _nothing_is_left(home))
        stack.callback(prepared.stop)
        if proxied:
            prepared.public = f"https://127.0.0.1:{public}"
            _behind_proxy(prepared)
            stack.enter_context(tls_proxy.proxy(public, prepared.port, keys.certificate, keys.key))
            prepared.wait_until_healthy(parts=("metadatabase",))
        else:
            prepared.public = f"https://127.0.0.1:{prepared.port}"
            _with_certificate(prepared, keys)
            prepared.wait_until_healthy()
        yield Site(prepared, proxied)


def test_page_files_and_session_are_there_and_cookies_stay_with_https(site: Site) -> None:
    airflow = site.airflow
    cookie = {"Cookie": airflow.cookie("admin")}
    assert airflow.request("GET", "/package-manager/", headers=cookie)[0] == 200
    assert airflow.request("GET", "/package-manager/static/app.js", headers=cookie)[0] == 200
    status, session = airflow.request("GET", f"{API}session", headers=cookie)
    assert status == 200
    assert session["principal"]["name"] == "admin"
    assert airflow.api("GET", "session", token=airflow.token("admin"))[0] == 200
    assert airflow.request("GET", f"{API}session")[0] == 401


def test_only_our_own_origin_over_https_may_change_something(site: Site) -> None:
    airflow, cookie = site.airflow, site.airflow.cookie("admin")
    browser = {"X-Package-Manager": "1", "Referer": f"{airflow.url}/package-manager/"}
    _, session = airflow.request("GET", f"{API}session", headers={"Cookie": cookie})
    if session["csrf"]:
        browser[session["csrf"]["header"]] = session["csrf"]["token"]
    for foreign in (site.origin("http"), "https://evil.example.com", "https://127.0.0.1", "null"):
        status, refused = site.post(cookie, {**browser, "Origin": foreign})
        assert (status, refused["code"]) == (403, "cross-origin"), foreign
    status, taken = site.post(cookie, {**browser, "Origin": site.origin()})
    assert status == 202, taken
    identifier = taken["operation"]["id"]
    token = airflow.token("admin")
    journey.until(lambda: journey.operation(airflow, token, identifier)["state"] == "PLANNED" or None, "the plan", 60)


def test_a_change_restarts_the_web_server_and_finds_it_again(site: Site) -> None:
    airflow, token = site.airflow, site.airflow.token("admin")
    before = machine.children(airflow)[airflow.web_server]
    done = journey.change(airflow, token, "add good-plugin")
    assert done["state"] == "SUCCEEDED", (done["problem"], airflow.log_end())
    assert machine.children(airflow)[airflow.web_server] != before
    assert {report["state"] for report in machine.reports(airflow).values()} == {"ready"}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium.chromium() as started:
        yield started


def test_a_person_logs_in_and_applies_a_change(site: Site, browser: Browser) -> None:
    context = chromium.new_context(browser, url=site.airflow.url, any_certificate=True)
    page, refused = context.new_page(), list[str]()

    def heard(response: Response) -> None:
        if response.status in {400, 403}:
            refused.append(f"{response.request.method} {response.url} {response.status}")

    page.on("response", heard)
    in_airflow.log_in(page, site.airflow, "admin")
    frame = in_airflow.packages(page)
    in_airflow.choose(frame, "good-package")
    in_airflow.plan(frame).click()
    in_airflow.see(frame.get_by_text("Every component runs the new packages"), in_airflow.ROLLOUT)
    in_airflow.picture(page, f"https-{site.airflow.web_server}-{'proxied' if site.proxied else 'own'}")
    assert {cookie["secure"] for cookie in context.cookies() if cookie["name"] == "_token"} <= {True}
    assert refused == []
    context.close()


def test_a_task_reaches_its_airflow(site: Site) -> None:
    """After the change above; behind the proxy the web server runs alone, and is all that is asked."""
    airflow, token = site.airflow, site.airflow.token("admin")
    if site.proxied:
        assert airflow.request("GET", f"{airflow.rest}/plugins", token=token)[0] == 200
        return
    run = journey.run_dag(airflow, token, DAG.stem)
    assert journey.finished(airflow, token, DAG.stem, run) == "success"


def _with_certificate(airflow: Airflow, keys: pki.Pki) -> None:
    """Start all of it; whoever has a certificate sets nothing else, but for the address that people use."""
    section, prefix = ("API", "") if airflow.web_server == "api-server" else ("WEBSERVER", "WEB_SERVER_")
    airflow.environment |= {
        f"AIRFLOW__{section}__{prefix}SSL_CERT": str(keys.certificate),
        f"AIRFLOW__{section}__{prefix}SSL_KEY": str(keys.key),
    }
    del airflow.environment[f"AIRFLOW__{section}__BASE_URL"]  # `standalone` makes it
    airflow.start()


def _behind_proxy(airflow: Airflow) -> None:
    """Start its web server alone, told to believe the proxy."""
    believing = ["--proxy-headers"] if airflow.web_server == "api-server" else []
    section = "API" if airflow.web_server == "api-server" else "WEBSERVER"
    airflow.environment |= {
        f"AIRFLOW__{section}__BASE_URL": airflow.url,
        "AIRFLOW__PACKAGE_MANAGER__COMPONENTS": airflow.web_server,
        "AIRFLOW__WEBSERVER__ENABLE_PROXY_FIX": "True",
    }
    health = f"http://127.0.0.1:{airflow.port}{airflow.health[0]}"
    supervised = ("run", "--component", airflow.web_server, "--ready-url", health, "--")
    airflow.start(*airflow.command(*supervised, str(airflow.python.parent / "airflow"), airflow.web_server), *believing)


def _nothing_is_left(home: Path) -> None:
    assert not machine.processes(home)
