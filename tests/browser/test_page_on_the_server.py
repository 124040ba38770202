"""The page on the real web applications, with their real headers, below a prefix: nothing is refused or missing."""

from __future__ import annotations

import dataclasses
import secrets
import socket
import threading
from collections.abc import Iterator

import flask
import pytest
import uvicorn
from flask_wtf.csrf import CSRFProtect, generate_csrf
from playwright.sync_api import expect
from starlette.applications import Starlette
from starlette.routing import Mount
from werkzeug.serving import make_server

from airflow_package_manager.web.schemas import Csrf
from tests.browser.conftest import Watched
from tests.web.house import MOUNTED, House, as_, caller, fastapi_app, flask_blueprint

pytestmark = pytest.mark.browser

PLACES = {
    "packages": "Installed Packages",
    "requirements": "requirements.txt was edited outside this page",
    "components": "1 of 1 current",
    "history": "No revision yet",
    "audit": "Audit",
    "health": "uv 0.13.9",
}


@pytest.fixture
def address() -> Iterator[str]:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    base_url, house = f"http://127.0.0.1:{listener.getsockname()[1]}/team/airflow/", House()
    ours = fastapi_app(lambda: house.api, caller, base_url)
    app = Starlette(routes=[Mount("/team/airflow/package-manager", ours)])
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", ws="none", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/team/airflow/package-manager/"
    server.should_exit = True
    thread.join(10)
    listener.close()


@pytest.fixture
def protected() -> Iterator[str]:
    """The application of Flask behind the CSRF protection that Airflow 2 has."""
    house, app = House(), flask.Flask("house")
    app.secret_key = secrets.token_bytes(16)
    CSRFProtect(app)
    api = dataclasses.replace(house.api, csrf=lambda: Csrf(header="X-CSRFToken", token=generate_csrf()))
    app.register_blueprint(flask_blueprint(lambda: api, caller))
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}{MOUNTED}/"
    server.shutdown()
    thread.join(10)
    server.server_close()


def test_every_place_renders_from_the_real_answers(address: str, watched: Watched) -> None:
    page = watched.page
    page.context.set_extra_http_headers(as_("admin"))
    refused: list[str] = []
    page.on("response", lambda answer: refused.append(answer.url) if answer.status >= 400 else None)
    for place, words in PLACES.items():
        page.goto(f"{address}#/{place}")
        page.locator("main").get_by_text(words).first.wait_for()
    assert refused == []


def test_a_change_is_sent_as_the_server_wants_it(address: str, watched: Watched) -> None:
    page = watched.page
    page.context.set_extra_http_headers(as_("admin"))
    page.goto(address)
    page.get_by_role("button", name="Add New Package").click()
    page.keyboard.type("tomli>=2")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Review plan").click()
    expect(page.get_by_role("heading", name="Working out the plan")).to_be_visible()
    page.get_by_role("button", name="Cancel planning").click()
    expect(page.get_by_text("Cancelling: the planner stops at its next step")).to_be_visible()


def test_a_token_that_ended_with_its_session_is_asked_for_anew(protected: str, watched: Watched) -> None:
    page = watched.page
    page.context.set_extra_http_headers(as_("admin"))
    page.goto(protected)
    page.get_by_role("button", name="Add New Package").click()
    page.context.clear_cookies()
    sent: list[int] = []
    page.on("response", lambda answer: sent.append(answer.status) if answer.request.method == "POST" else None)
    page.keyboard.type("tomli>=2")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Review plan").click()
    expect(page.get_by_role("heading", name="Working out the plan")).to_be_visible()
    assert sent == [403, 202]
