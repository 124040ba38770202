"""The short path on the other Airflows 3: who gets in, a package up to a DAG that runs, the page in a browser.

`SCREENSHOTS=directory` keeps a picture of the page in light and in dark.
"""

from __future__ import annotations

import json
import os
import statistics
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import ConsoleMessage, Page, expect

from airflow_package_manager.web.endpoints import ENDPOINTS
from testenv.airflow_home import API
from testenv.chromium import chromium, new_context
from tests.plugin import journey, machine

if TYPE_CHECKING:
    from testenv.airflow_home import Airflow

pytestmark = [pytest.mark.airflow, pytest.mark.browser]

VERSIONS = {"airflow31": "3.1.8", "airflow31_fab": "3.1.8", "airflow32": "3.2.", "airflow3_fab": "3.3."}
"""Fixture → how the version begins that it must have."""
ELSEWHERE = {"airflow31_fab"}
"""Those that repeat what others have shown."""
OURS = "/package-manager/static/"
"""Where the page's scripts are; Airflow's own pages, such as a log-in form, complain too."""
VALUES = {"id": "0" * 32, "name": "packaging", "n": "0"}
MARKER = {"X-Package-Manager": "1"}
PATIENCE = 60_000
"""Milliseconds for one answer of a busy machine."""
IMPORTED = """
# The time of this process alone: a busy machine would make every process slow.
import json, sys, time
import airflow.plugins_manager
before, seconds = set(sys.modules), []
for _ in range(7):
    start = time.process_time()
    from airflow_package_manager.plugin import PackageManagerPlugin
    plugin = PackageManagerPlugin()
    seconds.append(time.process_time() - start)
    new = set(sys.modules) - before
    for name in new:
        del sys.modules[name]
print(json.dumps({"seconds": seconds, "new": sorted(new)}))
"""


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=[pytest.mark.every_airflow] * (name in ELSEWHERE)) for name in VERSIONS],
)
def airflow(request: pytest.FixtureRequest) -> Airflow:
    started: Airflow = request.getfixturevalue(request.param)
    status, found = started.request("GET", "/api/v2/version")
    assert status == 200, found
    assert found["version"].startswith(VERSIONS[request.param])
    return started


@pytest.mark.parametrize("user", [None, "viewer", "user", "op", "admin"])
def test_who_gets_in(airflow: Airflow, user: str | None) -> None:
    token = airflow.token(user) if user else None
    refused = (403, "forbidden") if user else (401, "not-authenticated")
    for endpoint in ENDPOINTS:
        path = API + endpoint.path.format(**VALUES)
        body: object = None if endpoint.request is None else {}
        status, answer = airflow.request(endpoint.method, path, body, token, MARKER)
        if user == "admin":
            assert status in {200, 400, 404}, (path, answer)
        else:
            assert (status, answer["code"]) == refused, path
    status, page = airflow.request("GET", "/package-manager/", token=token)
    assert status == (200 if user == "admin" else refused[0])
    assert "Package Manager" in page


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", None])
def test_a_change_that_is_no_json_is_refused_by_us_alike(airflow: Airflow, kind: str | None) -> None:
    """Some versions of FastAPI refuse it themselves, others do not."""
    headers = {"Authorization": airflow.authorization(airflow.token("admin")), **MARKER}
    # urllib names a form where nothing is named: an empty text names none.
    headers["Content-Type"] = kind or ""
    reply = airflow.exchange("POST", f"{API}operations", b'{"changes": []}', headers)
    assert (reply.status, reply.headers["Content-Type"]) == (415, "application/problem+json")


def test_another_site_cannot_use_the_cookie_of_an_admin(airflow: Airflow) -> None:
    headers = {"Cookie": airflow.cookie("admin"), **MARKER}
    for site, code in {"https://evil.example.com": (403, "cross-origin"), airflow.url: (400, "malformed")}.items():
        status, answer = airflow.request("POST", f"{API}operations", {}, headers={**headers, "Origin": site})
        assert (status, answer["code"]) == code


