"""The whole main job with real uv, installer, check and restarts; supervisors as people run them."""

from __future__ import annotations

from tests.crash.conftest import MakeWorld
from tests.crash.machine import ALL
from tests.crash.world import kinds


def test_a_package_is_added_and_removed_again(make_world: MakeWorld) -> None:
    world = make_world("happy", by_command=True, configured=True)
    ended = world.done("add good-with-dependency")
    assert ended["state"] == "SUCCEEDED", ended["problem"]
    assert ended["components"] == list(ALL)
    world.require_clean(ended)
    assert world.requirements() == "good-with-dependency\n"
    site = world.directory.site(ended["lock_digest"])
    assert (site / "good_package.py").is_file()
    assert world.directory.active.resolve() == site.resolve()
    lock = world.directory.read_lock(ended["revision"]) or ""
    assert [line.split(" ")[0] for line in lock.splitlines() if "==" in line and not line.startswith("#")] == [
        "good-package==2.0",
        "good-with-dependency==1.0",
    ]
    assert [start.component for start in world.starts()][-4:] == list(ALL)
    assert kinds(ended)[-3:] == ["component.current", "operation.verifying", "operation.succeeded"]

    removed = world.done("remove good-with-dependency")
    assert removed["state"] == "SUCCEEDED", removed["problem"]
    world.require_clean(removed)
    assert world.requirements() == ""
    assert [start.component for start in world.starts()][-4:] == [
        "dag-processor",
        "triggerer",
        "scheduler",
        "api-server",
    ]
    world.broken = False
