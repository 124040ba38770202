"""What the check before a rollout catches touches nothing: same processes, same bytes."""

from __future__ import annotations

import pytest

from tests.crash.conftest import MakeWorld
from tests.crash.world import kinds

CAUGHT = {
    "broken-on-import": "import-failed",
    "exits-on-import": "import-exited",
    "hangs-on-import": "check-timeout",
    "root-pth": "gate",
    "ships-sitecustomize": "gate",
    "overwrites-another": "gate",
}


@pytest.mark.parametrize("name", CAUGHT)
def test_it_catches_what_would_break(make_world: MakeWorld, name: str) -> None:
    world = make_world("check", check_seconds=4)
    if world.requirements() == "":
        first = world.done("add good-package")
        assert first["state"] == "SUCCEEDED", first["problem"]
        world.require_clean(first)
    stored, children, starts = world.stored(), world.children(), world.starts()
    ended = world.done(f"add {name}")
    assert ended["state"] == "ROLLED_BACK"
    assert (ended["problem"]["code"], ended["problem"]["check"]) == ("preflight-failed", CAUGHT[name])
    assert ended["problem"]["detail"]
    world.require_clean(ended)
    assert world.stored() == stored
    assert world.children() == children
    assert world.starts() == starts
    assert "component.restarting" not in kinds(ended)
    assert not any(effect.endswith("write text") for effect in ended["effects"])
    world.broken = False
