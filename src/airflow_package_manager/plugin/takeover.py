"""A scheduler takes over the tasks that go on without the one before it, which handed over to it under our supervisor.

Airflow ends tasks, and starts them anew, that were queued by a scheduler of which it has not heard for half a minute.
These run on, watched by what started them, so all that changes is which scheduler's they are: from then on Airflow
looks after them as after any other, and finds out by itself when one of them dies. Whatever fails here is logged, and
never keeps a scheduler from starting.
"""

from __future__ import annotations

import logging
import os
from typing import Any

from airflow.listeners import hookimpl
from sqlalchemy import event, update

from airflow_package_manager.installer import processes
from airflow_package_manager.installer.handed_over import VARIABLE

_CANNOT = "Tasks of the scheduler before this one cannot be taken over; Airflow will start them anew"

log = logging.getLogger(__name__)


class Takeover:
    """A listener of Airflow's."""

    @hookimpl  # type: ignore[untyped-decorator, unused-ignore]
    def on_starting(self, component: object) -> None:
        """Wait for the scheduler's row, which has no number yet, and is there before the scheduler looks for tasks."""
        try:
            from airflow.jobs.job import Job  # noqa: PLC0415  it imports the listeners

            if isinstance(component, Job) and not event.contains(Job, "after_insert", take_over):
                event.listen(Job, "after_insert", take_over)
        except Exception:
            log.exception(_CANNOT)


def take_over(_mapper: Any, connection: Any, job: Any) -> None:  # noqa: ANN401  SQLAlchemy's, alike in 1.4 and 2
    """Make the running tasks ours that live below our supervisor, or in the session of a scheduler before it."""
    if job.job_type != "SchedulerJob":
        return
    try:
        from airflow.models.taskinstance import TaskInstance  # noqa: PLC0415  same

        wanted = (
            update(TaskInstance)
            .where(
                TaskInstance.state == "running",
                TaskInstance.hostname == job.hostname,
                TaskInstance.pid.in_(_pids()),
            )
            .values(queued_by_job_id=job.id)
            .execution_options(synchronize_session=False)
        )
        with connection.begin_nested():
            taken = connection.execute(wanted).rowcount
    except Exception:
        log.exception(_CANNOT)
    else:
        log.info("Took over %d running tasks of the scheduler before this one", taken)


def _pids() -> list[int]:
    supervisor, *sessions = (int(number) for number in os.environ[VARIABLE].split())
    found = [processes.descendants(supervisor), *(processes.members(session) for session in sessions)]
    return sorted({one.pid for some in found for one in some} - {os.getpid()})
