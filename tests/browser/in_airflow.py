"""Our page inside a real Airflow, as a person reaches and uses it.

`SCREENSHOTS=directory` keeps the pictures.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from playwright.sync_api import FrameLocator, Locator, Page, expect

from testenv.airflow_home import Airflow

PATIENCE = 60_000
"""Milliseconds for one answer of a busy machine."""
ROLLOUT = 240_000
"""Milliseconds in which three components restart one after another, also on a busy machine."""
ADDRESS = "/plugin/package-manager"
"""Of the page in Airflow's frame."""


def log_in(page: Page, airflow: Airflow, user: str) -> None:
    """Fill in the form of any Airflow."""
    page.goto("/")
    page.locator("input[name=username]").fill(user)
    page.locator("input[name=password]").fill(airflow.passwords[user])
    page.locator("button[type=submit], input[type=submit]").first.click()
    page.get_by_text(re.compile("^dags$", re.IGNORECASE)).first.wait_for()


def see(locator: Locator, milliseconds: float = PATIENCE) -> None:
    """Wait until it is there."""
    expect(locator).to_be_visible(timeout=milliseconds)


def frame_of(page: Page) -> FrameLocator:
    """Return what is inside Airflow's frame."""
    return page.frame_locator("iframe")


def packages(page: Page) -> FrameLocator:
    """Open the page at its first place."""
    page.goto(ADDRESS)
    frame = frame_of(page)
    see(frame.get_by_role("heading", name="Installed Packages"))
    return frame


def choose(frame: FrameLocator, project: str) -> None:
    """Ask for a project in the dialog; its releases are there."""
    frame.get_by_role("button", name="Add New Package").first.click()
    frame.get_by_label("Package", exact=True).fill(project)
    see(frame.get_by_role("radio").nth(1))


def plan(frame: FrameLocator) -> Locator:
    """Let what was chosen be planned; return the button that applies it."""
    frame.get_by_role("button", name="Add to change set").click()
    frame.get_by_role("button", name="Review plan").click()
    apply = frame.get_by_role("button", name="Apply and restart")
    see(apply)
    return apply


def picture(page: Page, name: str) -> None:
    """Keep one, where somebody wants them."""
    directory = os.environ.get("SCREENSHOTS")
    if directory:
        page.screenshot(path=str(Path(directory) / f"{name}.png"))
