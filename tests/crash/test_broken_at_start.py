"""A package that breaks one component only when that component starts: everybody comes back by themselves."""

from __future__ import annotations

import pytest

from tests.crash.conftest import MakeWorld
from tests.crash.machine import ALL
from tests.crash.world import World, kinds

HOSTED = "api-server"


def prepared(make_world: MakeWorld, name: str, *, web_drives: bool) -> World:
    world = make_world(name, web_drives=web_drives, soak=1.5)
    if world.requirements() == "":
        first = world.told("resume", id=world.accepted("add good-plugin")["id"])
        assert first["state"] == "SUCCEEDED", first["problem"]
        world.require_clean(first)
    return world


def require_went_back(world: World, broken: str, first_starts: int, children: dict[str, int | None]) -> None:
    """Assert who restarted: those before the broken one and itself, twice each; nobody after it."""
    position = ALL.index(broken)
    started = [start.component for start in world.starts()[first_starts:]]
    assert sorted(started) == sorted(2 * ALL[: position + 1])
    after = world.children()
    assert {name: after[name] for name in ALL[position + 1 :]} == {name: children[name] for name in ALL[position + 1 :]}


@pytest.mark.parametrize("broken", ["scheduler", "triggerer", "api-server"])
def test_a_component_that_breaks_comes_back_with_those_before_it(make_world: MakeWorld, broken: str) -> None:
    world = prepared(make_world, "broken", web_drives=False)
    stored, children, starts = world.stored(), world.children(), len(world.starts())
    ended = world.done(f"add breaks-{broken}")
    assert ended["state"] == "ROLLED_BACK", ended["problem"]
    require_says_why(ended, broken)
    world.require_clean(ended)
    require_went_back(world, broken, starts, children)
    assert without_stamps(world.stored()) == without_stamps(stored)
    world.broken = False


def test_the_api_server_that_runs_the_driver_breaks(make_world: MakeWorld) -> None:
    world = prepared(make_world, "broken-host", web_drives=True)
    stored, children, starts = world.stored(), world.children(), len(world.starts())
    planned = world.plan(f"add breaks-{HOSTED}")
    assert world.apply(planned)["is"]["state"] == "ACCEPTED"
    ended = world.ended(planned)
    assert ended["state"] == "ROLLED_BACK", ended["problem"]
    require_says_why(ended, HOSTED)
    world.require_clean(ended)
    require_went_back(world, HOSTED, starts, children)
    assert without_stamps(world.stored()) == without_stamps(stored)
    world.broken = False


def require_says_why(ended: dict[str, object], broken: str) -> None:
    problem = ended["problem"]
    assert isinstance(problem, dict)
    assert (problem["code"], problem["component"]) == ("component-failed", broken)
    assert "ended with status 3" in problem["detail"]
    said = kinds(ended)
    position = ALL.index(broken)
    assert said.count("component.restarting") == position + 1
    assert said.count("component.restored") == position + 1
    assert said.count("component.current") == position


def without_stamps(stored: dict[str, bytes]) -> dict[str, bytes]:
    """Return what must be byte for byte as before; a stamp's counter grew by two."""
    return {path: content.split(b" ")[0] if path.endswith("stamp") else content for path, content in stored.items()}
