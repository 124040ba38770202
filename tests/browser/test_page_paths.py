"""What people do with the page: add to apply by keyboard, reload, the server's restart, frame, theme, hostile text."""

from __future__ import annotations

import re
import time
from itertools import pairwise

import pytest
from benchmarks.polling import Watcher
from playwright.sync_api import Page, Request, expect

from testenv.page_gallery import Gallery
from tests.browser.conftest import Watched

pytestmark = pytest.mark.browser


def _tab_to(page: Page, name: str) -> None:
    for _ in range(80):
        page.keyboard.press("Tab")
        label = page.evaluate(
            "() => document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent.trim()"
        )
        if label == name:
            return
    raise AssertionError(f"{name} cannot be reached with the Tab key")


def test_add_plan_and_apply_by_keyboard_alone(shown: Gallery, watched: Watched) -> None:
    page = watched.page
    page.goto(shown.address("normal"))
    page.get_by_role("button", name="Add New Package").wait_for()
    _tab_to(page, "Add New Package")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Package", exact=True)).to_be_focused()
    page.keyboard.type("polars")
    page.get_by_role("radio", name="2.3.1").wait_for()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.get_by_role("radio", name="Newest that fits")).to_be_focused()
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    expect(page.get_by_role("dialog").get_by_text("New line in requirements.txt: polars==2.3.1")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("button", name="Review plan")).to_be_focused()
    page.keyboard.press("Enter")
    page.get_by_text("Working out the plan").wait_for()
    page.get_by_role("button", name="Apply and restart").wait_for(timeout=15_000)
    expect(page.get_by_role("heading", name="add polars>=1.9")).to_be_focused()
    _tab_to(page, "Apply and restart")
    page.keyboard.press("Enter")
    page.get_by_text("Every component runs the new packages").wait_for(timeout=20_000)
    posts = shown.worlds["normal"].posts
    assert posts[0] == ("operations", {"changes": [{"action": "add", "requirement": "polars==2.3.1"}]})
    assert posts[1][0].endswith("/apply")
    assert posts[1][1]["token"] == "t" * 43
    assert len(posts) == 2
    stored = page.evaluate("JSON.stringify([{...sessionStorage}, {...localStorage}, location.href])")
    assert "t" * 43 not in stored


def test_a_page_that_waits_asks_ever_more_rarely_and_the_benchmark_asks_the_same(
    shown: Gallery, watched: Watched
) -> None:
    page = watched.page
    asked: list[tuple[float, str]] = []
    root = "/applying/api/v1/"

    def heard(request: Request) -> None:
        _, _, path = request.url.partition(root)
        if path.startswith("operations/") or asked:
            asked.append((time.monotonic(), path))

    page.on("request", heard)
    page.goto(shown.address("applying"))
    page.wait_for_timeout(10_000)
    looks = [at for at, path in asked if "/events" in path]
    pauses = [after - before for before, after in pairwise(looks)]
    for pause, wanted in zip(pauses, (1, 1.5, 2.25, 3.375), strict=False):
        assert wanted <= pause + 0.05 < wanted + 1
    assert len(pauses) >= 3

    watcher = Watcher(shown.server_address[1], "0f3c" * 8, "", 0, root)
    watcher.open()
    page.wait_for_timeout(10_000)
    watcher.close()
    both = min(len(asked), len(watcher.asked))
    assert both > len(looks)
    assert [path for _, path in asked[:both]] == watcher.asked[:both]


def test_dialog_gives_the_focus_back(shown: Gallery, watched: Watched) -> None:
    page = watched.page
    page.goto(shown.address("normal"))
    opener = page.get_by_role("button", name="Remove great-expectations")
    opener.click()
    expect(page.get_by_role("button", name="Keep")).to_be_focused()
    for name in ("altair", "marshmallow", "narwhals"):
        expect(page.get_by_role("dialog").get_by_text(name)).to_be_visible()
    page.keyboard.press("Escape")
    expect(opener).to_be_focused()


def test_edits_are_collected_into_one_change_set(shown: Gallery, watched: Watched) -> None:
    page = watched.page
    page.goto(shown.address("normal"))
    page.get_by_role("button", name="Update pandas").click()
    expect(page.get_by_role("dialog").get_by_text("Installed now: 2.2.3")).to_be_visible()
    page.get_by_role("radio", name="2.2.2").check()
    page.get_by_role("button", name="Add to change set").click()
    page.get_by_role("button", name="Remove openpyxl").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove", exact=True).click()
    expect(page.get_by_text("2 pending changes")).to_be_visible()
    page.reload()
    expect(page.get_by_text("2 pending changes")).to_be_visible()
    page.get_by_role("button", name="Review plan").click()
    page.get_by_role("button", name="Apply and restart").wait_for(timeout=15_000)
    asked = shown.worlds["normal"].posts[0][1]["changes"]
    assert asked == [
        {"action": "update", "requirement": "pandas==2.2.2"},
        {"action": "remove", "requirement": "openpyxl"},
    ]


