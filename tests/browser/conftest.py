"""One headless Chromium and one gallery for all tests of the page."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page

from testenv import chromium as headless
from testenv.page_gallery import Gallery, gallery


@pytest.fixture(scope="package")  # its event loop must be gone before tests of other rooms run theirs
def chromium() -> Iterator[Browser]:
    with headless.chromium() as browser:
        yield browser


@pytest.fixture(scope="package")
def shown() -> Iterator[Gallery]:
    with gallery() as server:
        yield server


class Watched:
    """A page of its own, and whatever it complained about."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.complaints.append(f"uncaught: {error}"))

    def _heard(self, message: ConsoleMessage) -> None:
        # the browser itself logs each refused request (those states are about that), and dislikes Airflow's sandbox
        expected = message.text.startswith("Failed to load resource") or "can escape its sandboxing" in message.text
        if message.type in {"error", "warning"} and not expected:
            self.complaints.append(message.text)


@pytest.fixture
def watched(chromium: Browser) -> Iterator[Watched]:
    context = headless.new_context(chromium, width=1280, height=800, patience=10)
    seen = Watched(context.new_page())
    yield seen
    context.close()
    assert seen.complaints == []
