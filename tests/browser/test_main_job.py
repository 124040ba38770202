"""The demo's job in a browser: each real Airflow, the real index, from an import error to a DAG that runs, and back."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, FrameLocator, Page, expect

from testenv import airflow_fab_home, airflow_home, airflows, demo
from testenv.airflow2_home import Airflow2
from testenv.airflow_home import Airflow
from testenv.chromium import new_context
from tests.browser.in_airflow import ADDRESS, PATIENCE, ROLLOUT, choose, frame_of, log_in, packages, picture, plan, see
from tests.plugin import journey

pytestmark = [pytest.mark.browser, pytest.mark.airflow, pytest.mark.real_index]


WITH_FAB = pytest.param("3.3-fab", marks=pytest.mark.every_airflow)


@pytest.fixture(scope="module", params=[*airflows.PREPARE, WITH_FAB])
def demonstrated(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    """What `make demo` starts, with a shorter soak."""
    prepared = airflows.prepare(
        request.param,
        tmp_path_factory.mktemp("demo"),
        dags={"table_demo.py": demo.DAG},
        settings={"AIRFLOW__PACKAGE_MANAGER__SOAK": "3", "AIRFLOW__PACKAGE_MANAGER__STOP_TIMEOUT": "20"},
    )
    with airflow_home.running(prepared) as started:
        yield started


@pytest.fixture(scope="module")
def admin(demonstrated: Airflow, chromium: Browser) -> Iterator[Page]:
    """A browser in which the admin is logged in."""
    context = new_context(chromium, url=demonstrated.url)
    page = context.new_page()
    log_in(page, demonstrated, "admin")
    yield page
    context.close()


def test_the_admin_finds_the_page_in_airflows_menu(admin: Page, demonstrated: Airflow) -> None:
    if isinstance(demonstrated, Airflow2):
        admin.get_by_role("link", name="Admin", exact=True).hover()
        admin.get_by_role("link", name="Package Manager").click()
    else:
        admin.get_by_role("button", name="Admin").click()
        admin.get_by_role("menuitem", name="Package Manager").click()
    see(frame_of(admin).get_by_role("heading", name="Installed Packages"))
    picture(admin, "1-empty")


def test_a_dag_that_could_not_be_imported_runs_after_its_package_was_added(admin: Page, demonstrated: Airflow) -> None:
    token = demonstrated.token("admin")
    journey.until(
        lambda: "table_demo.py" in journey.import_errors(demonstrated, token) or None, "the import error", seconds=90
    )
    frame = frame_of(admin)
    choose(frame, "prettytable")
    picture(admin, "2-add")
    apply = plan(frame)
    for name in ("prettytable", "wcwidth"):
        see(frame.get_by_text(name, exact=True).first)
    picture(admin, "3-plan")
    apply.click()

    see(frame.get_by_text(re.compile("waiting for", re.IGNORECASE)).first, ROLLOUT)
    picture(admin, "4-progress")
    admin.reload()
    see(frame.get_by_text("Every component runs the new packages"), ROLLOUT)
    picture(admin, "5-done")

    journey.until(
        lambda: "table_demo.py" not in journey.import_errors(demonstrated, token) or None, "no import error", seconds=60
    )
    run = journey.run_dag(demonstrated, token, "table_demo")
    assert journey.finished(demonstrated, token, "table_demo", run) == "success"


def test_a_package_is_updated_by_its_dialog(admin: Page) -> None:
    frame = packages(admin)
    frame.get_by_role("button", name="Update prettytable").click()
    see(frame.get_by_role("dialog").get_by_text("Installed now:"))
    frame.get_by_role("radio", name="3.16.0").check()
    frame.get_by_role("button", name="Add to change set").click()
    _planned_and_applied(frame)
    row = packages(admin).get_by_role("row").filter(has_text="prettytable==3.16.0")
    see(row)


def test_a_package_is_removed_with_what_it_brought(admin: Page, demonstrated: Airflow) -> None:
    (demonstrated.home / "dags" / "table_demo.py").unlink()
    frame = packages(admin)
    frame.get_by_role("button", name="Remove prettytable").click()
    dialog = frame.get_by_role("dialog")
    see(dialog.get_by_text("wcwidth"))
    picture(admin, "6-remove")
    dialog.get_by_role("button", name="Remove", exact=True).click()
    _planned_and_applied(frame)
    expect(packages(admin).get_by_text("wcwidth")).to_have_count(0, timeout=PATIENCE)


def test_an_earlier_revision_is_restored(admin: Page) -> None:
    frame = frame_of(admin)
    frame.get_by_role("link", name="History").or_(frame.get_by_role("tab", name="History")).click()
    picture(admin, "7-history")
    frame.get_by_role("button", name="Restore to revision 2").click()
    frame.get_by_role("button", name="Make the plan").click()
    _applied(frame)
    see(packages(admin).get_by_role("row").filter(has_text="prettytable==3.16.0"))


def test_a_viewer_gets_a_page_that_says_so(demonstrated: Airflow, chromium: Browser) -> None:
    context = new_context(chromium, url=demonstrated.url)
    page = context.new_page()
    log_in(page, demonstrated, "viewer")
    page.goto(ADDRESS)
    place: Page | FrameLocator = frame_of(page)
    if demonstrated.environment.get("AIRFLOW__CORE__AUTH_MANAGER") == airflow_fab_home.AUTH_MANAGER:
        page.wait_for_load_state("networkidle")
        picture(page, "8-viewer-in-airflow")
        expect(page.locator("iframe")).to_have_count(0)  # Airflow itself shows a viewer no plugin there
        page.goto("/package-manager/")
        place = page
    see(place.get_by_text("You may not do this"))
    picture(page, "8-viewer")
    context.close()


def test_the_page_follows_airflows_theme(admin: Page, demonstrated: Airflow) -> None:
    frame = packages(admin)
    for theme in ("dark", "light"):
        if isinstance(demonstrated, Airflow2):
            admin.locator("div#themeToggleButton").click()
        else:
            admin.evaluate("theme => localStorage.setItem('theme', theme)", theme)
            admin.reload()
        expect(frame.locator("html")).to_have_attribute("data-bs-theme", theme)
        assert admin.evaluate("getComputedStyle(document.documentElement).filter") == "none", (
            "else our colours are turned round"
        )
        picture(admin, f"9-{theme}")


def _planned_and_applied(frame: FrameLocator) -> None:
    frame.get_by_role("button", name="Review plan").click()
    _applied(frame)


def _applied(frame: FrameLocator) -> None:
    frame.get_by_role("button", name="Apply and restart").click()
    see(frame.get_by_text("Every component runs the new packages"), ROLLOUT)
