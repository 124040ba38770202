"""What a cluster adds to the page: where a pod runs and what it says, what is nobody's fault, what to type by hand."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from testenv.page_gallery import Gallery
from tests.browser.conftest import Watched

pytestmark = pytest.mark.browser


def test_a_pod_is_shown_with_node_stamp_state_reason_and_age(shown: Gallery, watched: Watched) -> None:
    watched.page.goto(shown.address("cluster-stuck"))
    row = watched.page.get_by_role("row").filter(has_text="airflow-worker-2")
    for words in ("revision 8", "on pool-b-2c41", "Failed", "CrashLoopBackOff", "has no wheel for this Python"):
        expect(row).to_contain_text(words)
    expect(row.get_by_role("time")).to_contain_text("ago")
    assert row.inner_text().count("no file of the lock fits") == 1  # said once, though pod and installer both say it


def test_where_requirements_are_kept_is_said(shown: Gallery, watched: Watched) -> None:
    watched.page.goto(shown.address("cluster"))
    place = "ConfigMap airflow-config-pypi in namespace data-orchestration"
    expect(watched.page.get_by_text(place)).to_be_visible()


def test_zero_replicas_are_never_called_current(shown: Gallery, watched: Watched) -> None:
    watched.page.goto(shown.address("cluster-unusual"))
    worker = watched.page.get_by_role("article").filter(has=watched.page.get_by_role("heading", name="worker"))
    expect(worker).to_contain_text("Not verified")
    expect(worker).not_to_contain_text("Current")


def test_what_no_package_caused_is_said_so(shown: Gallery, watched: Watched) -> None:
    watched.page.goto(shown.address("cluster-unusual"))
    triggerer = watched.page.get_by_role("article").filter(has=watched.page.get_by_role("heading", name="triggerer"))
    expect(triggerer).to_contain_text(re.compile("no package.s fault"))
    expect(triggerer).to_contain_text("Unschedulable")


def test_commands_of_a_failed_rollback_can_be_copied(shown: Gallery, watched: Watched) -> None:
    page = watched.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(shown.address("cluster-failed"))
    page.get_by_role("button", name="Copy Commands").click()
    expect(page.locator("#announcements")).to_have_text("Commands copied.")
    first, second = page.evaluate("navigator.clipboard.readText()").splitlines()
    assert first.endswith("&& kubectl --namespace data-orchestration delete pod airflow-worker-2")
    assert '"airflow-package-manager/revision":null' in second


def test_many_pods_show_those_that_need_a_look_and_open_to_all(shown: Gallery, watched: Watched) -> None:
    page = watched.page
    page.goto(shown.address("cluster-many"))
    page.get_by_text("airflow-worker-93", exact=True).wait_for()
    assert page.locator(".instances li").filter(visible=True).count() == 9
    page.get_by_text("235 more instances").click()
    expect(page.get_by_text("airflow-worker-239", exact=True)).to_be_visible()


def test_a_success_that_nobody_verified_does_not_claim_more(shown: Gallery, watched: Watched) -> None:
    watched.page.goto(shown.address("cluster-not-verified"))
    expect(watched.page.get_by_text("no replica is wanted, so nothing was tried").first).to_be_visible()
    expect(watched.page.get_by_text("Every component runs the new packages")).to_have_count(0)


@pytest.mark.parametrize(
    ("story", "said"),
    [
        ("cluster-stuck", {"scheduler": "to be put back", "worker": "failed", "triggerer": "not reached"}),
        ("rolled-back", {"scheduler": "put back", "triggerer": "failed"}),
        ("failed", {"scheduler": "put back", "triggerer": "not put back"}),
        ("cluster-failed", {"scheduler": "not put back", "worker": "not put back", "triggerer": "not reached"}),
    ],
)
def test_put_back_is_said_only_of_what_was_put_back(
    story: str, said: dict[str, str], shown: Gallery, watched: Watched
) -> None:
    watched.page.goto(shown.address(story))
    road = watched.page.locator(".stepper")
    for component, words in said.items():
        step = road.get_by_role("listitem").filter(has_text=component)
        expect(step.locator(".step-note")).to_have_text(words)
