"""What Airflow itself knows: heartbeats, import errors, running tasks. One short session each, nothing written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import TypeVar

from airflow.jobs.job import Job, JobState
from airflow.models.dag import DagModel
from airflow.models.errors import ParseImportError
from airflow.models.taskinstance import TaskInstance
from airflow.utils.session import create_session
from airflow.utils.state import TaskInstanceState
from sqlalchemy import func, null, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from airflow_package_manager.domain.components import DAG_PROCESSOR, SCHEDULER, TRIGGERER, WORKER
from airflow_package_manager.domain.facts import Heartbeat, ImportFailure
from airflow_package_manager.errors import DatabaseBusy
from airflow_package_manager.plugin.celery_workers import CeleryWorkers

JOB_TYPES: Mapping[str, str] = {
    SCHEDULER: "SchedulerJob",
    TRIGGERER: "TriggererJob",
    DAG_PROCESSOR: "DagProcessorJob",
}
"""Components that keep a heartbeat in the database; the api-server keeps none, and Celery knows its workers."""
MAXIMUM_ERRORS = 1_000
MAXIMUM_MESSAGE = 4_000
"""Characters of one trace: its end, where the cause stands."""

_BUNDLED = hasattr(DagModel, "bundle_name")
"""Airflow 3 names a file by its bundle and the path there, Airflow 2 by its whole path."""
_ERROR_BUNDLE = ParseImportError.bundle_name if _BUNDLED else null()
_FILE = (DagModel.bundle_name, DagModel.relative_fileloc) if _BUNDLED else (DagModel.fileloc,)
_LIVE = DagModel.is_stale.is_(False) if _BUNDLED else DagModel.is_active.is_(True)

Found = TypeVar("Found")


class AirflowDatabaseFacts:
    """Implements `ports.AirflowFacts`; raises `DatabaseBusy` when the database does not answer."""

    def __init__(self) -> None:
        self._workers = CeleryWorkers()

    def heartbeats(self, component: str, instances: int) -> tuple[Heartbeat, ...] | None:
        """Return the component's running jobs, None where Airflow keeps no heartbeat for it."""
        if component == WORKER:
            return self._workers.heartbeats(instances)
        job_type = JOB_TYPES.get(component)
        if job_type is None:
            return None
        wanted = select(Job.hostname, Job.latest_heartbeat, Job.start_date).where(
            Job.job_type == job_type, Job.state == JobState.RUNNING
        )
        return _read(
            lambda session: tuple(
                Heartbeat(host or "", beat.timestamp(), started.timestamp())
                for host, beat, started in session.execute(wanted)
                if beat is not None and started is not None
            )
        )

    def import_errors(self) -> tuple[ImportFailure, ...]:
        """Return the DAG files that cannot be imported, by bundle, where there are bundles, and path."""
        wanted = (
            select(
                _ERROR_BUNDLE,
                ParseImportError.filename,
                ParseImportError.timestamp,
                ParseImportError.stacktrace,
            )
            .order_by(ParseImportError.id)
            .limit(MAXIMUM_ERRORS)
        )
        return _read(
            lambda session: tuple(
                ImportFailure(
                    "/".join(part for part in (bundle, name) if part),
                    at.timestamp() if at else 0.0,
                    (trace or "")[-MAXIMUM_MESSAGE:],
                )
                for bundle, name, at, trace in session.execute(wanted)
            )
        )

    def unparsed_files(self, since: float) -> int:
        """Return how many files were parsed before `since` (Unix seconds) only; one that fails is parsed too.

        A file that cannot be imported leaves its DAGs as they were, and its time in the table of errors.
        """
        then = datetime.fromtimestamp(since, tz=timezone.utc)
        dags = select(*_FILE).where(_LIVE, DagModel.has_import_errors.is_(False), DagModel.last_parsed_time < then)
        failed = select(func.count()).select_from(ParseImportError).where(ParseImportError.timestamp < then)
        files = select(func.count()).select_from(dags.distinct().subquery())
        return _read(lambda session: int(session.scalar(files) or 0) + int(session.scalar(failed) or 0))

    def running_tasks(self) -> int:
        """Return how many task instances run now."""
        wanted = select(func.count()).where(TaskInstance.state == TaskInstanceState.RUNNING)
        return _read(lambda session: int(session.scalar(wanted) or 0))


def _read(query: Callable[[Session], Found]) -> Found:
    try:
        with create_session() as session:
            return query(session)
    except SQLAlchemyError as error:
        raise DatabaseBusy(f"Airflow's database did not answer ({type(error).__name__}).") from error
