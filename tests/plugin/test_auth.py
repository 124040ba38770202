"""Airflow's real users, tokens and configuration, judged in a fresh process: importing Airflow here would keep it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src"
HOUSE = Path(__file__).resolve().parents[1] / "data" / "auth_managers"
SCRIPT = """
import json, sys
from types import SimpleNamespace
from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from airflow_package_manager.errors import PackageManagerError
from airflow_package_manager.plugin import auth
from airflow_package_manager.plugin.auth import principal_of
from airflow_package_manager.plugin.named_admins import NamedAdmins
from house_auth_manager import House, User, standing_for

class Other(SimpleAuthManager):
    pass

class AnonymousUser(SimpleAuthManagerUser):
    is_anonymous = True

def judged(user, manager, changing=True, **named):
    try:
        admins = NamedAdmins(*(frozenset(named.get(kind, ())) for kind in ("users", "roles")))
        found = principal_of(user, manager, "192.0.2.1", lambda: admins, changing=changing)
    except PackageManagerError as error:
        return {"refused": error.code, "detail": error.detail, "next_action": error.next_action}
    identity = found.identity
    return {
        "identity": [identity.auth_manager, identity.id, identity.name],
        "permissions": sorted(permission.value for permission in found.permissions),
        "address": found.address,
    }

simple = SimpleAuthManager()
answers = {
    f"{name}:{role}": judged(SimpleAuthManagerUser(username=name, role=role), simple)
    for name, role in [
        ("admin", "admin"), ("admin", "ADMIN"), ("op", "op"), ("user", "user"), ("viewer", "viewer"), ("none", None),
        ("viewer", "ADMIN"), ("gone", "ADMIN"), ("Anonymous", "ADMIN"),
    ]
}
answers["anonymous"] = judged(AnonymousUser(username="admin", role="ADMIN"), simple)
answers["other manager"] = judged(SimpleAuthManagerUser(username="admin", role="ADMIN"), Other())
answers["same name"] = judged(SimpleAuthManagerUser(username="admin", role="admin"), Other(), users=["admin"])

PUT, GET = ["PUT", "Package Management"], ["GET", "Package Management"]
User.access_token = "head.e30.signature"
def keycloak(goes_on):
    return lambda self: SimpleNamespace(connection=SimpleNamespace(), introspect=lambda _: {"active": goes_on})
House.get_keycloak_client = keycloak(goes_on=False)
for changing in (True, False):
    for may in (PUT, GET):
        answers[f"session is over:{changing}:{may[0]}"] = judged(
            User("ada", may=[may]), standing_for(auth.KEYCLOAK)(), changing)
House.get_keycloak_client = keycloak(goes_on=True)
for kind, path in {"keycloak": auth.KEYCLOAK, "aws": auth.AWS}.items():
    manager = standing_for(path)()
    answers[f"{kind}:nothing"] = judged(User("eve"), manager)
    answers[f"{kind}:reads everything"] = judged(User("eve", may=[GET]), manager)
    answers[f"{kind}:changes another view"] = judged(User("eve", may=[["PUT", "Other"]]), manager)
    answers[f"{kind}:changes"] = judged(User("ada", may=[PUT]), manager)
    answers[f"{kind}:named"] = judged(User("eve"), manager, users=["eve"])
    manager.is_authorized_custom_view = lambda **_: "yes"
    answers[f"{kind}:odd answer"] = judged(User("eve"), manager)
    def fails(**_):
        raise ConnectionError("https://secret.example.com/token=hunter2")
    manager.is_authorized_custom_view = fails
    answers[f"{kind}:no answer"] = judged(User("ada", may=[PUT]), manager)
answers["asked"] = sorted(set(map(tuple, House.asked)))

class Named:
    def __init__(self, name):
        self.name = name

house = House()
everything = [[m, "Package Management"] for m in ("GET", "POST", "PUT", "DELETE")]
named = {"users": ["ada"], "roles": ["Packages"]}
for what, user in {
    "user": User("ada"),
    "user in capitals": User("ADA"),
    "id of that name": User("eve", id="ada"),
    "role": User("eve", role="Packages"),
    "role in lower case": User("eve", role="packages"),
    "roles": User("eve", roles=["Viewer", "Packages"]),
    "roles as objects": User("eve", roles=[Named("Packages")]),
    "roles as one text": User("eve", roles="Packages"),
    "roles of letters": User("eve", roles="Pack"),
    "another role": User("eve", role="Admin", may=everything),
    "no role": User("eve", groups=["Packages"]),
    "anonymous with the role": User("Anonymous", role="Packages"),
    "not logged in": User("ada", is_anonymous=True),
    "not active": User("ada", is_active=False),
}.items():
    answers[f"unknown:{what}"] = judged(user, house, **named)
answers["unknown:nobody named"] = judged(User("ada", role="Admin", may=everything), house)
admins = NamedAdmins(frozenset({"bob", "ada"}), frozenset({"Packages"}))
for what, found in {"nobody": auth.check(NamedAdmins()), "somebody": auth.check(admins)}.items():
    answers[f"check:{what}"] = [found.status.name, found.cause, found.next_action]
answers["providers"] = [name for name in sys.modules if name.startswith("airflow.providers.") and any(
    part in name for part in (".fab", ".keycloak", ".amazon"))]
