"""What the page is made of: its budget, its types, its licences, nothing inline, nothing from elsewhere."""

from __future__ import annotations

import gzip
import hashlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from testenv.page_gallery import STATIC, Gallery
from testenv.page_types import TARGET, declarations
from tests.browser.conftest import Watched

ROOT = Path(__file__).resolve().parents[2]
OURS = sorted(path for path in STATIC.rglob("*") if path.is_file() and "vendor" not in path.parts)
SERVED = [path for path in STATIC.rglob("*") if path.suffix in {".html", ".js", ".css", ".svg"}]
BUDGET = 150_000


def test_whole_page_fits_its_budget() -> None:
    assert sum(len(gzip.compress(path.read_bytes(), 6)) for path in SERVED) <= BUDGET


@pytest.mark.browser
def test_what_the_browser_fetches_fits_the_budget(shown: Gallery, watched: Watched) -> None:
    shown.sent.clear()
    watched.page.goto(shown.address("normal"))
    watched.page.get_by_text("great-expectations", exact=True).first.wait_for()
    assert set(shown.sent) >= {"index.html", "app.js", "style.css", "vendor/bootstrap/bootstrap.min.css"}
    assert sum(shown.sent.values()) <= BUDGET


def test_declarations_are_those_of_the_models() -> None:
    assert TARGET.read_text(encoding="utf-8") == declarations(), "run: python testenv/page_types.py"


def test_types_hold() -> None:
    compiler = ROOT / "node_modules/.bin/tsc"
    if not compiler.exists():
        npm = shutil.which("npm")
        assert npm, "npm is needed to check the page's types"
        subprocess.run([npm, "ci", "--no-audit", "--no-fund"], cwd=ROOT, check=True, capture_output=True, timeout=300)
    done = subprocess.run(
        [str(compiler), "--project", "tsconfig.json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", [path for path in OURS if path.suffix == ".js"], ids=lambda path: path.stem)
def test_module_is_small_and_builds_no_html(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 300
    for banned in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "window.open", "alert("):
        assert banned not in text, f"{path.name} uses {banned}"
    assert re.search(r"(?<!//www\.w3\.org)https?://(?!www\.w3\.org/2000/svg)\w", text) is None


def test_nothing_is_inline_and_everything_is_relative() -> None:
    text = (STATIC / "index.html").read_text(encoding="utf-8")
    assert re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", text) is None
    assert all(not link.startswith(("/", "http")) for link in re.findall(r'(?:src|href)="([^"]+)"', text))


def test_vendored_files_are_as_published() -> None:
    rows = re.findall(
        r"\| `(vendor/[^`]+)` \| `([0-9a-f]{64})` \|", (STATIC / "VENDORED.md").read_text(encoding="utf-8")
    )
    assert {Path(name).parent for name, _ in rows} == {
        path.relative_to(STATIC).parent for path in STATIC.glob("vendor/*/*")
    }
    for name, digest in rows:
        assert hashlib.sha256((STATIC / name).read_bytes()).hexdigest() == digest
        assert (STATIC / name).parent.joinpath("LICENSE").is_file()
