"""Every state that a person can meet renders: light and dark, wide and at 320 px, silent console, nothing cut off."""

from __future__ import annotations

import pytest

from testenv.page_gallery import Gallery
from testenv.page_scenarios import SCENARIOS
from tests.browser.conftest import Watched

pytestmark = pytest.mark.browser

WORDS = {
    "normal": "great-expectations",
    "empty": "No package was added yet",
    "many": "Show all 500 packages",
    "strange": "<img src=x onerror=document.title='owned'>",
    "edited-by-hand": "requirements.txt was edited outside this page",
    "may-only-read": "You may look, but not plan changes.",
    "server-away": "server does not answer",
    "not-logged-in": "You are not logged in",
    "forbidden": "You may not use the Package Manager",
    "requirements": "pyarrow~=17.0",
    "requirements-crlf": "pyarrow~=17.0",
    "requirements-kept": "Lines that are kept, but not used",
    "components": "1 of 1 current",
    "components-bad": "another SHA-256 than the lock",
    "history": "Restore to this revision",
    "history-empty": "No revision yet",
    "revision": "Compared with",
    "audit": "viewer lacks the permission package_manager:plan",
    "audit-empty": "Nothing is recorded yet",
    "health": "All passed.",
    "health-bad": "connection refused",
    "planning": "Resolving versions",
    "planned": "numpy goes back from 2.1.3 to 2.0.2",
    "planned-text-only": "Nothing restarts: only the file changes.",
    "planned-strange": "<script>document.title='owned'</script>",
    "refused": "apache-airflow-core 3.3.2 needs",
    "refused-lines": "Options are not passed on to the installer.",
    "refused-version": "Versions that exist",
    "refused-at-once": "Installed Packages",
    "stale": "Installed Packages",
    "planning-abandoned": "The server stopped while it was planning",
    "expired": "This plan has expired",
    "cancelled": "Cancelled: nothing was changed",
    "acknowledgement": "2 of 2 still to be read and ticked.",
    "applying": "installed 4 packages in 1.8 s; starting",
    "server-restarting": "server is restarting, still asking",
    "server-comes-back": "Every component runs the new packages",
    "rolling-back": "Going back to the packages of before",
    "rolled-back": "Put back: every component runs the packages it had before",
    "failed": "It failed and needs a person",
    "succeeded": "Every component runs the new packages",
    "cluster": "on pool-b-2c41",
    "cluster-unusual": "no replica is wanted, so nothing was tried",
    "cluster-many": "235 more instances",
    "cluster-requirements": "argocd-controller writes this file too",
    "cluster-health": 'resourceNames: ["airflow-worker"]',
    "cluster-planned": "which may take the change back",
    "cluster-rolling-out": "to be replaced",
    "cluster-draining": "draining",
    "cluster-rolling-out-many": "235 more instances",
    "cluster-stuck": "CrashLoopBackOff",
    "cluster-no-image": "ImagePullBackOff",
    "cluster-failed": "kubectl --namespace data-orchestration patch statefulsets.apps airflow-worker",
    "cluster-not-verified": "but not verified everywhere",
    "unknown-operation": "Check the address.",
    "unknown-place": "There is nothing here",
}
NEXT_ACTION = {
    "refused",
    "refused-lines",
    "refused-version",
    "planning-abandoned",
    "acknowledgement",
    "rolled-back",
    "failed",
    "health-bad",
    "unknown-operation",
    "rolling-back",
    "cluster-health",
    "cluster-stuck",
    "cluster-no-image",
    "cluster-failed",
}


_OF_A_CLUSTER = ["cluster-unusual", "cluster-no-image", "cluster-failed", "cluster-not-verified"]


def test_each_scenario_has_its_words() -> None:
    assert sorted(WORDS) == sorted(SCENARIOS)


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_state_renders_and_fits(name: str, shown: Gallery, watched: Watched) -> None:
    page = watched.page
    page.emulate_media(color_scheme="dark")
    page.goto(shown.address(name))
    page.get_by_text(WORDS[name]).first.wait_for(timeout=20_000)
    assert page.locator("html").get_attribute("data-bs-theme") == "dark"
    assert page.get_by_role("heading", level=1).count() == 1
    if name in NEXT_ACTION:
        assert page.get_by_text("What to do:").first.is_visible()
    for width in (1280, 768, 320):
        page.set_viewport_size({"width": width, "height": 800})
        wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0, f"{name} scrolls sideways at {width} px"
        assert _cut_off(watched) == []
    assert page.title() == "Package Manager"


def _cut_off(watched: Watched) -> list[str]:
    """Return what stands outside of the window, or has no accessible name although it can be used."""
    found: list[str] = watched.page.evaluate(
        """() => [...document.querySelectorAll("button, a, input, select, textarea, summary")]
          .filter((one) => one.checkVisibility() && !one.classList.contains("skip"))
          .filter((one) => {
            const box = one.getBoundingClientRect();
            const named = one.textContent.trim() || one.getAttribute("aria-label") || one.labels?.length;
            return box.right > window.innerWidth + 1 || box.left < -1 || !named;
          }).map((one) => one.outerHTML.slice(0, 120))"""
    )
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "name", ["normal", "planned", "refused", "applying", "components-bad", "rolled-back", *_OF_A_CLUSTER]
)
def test_text_has_contrast(name: str, scheme: str, shown: Gallery, watched: Watched) -> None:
    watched.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    watched.page.goto(shown.address(name))
    watched.page.get_by_text(WORDS[name]).first.wait_for()
    assert watched.page.evaluate(_CONTRAST) == []


_CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const over = (top, below) => top.slice(0, 3).map((part, i) => part * top[3] / 255 + below[i] * (1 - top[3] / 255));
  const behind = (one) => {
    const layers = [];
    for (let at = one; at; at = at.parentElement) layers.push(rgba(getComputedStyle(at).backgroundColor));
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255]);
  };
  const light = (colour) => colour.map((part) => part / 255)
    .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    .reduce((sum, part, i) => sum + part * [0.2126, 0.7152, 0.0722][i], 0);
  const bad = [];
  for (const one of document.querySelectorAll("#app *")) {
    const own = [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !one.checkVisibility() || one.matches(":disabled, .visually-hidden, .skip")) continue;
    const below = behind(one);
    const [a, b] = [light(over(rgba(getComputedStyle(one).color), below)), light(below)];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) bad.push(`${ratio.toFixed(2)} ${one.className} ${one.textContent.trim().slice(0, 40)}`);
  }
  return bad;
}"""
