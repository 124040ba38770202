"""Whether a session of Keycloak goes on, by the answers that its server gives about an access token."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from airflow_package_manager.errors import NotAuthenticated
from airflow_package_manager.plugin import keycloak_users

BEFORE: Mapping[str, Any] = {
    "realm_access": {"roles": ["Admin", "Viewer"]},
    "resource_access": {"other": {"roles": ["Owner"]}},
}
"""What the access token says."""


@dataclass
class Connection:
    timeout: float = 60


@dataclass
class Server:
    """Stands for the auth manager, for its client, and for what Keycloak answers."""

    answer: Mapping[str, Any]
    connection: Connection = field(default_factory=Connection)
    shown: list[tuple[str, float]] = field(default_factory=list)

    def get_keycloak_client(self) -> Server:
        return self

    def introspect(self, token: str) -> Mapping[str, Any]:
        self.shown.append((token, self.connection.timeout))
        return self.answer


@dataclass
class User:
    access_token: str


def user(claims: object = BEFORE) -> User:
    says = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return User(f"head.{says}.signature")


@pytest.mark.parametrize(
    "now", [BEFORE, {**BEFORE, "realm_access": {"roles": ["Viewer", "Op", "Admin"]}}], ids=["the same", "one more"]
)
def test_who_still_has_each_role_is_taken_as_before(now: Mapping[str, Any]) -> None:
    server, ada = Server({"active": True, **now}), user()
    assert keycloak_users.read_anew(ada, server) is ada
    ((shown, seconds),) = server.shown
    assert shown == ada.access_token
    assert seconds <= 5, "a web server's thread waits meanwhile"


def test_who_had_no_role_can_lose_none() -> None:
    ada = user({"sub": "ada"})
    assert keycloak_users.read_anew(ada, Server({"active": True})) is ada


@pytest.mark.parametrize(
    "now",
    [
        {},
        {**BEFORE, "realm_access": {"roles": ["Viewer"]}},
        {**BEFORE, "resource_access": {"other": {"roles": []}}},
        {**BEFORE, "resource_access": {"another": {"roles": ["Owner"]}}},
        {"realm_access": {"roles": ["Admin", "Viewer", "Owner"]}},
    ],
)
def test_who_lost_a_role_logs_in_again(now: Mapping[str, Any]) -> None:
    with pytest.raises(NotAuthenticated, match="lost a role") as refused:
        keycloak_users.read_anew(user(), Server({"active": True, **now}))
    assert "Log in" in refused.value.next_action


@pytest.mark.parametrize("answer", [{}, {"active": False}, {"active": "true"}, {"active": None, **BEFORE}])
def test_a_session_that_keycloak_does_not_know_is_over(answer: Mapping[str, Any]) -> None:
    with pytest.raises(NotAuthenticated, match="session is over"):
        keycloak_users.read_anew(user(), Server(answer))


@pytest.mark.parametrize("token", ["", "one", "head.!!.signature", "head.bm9uZQ.signature"])
def test_what_is_no_token_lets_nobody_in(token: str) -> None:
    """Whatever is raised here is a refusal one step further up."""
    with pytest.raises((ValueError, IndexError)):
        keycloak_users.read_anew(User(token), Server({"active": True, **BEFORE}))
