"""Whom the settings `admin_users` and `admin_roles` let in where nobody verified what an auth manager's roles mean."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from airflow_package_manager.domain.access import Permission
from airflow_package_manager.settings import Settings

_NOBODY = "anonymous"
"""What auth managers call whoever is not logged in, in lower case."""


@dataclass(frozen=True)
class NamedAdmins:
    """Names as the auth manager writes them; without any, nobody gets in."""

    users: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()

    @classmethod
    def of(cls, settings: Settings) -> NamedAdmins:
        """Return those of the settings."""
        return cls(frozenset(settings.admin_users), frozenset(settings.admin_roles))

    def __bool__(self) -> bool:
        """Tell whether anybody is named."""
        return bool(self.users or self.roles)

    def permissions(self, user: object, name: str) -> frozenset[Permission]:
        """Return all for a user or role that is named, else none; `name` is the user's own."""
        if name.lower() == _NOBODY:
            return frozenset()
        allowed = name in self.users or not self.roles.isdisjoint(roles_of(user))
        return frozenset(Permission) if allowed else frozenset()


def roles_of(user: object) -> frozenset[str]:
    """Return the roles that the user object itself offers: `role` or `roles`, each a text or something with a `name`.

    Airflow's interface of a user has no roles, so an auth manager that keeps them elsewhere has none here.
    """
    roles = getattr(user, "roles", None)
    several = roles if isinstance(roles, Iterable) and not isinstance(roles, str) else (roles,)
    named = (getattr(role, "name", role) for role in (*several, getattr(user, "role", None)))
    return frozenset(name for name in named if isinstance(name, str))
