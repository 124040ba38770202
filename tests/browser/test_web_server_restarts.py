"""A browser that watches a change while the web server itself restarts under it: no reload, and it sees the end."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Browser

from testenv.chromium import new_context
from tests.browser import in_airflow
from tests.browser.in_airflow import ROLLOUT, see
from tests.plugin import machine

if TYPE_CHECKING:
    from testenv.airflow_home import Airflow

pytestmark = [pytest.mark.browser, pytest.mark.airflow]

PACKAGE = "another-plugin"
RESTARTING = re.compile("server is restarting, still asking")
ENDED = "Every component runs the new packages"


@pytest.fixture(scope="module", params=["airflow3", "airflow2"])
def airflow(request: pytest.FixtureRequest) -> Airflow:
    """Each of them."""
    started: Airflow = request.getfixturevalue(request.param)
    return started


def test_progress_is_watched_across_the_restart_of_the_web_server_without_a_reload(
    airflow: Airflow, chromium: Browser
) -> None:
    context = new_context(chromium, url=airflow.url)
    page = context.new_page()
    uncaught: list[str] = []
    page.on("pageerror", lambda error: uncaught.append(error.stack or str(error)))
    in_airflow.log_in(page, airflow, "admin")
    frame = in_airflow.packages(page)
    frame.locator("html").evaluate("() => { window.stays = true; }")
    before = machine.children(airflow)

    in_airflow.choose(frame, PACKAGE)
    apply = in_airflow.plan(frame)
    see(frame.get_by_text(airflow.web_server, exact=True).first)
    apply.click()

    see(frame.get_by_text(RESTARTING).first, ROLLOUT)
    in_airflow.picture(page, f"restart-{airflow.web_server}-away")
    see(frame.get_by_text(ENDED), ROLLOUT)
    in_airflow.picture(page, f"restart-{airflow.web_server}-back")
    assert frame.get_by_text(RESTARTING).count() == 0
    assert frame.get_by_text("not ready yet").count() == 0, "what each component runs is from after the end"
    assert frame.locator("html").evaluate("() => window.stays") is True, "the page was never loaded again"
    after = machine.children(airflow)
    assert set(after) == set(before)
    assert not set(after.values()) & set(before.values()), "each component is a new process, the web server too"
    frame.get_by_role("link", name="Packages", exact=True).click()
    see(frame.get_by_role("row").filter(has_text=PACKAGE).first)
    assert not [error for error in uncaught if "/package-manager/static/" in error]
    context.close()
