"""A second chance for tests that race real processes on a busy machine: told aloud, and only to a few of a run.

Why, and why a few: `docs/adr/0021-a-second-chance-told-aloud.md`.
"""

from __future__ import annotations

import pytest

ROOMS = frozenset({"browser", "cluster", "crash", "node", "plugin", "supervisor"})
"""Rooms under `tests` that start real servers, and wait for them by the clock."""
FEW = 3
"""Of one run. More have one cause, and that is no luck."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.nodeid.split("/")[1] in ROOMS:
            item.add_marker(pytest.mark.flaky(reruns=1))


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Told())


class Told:
    """What failed before it passed, of a whole run."""

    def __init__(self) -> None:
        self._first: list[pytest.TestReport] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.outcome == "rerun":  # type: ignore[comparison-overlap]  # pytest-rerunfailures adds this outcome
            self._first.append(report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if len(self._first) > FEW and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self._first:
            return
        terminalreporter.section("second chances")
        for report in self._first:
            terminalreporter.write_line(f"{report.nodeid} failed at first:", yellow=True)
            terminalreporter.write_line(report.longreprtext)
        if len(self._first) > FEW:
            terminalreporter.write_line(
                f"{len(self._first)} tests needed one, more than {FEW}: this run fails", red=True
            )
