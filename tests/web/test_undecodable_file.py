"""A requirements.txt that is not UTF-8: every address still answers, and what it answers is UTF-8."""

from __future__ import annotations

import json

from tests.web.house import PREFIX, House, as_, changing

TEXT = b"six==1.16.0  # caf\xe9\n".decode("utf-8", "surrogateescape")
SHOWN = "six==1.16.0  # caf\ufffd\n"


def test_the_file_and_an_operation_on_it_can_be_read(house: House) -> None:
    house.store.edit(TEXT)
    reply = house.client.get(PREFIX + "requirements", as_("admin"))
    assert reply.status == 200, reply.text
    assert reply.json()["text"] == SHOWN
    assert reply.json()["kept_lines"] == []

    body = {"changes": [{"action": "add", "requirement": "tomli>=2"}]}
    created = house.client.post(PREFIX + "operations", changing("admin"), body)
    assert created.status == 202, created.text
    operation = created.json()["operation"]["id"]
    plan = house.planned(operation)
    shown = house.client.get(f"{PREFIX}operations/{operation}", as_("admin"))
    assert shown.status == 200, shown.text
    assert shown.json()["plan"]["base_text"] == SHOWN
    assert "caf\ufffd" in shown.json()["plan"]["difference"]
    token = created.json()["token"]
    applied = house.client.post(
        f"{PREFIX}operations/{operation}/apply", changing("admin"), {"token": token, "digest": plan.digest()}
    )
    assert applied.status == 202, applied.text
    house.ended(operation)
    assert house.store.peek().text == TEXT + "tomli>=2\n"
    for path in ("packages", "revisions", "revisions/1", "operations", "events", f"operations/{operation}/events"):
        reply = house.client.get(PREFIX + path, as_("admin"))
        assert reply.status == 200, reply.text
        assert json.dumps(reply.json(), ensure_ascii=False).encode("utf-8")


def test_a_stale_plan_shows_the_difference(house: House) -> None:
    body = {"changes": [{"action": "add", "requirement": "tomli>=2"}]}
    created = house.client.post(PREFIX + "operations", changing("admin"), body).json()
    operation = created["operation"]["id"]
    plan = house.planned(operation)
    house.store.edit(TEXT)
    reply = house.client.post(
        f"{PREFIX}operations/{operation}/apply",
        changing("admin"),
        {"token": created["token"], "digest": plan.digest()},
    )
    assert (reply.status, reply.json()["code"]) == (409, "stale-plan")
    assert "caf\ufffd" in reply.json()["difference"]
