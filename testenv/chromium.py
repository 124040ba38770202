"""A headless Chromium: Debian's, driven by Playwright."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, BrowserContext, sync_playwright

PROGRAM = "/usr/bin/chromium"
FLAGS = (
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start it, and stop it whatever happens; its event loop is gone at the end."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PROGRAM, args=[*FLAGS])
        try:
            yield browser
        finally:
            browser.close()


def new_context(
    browser: Browser,
    *,
    url: str | None = None,
    width: int = 1440,
    height: int = 1000,
    patience: float = 60,
    any_certificate: bool = False,
) -> BrowserContext:
    """Return somebody's browser; `patience` in seconds for what a page is asked.

    With `any_certificate` it is somebody's who has told it to trust the server's.

    Nothing turns in it: without a graphics card the processor draws that, which the Airflow under the page needs.
    """
    context = browser.new_context(
        base_url=url,
        viewport={"width": width, "height": height},
        reduced_motion="reduce",
        ignore_https_errors=any_certificate,
    )
    context.set_default_timeout(patience * 1000)
    return context