def test_newer_versions_are_shown_for_requests(shown: Gallery, watched: Watched) -> None:
    watched.page.goto(shown.address("normal"))
    newer = watched.page.get_by_role("button", name="pandas 2.3.1 is available: update")
    expect(newer).to_be_visible()
    newer.click()
    expect(watched.page.get_by_role("heading", name="Update pandas")).to_be_visible()


def test_unknown_project_is_said_before_planning(shown: Gallery, watched: Watched) -> None:
    page = watched.page
    page.goto(shown.address("normal"))
    page.get_by_role("button", name="Add New Package").click()
    page.keyboard.type("pandsa")
    expect(page.get_by_text("The index does not know “pandsa”")).to_be_visible()
    page.get_by_role("button", name="pandas", exact=True).last.click()
    expect(page.get_by_text("asks for pandas>=2.2,<3 already: this becomes an update.")).to_be_visible()


def test_protected_packages_cannot_be_added(shown: Gallery, watched: Watched) -> None:
    page = watched.page
    page.goto(shown.address("normal"))
    page.get_by_role("button", name="Add New Package").click()
    page.keyboard.type("Apache_Airflow==2")
    expect(page.get_by_text("apache-airflow is protected")).to_be_visible()
    expect(page.get_by_role("button", name="Add to change set")).to_be_disabled()


def test_reload_loses_the_token_and_says_so(shown: Gallery, watched: Watched) -> None:
    page = watched.page
    page.goto(shown.address("planned"))
    expect(page.get_by_text("This page was reloaded, so the plan")).to_be_visible()
    expect(page.get_by_role("button", name="Apply and restart")).to_have_count(0)
    page.get_by_role("button", name="Plan again").click()
    page.get_by_role("button", name="Apply and restart").wait_for(timeout=15_000)


def test_acknowledgements_are_ticked_then_planned_again(shown: Gallery, watched: Watched) -> None:
    page = watched.page
    page.goto(shown.address("acknowledgement"))
    again = page.get_by_role("button", name="Plan again with these")
    expect(again).to_be_disabled()
    for box in page.get_by_role("checkbox").all():
        box.check()
    again.click()
    page.get_by_text("Working out the plan").wait_for()
    asked = shown.worlds["acknowledgement"].posts[0][1]
    assert asked["acknowledge"] == ["shadows:protobuf", "shadows:grpcio"]


def test_one_click_fix_plans_a_version_that_fits(shown: Gallery, watched: Watched) -> None:
    watched.page.goto(shown.address("refused"))
    watched.page.get_by_role("button", name="Use sqlalchemy 2.0.52").click()
    watched.page.get_by_text("Working out the plan").wait_for()
    asked = shown.worlds["refused"].posts[0][1]["changes"]
    assert [one["requirement"] for one in asked] == ["sqlalchemy==2.0.52", "old-client>=3"]


def test_cancel_says_what_it_leaves_behind(shown: Gallery, watched: Watched) -> None:
    page = watched.page
    page.goto(shown.address("applying"))
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.get_by_role("dialog").get_by_text("requirements.txt goes back to what it was.")).to_be_visible()
    page.get_by_role("button", name="Cancel the operation").click()
    page.get_by_text("Cancelled: nothing was changed").wait_for()
    assert shown.worlds["applying"].posts[0][0].endswith("/cancel")


def test_progress_survives_a_reload_without_its_address(shown: Gallery, watched: Watched) -> None:
    page = watched.page
    page.goto(shown.address("applying"))
    page.get_by_text("Waiting until the triggerer is well").wait_for()
    world = shown.worlds["applying"]
    page.goto("about:blank")
    page.goto(shown.address("applying").split("#")[0])
    assert shown.worlds["applying"] is not world
    page.get_by_text("Waiting until the triggerer is well").wait_for()


def test_progress_survives_the_servers_own_restart(shown: Gallery, watched: Watched) -> None:
    page = watched.page
    page.goto(shown.address("server-comes-back"))
    page.get_by_text("still asking…").wait_for(timeout=15_000)
    page.get_by_text("Every component runs the new packages").wait_for(timeout=20_000)
    expect(page.get_by_text("still asking…")).to_have_count(0)


def test_edited_file_is_reviewed_and_adopted(shown: Gallery, watched: Watched) -> None:
    watched.page.goto(shown.address("edited-by-hand"))
    watched.page.get_by_role("button", name="Review and adopt").click()
    watched.page.get_by_text("Working out the plan").wait_for()
    world = shown.worlds["edited-by-hand"]
    assert world.posts[0][1] == {"requirements": world.text}


