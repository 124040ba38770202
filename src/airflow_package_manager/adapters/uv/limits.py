"""The limits of one resolution: its time, the will of the person who asked, and how many things happen at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from airflow_package_manager.errors import PlanAbandoned, ResolverTimeout
from airflow_package_manager.uv_command import Ended

_POLL_SECONDS = 0.2
_THREADS = 8
Item = TypeVar("Item")
Found = TypeVar("Found")


@dataclass
class Run:
    """Time and will of one resolution."""

    timeout: float
    """Seconds, from the beginning."""
    step: Callable[[str], None]
    cancelled: Callable[[], bool]
    seconds: dict[str, float] = field(default_factory=dict)
    """Name of a part → how long it took."""
    started: float = field(default_factory=time.monotonic)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Record how long the body takes."""
        started = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - started, 3)

    def remaining(self) -> float:
        """Return the seconds that are left; raises `ResolverTimeout` when none are."""
        left = self.started + self.timeout - time.monotonic()
        if left <= 0:
            self.check(Ended.TIMED_OUT)
        return left

    def check(self, ended: Ended) -> None:
        """Raise `PlanAbandoned` or `ResolverTimeout` for a run that was ended by us."""
        if ended is Ended.CANCELLED:
            raise PlanAbandoned("The plan was cancelled while versions were worked out.")
        if ended is Ended.TIMED_OUT:
            raise ResolverTimeout(
                f"Working out the versions took longer than {self.timeout:g} seconds.", seconds=self.timeout
            )

    def each(self, items: Iterable[Item], do: Callable[[Item], Found]) -> list[Found]:
        """Do it for all of them, a few at a time; the first error counts, cancelling and time-out stop it."""
        pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="resolver")
        try:
            return [self._result(future) for future in [pool.submit(do, item) for item in items]]
        finally:
            # Who waits for a socket now ends by its own time-out; nobody waits for that.
            pool.shutdown(wait=False, cancel_futures=True)

    def _result(self, future: Future[Found]) -> Found:
        while not wait([future], timeout=min(_POLL_SECONDS, self.remaining())).done:
            if self.cancelled():
                self.check(Ended.CANCELLED)
        return future.result()
