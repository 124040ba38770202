"""Cases of one parametrized test that run several at once: each waits most of its time for a cluster.

The first test that asks starts all that were selected; each test then waits for its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import pytest

WORKERS = 4


class AtOnce:
    """What was started, by name."""

    def __init__(self, run: Callable[[str], None], names: Iterable[str]) -> None:
        self._pool = ThreadPoolExecutor(WORKERS)
        self._futures = {name: self._pool.submit(run, name) for name in names}

    def result(self, name: str) -> None:
        """Wait for a case; raises what it raised."""
        self._futures[name].result()

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)


def selected(request: pytest.FixtureRequest, parameter: str) -> list[str]:
    """Return the values of a parameter with which tests of this module were selected, in their order."""
    found = []
    for item in request.session.items:
        if isinstance(item, pytest.Function) and item.module is request.module and hasattr(item, "callspec"):
            found += [str(item.callspec.params[parameter])] if parameter in item.callspec.params else []
    return list(dict.fromkeys(found))
