"""One database, of Airflow 2.11 and then migrated to 3: what is on record stays, and old tokens are worth nothing."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from testenv import airflow_environment, postgres
from testenv.airflow_home import Airflow
from testenv.package_index import PackageIndexServer
from tests.plugin import machine

_BEFORE = """
import json
from airflow_package_manager.domain.access import Identity, Permission, Principal
from airflow_package_manager.domain.plan import Action, Change, ChangeSet
from airflow_package_manager.plugin.application import build

app = build(drive=False)
admin = Principal(Identity("fab", "1@2026-01-01T00:00:00", "admin"), frozenset(Permission), "192.0.2.1")


def planned(change_set, who=admin):
    made, token = app.manager.plan(who, change_set)
    app.plans.join(120)
    found = app.manager.operation(admin, made.id)
    assert found.state.value == "PLANNED", found.problem
    return found, token


done, token = planned(ChangeSet(requirements="# ours\\n"))
app.manager.apply(admin, done.id, token, done.plan_digest)
done = app.driver.run(done.id)
assert done.state.value == "SUCCEEDED", done.problem
other = Principal(Identity("fab", "2@2026-01-01T00:00:00", "other"), frozenset(Permission), "192.0.2.2")
waiting = [
    (made.id, token, made.plan_digest, who.identity.id)
    for who, change_set in (
        (admin, ChangeSet(changes=(Change(Action.ADD, "good-package"),))),
        (other, ChangeSet(requirements="# theirs\\n")),
    )
    for made, token in [planned(change_set, who)]
]
audit = [[event.kind, event.at] for event in app.manager.events(admin, done.id, after=0, limit=100)]
times = [done.created_at, done.expires_at, done.ended_at]
print(json.dumps({"done": done.id, "waiting": waiting, "audit": audit, "times": times}))
"""
_AFTER = """
import json, sys
from airflow_package_manager.domain.access import Identity, Permission, Principal
from airflow_package_manager.domain.plan import Action, Change, ChangeSet
from airflow_package_manager.errors import PackageManagerError
from airflow_package_manager.plugin.application import build

before = json.load(sys.stdin)
app = build(drive=False)
admin = Principal(Identity("fab", "1@2026-01-01T00:00:00", "admin"), frozenset(Permission), "192.0.2.1")
refused = []
for waiting, token, digest, who in before["waiting"]:
    owner = Principal(Identity("fab", who, "somebody"), frozenset(Permission), "192.0.2.1")
    try:
        refused.append(app.manager.apply(owner, waiting, token, digest).state.value)
    except PackageManagerError as error:
        refused.append([error.code, error.detail])
made, _ = app.manager.plan(admin, ChangeSet(changes=(Change(Action.ADD, "good-package"),)))
app.plans.join(120)
anew = app.manager.operation(admin, made.id)
made, token = app.manager.plan(admin, ChangeSet(requirements="# of Airflow 3\\n"))
app.plans.join(120)
following = app.manager.operation(admin, made.id)
app.manager.apply(admin, following.id, token, following.plan_digest)
following = app.driver.run(following.id)
done = app.manager.operation(admin, before["done"])
waiting = [app.manager.operation(admin, found[0]) for found in before["waiting"]]
print(json.dumps({
    "refused": refused,
    "waiting": [found.state.value for found in waiting],
    "done": [done.state.value, done.revision, done.owner.name, done.plan.proposed_text],
    "revisions": [found.revision for found in app.manager.revisions(admin)],
    "same": {
        "audit": before["audit"]
        == [[event.kind, event.at] for event in app.manager.events(admin, before["done"], after=0, limit=100)],
        "times": before["times"] == [done.created_at, done.expires_at, done.ended_at],
    },
    "following": [following.state.value, following.revision],
    "events": [[event.kind, event.address] for event in app.manager.events(admin, before["done"], after=0, limit=100)],
    "anew": [anew.state.value, anew.problem, anew.plan.lock.image != waiting[0].plan.lock.image],
}))
"""


@dataclass(frozen=True)
class Moved:
    """What Airflow 3 found where Airflow 2.11 was, and those two."""

    found: Mapping[str, Any]
    airflows: tuple[Airflow, ...]


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.every_airflow)])
def database(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """Where it is, as Airflow is told."""
    if request.param == "sqlite":
        yield {}
    else:
        with postgres.server() as server:
            yield {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": server.url()}


@pytest.fixture(scope="module")
def moved(
    tmp_path_factory: pytest.TempPathFactory, package_index: PackageIndexServer, database: dict[str, str]
) -> Moved:
    """What Airflow 3 finds where Airflow 2.11 was."""
    home = tmp_path_factory.mktemp("moved")
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__PACKAGE_MANAGER__SOAK": "1",
        "AIRFLOW__PACKAGE_MANAGER__INDEX_URL": package_index.url,
        **database,
    }
    old, new = (
        Airflow(home, airflow_environment.build(version), 0, {}, {**environ, "AIRFLOW_CONFIG": str(home / version)})
        for version in ("2.11", "3.3")  # each with a file of its own, in which it writes what only it has
    )
    _run(old, "-m", "airflow", "db", "migrate")
    with machine.supervised(old.python, old.environment):
        before = _run(old, "-c", _BEFORE).splitlines()[-1]  # Airflow 2 logs there too
    _run(new, "-m", "airflow", "db", "migrate")
    with machine.supervised(new.python, new.environment):
        found = json.loads(_run(new, "-c", _AFTER, text=before).splitlines()[-1])
    return Moved(found, (old, new))


def test_history_revisions_and_audit_record_stay(moved: Moved) -> None:
    assert moved.found["done"] == ["SUCCEEDED", 1, "admin", "# ours\n"]
    assert moved.found["revisions"] == [2, 1, 0]
    kinds = [kind for kind, _ in moved.found["events"]]
    assert kinds[0] == "plan.requested"
    assert kinds[-1] == "operation.succeeded"
    assert moved.found["events"][0][1] == "192.0.2.1"
    assert moved.found["same"] == {"audit": True, "times": True}


def test_a_token_of_before_is_refused_and_says_why(moved: Moved) -> None:
    assert moved.found["waiting"] == ["PLANNED", "PLANNED"]
    for code, detail in moved.found["refused"]:
        assert code == "stale-plan"
        assert "another version of Airflow" in detail


def test_planning_and_numbering_go_on_with_the_new_image(moved: Moved) -> None:
    assert moved.found["anew"] == ["PLANNED", None, True]
    assert moved.found["following"] == ["SUCCEEDED", 2]


def _run(airflow: Airflow, *arguments: str, text: str = "") -> str:
    command = [str(airflow.python), *arguments]
    ended = subprocess.run(
        command, env=airflow.environment, input=text, capture_output=True, text=True, timeout=300, check=False
    )
    assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr[-4000:]
    return ended.stdout
