"""Cases of one parametrized test that run several at once: each waits most of its time for a cluster.

The first test that asks starts all that were selected, and waits for all: pytest writes each test's name into
`os.environ`, and whoever reads all of it in another thread at that moment (urllib does, for proxies) gets a `KeyError`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait

import pytest

WORKERS = 4
ALL_IN_ONE = pytest.mark.timeout(2_700)
"""For a module whose first test waits for all."""


class AtOnce:
    """What was started, by name."""

    def __init__(self, run: Callable[[str], None], names: Iterable[str]) -> None:
        self._run = run
        self._told: set[str] = set()
        self._pool = ThreadPoolExecutor(WORKERS)
        self._futures = {name: self._pool.submit(run, name) for name in names}

    def result(self, name: str) -> None:
        """Wait for all; raises what this case raised. Asked again (a second chance), the case runs again, alone."""
        wait(self._futures.values())
        if name in self._told:
            self._run(name)
        else:
            self._told.add(name)
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