print(json.dumps(answers))
"""
EVERYTHING = ["package_manager:apply", "package_manager:plan", "package_manager:read"]


def answers(home: Path, **settings: str) -> dict[str, Any]:
    environment = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": f"{SOURCE}:{HOUSE}",
        "HOME": str(home),
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin,op:op,user:user,viewer:viewer",
        **settings,
    }
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return answers(tmp_path_factory.mktemp("airflow"))


@pytest.mark.parametrize("caller", ["admin:admin", "admin:ADMIN"])
def test_an_admin_may_do_everything(judged: dict[str, Any], caller: str) -> None:
    assert judged[caller] == {
        "identity": ["simple", "admin", "admin"],
        "permissions": EVERYTHING,
        "address": "192.0.2.1",
    }


@pytest.mark.parametrize("caller", ["op:op", "user:user", "viewer:viewer", "none:None"])
def test_nobody_else_may_do_anything(judged: dict[str, Any], caller: str) -> None:
    assert judged[caller]["permissions"] == []


@pytest.mark.parametrize("caller", ["viewer:ADMIN", "gone:ADMIN"])
def test_a_demotion_counts_although_the_token_still_says_admin(judged: dict[str, Any], caller: str) -> None:
    assert judged[caller]["permissions"] == []


@pytest.mark.parametrize("caller", ["Anonymous:ADMIN", "anonymous"])
def test_an_anonymous_user_is_refused(judged: dict[str, Any], caller: str) -> None:
    assert judged[caller]["refused"] == "not-authenticated"


def test_an_auth_manager_that_nobody_verified_lets_nobody_in_and_is_named(judged: dict[str, Any]) -> None:
    assert judged["other manager"]["refused"] == "forbidden"
    assert "__main__.Other" in judged["other manager"]["detail"]
    assert "admin_users" in judged["other manager"]["next_action"]


def test_everybody_is_an_admin_where_the_operator_chose_so(tmp_path: Path) -> None:
    found = answers(tmp_path, AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS="True")
    assert found["Anonymous:ADMIN"] == {
        "identity": ["simple", "Anonymous", "Anonymous"],
        "permissions": EVERYTHING,
        "address": "192.0.2.1",
    }
    assert found["viewer:viewer"]["permissions"] == []


@pytest.mark.parametrize("kind", ["keycloak", "aws"])
def test_keycloak_and_aws_are_asked_for_the_right_to_change_and_for_nothing_else(
    judged: dict[str, Any], kind: str
) -> None:
    assert judged[f"{kind}:changes"]["permissions"] == EVERYTHING
    assert judged[f"{kind}:changes"]["identity"] == [kind, "id-ada", "ada"]
    for refused in ("nothing", "reads everything", "changes another view", "named", "odd answer"):
        assert judged[f"{kind}:{refused}"]["permissions"] == [], refused
    assert judged["asked"] == [["PUT", "Package Management"]]


def test_keycloak_is_asked_anew_for_a_change_and_why_it_refused_to_look(judged: dict[str, Any]) -> None:
    for over in ("True:PUT", "True:GET", "False:GET"):
        assert judged[f"session is over:{over}"]["refused"] == "not-authenticated", over
    assert judged["session is over:False:PUT"]["permissions"] == EVERYTHING, "who looks is not asked twice"


@pytest.mark.parametrize("kind", ["keycloak", "aws"])
def test_an_auth_manager_that_cannot_answer_lets_nobody_in_and_tells_no_secret(
    judged: dict[str, Any], kind: str
) -> None:
    found = judged[f"{kind}:no answer"]
    assert found["refused"] == "forbidden"
    assert "ConnectionError" in found["detail"]
    assert "hunter2" not in str(found)


@pytest.mark.parametrize("what", ["user", "role", "roles", "roles as objects", "roles as one text"])
def test_an_unknown_auth_manager_lets_in_whom_the_settings_name(judged: dict[str, Any], what: str) -> None:
    assert judged[f"unknown:{what}"]["permissions"] == EVERYTHING
    assert judged[f"unknown:{what}"]["identity"][0] == "house_auth_manager.House"


@pytest.mark.parametrize(
    "what",
    [
        "user in capitals",
        "id of that name",
        "role in lower case",
        "roles of letters",
        "another role",
        "no role",
        "anonymous with the role",
    ],
)
def test_an_unknown_auth_manager_lets_in_nobody_else_whatever_it_says_itself(judged: dict[str, Any], what: str) -> None:
    assert judged[f"unknown:{what}"]["permissions"] == []


def test_an_unknown_auth_manager_lets_nobody_in_who_is_not_there(judged: dict[str, Any]) -> None:
    assert judged["unknown:not logged in"]["refused"] == "not-authenticated"
    assert judged["unknown:not active"]["refused"] == "not-authenticated"
    assert judged["unknown:nobody named"]["refused"] == "forbidden"


def test_a_name_counts_for_a_subclass_that_nobody_verified_and_its_role_does_not(judged: dict[str, Any]) -> None:
    assert judged["same name"]["permissions"] == EVERYTHING
    assert judged["other manager"]["refused"] == "forbidden"


def test_no_provider_is_imported_to_judge(judged: dict[str, Any]) -> None:
    assert judged["providers"] == []


def test_doctor_says_that_names_are_ignored_beside_an_auth_manager_that_is_known(judged: dict[str, Any]) -> None:
    assert judged["check:nobody"][0] == "OK"
    status, cause, _ = judged["check:somebody"]
    assert status == "WARNING"
    assert "Only the role Admin of SimpleAuthManager gets in." in cause


def test_doctor_says_whom_the_settings_let_in_or_that_nobody_gets_in(tmp_path: Path) -> None:
    found = answers(tmp_path, AIRFLOW__CORE__AUTH_MANAGER="house_auth_manager.House")
    status, cause, advice = found["check:nobody"]
    assert (status, "nobody gets in" in cause, "admin_users" in advice) == ("FAILED", True, True)
    status, cause, _ = found["check:somebody"]
    assert status == "OK"
    assert "the users ada, bob and the roles Packages get in" in cause
