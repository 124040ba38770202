"""Airflow's real users, tokens and configuration, judged in a fresh process: importing Airflow here would keep it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src"
SCRIPT = """
import json, sys
from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from airflow_package_manager.errors import PackageManagerError
from airflow_package_manager.plugin.auth import principal_of

class Other(SimpleAuthManager):
    pass

class AnonymousUser(SimpleAuthManagerUser):
    is_anonymous = True

def judged(user, manager):
    try:
        found = principal_of(user, manager, "192.0.2.1")
    except PackageManagerError as error:
        return {"refused": error.code, "detail": error.detail}
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
print(json.dumps(answers))
"""
EVERYTHING = ["package_manager:apply", "package_manager:plan", "package_manager:read"]


def answers(home: Path, **settings: str) -> dict[str, Any]:
    environment = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(SOURCE),
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


def test_everybody_is_an_admin_where_the_operator_chose_so(tmp_path: Path) -> None:
    found = answers(tmp_path, AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS="True")
    assert found["Anonymous:ADMIN"] == {
        "identity": ["simple", "Anonymous", "Anonymous"],
        "permissions": EVERYTHING,
        "address": "192.0.2.1",
    }
    assert found["viewer:viewer"]["permissions"] == []
