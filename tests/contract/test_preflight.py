"""The throw-away check of every `RolloutTarget`: the fake, and a real process of its own."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from airflow_package_manager.adapters.local.process_rollout import ProcessRollout
from airflow_package_manager.domain.lock import Lock, Pin
from airflow_package_manager.domain.rollout import PreflightStatus, Status
from airflow_package_manager.installer import child_record, image, processes
from airflow_package_manager.installer.directory import Directory
from airflow_package_manager.ports import RolloutTarget
from tests.fakes.clock import ManualClock
from tests.fakes.store import MemoryStore
from tests.fakes.target import FakeTarget


def lock_here(revision: int, *, broken: bool = False) -> Lock:
    """Return a lock for this very environment; a broken one names what no index has."""
    pins = (Pin("no-such-distribution-at-all", "1.0", ("c" * 64,)),) if broken else ()
    return Lock(
        python=image.python_tag(),
        platform=image.platform_tag(),
        image=image.fingerprint(),
        requirements="b" * 64,
        pins=pins,
        revision=revision,
    )


class World(Protocol):
    """A target and what a test does to its check."""

    target: RolloutTarget

    def stage(self, revision: int) -> None: ...
    def wait(self) -> None: ...
    def lose(self, revision: int) -> None:
        """The host of the check goes away in the middle of it."""
        ...


@dataclass
class FakeWorld:
    def __post_init__(self) -> None:
        self.clock = ManualClock()
        self.store = MemoryStore()
        self.fake = FakeTarget(self.store.peek, self.clock)
        self.target: RolloutTarget = self.fake

    def stage(self, revision: int) -> None:
        self.store.set_lock(revision, lock_here(revision).render(), current=False)

    def wait(self) -> None:
        self.clock.advance(0.5)

    def lose(self, revision: int) -> None:
        del self.fake.preflights[revision]


class RealWorld:
    def __init__(self, directory: Directory) -> None:
        self.directory = directory
        self.target: RolloutTarget = ProcessRollout(
            directory, clock=time.time, preflight_timeout=60, install_timeout=60
        )

    def stage(self, revision: int) -> None:
        self.directory.write(self.directory.lock(revision), lock_here(revision).render().encode())

    def wait(self) -> None:
        time.sleep(0.1)

    def process(self, revision: int) -> processes.Process:
        record = child_record.read_record(self.directory.preflight_of(revision) / "process")
        assert record is not None
        assert record.child is not None
        return record.child

    def lose(self, revision: int) -> None:
        found = until(lambda: self.process(revision))
        os.kill(found.pid, signal.SIGKILL)
        until(lambda: not processes.is_alive(found))


def until(look: Callable[[], object], seconds: float = 10.0) -> processes.Process:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            found = look()
        except AssertionError:
            found = None
        if found:
            return found  # type: ignore[return-value]
        time.sleep(0.02)
    raise AssertionError("it did not happen in time")


def real_world(root: Path) -> Iterator[RealWorld]:
    directory = Directory(root / "package_manager")
    directory.prepare()
    found = RealWorld(directory)
    try:
        yield found
    finally:
        for folder in directory.preflight.iterdir():
            found.target.end_preflight(int(folder.name))


@pytest.fixture
def real(tmp_path: Path) -> Iterator[RealWorld]:
    yield from real_world(tmp_path)


@pytest.fixture(params=["fake", "processes"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    if request.param == "fake":
        yield FakeWorld()
    else:
        yield from real_world(tmp_path)


def ended(world: World, revision: int) -> PreflightStatus:
    for _ in range(600):
        found = world.target.observe_preflight(revision)
        if found.status is not Status.IN_PROGRESS:
            return found
        world.wait()
    raise AssertionError(f"it stayed {found}")


def test_never_started_is_not_found(world: World) -> None:
    assert world.target.observe_preflight(2).status is Status.NOT_FOUND
    world.target.end_preflight(2)


def test_a_check_passes_and_leaves_nothing(world: World) -> None:
    world.stage(2)
    world.target.start_preflight(2, [])
    assert world.target.observe_preflight(2).status is Status.IN_PROGRESS
    world.target.start_preflight(2, [])
    found = ended(world, 2)
    assert (found.status, found.code) == (Status.CURRENT, None), found
    world.target.end_preflight(2)
    world.target.end_preflight(2)
    assert world.target.observe_preflight(2).status is Status.NOT_FOUND


def test_a_missing_lock_fails_with_its_code(world: World) -> None:
    world.target.start_preflight(2, [])
    found = ended(world, 2)
    assert (found.status, found.code) == (Status.FAILED, "lock-missing")
    world.target.end_preflight(2)


def test_a_lost_check_is_not_found_and_can_be_started_again(world: World) -> None:
    world.stage(2)
    world.target.start_preflight(2, [])
    world.lose(2)
    assert world.target.observe_preflight(2).status is Status.NOT_FOUND
    world.target.start_preflight(2, [])
    assert ended(world, 2).status is Status.CURRENT
    world.target.end_preflight(2)


# --- the process alone ---------------------------------------------------------------------------------------------


def test_it_is_a_process_in_its_own_session_whose_second_start_starts_nothing(real: RealWorld) -> None:
    real.stage(2)
    real.target.start_preflight(2, ["demo"])
    found = until(lambda: real.process(2))
    assert os.getsid(found.pid) == found.pid
    assert found not in processes.descendants(os.getpid())
    real.target.start_preflight(2, ["demo"])
    assert real.process(2) == found
    real.target.end_preflight(2)
    assert not processes.is_alive(found)
    assert list(real.directory.preflight.iterdir()) == []


def test_another_driver_sees_and_ends_it(real: RealWorld) -> None:
    real.stage(2)
    real.target.start_preflight(2, [])
    other = RealWorld(real.directory)
    assert other.target.observe_preflight(2).status is Status.IN_PROGRESS
    other.target.end_preflight(2)
    assert real.target.observe_preflight(2).status is Status.NOT_FOUND


def test_ending_it_ends_what_it_started(real: RealWorld) -> None:
    real.stage(2)
    real.target.start_preflight(2, [])
    found = until(lambda: real.process(2))
    until(lambda: processes.descendants(found.pid), 30)
    below = processes.descendants(found.pid)
    real.target.end_preflight(2)
    assert not [one for one in (found, *below) if processes.is_alive(one)]


@pytest.mark.parametrize("spoil", ["torn", "link"])
def test_a_record_that_is_none_counts_as_lost(real: RealWorld, spoil: str) -> None:
    folder = real.directory.preflight_of(2)
    folder.mkdir()
    if spoil == "torn":
        (folder / "record.json").write_text('{"status": "pas')
    else:
        (folder / "record.json").symlink_to("/etc/hostname")
    assert real.target.observe_preflight(2).status is Status.NOT_FOUND
