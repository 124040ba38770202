"""A person at the page of the Airflow on the node: adds a package, and watches its pods being replaced."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import FrameLocator, Locator, Page, expect

from testenv.airflow_home import Airflow
from testenv.chromium import chromium, new_context

ANSWER = 60_000
"""Milliseconds for one answer of a busy machine."""
ROLLOUT = 420_000
"""Milliseconds in which all six pods are replaced, the one that answers included."""


@contextmanager
def logged_in(airflow: Airflow, user: str) -> Iterator[Page]:
    """Yield a browser's page in which the user is logged in."""
    with chromium() as browser:
        page = new_context(browser, url=airflow.url, height=1400).new_page()
        page.goto("/")
        page.locator("input[name=username]").fill(user)
        page.locator("input[name=password]").fill(airflow.passwords[user])
        page.locator("button[type=submit]").click()
        page.get_by_role("button", name="Admin").wait_for()
        yield page


def add(page: Page, project: str, meanwhile: Callable[[], None]) -> list[str]:
    """Add a package as a person does; return the pods that were shown while they were being replaced.

    `meanwhile` is called once, when the first worker is being replaced.
    """
    page.goto("/plugin/package-manager")
    frame = page.frame_locator("iframe")
    frame.get_by_role("button", name="Add New Package").first.click()
    frame.get_by_label("Package", exact=True).fill(project)
    _see(frame.get_by_role("radio").nth(1))
    frame.get_by_role("button", name="Add to change set").click()
    frame.get_by_role("button", name="Review plan").click()
    apply = frame.get_by_role("button", name="Apply and restart")
    _see(apply)
    _see(frame.get_by_text("the only pod of a StatefulSet stops before the next one starts"))
    _picture(page, "1-plan")
    apply.click()
    shown = [_replaced(frame, "airflow-worker-1")]
    meanwhile()
    _picture(page, "2-in-progress")
    shown.append(_replaced(frame, "airflow-triggerer-0"))
    _see(frame.get_by_text("Every component runs the new packages"), ROLLOUT)
    expect(frame.locator("a.axis", has_text="Revision")).to_contain_text("1", timeout=ANSWER)
    _picture(page, "3-done")
    return shown


def _replaced(frame: FrameLocator, pod: str) -> str:
    """Wait until this pod is shown on its way to the new revision."""
    row = frame.get_by_role("row").filter(has_text=pod).filter(has_text="In progress")
    _see(row.first, ROLLOUT)
    return pod


def _see(locator: Locator, milliseconds: float = ANSWER) -> None:
    expect(locator).to_be_visible(timeout=milliseconds)


def _picture(page: Page, name: str) -> None:
    directory = os.environ.get("SCREENSHOTS")
    if directory:
        page.screenshot(path=str(Path(directory) / f"node-{name}.png"))
