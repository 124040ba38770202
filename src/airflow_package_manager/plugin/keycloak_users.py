"""Whether a user of Keycloak is still what the session says: for changes, its server is asked anew.

An access token carries the roles of the moment at which it was made, and Keycloak itself judges by them until it
expires. Its provider is imported in a web server that has it already, and nowhere else; it has no types.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from airflow_package_manager.errors import NotAuthenticated

_SECONDS = 5
"""What Airflow's provider waits for an answer about a permission; for other answers it would wait a minute."""
_NEXT = "Log in to Airflow again; a program fetches a new token."


def read_anew(user: Any, manager: Any) -> Any:  # noqa: ANN401  Keycloak's
    """Return the user whose session goes on with every role that it began with; raises `NotAuthenticated`.

    Asking (RFC 7662) changes nothing; a refresh would end the session where refresh tokens work but once.
    """
    client = manager.get_keycloak_client()
    client.connection.timeout = _SECONDS
    now = client.introspect(user.access_token)
    if now.get("active") is not True:
        raise NotAuthenticated(
            "Keycloak says that this session is over: it expired, or its user logged out, was disabled or deleted.",
            next_action=_NEXT,
        )
    if not _roles(_claims(user.access_token)) <= _roles(now):
        raise NotAuthenticated("In Keycloak this user lost a role since this session got its token.", next_action=_NEXT)
    return user


def _claims(token: str) -> Any:  # noqa: ANN401  JSON
    """Return what a token says; its signature was just checked by Keycloak."""
    return json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))


def _roles(claims: Mapping[str, Any]) -> frozenset[tuple[str, str]]:
    """Return the roles as pairs of client, none for those of the realm, and name."""
    access = {"": claims.get("realm_access") or {}, **(claims.get("resource_access") or {})}
    return frozenset((client, role) for client, its in access.items() for role in its.get("roles", ()))
