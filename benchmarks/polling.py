"""Airflow 2.11's own pages beside ten open pages that watch an operation, on a webserver with one sync worker.

`python -m benchmarks.polling [ROUNDS]`, from the root of the repository.
"""

from __future__ import annotations

import http.client
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.measuring import Figure, Measurement, in_turns, p95_ms

from testenv import airflow_home, airflows
from testenv.airflow_home import API, Airflow
from testenv.package_index import serve_catalogue

PAGES = 10
ROUNDS = 6
SECONDS = 20.0
"""Of one round, after the pages were opened."""
SETTLE = 20.0
"""Seconds that pages are open before a round: a page that nothing happens on has found its pace."""
PAUSE = 0.05
"""Between two looks at `/health`."""
SOON, RAREST, RARER, AWAY = 1.0, 5.0, 1.5, 2.0
"""What `operation.js` and `poll.js` wait: after something happened, at most, how the pause grows, after no answer."""
ACTIVE = ("ACCEPTED", "PREFLIGHT", "ROLLING_OUT", "VERIFYING", "ROLLING_BACK")
QUIET, WATCHED = "nobody watches", f"{PAGES} pages watch"
_METHOD = (
    "A real Airflow 2.11, all its components supervised, its webserver with one sync worker, in the middle of a real"
    " operation whose restarted scheduler is waited for the whole time, so that the driver works as well. One client"
    f" asks for `/health` again {PAUSE * 1000:.0f} ms after each answer. Rounds of {SECONDS:.0f} s with and without"
    f" {PAGES} pages that show the operation's progress follow one another in turns; the p95 is of all requests of all"
    " rounds of a way, and beside it stand the p95s of single rounds. A page does what `views/operation.js` does: asks"
    f" for the events after the last known one, {SOON:.0f} s after an answer that brought news and {RARER} times later"
    f" after each that brought none, at most {RAREST:.0f} s; for the operation itself every fifth time and for the"
    " components every second time, and for both when there was news; no conditional request (`no-store`). Pages are"
    f" opened at different moments within {RAREST:.0f} s and have been open for {SETTLE:.0f} s when a round begins."
)


