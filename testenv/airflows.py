"""The Airflows that tests know: a row each, with pins in `requirements/airflow-<version>.txt`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from testenv import airflow2_home, airflow_environment, airflow_fab_home, airflow_home
from testenv.airflow_home import Airflow

PREPARE: Mapping[str, Callable[..., Airflow]] = {"3.3": airflow_home.prepare, "2.11": airflow2_home.prepare}
"""Version → what makes a home for it: those on which everything is run."""
SHORT_PATH: Mapping[str, Callable[..., Airflow]] = {
    "3.3-fab": airflow_fab_home.prepare,
    "3.2": airflow_home.prepare,
    "3.1": airflow_home.prepare,
    "3.1-fab": airflow_fab_home.prepare,
}
"""The same of those on which the short path is run."""
NEWEST = next(iter(PREPARE))


def prepare(
    version: str,
    home: Path,
    *,
    dags: Mapping[str, str],
    users: tuple[str, ...] = ("admin", "viewer"),
    settings: Mapping[str, str] | None = None,
    python: Path | None = None,
) -> Airflow:
    """Make a home for a version; nothing is started.

    `python` is the interpreter of its environment; without it the shared one's, built when it is missing.
    """
    make = {**PREPARE, **SHORT_PATH}[version]
    return make(home, python or airflow_environment.build(version), dags=dags, users=users, settings=settings)
