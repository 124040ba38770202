"""Who may do what, and the single-use token that binds an apply to the plan that was seen."""

from __future__ import annotations

import enum
import hashlib
from dataclasses import dataclass

from airflow_package_manager.errors import Forbidden

TOKEN_BYTES = 32
"""256 bits."""


class Permission(str, enum.Enum):
    """A closed list; the grammar is ``scope:action``."""

    READ = "package_manager:read"
    PLAN = "package_manager:plan"
    APPLY = "package_manager:apply"


@dataclass(frozen=True)
class Identity:
    """Whom a token and an event belong to."""

    auth_manager: str
    """For example ``simple``, or ``cli``."""
    id: str
    """Stable within the auth manager: survives a rename."""
    name: str
    """As people know it."""


@dataclass(frozen=True)
class Principal:
    """An authenticated caller: who, with which permissions, from where."""

    identity: Identity
    permissions: frozenset[Permission]
    address: str | None
    """Client IP as the server's trusted-proxy handling says; None on the command line."""

    def require(self, permission: Permission) -> None:
        """Raise `Forbidden` unless the permission is held."""
        if permission not in self.permissions:
            raise Forbidden(
                f"{self.identity.name} lacks the permission {permission.value}.", permission=permission.value
            )


def token_hash(token: str) -> str:
    """Return the SHA-256 under which a token is kept; the token itself is shown once and never stored."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
