from typing import Any

import pytest

from tests.web.house import PREFIX, TEXT, House, as_, changing

ADD = {"changes": [{"action": "add", "requirement": "tomli >= 2"}]}


def get(house: House, path: str) -> Any:  # noqa: ANN401  that is JSON
    response = house.client.get(PREFIX + path, headers=as_("admin"))
    assert response.status == 200, response.text
    assert response.headers["cache-control"] == "no-store"
    return response.json()


def post(house: House, path: str, body: object, caller: str = "admin") -> tuple[int, Any]:
    response = house.client.post(PREFIX + path, headers=changing(caller), json=body)
    return response.status, response.json()


def plan(house: House, caller: str = "admin") -> tuple[str, str, str]:
    status, created = post(house, "operations", ADD, caller)
    assert status == 202, created
    made = house.planned(created["operation"]["id"])
    return created["operation"]["id"], created["token"], made.digest()


def test_the_session_says_who_i_am(house: House) -> None:
    session = get(house, "session")
    assert session["principal"] == {"auth_manager": "test", "id": "id-admin", "name": "admin"}
    assert session["permissions"] == ["package_manager:apply", "package_manager:plan", "package_manager:read"]
    assert session["csrf"] is None


def test_the_inventory_has_a_row_per_project_and_can_be_filtered(house: House) -> None:
    everything = get(house, "packages")
    assert [row["name"] for row in everything["packages"]] == ["apache-airflow-core", "packaging", "six"]
    assert everything["components"] == ["scheduler", "triggerer", "dag-processor", "api-server"]
    requested = get(house, "packages?scope=requested")["packages"]
    assert [(row["name"], row["requested"]) for row in requested] == [("six", "six==1.16.0")]
    assert [row["name"] for row in get(house, "packages?q=AIR")["packages"]] == ["apache-airflow-core"]


def test_one_project_has_its_releases(house: House) -> None:
    six = get(house, "packages/Six")
    assert six["package"]["name"] == "six"
    assert [release["version"] for release in six["releases"]] == ["1.17.0"]
    assert six["index"] == "index.example.com"


def test_a_project_that_nobody_has_is_refused_by_name(house: House) -> None:
    response = house.client.get(PREFIX + "packages/nope", headers=as_("admin"))
    assert (response.status, response.json()["code"]) == (422, "unknown-project")


def test_the_file_comes_as_it_is(house: House) -> None:
    assert get(house, "requirements")["text"] == TEXT


def test_a_change_is_planned_applied_and_becomes_a_revision(house: House) -> None:
    status, created = post(house, "operations", ADD)
    assert status == 202
    operation, token = created["operation"], created["token"]
    assert (operation["state"], operation["actions"], operation["plan"]) == ("PLANNING", ["cancel"], None)
    house.planned(operation["id"])

    planned = get(house, f"operations/{operation['id']}")
    assert (planned["state"], planned["actions"]) == ("PLANNED", ["apply", "cancel"])
    assert token not in str(planned)
    shown = planned["plan"]
    assert shown["package_changes"][0]["name"] == "tomli"
    assert "+tomli>=2" in shown["difference"]

    status, applied = post(house, f"operations/{operation['id']}/apply", {"token": token, "digest": shown["digest"]})
    assert (status, applied["state"], applied["revision"]) == (202, "ACCEPTED", 1)
    assert house.driven == [operation["id"]]
    assert get(house, "operations")["active"] == operation["id"]
    house.ended(operation["id"])

    done = get(house, f"operations/{operation['id']}")
    assert (done["state"], done["actions"]) == ("SUCCEEDED", [])
    assert {component["stage"] for component in done["components"]} == {"done"}
    newest = get(house, "revisions")["revisions"][0]
    assert (newest["revision"], newest["current"], newest["summary"]) == (1, True, "add tomli>=2")
    detail = get(house, "revisions/1")
    assert detail["text"].endswith("tomli>=2\n")
    assert "# revision: 1" in detail["lock"]
    assert get(house, "revisions/1?diff=1")["difference"] == ""
    assert get(house, "components")["revision"] == 1


