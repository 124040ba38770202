"""The whole house on Airflow's own database: the way in of the web server and of the command line."""

from __future__ import annotations

from airflow import settings as airflow_settings

from airflow_package_manager import settings, wiring
from airflow_package_manager.errors import StoreUnavailable
from airflow_package_manager.plugin import airflow_checks, audit_log, executors, metrics
from airflow_package_manager.plugin.facts import AirflowDatabaseFacts


def build(*, drive: bool = True) -> wiring.Application:
    """Return the application; without `drive` this process never drives what it accepts, another one does.

    Raises `InvalidSetting`, `StoreUnavailable`, `DatabaseBusy`.
    """
    engine = airflow_settings.engine
    if engine is None:
        raise StoreUnavailable(
            "Airflow has no database engine in this process.", next_action="Run 'airflow db migrate'."
        )
    found = settings.load()
    return wiring.build(
        settings=found,
        engine=engine,
        facts=AirflowDatabaseFacts(),
        mirror=audit_log.mirror,
        on_finished={"metrics": metrics.count},
        executors=executors.configured(),
        further_checks=lambda: airflow_checks.checks(found),
        drive=drive,
    )
