"""Celery's workers, asked through the broker since when they run: Airflow's own tables do not know them.

Nothing of Celery is imported before it is needed, and only where the configured executor is Airflow's CeleryExecutor.
"""

from __future__ import annotations

import importlib
import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from airflow_package_manager.domain.facts import Heartbeat
from airflow_package_manager.plugin import executors

EXECUTOR = "CeleryExecutor"
ANSWER_SECONDS = 5.0
"""How long workers have to answer, when fewer do than were expected."""
DEADLINE_SECONDS = 8.0
"""After that a broker that cannot be reached is left alone: the lease of an operation is 15 s long."""
_UPTIME_IS_WHOLE_SECONDS = 1.0
_MODULE = "airflow.providers.celery.executors.celery_executor"

log = logging.getLogger(__name__)


class CeleryWorkers:
    """Asks one question at a time; a broker that hangs keeps one thread, whoever asks."""

    def __init__(self, deadline: float = DEADLINE_SECONDS) -> None:
        """Take after how many seconds an answer is not waited for any more."""
        self._deadline = deadline
        self._guard = threading.Lock()
        self._asking: threading.Thread | None = None

    def heartbeats(self, instances: int) -> tuple[Heartbeat, ...] | None:
        """Return the workers that answer, None where nobody can be asked.

        `instances` is how many are expected: nobody is waited for once so many have answered.
        """
        if EXECUTOR not in executors.configured():
            return None
        try:
            app = importlib.import_module(_MODULE).app  # takes seconds, once
        except ImportError as error:
            log.warning("Celery's workers are not verified: its provider cannot be imported here (%s).", error)
            return None
        asked_at = time.time()
        answers = self._answers(lambda: _stats(app, max(1, instances)))
        return None if answers is None else alive(answers, asked_at)

    def _answers(self, ask: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any] | None:
        """Return what the workers say; None, with a line in the log, when the broker cannot be reached in time."""
        outcome: list[Mapping[str, Any] | Exception] = []

        def work() -> None:
            try:
                outcome.append(ask())
            except Exception as error:  # noqa: BLE001  whatever Celery and its transports raise is the answer
                outcome.append(error)

        with self._guard:
            if self._asking is not None and self._asking.is_alive():
                log.warning("Celery's workers are not verified: an earlier question to the broker still hangs.")
                return None
            self._asking = threading.Thread(target=work, name="package-manager-celery", daemon=True)
            self._asking.start()
            self._asking.join(self._deadline)
        if not outcome:
            log.warning("Celery's workers are not verified: the broker did not answer within %.0f s.", self._deadline)
            return None
        found = outcome[0]
        if isinstance(found, Exception):
            # Its name only: the message of a transport may hold the broker's address with its password.
            log.warning("Celery's workers are not verified: the broker cannot be asked (%s).", type(found).__name__)
            return None
        return found


def alive(answers: Mapping[str, Any], asked_at: float) -> tuple[Heartbeat, ...]:
    """Return a heartbeat for each worker that tells its uptime; `asked_at` in Unix seconds.

    The start is the earliest that the uptime allows, counted from the question and not from the last answer, so that
    no worker passes for younger than it is.
    """
    found = []
    for name, said in sorted(answers.items()):
        uptime = said.get("uptime") if isinstance(said, Mapping) else None
        if isinstance(uptime, (int, float)):
            found.append(Heartbeat(name, asked_at, asked_at - uptime - _UPTIME_IS_WHOLE_SECONDS))
    return tuple(found)


def _stats(app: Any, limit: int) -> Mapping[str, Any]:  # noqa: ANN401  Celery has no types
    with app.connection_for_write() as connection:
        found = app.control.inspect(timeout=ANSWER_SECONDS, limit=limit, connection=connection).stats()
    return found or {}
