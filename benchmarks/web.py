"""The page and the API: what a browser transfers, the inventory of 500 requirements, the slowest refusal of bad input.

`python -m benchmarks.web [ROUNDS]`, from the root of the repository.
"""

from __future__ import annotations

import http.client
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.house import COMPONENTS, PLACE, REQUIREMENTS
from benchmarks.measuring import Figure, Measurement, p95_ms
from playwright.sync_api import sync_playwright

from tests.web.house import CHANGE
from tests.web.test_bad_input import BODIES, FILES, RAW
from tests.web.test_bad_input import REQUIREMENTS as BAD_REQUIREMENTS

API = f"{PLACE}api/v1/"
_METHOD = (
    "A server process of its own (uvicorn, compression as in Airflow's api-server) with the real application:"
    f" directory, lock and installed site of {REQUIREMENTS} requirements, {len(COMPONENTS)} reporting components, this"
    " environment's Airflow as the image, SQLite. Only Airflow's login is left out. Page: what headless Chromium"
    " transferred until the table stood there, headers included. Inventory and refusals: one client on one connection"
    " over loopback, from sending the request to the last byte; asked again and again with nothing changed, as a page"
    " that polls does, so that the rows are remembered; the first look after an edit stands beside it. Bad"
    " input: the matrix of `tests/web/test_bad_input.py`,"
    " each case several times, its median counts, and the slowest case is the figure."
)


class Client:
    """One connection."""

    def __init__(self, port: int) -> None:
        """Connect at the first request."""
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[float, int, bytes]:
        """Return seconds, status and content."""
        started = time.perf_counter()
        try:
            self._connection.request(method, path, body, dict(headers or {}))
            answer = self._connection.getresponse()
            status, content = answer.status, answer.read()
        except (BrokenPipeError, ConnectionResetError):
            # A body that is too large is refused while it is being sent; how long that took is what counts.
            self._connection.close()
            return time.perf_counter() - started, 413, b""
        return time.perf_counter() - started, status, content


@contextmanager
def served() -> Iterator[tuple[int, Path]]:
    """Run the server on a fresh home; yields its port and the home."""
    with tempfile.TemporaryDirectory() as home:
        command = [sys.executable, "-m", "benchmarks.house", home]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            port = process.stdout.readline().strip()
            if not port:
                raise RuntimeError("the server did not start")
            try:
                yield int(port), Path(home)
            finally:
                process.communicate()


def transferred(port: int) -> dict[str, int]:
    """Return kind of resource → bytes that a browser transferred to show the page, and how many requests it took."""
    totals = {"files": 0, "data": 0, "requests": 0}
    address: dict[str, str] = {}

    def answered(event: dict[str, Any]) -> None:
        address[event["requestId"]] = event["response"]["url"]

    def finished(event: dict[str, Any]) -> None:
        kind = "data" if API in address.get(event["requestId"], "") else "files"
        totals[kind] += int(event["encodedDataLength"])
        totals["requests"] += 1

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page()
        session = page.context.new_cdp_session(page)
        session.on("Network.responseReceived", answered)
        session.on("Network.loadingFinished", finished)
        session.send("Network.enable")
        page.goto(f"http://127.0.0.1:{port}{PLACE}")
        page.get_by_text("requested-package-000", exact=True).first.wait_for()
        page.wait_for_load_state("networkidle")
        browser.close()
    return totals


def after_changes(client: Client, home: Path, rounds: int) -> list[float]:
    """Return the seconds of the first look at the inventory after each of so many edits of the requirements."""
    file = home / "package_manager" / "requirements.txt"
    taken = []
    for number in range(rounds):
        with file.open("a") as text:
            text.write(f"# edit {number}\n")
        seconds, status, content = client.ask("GET", f"{API}packages")
        assert status == 200, content
        taken.append(seconds)
    return taken


def bad_bodies() -> Iterator[tuple[str, bytes]]:
    """Yield every case of the matrix as a body for `POST operations`."""
    for (name, text), action in itertools.product(BAD_REQUIREMENTS.items(), ("add", "update", "remove")):
        yield f"{action} {name}", json.dumps({"changes": [{"action": action, "requirement": text}]}).encode()
    for name, body in BODIES.items():
        yield f"body: {name}", json.dumps(body).encode()
    for name, text in FILES.items():
        yield f"file: {name}", json.dumps({"requirements": text}).encode()
    for name, raw in RAW.items():
        yield f"raw: {name}", raw
    lists = b'{"changes":[' + b"[]," * 80_000 + b"[]]}"
    yield "raw: a quarter of a megabyte of empty lists", lists
    yield "ten megabytes", b" " * 10_000_000


def refusals(client: Client, rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each case; raises `RuntimeError` for one that was not refused."""
    headers = {"Content-Type": "application/json", **CHANGE}
    times = {}
    for name, body in bad_bodies():
        taken = []
        for _ in range(rounds):
            seconds, status, _content = client.ask("POST", f"{API}operations", body, headers)
            if not 400 <= status < 500:
                raise RuntimeError(f"{name} was answered {status}")
            taken.append(seconds)
        times[name] = taken
    return times


def measure(rounds: int = 300) -> Measurement:
    """Return all figures of the web; refusals get a hundredth of the rounds each, at least three."""
    with served() as (port, home):
        client = Client(port)
        sent = transferred(port)
        inventory: dict[str, list[float]] = {"GET packages": [], "GET packages, compressed": []}
        sizes = {}
        for number in range(rounds + 5):
            for way, accepted in (("GET packages", "identity"), ("GET packages, compressed", "gzip")):
                seconds, status, content = client.ask("GET", f"{API}packages", headers={"Accept-Encoding": accepted})
                assert status == 200, content
                sizes[way] = len(content)
                if number >= 5:
                    inventory[way].append(seconds)
        changed = after_changes(client, home, max(3, rounds // 10))
        refused = refusals(client, max(3, rounds // 100))
    slowest = max(refused, key=lambda name: statistics.median(refused[name]))
    every = [seconds for taken in refused.values() for seconds in taken]
    times = {
        **inventory,
        "first after an edit": changed,
        f"bad input, all {len(refused)} cases": every,
        f"slowest: {slowest}": refused[slowest],
    }
    plain = inventory["GET packages"]
    packed = inventory["GET packages, compressed"]
    figures = (
        Figure("page: its files, as transferred", sent["files"] / 1000, "kB", 150),
        Figure(
            "page: with the data it shows first",
            (sent["files"] + sent["data"]) / 1000,
            "kB",
            note=f"{sent['requests']} requests",
        ),
        Figure("`GET packages`, p95", p95_ms(plain), "ms", 30, note=f"{sizes['GET packages'] / 1000:.0f} kB"),
        Figure(
            "`GET packages`, compressed by the server, p95",
            p95_ms(packed),
            "ms",
            30,
            note=f"{sizes['GET packages, compressed'] / 1000:.0f} kB",
        ),
        Figure("`GET packages`, the first after an edit, p95", p95_ms(changed), "ms"),
        Figure("slowest answer to bad input", statistics.median(refused[slowest]), "s", 0.2, note=slowest),
    )
    return Measurement("Page and API", _METHOD, figures, times)


if __name__ == "__main__":
    print(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 300).markdown())