def test_a_header_beside_the_cookie_of_an_admin_makes_it_no_program(airflow: Airflow) -> None:
    """Airflow 3.1 and 3.2 take the cookie's user and never look at the header; a newer one takes the header's."""
    headers = {"Cookie": airflow.cookie("admin"), "Authorization": "Bearer x", **MARKER}
    status, answer = airflow.request("POST", f"{API}operations", {}, headers=headers)
    assert (status, answer["code"]) in {(403, "cross-origin"), (401, "not-authenticated")}
    status, answer = airflow.request("POST", f"{API}operations", {}, airflow.token("admin"), MARKER)
    assert (status, answer["code"]) == (400, "malformed"), "the header alone"


def test_a_process_that_is_no_web_server_imports_nothing_but_the_plugin(airflow: Airflow) -> None:
    done = airflow.run(str(airflow.python), "-c", IMPORTED)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert found["new"] == ["airflow_package_manager", "airflow_package_manager.plugin"]
    assert statistics.median(found["seconds"]) < 0.001, found["seconds"]


def test_a_package_is_added_and_the_dag_that_needs_it_runs(airflow: Airflow) -> None:
    token = airflow.token("admin")
    dag = "needs_good_package"
    journey.until(lambda: f"{dag}.py" in journey.import_errors(airflow, token) or None, "the import error", 90)
    before = machine.children(airflow)
    done = journey.change(airflow, token, "add good-package")
    assert done["state"] == "SUCCEEDED", done["problem"]
    after = machine.children(airflow)
    restarted = {name for name, pid in before.items() if after[name] != pid}
    assert restarted == {"scheduler", "triggerer", "dag-processor"}
    status, found = airflow.api("GET", "components", token=token)
    assert (status, {row["status"] for row in found["components"]}) == (200, {"Current"})
    journey.until(lambda: f"{dag}.py" not in journey.import_errors(airflow, token) or None, "no import error", 90)
    run = journey.run_dag(airflow, token, dag)
    assert journey.finished(airflow, token, dag, run) == "success"
    status, logged = airflow.request("GET", "/api/v2/eventLogs?event=package_manager.operation.succeeded", token=token)
    assert (status, logged["total_entries"]) == (200, 1), "Airflow's own audit log has it"


def test_the_page_stands_in_airflows_frame_in_light_and_dark(airflow: Airflow, request: pytest.FixtureRequest) -> None:
    name = f"{request.node.callspec.params['airflow']}-{{}}.png"
    # In a thread of its own: a browser of tests that ran before may still have its event loop in this one.
    with ThreadPoolExecutor(1) as own:
        own.submit(_look, airflow, name).result()


def _look(airflow: Airflow, name: str) -> None:
    with chromium() as browser:
        _look_at(new_context(browser, url=airflow.url).new_page(), airflow, name)


def _look_at(page: Page, airflow: Airflow, name: str) -> None:
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.extend([str(error)] * (OURS in (error.stack or ""))))
    page.on("console", lambda message: _hear(message, complaints))
    page.goto("/")
    page.locator("input[name=username]").fill("admin")
    page.locator("input[name=password]").fill(airflow.passwords["admin"])
    page.locator("button[type=submit], input[type=submit]").first.click()
    page.get_by_role("button", name="Admin").click()
    page.get_by_role("menuitem", name="Package Manager").click()
    frame = page.frame_locator("iframe")
    for scheme in ("light", "dark"):
        page.evaluate("scheme => localStorage.setItem('theme', scheme)", scheme)
        page.goto("/plugin/package-manager")
        expect(frame.get_by_role("heading", name="Installed Packages")).to_be_visible(timeout=PATIENCE)
        expect(frame.locator("html")).to_have_attribute("data-bs-theme", scheme)
        expect(frame.get_by_role("row").filter(has_text="good-package").first).to_be_visible(timeout=PATIENCE)
        _picture(page, name.format(scheme))
    frame.get_by_role("button", name="Add New Package").first.click()
    expect(frame.get_by_role("dialog")).to_be_visible(timeout=PATIENCE)
    _picture(page, name.format("dialog"))
    assert complaints == []


def _hear(message: ConsoleMessage, complaints: list[str]) -> None:
    """Keep what our page complains about."""
    ours = OURS in (message.location or {}).get("url", "")
    if message.type in {"error", "warning"} and ours and "can escape its sandboxing" not in message.text:
        complaints.append(message.text)


def _picture(page: Page, name: str) -> None:
    directory = os.environ.get("SCREENSHOTS")
    if directory:
        page.screenshot(path=str(Path(directory) / name))