def test_whole_file_is_planned(shown: Gallery, watched: Watched) -> None:
    page = watched.page
    page.goto(shown.address("requirements"))
    page.get_by_role("button", name="Edit the file").click()
    expect(page.get_by_role("button", name="Review plan")).to_be_disabled()
    page.get_by_role("textbox").fill("pandas\n")
    page.get_by_role("button", name="Review plan").click()
    page.get_by_text("Working out the plan").wait_for()
    assert shown.worlds["requirements"].posts[0][1] == {"requirements": "pandas\n"}


def test_restore_asks_first(shown: Gallery, watched: Watched) -> None:
    page = watched.page
    page.goto(shown.address("history"))
    page.get_by_role("button", name="Restore to revision 3").click()
    page.get_by_role("button", name="Make the plan").click()
    page.get_by_text("Working out the plan").wait_for()
    assert shown.worlds["history"].posts[0][1] == {"restore": 3}


def test_reader_gets_no_buttons_that_change(shown: Gallery, watched: Watched) -> None:
    page = watched.page
    page.goto(shown.address("may-only-read"))
    page.get_by_text("You may look, but not plan changes.").wait_for()
    assert page.get_by_role("button", name=re.compile("^(Add|Update|Remove|Review|Apply)")).count() == 0


def test_hostile_text_stays_text(shown: Gallery, watched: Watched) -> None:
    page = watched.page
    for name in ("strange", "planned-strange"):
        page.goto(shown.address(name))
        page.get_by_text("<img src=x onerror=document.title='owned'>").first.wait_for()
        assert page.locator("main img, main script, main b").count() == 0
        assert page.locator("a[href^='javascript']").count() == 0
        assert "\u202e" not in page.locator("main").inner_text()
        assert page.title() == "Package Manager"


def test_works_in_airflows_frame_and_follows_its_theme(shown: Gallery, watched: Watched) -> None:
    page = watched.page
    page.goto(shown.address("normal", framed=True))
    frame = page.frame_locator("iframe")
    frame.get_by_role("button", name="Add New Package").click()
    expect(frame.get_by_role("dialog")).to_be_visible()
    root = frame.locator("html")
    expect(root).to_have_attribute("data-bs-theme", "dark")
    page.evaluate("document.documentElement.className = 'light'")
    expect(root).to_have_attribute("data-bs-theme", "light")


def test_theme_of_airflow_is_used_outside_of_its_frame(shown: Gallery, watched: Watched) -> None:
    page = watched.page
    page.goto(shown.address("normal"))
    page.evaluate("localStorage.setItem('theme', 'dark')")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")


def test_refusal_at_once_names_each_rule(shown: Gallery, watched: Watched) -> None:
    page = watched.page
    page.goto(shown.address("refused-at-once"))
    page.get_by_role("button", name="Add New Package").click()
    page.keyboard.type("polars")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Review plan").click()
    dialog = page.get_by_role("dialog", name="This cannot be planned")
    expect(dialog.get_by_text("pandas is denied by the setting denied_packages.")).to_be_visible()
    expect(dialog.get_by_text("What to do:").first).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_text("1 pending change")).to_be_visible()


def test_stale_plan_shows_the_difference_and_plans_again(shown: Gallery, watched: Watched) -> None:
    page = watched.page
    page.goto(shown.address("stale"))
    page.get_by_role("button", name="Remove openpyxl").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove", exact=True).click()
    page.get_by_role("button", name="Review plan").click()
    page.get_by_role("button", name="Apply and restart").click(timeout=15_000)
    expect(page.get_by_text("somebody-elses-package")).to_be_visible()
    page.get_by_role("button", name="Plan again").click()
    page.get_by_text("Working out the plan").wait_for()
    world = shown.worlds["stale"]
    assert world.posts[2] == ("operations", {"changes": [{"action": "remove", "requirement": "openpyxl"}]})


def test_line_ends_of_the_file_survive_the_editor(shown: Gallery, watched: Watched) -> None:
    page = watched.page
    page.goto(shown.address("requirements-crlf"))
    page.get_by_role("button", name="Edit the file").click()
    expect(page.get_by_role("button", name="Review plan")).to_be_disabled()
    page.get_by_role("textbox").press("Control+Home")
    page.keyboard.type("polars\n")
    page.get_by_role("button", name="Review plan").click()
    page.get_by_text("Working out the plan").wait_for()
    world = shown.worlds["requirements-crlf"]
    assert world.posts[0][1] == {"requirements": "polars\r\n" + world.text}
