"""Two people at once, and one with an editor: nobody's work is lost, nobody's token is spent in vain."""

from __future__ import annotations

from tests.crash.conftest import MakeWorld


def test_the_second_apply_names_the_first_and_is_stale_afterwards(make_world: MakeWorld) -> None:
    world = make_world("admins", components=("scheduler",))
    mine, theirs = world.plan("add good-package==1.0"), world.plan("add good-extra", who="other")
    assert world.apply(mine)["is"]["state"] == "ACCEPTED"
    refusal = world.apply(theirs, who="other")["problem"]
    assert refusal["code"] == "operation-in-progress"
    assert (refusal["operation"], refusal["summary"]) == (mine["id"], mine["summary"])
    assert "good-package" in refusal["detail"]

    ended = world.told("drive", id=mine["id"])
    assert ended["state"] == "SUCCEEDED", ended["problem"]
    world.require_clean(ended)
    refusal = world.apply(theirs, who="other")["problem"]
    assert refusal["code"] == "stale-plan"
    assert "+good-package==1.0" in refusal["difference"]
    again = world.ask("look", id=theirs["id"])["is"]
    assert again["state"] == "PLANNED"
    world.broken = False


def test_a_hand_edit_between_plan_and_apply_stays_and_the_token_is_unspent(make_world: MakeWorld) -> None:
    world = make_world("admins", components=("scheduler",))
    planned = world.plan("add good-script")
    requirements = world.directory.requirements
    before = world.requirements()
    edited = before + "# by hand\n"
    requirements.write_text(edited)
    stored = world.stored()
    refusal = world.apply(planned)["problem"]
    assert refusal["code"] == "stale-plan"
    assert "+# by hand" in refusal["difference"]
    assert world.stored() == stored
    assert world.requirements() == edited
    # Once the text is as it was planned for, the same token still works: it was not spent.
    requirements.write_text(before)
    assert world.apply(planned)["is"]["state"] == "ACCEPTED"
    ended = world.told("drive", id=planned["id"])
    assert ended["state"] == "SUCCEEDED", ended["problem"]
    world.require_clean(ended)
    refusal = world.apply(planned)["problem"]
    assert refusal["code"] == "token-used"
    world.broken = False


def test_a_hand_edit_while_it_is_applied_stays_theirs(make_world: MakeWorld) -> None:
    world = make_world("admins", components=("scheduler",))
    planned = world.accepted("add good-plugin")
    edited = world.requirements() + "# by hand\n"
    world.directory.requirements.write_text(edited)
    ended = world.told("drive", id=planned["id"])
    assert ended["state"] == "FAILED"
    assert ended["problem"]["code"] == "stale-plan"
    assert "+# by hand" in ended["problem"]["difference"]
    assert world.requirements() == edited
    assert world.told("active") is None
    assert world.digest(ended["revision"]) == "off"
    world.require_all_good()
    world.broken = False