class Watcher:
    """One page that shows an operation's progress, until told to stop; `root` is where the API is."""

    def __init__(self, port: int, operation: str, cookie: str, delay: float, root: str = API) -> None:
        self._port, self._path, self._cookie, self._delay = port, f"operations/{operation}", cookie, delay
        self._root = root
        self.asked: list[str] = []
        self._leave = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.turns: list[float] = []
        """Seconds of each turn's requests."""
        self.failure: Exception | None = None

    def open(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def close(self) -> None:
        """Leave the view; raises what went wrong meanwhile."""
        self._leave.set()
        self._thread.join()
        if self.failure is not None:
            raise self.failure

    def _run(self) -> None:
        try:
            self._follow()
        except Exception as error:  # noqa: BLE001  raised again by whoever closes
            self.failure = error

    def _follow(self) -> None:
        operation: Mapping[str, Any] | None = None
        after = turn = 0
        pace = SOON
        self._leave.wait(self._delay)
        while not self._leave.is_set():
            began = time.perf_counter()
            try:
                news = self._get(f"{self._path}/events?after={after}")
                seen = (None, None) if operation is None else (operation["state"], operation["step"])
                changed = bool(news["events"]) or (news["state"], news["step"]) != seen
                after = max([after, *(one["sequence"] or 0 for one in news["events"])])
                if changed or turn % 5 == 0 or operation is None:
                    operation = self._get(self._path)
                if operation["state"] not in ACTIVE:
                    raise RuntimeError(f"the operation ended: {operation['state']}, {operation['problem']}")
                if changed or turn % 2 == 0:
                    self._get("components")
            except OSError:
                self._leave.wait(AWAY)
                continue
            turn += 1
            self.turns.append(time.perf_counter() - began)
            pace = SOON if changed else min(pace * RARER, RAREST)
            self._leave.wait(pace)

    def _get(self, path: str) -> Any:  # noqa: ANN401  that is JSON
        self.asked.append(path)
        return json.loads(
            _get(self._port, f"{self._root}{path}", {"Cookie": self._cookie, "Sec-Fetch-Site": "same-origin"})
        )


@contextmanager
def rolling_out() -> Iterator[tuple[Airflow, str, str]]:
    """Run an Airflow 2.11 with an operation that does not end for long; yields it, the operation and a cookie."""
    settings = {
        "AIRFLOW__WEBSERVER__WORKERS": "1",
        "AIRFLOW__PACKAGE_MANAGER__SOAK": "600",
        "AIRFLOW__PACKAGE_MANAGER__READY_TIMEOUT": "3600",
    }
    with serve_catalogue() as index, tempfile.TemporaryDirectory() as home:
        settings["AIRFLOW__PACKAGE_MANAGER__INDEX_URL"] = index.url
        airflow = airflows.prepare("2.11", Path(home) / "airflow", dags={}, users=("admin",), settings=settings)
        with airflow_home.running(airflow):
            token = airflow.token("admin")
            body = {"changes": [{"action": "add", "requirement": "good-package"}]}
            status, made = airflow.api("POST", "operations", body, token=token)
            if status != 202:
                raise RuntimeError(f"no plan: {made}")
            path = f"operations/{made['operation']['id']}"
            planned = _until(airflow, token, path, lambda found: found["state"] != "PLANNING")
            applying = {"token": made["token"], "digest": planned["plan"]["digest"]}
            airflow.api("POST", f"{path}/apply", applying, token=token)
            _until(airflow, token, path, lambda found: found["state"] in {"ROLLING_OUT", "FAILED", "ROLLED_BACK"})
            time.sleep(SETTLE)  # the new scheduler starts
            yield airflow, made["operation"]["id"], airflow.cookie("admin")


def measure(rounds: int = ROUNDS) -> Measurement:
    """Measure; raises `RuntimeError` when the operation ended meanwhile."""
    asked: dict[str, list[list[float]]] = {QUIET: [], WATCHED: []}
    turns: list[float] = []
    with rolling_out() as (airflow, operation, cookie):

        def quiet() -> float:
            return _look(airflow.port, asked[QUIET])

        def watched() -> float:
            pages = [Watcher(airflow.port, operation, cookie, number * RAREST / PAGES) for number in range(PAGES)]
            for page in pages:
                page.open()
            try:
                time.sleep(SETTLE)
                return _look(airflow.port, asked[WATCHED])
            finally:
                for page in pages:
                    page.close()
                    turns.extend(page.turns)

        in_turns(rounds, {QUIET: quiet, WATCHED: watched}, warm=0)
    times = {way: [one for taken in found for one in taken] for way, found in asked.items()}
    without, beside = (p95_ms(times[way]) for way in (QUIET, WATCHED))
    middle = statistics.median(times[WATCHED]) / statistics.median(times[QUIET])
    note = f"{beside:.1f} / {without:.1f} ms; of single rounds {_range(asked[WATCHED])} / {_range(asked[QUIET])}"
    return Measurement(
        title="Ten open pages on Airflow 2.11 with one sync worker",
        method=_METHOD,
        figures=(
            Figure("p95 of Airflow's `/health`, ten pages watching / none", beside / without, "times", 1.5, note=note),
            Figure("the same, medians", middle, "times"),
        ),
        times={**times, "a page's turn, one to three requests": turns},
    )


def _look(port: int, into: list[list[float]]) -> float:
    """Ask for `/health` for a round, keep the seconds of each answer, and return their median.

    Who is cut off, as when gunicorn replaces its worker, asks again at once: that is the time a person waits.
    """
    taken: list[float] = []
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        began = time.perf_counter()
        while not _answers(port, "/health", began + 120):
            time.sleep(PAUSE)
        taken.append(time.perf_counter() - began)
        time.sleep(PAUSE)
    into.append(taken)
    return statistics.median(taken)


def _answers(port: int, path: str, until: float) -> bool:
    """Tell whether there was an answer; raises `OSError` when there is none at the time `until` either."""
    try:
        _get(port, path, {})
    except OSError:
        if time.perf_counter() > until:
            raise
        return False
    return True


def _get(port: int, path: str, headers: Mapping[str, str]) -> bytes:
    """Return the content of one answer; sync workers end the connection after it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path, headers=dict(headers))
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path} was answered {answer.status}: {content[:500]!r}")
    finally:
        connection.close()
    return content


def _until(airflow: Airflow, token: str, path: str, there: Callable[[Any], bool]) -> Any:  # noqa: ANN401  that is JSON
    end = time.monotonic() + 180
    while time.monotonic() < end:
        status, found = airflow.api("GET", path, token=token)
        if status == 200 and there(found):
            return found
        time.sleep(0.5)
    raise TimeoutError(f"{path} is still {found}")


def _range(rounds: list[list[float]]) -> str:
    found = sorted(p95_ms(taken) for taken in rounds)
    return f"{found[0]:.0f} to {found[-1]:.0f} ms"


def main() -> None:
    """Print the figures of one run."""
    print(measure(*(int(argument) for argument in sys.argv[1:2])).markdown())


if __name__ == "__main__":
    main()
