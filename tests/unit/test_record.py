"""The audit record tells before and after, and repeats nobody's secret."""

from __future__ import annotations

import json

from airflow_package_manager.domain.lock import text_digest
from airflow_package_manager.domain.plan import ChangeSet
from tests.fakes.application import ADMIN, Application, add

SECRET = "--extra-index-url https://me:hunter2@packages.example.com/simple\n"


def test_an_accepted_plan_is_recorded_with_before_and_after() -> None:
    app = Application("# mine\n")
    done = app.done(add("humanize==1.0"))
    events = app.manager.events(ADMIN, done.id)
    (accepted,) = (event for event in events if event.kind == "operation.accepted")
    assert accepted.identity == ADMIN.identity
    assert accepted.details["before"]["requirements"] == text_digest("# mine\n")
    assert accepted.details["after"]["requirements"] == text_digest("# mine\nhumanize==1.0\n")
    assert accepted.details["packages"] == {"humanize": [None, "1.0"]}
    assert accepted.details["components"] == ["scheduler", "triggerer", "dag-processor"]


def test_a_whole_file_is_recorded_as_its_digest() -> None:
    app = Application(SECRET)
    found, _ = app.plan(ChangeSet(requirements=SECRET + "humanize==1.0\n"))
    assert found.plan is not None
    events = app.manager.events(ADMIN, found.id)
    assert events[0].details["request"]["requirements"]["lines"] == 2
    assert "hunter2" not in json.dumps([dict(event.details) for event in events])
    assert "hunter2" not in json.dumps([event.message for event in events])