def test_history_leaves_plans_out_and_events_come_after_a_sequence(house: House) -> None:
    operation, token, digest = plan(house)
    post(house, f"operations/{operation}/apply", {"token": token, "digest": digest})
    listed = get(house, "operations?limit=1")["operations"]
    assert [(row["id"], row["plan"]) for row in listed] == [(operation, None)]
    first = get(house, f"operations/{operation}/events?limit=1")
    assert [row["kind"] for row in first["events"]] == ["plan.requested"]
    after = first["events"][-1]["sequence"]
    rest = get(house, f"operations/{operation}/events?after={after}")
    assert [row["kind"] for row in rest["events"]] == ["operation.accepted"]
    assert rest["state"] == "ACCEPTED"


def test_a_wrong_token_is_refused_and_recorded(house: House) -> None:
    operation, token, digest = plan(house)
    status, problem = post(house, f"operations/{operation}/apply", {"token": "x" + token, "digest": digest})
    assert (status, problem["code"]) == (403, "token-invalid")
    newest = get(house, "events")["events"][0]
    assert (newest["kind"], newest["details"]["code"]) == ("access.refused", "token-invalid")
    assert newest["principal"]["name"] == "admin"
    assert token not in str(get(house, "events"))


def test_a_token_of_somebody_else_is_refused(house: House) -> None:
    operation, token, digest = plan(house)
    status, problem = post(house, f"operations/{operation}/apply", {"token": token, "digest": digest}, "second")
    assert (status, problem["code"]) == (403, "token-invalid")


def test_a_token_works_once(house: House) -> None:
    operation, token, digest = plan(house)
    body = {"token": token, "digest": digest}
    assert post(house, f"operations/{operation}/apply", body)[0] == 202
    status, problem = post(house, f"operations/{operation}/apply", body)
    assert (status, problem["code"]) == (409, "token-used")


def test_a_token_expires(house: House) -> None:
    operation, token, digest = plan(house)
    house.clock.advance(3601)
    assert get(house, f"operations/{operation}")["label"] == "expired"
    status, problem = post(house, f"operations/{operation}/apply", {"token": token, "digest": digest})
    assert (status, problem["code"]) == (410, "token-expired")


def test_a_file_edited_meanwhile_makes_the_plan_stale_and_shows_how(house: House) -> None:
    operation, token, digest = plan(house)
    house.store.edit(TEXT + "attrs\n")
    status, problem = post(house, f"operations/{operation}/apply", {"token": token, "digest": digest})
    assert (status, problem["code"]) == (409, "stale-plan")
    assert "+attrs" in problem["difference"]
    house.store.edit(TEXT)
    assert post(house, f"operations/{operation}/apply", {"token": token, "digest": digest})[0] == 202


def test_a_second_apply_names_the_running_change(house: House) -> None:
    first, token, digest = plan(house)
    second, other_token, other_digest = plan(house, "second")
    assert post(house, f"operations/{first}/apply", {"token": token, "digest": digest})[0] == 202
    body = {"token": other_token, "digest": other_digest}
    status, problem = post(house, f"operations/{second}/apply", body, "second")
    assert (status, problem["code"], problem["operation"]) == (409, "operation-in-progress", first)
    assert problem["summary"] == "add tomli>=2"


def test_a_second_plan_of_one_person_waits(house: House) -> None:
    post(house, "operations", ADD)
    response = house.client.post(PREFIX + "operations", headers=changing("admin"), json=ADD)
    assert (response.status, response.json()["code"]) == (429, "too-many-plans")
    assert int(response.headers["retry-after"]) >= 1


def test_a_plan_can_be_dropped(house: House) -> None:
    operation, _, _ = plan(house)
    status, dropped = post(house, f"operations/{operation}/cancel", {})
    assert (status, dropped["state"], dropped["actions"]) == (202, "CANCELLED", [])
    status, problem = post(house, f"operations/{operation}/cancel", {})
    assert (status, problem["code"]) == (409, "illegal-transition")


@pytest.mark.parametrize(
    "path",
    [
        f"operations/{'0' * 32}",
        f"operations/{'0' * 32}/events",
        "operations/../session",
        "operations/xyz",
        "revisions/7",
        "revisions/-1",
        "revisions/99999999999",
        "packages/a%2Fb",
        "packages/-e",
        "nothing",
        "",
    ],
)
def test_what_does_not_exist_is_not_found(house: House, path: str) -> None:
    response = house.client.get(PREFIX + path, headers=as_("admin"))
    assert (response.status, response.json()["code"]) == (404, "not-found")


def test_the_checks_are_shown(house: House) -> None:
    assert get(house, "health")["checks"] == [
        {"name": "uv-found", "status": "ok", "cause": "uv 0.13.9", "next_action": ""}
    ]
