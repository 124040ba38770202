"""The Airflows that tests know: a row each, with pins in `requirements/airflow-<version>.txt`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from testenv import airflow2_home, airflow_environment, airflow_home
from testenv.airflow_home import Airflow

PREPARE: Mapping[str, Callable[..., Airflow]] = {"3.3": airflow_home.prepare, "2.11": airflow2_home.prepare}
"""Version → what makes a home for it."""
NEWEST = next(iter(PREPARE))


def prepare(
    version: str,
    home: Path,
    *,
    dags: Mapping[str, str],
    users: tuple[str, ...] = ("admin", "viewer"),
    settings: Mapping[str, str] | None = None,
) -> Airflow:
    """Build the environment of a version, where it is missing, and make a home; nothing is started."""
    return PREPARE[version](home, airflow_environment.build(version), dags=dags, users=users, settings=settings)
