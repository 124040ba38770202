"""Who is not logged in finds the way from our address to Airflow's log-in and back to the page, on each Airflow.

`SCREENSHOTS=directory` keeps a picture of the page that says no.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Browser, expect

from testenv import airflow_home, airflows
from testenv.chromium import new_context
from testenv.page_gallery import Gallery
from tests.browser.conftest import Watched
from tests.browser.in_airflow import ADDRESS, PATIENCE

if TYPE_CHECKING:
    from testenv.airflow_home import Airflow

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module", params=[*airflows.PREPARE, pytest.param("3.3-fab", marks=pytest.mark.every_airflow)])
def airflow(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    """Its web server alone."""
    with airflow_home.serving(airflows.prepare(request.param, tmp_path_factory.mktemp("home"), dags={})) as started:
        yield started


@pytest.mark.airflow
def test_a_visitor_logs_in_by_the_link_and_sees_the_page(
    airflow: Airflow, chromium: Browser, request: pytest.FixtureRequest
) -> None:
    context = new_context(chromium, url=airflow.url, width=1280, height=800)
    page = context.new_page()
    refused = page.goto("/package-manager/")
    assert refused is not None
    assert refused.status == 401
    directory = os.environ.get("SCREENSHOTS")
    if directory:
        page.screenshot(path=str(Path(directory) / f"log-in-{request.node.callspec.params['airflow']}.png"))
    page.get_by_role("link", name="Log in to Airflow").click()
    page.locator("input[name=username]").fill("admin")
    page.locator("input[name=password]").fill(airflow.passwords["admin"])
    page.locator("button[type=submit], input[type=submit]").first.click()
    page.wait_for_url(lambda address: address.partition("?")[0].rstrip("/").endswith(ADDRESS))
    heading = page.frame_locator("iframe").get_by_role("heading", name="Installed Packages")
    expect(heading).to_be_visible(timeout=PATIENCE)
    context.close()


@pytest.mark.parametrize("framed", [False, True])
def test_the_button_of_a_page_without_a_session_needs_no_airflow_version(
    shown: Gallery, watched: Watched, *, framed: bool
) -> None:
    page = watched.page
    page.goto(shown.address("not-logged-in", framed=framed))
    inner = page.frame_locator("iframe") if framed else page
    inner.get_by_role("button", name="Log in to Airflow").click()
    page.wait_for_url(lambda address: address.endswith(ADDRESS))
