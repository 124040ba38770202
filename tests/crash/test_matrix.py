"""Kill -9 at every step of the state machine: of the driver, of the web server that hosts it, of a supervisor."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from tests.crash.accident import MYSELF
from tests.crash.conftest import MakeWorld
from tests.crash.world import World, eventually, kinds

TWO = ("scheduler", "api-server")
FORWARD = (
    "before ACCEPTED write lock",
    "after ACCEPTED write lock",
    "before ACCEPTED save PREFLIGHT",
    "after ACCEPTED save PREFLIGHT",
    "before PREFLIGHT start check",
    "after PREFLIGHT start check",
    "before PREFLIGHT write text",
    "after PREFLIGHT write text",
    "before PREFLIGHT save ROLLING_OUT",
    "after PREFLIGHT save ROLLING_OUT",
    "after ROLLING_OUT end check",
    "before ROLLING_OUT restart scheduler",
    "after ROLLING_OUT restart scheduler",
    "before ROLLING_OUT save component.current",
    "before ROLLING_OUT restart api-server",
    "after ROLLING_OUT restart api-server",
    "before ROLLING_OUT save VERIFYING",
    "after ROLLING_OUT save VERIFYING",
    "before VERIFYING write current",
    "before VERIFYING save SUCCEEDED",
)
BACK = (
    "after ROLLING_OUT save ROLLING_BACK",
    "before ROLLING_BACK write text",
    "after ROLLING_BACK write text",
    "before ROLLING_BACK restore api-server",
    "after ROLLING_BACK restore api-server",
    "after ROLLING_BACK restore scheduler",
    "before ROLLING_BACK write lock",
    "after ROLLING_BACK write lock",
    "before ROLLING_BACK save ROLLED_BACK",
)
AS_HOST = (*FORWARD[1::3], FORWARD[15], BACK[2], BACK[5])
TOO_LATE_TO_CANCEL = {"before VERIFYING save SUCCEEDED": "SUCCEEDED"}
CANCELLED = {
    "before ACCEPTED write lock": "CANCELLED",
    "after ACCEPTED write lock": "CANCELLED",
    "after ACCEPTED save PREFLIGHT": "ROLLED_BACK",
    "after PREFLIGHT start check": "ROLLED_BACK",
    "after PREFLIGHT write text": "ROLLED_BACK",
    "before ROLLING_OUT restart scheduler": "ROLLED_BACK",
    "after ROLLING_OUT restart scheduler": "ROLLED_BACK",
    "before ROLLING_OUT save VERIFYING": "ROLLED_BACK",
    "after ROLLING_OUT save VERIFYING": "ROLLED_BACK",
    **TOO_LATE_TO_CANCEL,
}
UNDER_SUPERVISORS = ("after ACCEPTED write lock", "after PREFLIGHT write text", *FORWARD[10:14], *FORWARD[15:20:2])


def change(world: World) -> str:
    """Return the next change: the package goes from one version to the other, so every case has sites to move."""
    return "update good-package==" + ("1.1" if "good-package==1.0" in world.requirements() else "1.0")


def world_with_a_package(make_world: MakeWorld, name: str, *, web_drives: bool = False, soak: float = 0.3) -> World:
    """Return a machine that carries a revision already, so there is something to lose."""
    world = make_world(name, components=TWO, configured=True, web_drives=web_drives, soak=soak)
    if world.requirements() == "":
        accepted = world.accepted("add good-package==1.0")
        ended = world.told("resume", id=accepted["id"])
        assert ended["state"] == "SUCCEEDED", ended["problem"]
        world.require_clean(ended)
    return world


def ended(world: World, operation_id: str, *, by: str) -> dict[str, Any]:
    """Return the operation after a resume, or after asking for its progress."""
    arguments = {"who": "admin"} if by == "progress" else {}
    found: dict[str, Any] = world.told(by, id=operation_id, **arguments)
    return found


def test_the_matrix_knows_every_effect_and_every_state(make_world: MakeWorld) -> None:
    world = world_with_a_package(make_world, "back", soak=2.0)
    for moments, wanted in ((FORWARD, change(world)), (BACK, "add breaks-api-server")):
        known = {moment.partition(" ")[2] for moment in (*FORWARD, *moments)}
        effects = world.done(wanted)["effects"]
        # What is saved within a state is looked at by dying at the effect before it or after it.
        steps = [effect for effect in effects if " save " not in effect or effect.split(" ")[-1].isupper()]
        assert set(steps) <= known
        assert {moment.partition(" ")[2] for moment in moments} <= set(effects)
    world.broken = False


@pytest.mark.parametrize(("number", "moment"), list(enumerate(FORWARD)), ids=FORWARD)
def test_the_driver_dies_going_forward(make_world: MakeWorld, number: int, moment: str) -> None:
    world = world_with_a_package(make_world, "driver")
    planned = world.accepted(change(world))
    world.order(moment, MYSELF)
    answer = world.ask("drive", id=planned["id"])
    assert answer == {"died": signal.SIGKILL}, answer["is"]["problem"]
    assert world.told("look", id=planned["id"])["leased"]
    found = ended(world, planned["id"], by=("resume", "progress")[number % 2])
    assert found["state"] == "SUCCEEDED", found["problem"]
    world.require_clean(found)
    said = kinds(found)
    assert said.count("operation.succeeded") == 1
    world.broken = False


@pytest.mark.parametrize(("number", "moment"), list(enumerate(BACK)), ids=BACK)
def test_the_driver_dies_going_back(make_world: MakeWorld, number: int, moment: str) -> None:
    world = world_with_a_package(make_world, "back", soak=2.0)
    before = world.stored()
    planned = world.accepted("add breaks-api-server")
    world.order(moment, MYSELF)
    answer = world.ask("drive", id=planned["id"])
    assert answer == {"died": signal.SIGKILL}, answer["is"]["problem"]
    found = ended(world, planned["id"], by=("progress", "resume")[number % 2])
    assert found["state"] == "ROLLED_BACK", found["problem"]
    assert found["problem"]["code"] == "component-failed"
    world.require_clean(found)
    assert texts_and_locks(world) == {path: text for path, text in before.items() if not path.endswith("stamp")}
    world.broken = False


@pytest.mark.parametrize("moment", AS_HOST)
def test_the_web_server_that_hosts_the_driver_dies(make_world: MakeWorld, moment: str) -> None:
    world = world_with_a_package(make_world, "host", web_drives=True, soak=0.6)
    going_back = "ROLLING_BACK" in moment
    planned = world.plan("add breaks-scheduler" if going_back else change(world))
    world.order(moment, MYSELF)
    assert world.apply(planned)["is"]["state"] == "ACCEPTED"
    eventually(world.accident, moment)
    found = world.ended(planned)
    # Dead on a site on which it was not proven yet, it goes back by itself, and everything with it.
    assert found["state"] in ({"ROLLED_BACK"} if going_back else {"SUCCEEDED", "ROLLED_BACK"}), found["problem"]
    if found["state"] == "ROLLED_BACK":
        assert found["problem"]["code"] == "component-failed"
        assert found["problem"]["component"] == ("scheduler" if going_back else "api-server")
    world.require_clean(found)
    world.broken = False


@pytest.mark.parametrize("component", TWO)
@pytest.mark.parametrize("moment", UNDER_SUPERVISORS)
def test_a_supervisor_dies(make_world: MakeWorld, moment: str, component: str) -> None:
    world = world_with_a_package(make_world, "driver")
    killed = world.supervisor(component)
    starts = len(world.starts(component))
    base = world.starts(component)[-1].site
    planned = world.accepted(change(world))
    world.order(moment, component)
    found = world.told("drive", id=planned["id"])
    accident = world.accident()
    assert accident is not None
    assert found["state"] == "SUCCEEDED", found["problem"]
    world.require_clean(found)
    assert world.supervisor(component) != killed
    target = found["lock_digest"]
    sites = [start.site for start in world.starts(component)[starts:]]
    # The supervisor that comes next starts on the lock of the stamp, as it was when the first one died.
    if accident["stamp"] == found["revision"]:
        assert sites in ([target], [target, target])
    else:
        assert sites == [base, target]
    world.broken = False


@pytest.mark.parametrize("component", TWO)
@pytest.mark.parametrize("moment", BACK)
def test_a_supervisor_dies_while_it_goes_back(make_world: MakeWorld, moment: str, component: str) -> None:
    world = world_with_a_package(make_world, "back", soak=2.0)
    before, killed = world.stored(), world.supervisor(component)
    planned = world.accepted("add breaks-api-server")
    world.order(moment, component)
    found = world.told("drive", id=planned["id"])
    assert world.accident() is not None
    assert found["state"] == "ROLLED_BACK", found["problem"]
    assert found["problem"]["code"] == "component-failed"
    world.require_clean(found)
    assert world.supervisor(component) != killed
    assert texts_and_locks(world) == {path: text for path, text in before.items() if not path.endswith("stamp")}
    world.broken = False


@pytest.mark.parametrize(("moment", "end"), list(CANCELLED.items()), ids=CANCELLED)
def test_it_is_cancelled_where_the_driver_died(make_world: MakeWorld, moment: str, end: str) -> None:
    world = world_with_a_package(make_world, "driver")
    before = world.stored()
    planned = world.accepted(change(world))
    world.order(moment, MYSELF)
    assert world.ask("drive", id=planned["id"]) == {"died": signal.SIGKILL}
    asked = world.told("cancel", who="admin", id=planned["id"])
    assert asked["state"] not in {"SUCCEEDED", "CANCELLED"}
    found = ended(world, planned["id"], by="resume")
    assert found["state"] == end, found["problem"]
    world.require_clean(found)
    if moment not in TOO_LATE_TO_CANCEL:
        assert (found["problem"] or {"code": "cancelled"})["code"] == "cancelled"
        assert texts_and_locks(world) == {path: text for path, text in before.items() if not path.endswith("stamp")}
    world.broken = False


def test_what_goes_back_already_is_not_cancelled_any_more(make_world: MakeWorld) -> None:
    world = world_with_a_package(make_world, "back", soak=2.0)
    planned = world.accepted("add breaks-api-server")
    world.order("before ROLLING_BACK write text", MYSELF)
    assert world.ask("drive", id=planned["id"]) == {"died": signal.SIGKILL}
    refused = world.ask("cancel", who="admin", id=planned["id"])
    assert refused["problem"]["code"] == "illegal-transition"
    found = ended(world, planned["id"], by="resume")
    assert (found["state"], found["problem"]["code"]) == ("ROLLED_BACK", "component-failed")
    world.require_clean(found)
    world.broken = False


def texts_and_locks(world: World) -> dict[str, bytes]:
    return {path: content for path, content in world.stored().items() if not path.endswith("stamp")}
