import base64
import hashlib
import re
from pathlib import Path

import pytest

from airflow_package_manager.errors import Forbidden
from airflow_package_manager.web import pages
from airflow_package_manager.web.pages import DIRECTORY
from tests.web.house import House, as_

SAME_ORIGIN_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


def test_the_page_is_served_to_who_may_look(house: House) -> None:
    reply = house.client.get("/", as_("reader"))
    assert reply.status == 200
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert reply.headers["cache-control"] == "no-store"
    assert reply.content == (DIRECTORY / "index.html").read_bytes()


@pytest.mark.parametrize(
    ("headers", "status", "words"),
    [({}, 401, "You are not logged in"), (as_("viewer"), 403, "You may not do this")],
)
def test_who_may_not_gets_a_page_that_says_so(house: House, headers: dict[str, str], status: int, words: str) -> None:
    reply = house.client.get("/", headers)
    assert reply.status == status
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert words in reply.text
    assert "location" not in reply.headers


def test_who_is_not_logged_in_finds_the_way_to_the_log_in_and_nobody_else_does(house: House) -> None:
    link = '<a href="../plugin/package-manager">Log in to Airflow</a>'
    assert link in house.client.get("/", {}).text
    assert link not in house.client.get("/", as_("viewer")).text


def test_nothing_needs_unsafe_sources_and_only_airflow_may_frame_it(house: House) -> None:
    for address, headers in (("/", as_("admin")), ("/", {}), ("/api/v1/session", as_("admin")), ("/static/app.js", {})):
        reply = house.client.get(address, headers)
        policy = reply.headers["content-security-policy"]
        assert "unsafe" not in policy
        assert "frame-ancestors 'self'" in policy
        assert "default-src 'none'" in policy
        assert "http" not in policy
        assert all(reply.headers[name] == value for name, value in SAME_ORIGIN_HEADERS.items())


def test_the_page_that_says_no_has_the_style_that_the_policy_knows() -> None:
    page = pages.refusal(Forbidden("<b>no</b>")).decode()
    style = re.search("<style>(.*?)</style>", page, re.DOTALL)
    assert style
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"'sha256-{digest}'" in pages.HEADERS["Content-Security-Policy"]
    assert "&lt;b&gt;no" in page
    assert "<b>" not in page


def test_files_are_kept_by_the_browser_and_asked_for_by_their_tag(house: House) -> None:
    first = house.client.get("/static/app.js", as_("viewer"))
    assert (first.status, first.headers["content-type"]) == (200, "text/javascript; charset=utf-8")
    assert first.headers["cache-control"] == "private, no-cache"
    again = house.client.get("/static/app.js", as_("viewer", **{"if-none-match": f"W/{first.headers['etag']}"}))
    assert (again.status, again.content) == (304, b"")


@pytest.mark.parametrize(
    "address",
    [
        "/static/",
        "/static/index.html/..",
        "/static/../fastapi_app.py",
        "/static/%2e%2e/fastapi_app.py",
        "/static//etc/passwd",
        "/static/vendor",
        "/static/VENDORED.md",
        "/static/wire.d.ts",
        "/index.html",
        "/api",
        "/api/v1",
        "/api/v2/session",
        "//evil.example.com",
    ],
)
def test_nothing_else_is_served(house: House, address: str) -> None:
    reply = house.client.get(address, as_("admin"))
    assert (reply.status, reply.json()["code"]) == (404, "not-found")


def test_the_page_cannot_be_posted_to(house: House) -> None:
    reply = house.client.request("POST", "/", as_("admin"))
    assert (reply.status, reply.headers["allow"]) == (405, "GET, HEAD")


def test_a_page_without_its_index_is_refused_at_start(tmp_path: Path) -> None:
    (tmp_path / "app.js").write_text("")
    with pytest.raises(FileNotFoundError, match=r"index\.html"):
        pages.load(tmp_path)


def test_every_file_that_the_page_names_is_served(house: House) -> None:
    index = (DIRECTORY / "index.html").read_text()
    named = re.findall(r'(?:src|href)="([^"#]+)"', index)
    assert named
    for address in named:
        assert house.client.get("/" + address, as_("admin")).status == 200, address
