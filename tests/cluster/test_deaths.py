"""The driver's process is killed before and after every change that it makes, or sleeps through its own adoption.

Whoever adopts the operation ends it cleanly, and who wakes up later changes nothing any more.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

from airflow_package_manager.domain.operation import State
from testenv.cluster import Cluster
from tests.cluster.at_once import ALL_IN_ONE, AtOnce, selected
from tests.cluster.mortal import Processes, ended, goes_on, until_stopped
from tests.cluster.preparing import ADMIN, LOCK_MAP, TEXT_MAP, Base, Preparations, eventually
from tests.cluster.trial import Trial, Works, trial

pytestmark = ALL_IN_ONE

GOOD, BAD = "good", "bad"
WORKS: Mapping[str, Mapping[str, Works]] = {
    GOOD: {"scheduler": Works(), "worker": Works("StatefulSet", 2)},
    BAD: {"scheduler": Works(), "worker": Works("StatefulSet", 2, "fail-install", words={"back_off": "60"})},
}
"""The first operation ever, and a second one that does not work in a worker."""
CHANGES: Mapping[str, tuple[str, ...]] = {
    GOOD: (
        f"create configmaps/{LOCK_MAP}",
        "create jobs/airflow-package-manager-preflight-1",
        f"create configmaps/{TEXT_MAP}",
        "delete jobs/airflow-package-manager-preflight-1",
        "patch deployments/scheduler",
        "patch statefulsets/worker",
        f"patch configmaps/{LOCK_MAP}",
    ),
    BAD: (
        f"patch configmaps/{LOCK_MAP}",
        "create jobs/airflow-package-manager-preflight-2",
        f"patch configmaps/{TEXT_MAP}",
        "delete jobs/airflow-package-manager-preflight-2",
        "patch deployments/scheduler",
        "patch statefulsets/worker",
        f"patch configmaps/{TEXT_MAP} 2",
        "patch statefulsets/worker 2",
        "patch deployments/scheduler 2",
        "delete pods/worker-1",
        f"patch configmaps/{LOCK_MAP} 2",
    ),
}


@dataclass(frozen=True)
class Case:
    """A driver of a kind of operation, and what becomes of it at a moment."""

    kind: str
    moment: str
    fate: signal.Signals

    def __str__(self) -> str:
        word = "killed" if self.fate is signal.SIGKILL else "asleep"
        return f"{self.kind}, {word} {self.moment}"


def _cases() -> Iterator[Case]:
    for kind, changes in CHANGES.items():
        for change in changes:
            yield Case(kind, f"before {change}", signal.SIGKILL)
            yield Case(kind, f"after {change}", signal.SIGKILL)
            yield Case(kind, f"before {change}", signal.SIGSTOP)


CASES = {str(case): case for case in _cases()}


BASES = {GOOD: Base.NOTHING, BAD: Base.INSTALLED}


@pytest.fixture(scope="module")
def ends(
    request: pytest.FixtureRequest,
    cluster: Cluster,
    preparations: Preparations,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[AtOnce]:
    processes = Processes()

    def run(name: str) -> None:
        case = CASES[name]
        home = tmp_path_factory.mktemp("trial") / "home"
        with trial(cluster, home, preparations.get(BASES[case.kind], *WORKS[case.kind]), WORKS[case.kind]) as one:
            (dies if case.fate is signal.SIGKILL else sleeps)(processes, one, case)

    made = AtOnce(run, selected(request, "name"))
    yield made
    made.close()


@pytest.mark.parametrize("kind", list(CHANGES))
def test_these_are_all_changes(
    cluster: Cluster, preparations: Preparations, tmp_path_factory: pytest.TempPathFactory, kind: str
) -> None:
    home = tmp_path_factory.mktemp("trial") / "home"
    with trial(cluster, home, preparations.get(BASES[kind], *WORKS[kind]), WORKS[kind]) as one:
        before = one.pods()
        with one.application() as (app, line):
            app.driver.run(one.prepared.operation.id)
        assert (
            tuple(change for change in line.changes if not change.startswith("delete pods/worker-1 ")) == CHANGES[kind]
        )
        require_clean(one, kind, before)


@pytest.mark.parametrize("name", list(CASES))
def test_whoever_adopts_it_ends_it_cleanly(ends: AtOnce, name: str) -> None:
    ends.result(name)


def dies(processes: Processes, one: Trial, case: Case) -> None:
    before = one.pods()
    driver = processes.driver(one.environ, case.moment, case.fate)
    ended(driver)
    assert driver.exitcode == -signal.SIGKILL, "it never came to its moment"
    processes.adopted(one.environ)
    require_clean(one, case.kind, before)


def sleeps(processes: Processes, one: Trial, case: Case) -> None:
    before = one.pods()
    driver = processes.driver(one.environ, case.moment, case.fate)
    until_stopped(driver)
    try:
        processes.adopted(one.environ)
        require_clean(one, case.kind, before)
        found = one.versions()
    finally:
        goes_on(driver)
    ended(driver)
    assert driver.exitcode == 0, "it stops silently"
    time.sleep(0.5)
    eventually(lambda: one.versions() == found, "nothing being changed by who woke up", seconds=3)
    require_clean(one, case.kind, before)


def require_clean(one: Trial, kind: str, before: Mapping[str, str]) -> None:
    """Assert that it is over, and that nothing of it is left that does not belong there."""
    prepared = one.prepared
    with one.application() as (app, _):
        found = app.manager.operation(ADMIN, prepared.operation.id)
        said = [event.kind for event in app.manager._events.of_operation(found.id, after=0, limit=1000)]
        assert app.driver._repository.active() is None
    assert found.state is {GOOD: State.SUCCEEDED, BAD: State.ROLLED_BACK}[kind], found.problem
    assert (found.holder, found.lease_until) == (None, None)
    assert said.count(f"operation.{found.state.value.lower().replace('_', '-')}") == 1, said
    base, target = prepared.texts
    assert one.data(TEXT_MAP) == {"requirements.txt": target if kind == GOOD else base}
    assert (one.data(LOCK_MAP) or {}).keys() == {"current", "lock.1"}
    assert (one.data(LOCK_MAP) or {})["current"] == "1"
    assert set(one.stamps().values()) == {1}
    eventually(lambda: one.checks() == [], "the end of the check")
    one.settled()
    if kind == GOOD:
        assert not set(one.pods().values()) & set(before.values())
    else:
        assert one.pods()["worker-0"] == before["worker-0"]
