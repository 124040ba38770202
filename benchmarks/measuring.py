"""What every measurement shares: rounds in turns, medians, and a figure that knows its goal.

Wall time is what a figure states. Rounds of the ways that are compared follow one another in turns, in an order that
changes, so that what else the machine does hits all alike.
"""

from __future__ import annotations

import math
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Times = Mapping[str, Sequence[float]]
"""Way → seconds of each of its rounds."""


@dataclass(frozen=True)
class Figure:
    """One line of the results."""

    question: str
    value: float
    unit: str
    """``times`` for a ratio."""
    goal: float | None = None
    """None: there is no goal, the figure is shown for comparison."""
    at_least: bool = False
    """The goal is a least value, not a greatest."""
    note: str = ""

    @property
    def reached(self) -> bool | None:
        """Tell whether the goal was reached, None without one."""
        if self.goal is None:
            return None
        return self.value >= self.goal if self.at_least else self.value <= self.goal

    def row(self) -> str:
        """Return it as a row of a Markdown table."""
        goal = "-" if self.goal is None else f"{'≥' if self.at_least else '≤'} {self.goal:g} {self.unit}"
        verdict = {None: "-", True: "reached", False: "**not reached**"}[self.reached]
        return f"| {self.question} | {goal} | {_rounded(self.value)} {self.unit} | {verdict} | {self.note} |"


@dataclass(frozen=True)
class Measurement:
    """What one script found."""

    title: str
    method: str
    """One paragraph of Markdown."""
    figures: tuple[Figure, ...]
    times: Times

    def markdown(self) -> str:
        """Return its section of the results."""
        lines = [f"## {self.title}", "", self.method, ""]
        lines += ["| question | goal | figure | | |", "| --- | --- | --- | --- | --- |"]
        lines += [figure.row() for figure in self.figures]
        if self.times:
            lines += ["", "| way | rounds | median ms | least ms | p95 ms |", "| --- | --- | --- | --- | --- |"]
            lines += [_times_row(way, taken) for way, taken in self.times.items()]
        return "\n".join(lines) + "\n"


def in_turns(rounds: int, ways: Mapping[str, Callable[[], float]], *, warm: int = 1) -> dict[str, list[float]]:
    """Return the seconds that each way answered; the first `warm` rounds fill caches and are not counted."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    names = list(ways)
    for number in range(rounds + warm):
        for name in names:
            taken = ways[name]()
            if number >= warm:
                times[name].append(taken)
        names.append(names.pop(0))  # nobody is always the first, or always behind the same one
    return times


def seconds(command: Sequence[str], environ: Mapping[str, str], timeout: float = 300) -> float:
    """Return the wall time of one process; raises `RuntimeError` with what it said when it fails."""
    started = time.perf_counter()
    done = subprocess.run(
        command,
        env=dict(environ),
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
    )
    taken = time.perf_counter() - started
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return taken


def timed(action: Callable[[], object]) -> float:
    """Return the wall time of one call."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def ratio(times: Times, of: str, to: str) -> float:
    """Return the median of one way as a multiple of another's."""
    return statistics.median(times[of]) / statistics.median(times[to])


def median_ms(times: Times, way: str) -> float:
    """Return the median of a way in milliseconds."""
    return statistics.median(times[way]) * 1000


def difference_ms(times: Times, way: str, without: str) -> float:
    """Return what a way costs beside another: the median over the rounds of their difference, in milliseconds."""
    pairs = zip(times[way], times[without], strict=True)
    return statistics.median([one - other for one, other in pairs]) * 1000


def p95_ms(taken: Sequence[float]) -> float:
    """Return the time in milliseconds that 95 of 100 rounds did not exceed."""
    return sorted(taken)[max(0, math.ceil(0.95 * len(taken)) - 1)] * 1000


def _times_row(way: str, taken: Sequence[float]) -> str:
    middle, least = statistics.median(taken) * 1000, min(taken) * 1000
    return f"| {way} | {len(taken)} | {_rounded(middle)} | {_rounded(least)} | {_rounded(p95_ms(taken))} |"


def _rounded(value: float) -> str:
    """Return a number with about three digits that count."""
    if value == 0:
        return "0"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"
