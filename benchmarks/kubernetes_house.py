"""The driver of one operation in a process of its own, with what it costs the process and the API server.

`python -m benchmarks.kubernetes_house` reads settings as JSON from standard input, drives the active operation, and
prints one JSON line.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine

from airflow_package_manager import settings, targets, wiring
from airflow_package_manager.adapters.kubernetes.api import Wire
from airflow_package_manager.adapters.kubernetes.connection import Answer
from tests.cluster.line import Line
from tests.cluster.preparing import ADMIN
from tests.fakes.facts import FakeFacts

CAUSE = b"no such wheel any more"
"""In the installer's report of a bad package."""


class Heard(Line):
    """A line that knows when it heard of the bad package, and when each request was made."""

    heard_at: float | None = None

    def __init__(self, real: Wire) -> None:
        """Take the way to the API server."""
        super().__init__(real, self._hear_moment)
        self.times: list[tuple[str, float]] = []

    def _hear_moment(self, moment: str) -> None:
        when, _, name = moment.partition(" ")
        if when == "before" and not name.startswith("piece of "):
            self.times.append((name, time.time()))

    @contextmanager
    def stream(
        self, address: str, *, headers: Mapping[str, str], read: float
    ) -> Iterator[tuple[Answer, Iterator[bytes]]]:
        """Note when the installer's end first came."""
        with super().stream(address, headers=headers, read=read) as (answer, pieces):
            yield answer, self._noted(pieces)

    def _noted(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            if self.heard_at is None and CAUSE in piece and b'"exitCode":1' in piece:
                self.heard_at = time.time()
            yield piece


@contextmanager
def application(environ: Mapping[str, str]) -> Iterator[tuple[wiring.Application, Heard]]:
    """Yield the application at the pace of a server, without soak and heartbeat, and its line."""
    lines: list[Heard] = []

    def around(wire: Wire) -> Wire:
        lines.append(Heard(wire))
        return lines[0]

    engine = create_engine(f"sqlite:///{Path(environ['AIRFLOW_HOME']) / 'airflow.db'}")
    app = wiring.build(
        settings=dataclasses.replace(settings.load(environ), soak=0, heartbeat_timeout=0),
        engine=engine,
        facts=FakeFacts(),
        environ=environ,
        drive=False,
        choose=partial(targets.kubernetes, around=around),
    )
    try:
        yield app, lines[0]
    finally:
        app.close(5)
        engine.dispose()


def driven(environ: Mapping[str, str]) -> dict[str, Any]:
    """Drive the active operation; return how it ended, its moments, its memory in MiB and its requests."""
    for name in ("kubernetes.client", "kubernetes.config"):
        importlib.import_module(name)
    with application(environ) as (app, line):
        before = _memory("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")
        ended = app.driver.adopt_orphan()
        assert ended is not None
        events = app.manager.events(ADMIN, ended.id)
        return {
            "state": ended.state.value,
            "problem": dict(ended.problem or {}),
            "memory": _memory("VmHWM") - before,
            "events": [[event.kind, event.at] for event in events],
            "requests": line.times,
            "heard_at": line.heard_at,
        }


def _memory(word: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{word}:")) / 1024


if __name__ == "__main__":
    print(json.dumps(driven(json.loads(sys.stdin.read()))))
