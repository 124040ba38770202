"""The components of Airflows with Celery, as the official chart runs them: kind, strategy, grace, probe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from testenv.node.airflow_image import PROBES

RELEASE = "airflow"


@dataclass(frozen=True)
class Component:
    """One workload."""

    name: str
    """As the chart's label says it."""
    values: str
    """Its key in the chart's values."""
    arguments: str
    """Of `airflow`."""
    kind: str
    grace: int
    """Seconds between SIGTERM and SIGKILL."""
    probe: Sequence[str] = ()
    """Command of its startup probe."""
    answers: str = ""
    """Of a web server: the path that is asked instead, then and later."""
    replicas: int = 1
    strategy: Mapping[str, Any] | None = None

    @property
    def workload(self) -> str:
        """Return the name of its workload."""
        return f"{RELEASE}-{self.name}"

    @property
    def collection(self) -> str:
        """Return the last part of the path of its kind in the API."""
        return f"{self.kind.lower()}s"


def _job(kind: str) -> tuple[str, ...]:
    return ("python", f"{PROBES}/fresh_job.py", kind)


def _rolling(surge: int | str, unavailable: int | str) -> Mapping[str, Any]:
    return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}


def _web_server(name: str, values: str, arguments: str, answers: str) -> Component:
    # The pods share the network of the node: a second web server could not have the port of the first.
    return Component(name, values, arguments, "Deployment", 30, answers=answers, strategy=_rolling(0, 1))


_EXECUTING = (
    Component("scheduler", "scheduler", "scheduler --skip-serve-logs", "Deployment", 10, _job("SchedulerJob")),
    Component(
        "worker",
        "workers",
        'celery worker --skip-serve-logs --celery-hostname "celery@$POD_NAME"',
        "StatefulSet",
        60,
        ("python", f"{PROBES}/worker_answers.py"),
        replicas=2,
    ),
    Component("triggerer", "triggerer", "triggerer --skip-serve-logs", "StatefulSet", 30, _job("TriggererJob")),
)
COMPONENTS = (
    *_EXECUTING,
    Component(
        "dag-processor",
        "dagProcessor",
        "dag-processor",
        "Deployment",
        30,
        _job("DagProcessorJob"),
        strategy=_rolling("100%", "50%"),
    ),
    _web_server("api-server", "apiServer", "api-server --workers 1", "/api/v2/version"),
)
"""Airflow 3's."""
COMPONENTS_2 = (*_EXECUTING, _web_server("webserver", "webserver", "webserver", "/health"))
"""Airflow 2's: its scheduler parses DAG files itself."""
