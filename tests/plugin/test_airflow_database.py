"""Facts and mirror on the real models of each Airflow, in a fresh process with a database of its own."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from testenv import airflow_environment, airflows

SOURCE = Path(__file__).resolve().parents[2] / "src"
SCRIPT = """
import json, logging, sys
import airflow.models, airflow.models.log, airflow.models.errors, airflow.jobs.job
from airflow import settings
from airflow.models import import_all_models
from airflow.models.base import Base
from airflow.utils.session import create_session
from datetime import datetime, timedelta, timezone

import_all_models()
if airflow.__version__.startswith("2."):
    import airflow.providers.fab.auth_manager.models  # its tables name users
Base.metadata.create_all(settings.engine)
from airflow.jobs.job import Job, JobState
from airflow.models.dag import DagModel
from airflow.models.errors import ParseImportError
from airflow.models.log import Log
from sqlalchemy import select

from airflow_package_manager.domain.access import Identity
from airflow_package_manager.domain.operation import Event, State
from airflow_package_manager.plugin import audit_log
from airflow_package_manager.plugin.facts import AirflowDatabaseFacts

now = datetime(2026, 11, 23, 12, tzinfo=timezone.utc)
with create_session() as session:
    for state, kind in ((JobState.RUNNING, "SchedulerJob"), (JobState.SUCCESS, "SchedulerJob")):
        job = Job()
        job.job_type, job.state, job.hostname, job.latest_heartbeat = kind, state, "one", now
        job.start_date = now - timedelta(minutes=5)
        session.add(job)
    bundled = hasattr(DagModel, "bundle_name")
    bundle = {"bundle_name": "dags"} if bundled else {}
    session.add(ParseImportError(**bundle, filename="a/b.py", timestamp=now, stacktrace="x" * 9000 + "cause"))
    if bundled:
        from airflow.models.dagbundle import DagBundleModel
        session.add(DagBundleModel(name="dags"))
    session.flush()
    for name, minutes, told in (
        ("one", 5, {}), ("two", 5, {}), ("three", -5, {}),
        ("gone", 5, {"is_stale": True}), ("broken", 5, {"has_import_errors": True}),
    ):
        at = now - timedelta(minutes=minutes)
        file = "same.py" if name in ("one", "two") else name + ".py"
        told = {"is_stale": False, "has_import_errors": False, **told}
        if not bundled:
            told["is_active"] = not told.pop("is_stale")
        where = {**bundle, "relative_fileloc": file} if bundled else {"fileloc": "/dags/" + file}
        session.add(DagModel(dag_id=name, last_parsed_time=at, **where, **told))
facts = AirflowDatabaseFacts()

class Lines(logging.Handler):
    seen = []
    def emit(self, record):
        self.seen.append(record.getMessage())

logging.getLogger("airflow_package_manager.audit").addHandler(Lines())
audit_log.log.setLevel(logging.INFO)
audit_log.mirror(Event(
    kind="operation.accepted", at=1.5, message="The plan was accepted:\\nadd \\u2028 six.", address="192.0.2.1",
    identity=Identity("simple", "id-1", "Ada"), operation_id="0" * 32,
    state=State.ACCEPTED, details={"text": "x" * 20000},
))
audit_log.mirror(Event(kind="k" * 80, at=2.0, message="by itself", identity=None, address=None))
with create_session() as session:
    rows = [
        {"event": row.event, "owner": row.owner, "name": row.owner_display_name, "extra": json.loads(row.extra)}
        for row in session.scalars(select(Log).order_by(Log.id))
    ]
errors = facts.import_errors()
print(json.dumps({
    "scheduler": [[beat.host, beat.at, beat.started_at] for beat in facts.heartbeats("scheduler", 1)],
    "triggerer": facts.heartbeats("triggerer", 1),
    "without": [facts.heartbeats("api-server", 1), facts.heartbeats("worker", 1)],
    "errors": [[error.file, error.at, len(error.message), error.message[-5:]] for error in errors],
    "tasks": facts.running_tasks(),
    "unparsed": [facts.unparsed_files(now.timestamp() + seconds) for seconds in (-600, 0, 1, 600)],
    "rows": rows,
    "lines": Lines.seen,
}))
"""
NOON = 1795435200.0


@pytest.fixture(scope="module", params=airflows.PREPARE)
def version(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.fixture(scope="module")
def found(version: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    python = airflow_environment.build(version)
    home = tmp_path_factory.mktemp("airflow")
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(SOURCE), "HOME": str(home), "AIRFLOW_HOME": str(home)}
    ended = subprocess.run(
        [str(python), "-c", SCRIPT], env=environment, capture_output=True, text=True, timeout=180, check=False
    )
    assert ended.returncode == 0, ended.stderr
    values: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return values


def test_only_running_jobs_are_heartbeats_and_some_components_keep_none(found: dict[str, Any]) -> None:
    assert found["scheduler"] == [["one", NOON, NOON - 300]]
    assert found["triggerer"] == []
    assert found["without"] == [None, None]


def test_import_errors_keep_the_end_of_their_trace(found: dict[str, Any], version: str) -> None:
    file = "a/b.py" if version == "2.11" else "dags/a/b.py"
    assert found["errors"] == [[file, NOON, 4000, "cause"]]


def test_a_file_is_parsed_when_its_dags_or_its_error_are_young(found: dict[str, Any]) -> None:
    assert found["unparsed"] == [0, 1, 2, 3]


def test_no_task_runs(found: dict[str, Any]) -> None:
    assert found["tasks"] == 0


def test_an_event_stands_in_airflows_audit_log(found: dict[str, Any]) -> None:
    ours, by_itself = found["rows"]
    assert (ours["event"], ours["owner"], ours["name"]) == ("package_manager.operation.accepted", "id-1", "Ada")
    assert ours["extra"]["address"] == "192.0.2.1"
    assert ours["extra"]["state"] == "ACCEPTED"
    assert "left_out" in ours["extra"]["details"]
    assert (len(by_itself["event"]), by_itself["owner"]) == (60, "package-manager")


def test_an_event_is_one_line_of_the_log(found: dict[str, Any]) -> None:
    line = found["lines"][0]
    assert line.startswith("package-manager-event {")
    assert "\n" not in line
    assert line.isascii()
    assert json.loads(line.removeprefix("package-manager-event "))["principal"] == "Ada"
