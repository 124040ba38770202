"""Every scenario, driven by the whole application on a real API server."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from airflow_package_manager.adapters.kubernetes.connection import Answer
from airflow_package_manager.domain.operation import Operation, State
from testenv.cluster import Cluster
from tests.cluster import hands
from tests.cluster.at_once import ALL_IN_ONE, AtOnce, selected
from tests.cluster.hands import Hand
from tests.cluster.line import Hear, silent
from tests.cluster.preparing import LOCK_MAP, TEXT_MAP, Base, Preparations, eventually
from tests.cluster.scenarios import BASE, SCENARIOS, TARGET, Scenario
from tests.cluster.trial import CHECKS, Trial, Works, trial
from tests.cluster.workloads import Object

pytestmark = ALL_IN_ONE

ORDINARY: Mapping[str, Works] = {"scheduler": Works(), "triggerer": Works("StatefulSet", 1)}
ORDER = ("scheduler", "worker", "triggerer")
HASTY = {"install_timeout": "15", "ready_timeout": "15", "preflight_timeout": "30"}


@pytest.fixture(scope="module")
def ends(
    request: pytest.FixtureRequest,
    cluster: Cluster,
    preparations: Preparations,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[AtOnce]:
    def run(name: str) -> None:
        happens(cluster, preparations, tmp_path_factory.mktemp("scenario") / "home", SCENARIOS[name])

    together = [name for name in selected(request, "name") if not SCENARIOS[name].alone]
    made = AtOnce(run, together)
    yield made
    made.close()


@pytest.mark.parametrize("name", [name for name, one in SCENARIOS.items() if not one.alone])
def test_it_ends_as_it_must(ends: AtOnce, name: str) -> None:
    ends.result(name)


@pytest.mark.parametrize("alone", [name for name, one in SCENARIOS.items() if one.alone])
def test_it_ends_as_it_must_alone(cluster: Cluster, preparations: Preparations, tmp_path: Path, alone: str) -> None:
    if cluster.control is None:
        pytest.skip("the API server is not ours to stop")
    happens(cluster, preparations, tmp_path / "home", SCENARIOS[alone])


def happens(cluster: Cluster, preparations: Preparations, home: Path, scenario: Scenario) -> None:
    works = {**ORDINARY, **scenario.others, "worker": scenario.worker}
    prepared = preparations.get(scenario.base, *ORDER)
    short = scenario.line == "short-lived"

    def account(namespace: str) -> Path:
        return hands.short_lived_account(cluster, namespace) if short else cluster.kubeconfig

    present, times = (
        {name: works[name] for name in ORDER},
        {"soak": str(scenario.soak), **(HASTY if scenario.hasty else {})},
    )
    with trial(cluster, home, prepared, present, kubeconfig=account, **times) as one:
        before = one.pods()
        if scenario.first is not None:
            scenario.first(one)
        met = Met(one, scenario)
        with one.application(met) as (app, _):
            ended = app.driver.run(prepared.operation.id)
        assert met.left == [], f"nobody acted at this moment; it ended {ended.state.value}: {ended.problem}"
        require(one, scenario, ended, before, met.check)


class Met:
    """Lets each hand act at its moment, once; what it raises is raised in the end."""

    def __init__(self, one: Trial, scenario: Scenario) -> None:
        self._one = one
        self._hands: dict[str, Hand] = dict(scenario.hands)
        lines: Mapping[str, Hear] = {"conflicts": hands.conflicts, "cuts": hands.Cuts()}
        self._line = lines.get(scenario.line, silent)
        self._guard = threading.Lock()
        self.check: list[Object] = []
        """The statuses of the check's pods when it was ended: what to look at when it did not end well."""

    @property
    def left(self) -> list[str]:
        return list(self._hands)

    def __call__(self, moment: str) -> Answer | None:
        with self._guard:
            hand = self._hands.pop(moment, None)
        if hand is not None:
            hand(self._one)
        if moment.startswith("before delete jobs/"):
            self.check = [
                pod["status"] for pod in self._one.admin.items(self._one.inside("pods"), labelSelector=CHECKS)
            ]
        return self._line(moment)


def require(
    one: Trial, scenario: Scenario, ended: Operation, before: Mapping[str, str], check: Sequence[Object]
) -> None:
    """Assert that it ended as the scenario says."""
    problem = dict(ended.problem or {})
    assert (ended.state, problem.get("code")) == (scenario.state, scenario.code), f"{problem} {check}"
    assert scenario.says in str(problem), problem
    assert tuple(one.seen) == scenario.seen
    good, prepared = scenario.state is State.SUCCEEDED, one.prepared
    stamp = prepared.revision if good else prepared.stamp
    stamps = {name: scenario.stamps.get(name, stamp) for name in ORDER if name not in scenario.gone}
    assert one.stamps() == stamps
    require_stored(one, scenario)
    eventually(lambda: one.checks() == [], "the end of the check")
    if scenario.settles:
        one.settled()
    after = one.pods()
    for name in scenario.keeps:
        kept = {
            pod: uid for pod, uid in before.items() if pod == name or (name in ORDER and pod.startswith(f"{name}-"))
        }
        assert kept
        assert {pod: after.get(pod) for pod in kept} == kept, name
    if good and scenario.settles:
        assert not set(before.values()) & set(after.values())
    with one.application() as (app, _):
        assert app.driver._repository.active() is None
        events = app.manager._events.of_operation(ended.id, after=0, limit=1000)
    assert (ended.holder, ended.lease_until) == (None, None)
    for component, words in scenario.verified.items():
        assert [event for event in events if event.component == component and words in event.message], events


def require_stored(one: Trial, scenario: Scenario) -> None:
    good, prepared = scenario.state is State.SUCCEEDED, one.prepared
    base, target = prepared.texts
    wanted = TARGET if good else scenario.text
    text = {BASE: base, TARGET: target}.get(wanted or "", wanted)
    found = one.data(TEXT_MAP)
    if scenario.base is Base.NOTHING and text == "" and found is None:
        found = {"requirements.txt": ""}
    assert found == (None if text is None else {"requirements.txt": text})
    before = {"current", "lock.1"} if scenario.base is Base.INSTALLED else set[str]()
    new = f"lock.{prepared.revision}"
    keys = {BASE: before, TARGET: {new}}
    if good:
        locks: set[str] | None = {"current", new}
    else:
        locks = None if scenario.locks is None else set[str]().union(*(keys[name] for name in scenario.locks))
    stored = one.data(LOCK_MAP)
    assert (None if stored is None else set(stored)) == locks
    if stored and "current" in stored:
        assert stored["current"] == str(prepared.revision if good else 1)
