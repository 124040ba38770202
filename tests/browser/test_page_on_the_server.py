"""The page on the real web application, with its real headers, below a prefix: nothing of it is refused or missing."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
import uvicorn
from playwright.sync_api import expect
from starlette.applications import Starlette
from starlette.routing import Mount

from tests.browser.conftest import Watched
from tests.web.house import House, as_, caller, fastapi_app

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
