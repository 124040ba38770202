"""What becomes of operations as metrics, through Airflow's own `Stats`: statsd, Datadog or OpenTelemetry."""

from __future__ import annotations

import importlib
import logging
from datetime import timedelta
from typing import Any

from airflow.configuration import conf

from airflow_package_manager.domain.operation import Operation

COUNTER = "package_manager.operation"
"""One counter per end: `.succeeded`, `.rolled_back`, `.failed`."""
DURATION = "package_manager.operation.duration"
"""Timer, from acceptance to the end, tagged with the state where tags are kept."""
_MODULES = ("airflow.observability.stats", "airflow.stats")
"""Where Airflow has `Stats`, the newest place first."""

log = logging.getLogger(__name__)


def count(operation: Operation) -> None:
    """Count an operation that has ended and how long it took."""
    stats, state = _stats(), operation.state.value.lower()
    stats.incr(f"{COUNTER}.{state}")
    if operation.accepted_at is not None and operation.ended_at is not None:
        stats.timing(DURATION, timedelta(seconds=operation.ended_at - operation.accepted_at), tags={"state": state})


def begin() -> None:
    """Let a process that is none of Airflow's own components send metrics too; without it a command sends none."""
    try:
        utilities: Any = importlib.import_module("airflow.observability.metrics.stats_utils")
        module: Any = importlib.import_module(_MODULES[0])
        module.initialize(
            factory=utilities.get_stats_factory(),
            export_legacy_names=conf.getboolean("metrics", "legacy_names_on", fallback=True),
        )
    except (ImportError, AttributeError):
        log.debug("This Airflow's Stats needs no beginning.")


def _stats() -> Any:  # noqa: ANN401  a module's class that has moved between Airflow's versions
    for name in _MODULES:
        try:
            return importlib.import_module(name).Stats
        except (ImportError, AttributeError):
            continue
    raise ImportError("this Airflow has no Stats where it is known to be")
