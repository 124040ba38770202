"""Tasks of the KubernetesExecutor in real pods: each installs what is current when it starts; no restart touches it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_package_manager.adapters.kubernetes.stamping import ANNOTATION
from airflow_package_manager.domain import report
from tests.node import task_runs, the_change

if TYPE_CHECKING:
    from testenv.node.airflow import AirflowOnTheNode
    from tests.node.the_change import Added

MISSING = "No module named 'good_package'"


def test_before_a_package_is_there_a_task_that_imports_it_fails(added: Added) -> None:
    found = added.tasks
    assert found.state == "failed"
    assert MISSING in found.failed.log()
    assert the_change.report_of(found.failed_pod).outcome == report.NO_SITE


def test_a_task_that_starts_while_components_restart_has_what_was_current_then(added: Added) -> None:
    state, pod = added.too_early.ended()
    assert state == "failed"
    assert MISSING in added.too_early.log()
    found = the_change.report_of(pod)
    assert (found.outcome, found.revision, found.lock_digest) == (report.NO_SITE, None, None)
    accepted, ended = (added.operation[name][:19] for name in ("accepted_at", "ended_at"))
    assert accepted < pod["metadata"]["creationTimestamp"][:19] < ended


def test_a_task_that_runs_meanwhile_is_not_touched_and_keeps_what_it_started_with(
    on_the_node: AirflowOnTheNode, added: Added
) -> None:
    lasting, before, now = added.tasks.lasting, added.tasks.lasting_pod, added.tasks.lasting.pod()
    assert now is not None
    assert now["metadata"]["uid"] == before["metadata"]["uid"]
    assert now["spec"] == before["spec"]
    (main,) = now["status"]["containerStatuses"]
    assert main["restartCount"] == 0
    assert main["state"]["running"]["startedAt"][:19] <= added.operation["accepted_at"][:19]
    (on_the_node.airflow.home / "logs" / "go-on").touch()
    assert lasting.ended()[0] == "success"
    assert lasting.returned() is False


@pytest.mark.usefixtures("added")
def test_a_task_installs_what_is_current_before_it_runs(on_the_node: AirflowOnTheNode) -> None:
    run = task_runs.start(on_the_node, task_runs.IMPORTS)
    state, pod = run.ended()
    assert state == "success", on_the_node.describe()
    assert str(run.returned()).startswith("/opt/package-manager/sites/")
    assert ANNOTATION not in pod["metadata"]["annotations"]
    assert "ownerReferences" not in pod["metadata"]
    found = the_change.report_of(pod)
    assert found.outcome == report.INSTALLED
    assert found.lock_digest == the_change.digest(on_the_node)
