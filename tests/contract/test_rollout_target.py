"""What every `RolloutTarget` does: the fake, and real supervisors with light children."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Protocol

import pytest

from airflow_package_manager.adapters.local.process_rollout import ProcessRollout
from airflow_package_manager.domain.rollout import ComponentStatus, Status
from airflow_package_manager.errors import StampConflict
from airflow_package_manager.ports import RolloutTarget
from airflow_package_manager.refusals import NoComponents
from tests.cluster.installation import Installation
from tests.fakes.clock import ManualClock
from tests.fakes.store import MemoryStore
from tests.fakes.target import Behaviour, FakeTarget
from tests.supervisor.house import House, lock_of


class World(Protocol):
    """A target with the components triggerer and dag-processor, both running on `lock.1`, the current one."""

    target: RolloutTarget

    def lock(self, revision: int, *, name: str | None = None, behaviour: Behaviour = Behaviour.READY) -> str:
        """Put a lock there, with what the triggerer does with it; return its digest."""
        ...

    def named(self, *components: str) -> RolloutTarget:
        """The same target where the settings name components."""
        ...

    def wait(self) -> None:
        """Let a moment pass."""
        ...


@dataclass
class FakeWorld:
    clock: ManualClock = field(default_factory=ManualClock)
    store: MemoryStore = field(default_factory=MemoryStore)

    def __post_init__(self) -> None:
        self.store.set_lock(1, lock_of(1, "package-1").render())
        self.fake = FakeTarget(self.store.peek, self.clock, ("triggerer", "dag-processor"))
        self.target: RolloutTarget = self.fake
        for component in self.fake.components():
            self.fake.stamp_by_hand(component, None)
            self.fake._components[component].good = [lock_of(1, "package-1").digest()]
        self.clock.advance(60)

    def lock(self, revision: int, *, name: str | None = None, behaviour: Behaviour = Behaviour.READY) -> str:
        lock = lock_of(revision, name or f"package-{revision}")
        self.store.set_lock(revision, lock.render(), current=False)
        self.fake.misbehave("triggerer", behaviour)
        return lock.digest()

    def named(self, *components: str) -> RolloutTarget:
        return FakeTarget(self.store.peek, self.clock, ("triggerer", "dag-processor"), named=components)

    def wait(self) -> None:
        self.clock.advance(0.5)


class RealWorld:
    WORDS: ClassVar = {Behaviour.READY: "", Behaviour.INSTALL_FAILS: "fail", Behaviour.FALLS_BACK: "exit=3"}

    def __init__(self, house: House) -> None:
        self.house = house
        self.target: RolloutTarget = self.named()
        digest = house.lock(1, current=True)
        for component in ("triggerer", "dag-processor"):
            house.supervise(component)
        for component in ("triggerer", "dag-processor"):
            house.ready_and_remembered(digest, component)

    def lock(self, revision: int, *, name: str | None = None, behaviour: Behaviour = Behaviour.READY) -> str:
        return self.house.lock(revision, self.WORDS[behaviour], name=name)

    def named(self, *components: str) -> RolloutTarget:
        return ProcessRollout(
            self.house.directory, clock=time.time, named=components, preflight_timeout=20, install_timeout=20
        )

    def wait(self) -> None:
        time.sleep(0.05)


class ClusterWorld:
    OUTCOMES: ClassVar = {
        Behaviour.READY: "ok",
        Behaviour.INSTALL_FAILS: "fail-install",
        Behaviour.FALLS_BACK: "crash-at-start",
    }

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.target: RolloutTarget = installation.target
        for component in ("triggerer", "dag-processor"):
            installation.make("deployment", component)
        for component in ("triggerer", "dag-processor"):
            installation.current(component)

    def lock(self, revision: int, *, name: str | None = None, behaviour: Behaviour = Behaviour.READY) -> str:
        words = self.installation.scripted(revision, self.OUTCOMES[behaviour], name=name)
        self.installation.admin.request(
            "PATCH",
            self.installation.path("deployment", "triggerer"),
            {"spec": {"template": {"metadata": {"annotations": words}}}},
        )
        self.installation.current()
        return lock_of(revision, name or f"package-{revision}").digest()

    def named(self, *components: str) -> RolloutTarget:
        return self.installation.named(*components)

    def wait(self) -> None:
        time.sleep(0.1)


@pytest.fixture(params=["fake", "processes", pytest.param("kubernetes", marks=pytest.mark.cluster)])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    if request.param == "fake":
        yield FakeWorld()
        return
    if request.param == "kubernetes":
        installation = Installation(request.getfixturevalue("cluster"), request.getfixturevalue("namespace"))
        try:
            yield ClusterWorld(installation)
        finally:
            installation.close()
        return
    house = House(tmp_path)
    try:
        yield RealWorld(house)
    finally:
        house.close()


def until(
    world: World, wanted: str | None, enough: Callable[[ComponentStatus], bool], component: str = "triggerer"
) -> ComponentStatus:
    for _ in range(300):
        found = world.target.observe(component, wanted)
        if enough(found):
            return found
        world.wait()
    raise AssertionError(f"it stayed {found}")


def current(found: ComponentStatus) -> bool:
    return found.status is Status.CURRENT


def restart(world: World, revision: int) -> None:
    world.target.restart("triggerer", revision, world.target.stamp("triggerer").version)


def test_components_are_those_that_are_there(world: World) -> None:
    assert sorted(world.target.components()) == ["dag-processor", "triggerer"]
    assert world.named("triggerer").components() == ("triggerer",)


def test_a_named_but_absent_component_is_refused(world: World) -> None:
    with pytest.raises(NoComponents) as caught:
        world.named("triggerer", "worker").components()
    assert caught.value.context["components"] == ["worker"]


def test_an_unknown_component_is_refused(world: World) -> None:
    with pytest.raises(NoComponents):
        world.target.stamp("worker")
    with pytest.raises(NoComponents):
        world.target.observe("worker", None)


def test_nothing_is_stamped_at_first_and_all_is_current(world: World) -> None:
    assert world.target.stamp("triggerer").revision is None
    found = until(world, None, current)
    assert [instance.status for instance in found.instances] == [Status.CURRENT]
    assert found.instances[0].lock_digest == lock_of(1, "package-1").digest()
    assert found.instances[0].alive


def test_a_restart_ends_current_on_the_wanted_lock(world: World) -> None:
    digest = world.lock(2)
    world.target.check_restart("triggerer")
    before = world.target.stamp("triggerer")
    world.target.restart("triggerer", 2, before.version)
    assert world.target.observe("triggerer", digest).status is Status.IN_PROGRESS
    stamp = world.target.stamp("triggerer")
    assert stamp.revision == 2
    assert stamp.version != before.version
    found = until(world, digest, current)
    assert found.instances[0].lock_digest == digest
    assert until(world, None, current, "dag-processor").instances[0].lock_digest != digest


def test_a_dry_run_changes_nothing(world: World) -> None:
    before = world.target.stamp("triggerer")
    world.target.check_restart("triggerer")
    world.target.check_preflight()
    world.target.check_preflight()
    assert world.target.stamp("triggerer") == before
    assert world.target.observe_preflight(999_999_999).status is Status.NOT_FOUND


def test_a_template_does_not_depend_on_the_stamp(world: World) -> None:
    world.lock(2)
    before = world.target.stamp("triggerer").template
    restart(world, 2)
    assert world.target.stamp("triggerer").template == before


def test_how_to_stamp_by_hand_can_be_said_without_touching_anything(world: World) -> None:
    before = world.target.stamp("triggerer")
    commands = {world.target.by_hand("triggerer", stamp) for stamp in (None, 1, 2)}
    assert len(commands) == 3
    assert all("triggerer" in command for command in commands)
    assert world.target.stamp("triggerer") == before
    with pytest.raises(NoComponents):
        world.target.by_hand("worker", 1)


def test_a_stamp_is_conditional(world: World) -> None:
    world.lock(2)
    world.lock(3)
    old = world.target.stamp("triggerer").version
    world.target.restart("triggerer", 2, old)
    with pytest.raises(StampConflict):
        world.target.restart("triggerer", 3, old)
    with pytest.raises(StampConflict):
        world.target.restore("triggerer", None, old)
    assert world.target.stamp("triggerer").revision == 2


def test_the_same_revision_again_is_a_no_op(world: World) -> None:
    digest = world.lock(2)
    restart(world, 2)
    first = until(world, digest, current)
    stamp = world.target.stamp("triggerer")
    world.target.restart("triggerer", 2, stamp.version)
    assert world.target.stamp("triggerer") == stamp
    again = until(world, digest, current)
    assert again.instances[0].restarts == first.instances[0].restarts


def test_another_revision_with_the_same_lock_restarts_nobody(world: World) -> None:
    """Of a cluster it holds for the containers of a pod only: a template that changes makes new pods."""
    digest = world.lock(2, name="same")
    restart(world, 2)
    first = until(world, digest, current)
    assert world.lock(3, name="same") == digest
    restart(world, 3)
    again = until(world, digest, current)
    assert again.instances[0].restarts == first.instances[0].restarts
    assert world.target.stamp("triggerer").revision == 3


@pytest.mark.parametrize("behaviour", [Behaviour.INSTALL_FAILS, Behaviour.FALLS_BACK])
def test_what_cannot_heal_is_failed_for_good(world: World, behaviour: Behaviour) -> None:
    digest = world.lock(2, behaviour=behaviour)
    restart(world, 2)
    found = until(world, digest, lambda found: found.status is Status.FAILED)
    assert found.final
    assert found.message
    assert lock_of(1, "package-1").digest() in {instance.lock_digest for instance in found.instances}
    assert until(world, None, current, "dag-processor")


@pytest.mark.parametrize("behaviour", [Behaviour.READY, Behaviour.INSTALL_FAILS, Behaviour.FALLS_BACK])
def test_restoring_the_previous_stamp_takes_it_back(world: World, behaviour: Behaviour) -> None:
    before = world.target.stamp("triggerer")
    digest = world.lock(2, behaviour=behaviour)
    restart(world, 2)
    until(world, digest, lambda found: found.status in {Status.FAILED, Status.CURRENT})
    world.target.restore("triggerer", before.revision, world.target.stamp("triggerer").version)
    assert world.target.stamp("triggerer").revision == before.revision
    found = until(world, None, current)
    assert found.instances[0].lock_digest == lock_of(1, "package-1").digest()
    world.target.discard_stuck("triggerer")
    assert until(world, None, current)


def test_a_check_that_was_never_started_is_not_found(world: World) -> None:
    assert world.target.observe_preflight(2).status is Status.NOT_FOUND
    world.target.end_preflight(2)
