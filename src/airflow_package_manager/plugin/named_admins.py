"""Whom the settings `admin_users` and `admin_roles` let in where nobody verified what an auth manager's roles mean."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from airflow_package_manager import settings
from airflow_package_manager.domain.access import Identity, Permission
from airflow_package_manager.domain.inventory import Check, CheckStatus
from airflow_package_manager.errors import Forbidden, InvalidSetting, NotAuthenticated
from airflow_package_manager.plugin import role_check

_NOBODY = "anonymous"
"""What auth managers call whoever is not logged in, in lower case."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class NamedAdmins:
    """Names as the auth manager writes them; without any, nobody gets in."""

    users: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()

    @classmethod
    def of(cls, values: settings.Settings) -> NamedAdmins:
        """Return those of the settings."""
        return cls(frozenset(values.admin_users), frozenset(values.admin_roles))

    def __bool__(self) -> bool:
        """Tell whether anybody is named."""
        return bool(self.users or self.roles)

    def permissions(self, user: object, name: str) -> frozenset[Permission]:
        """Return all for a user or role that is named, else none; `name` is the user's own."""
        if name.lower() == _NOBODY:
            return frozenset()
        allowed = name in self.users or not self.roles.isdisjoint(roles_of(user))
        return frozenset(Permission) if allowed else frozenset()


@functools.cache
def configured() -> NamedAdmins:
    """Return those of this process's settings, kept once they could be read; raises `InvalidSetting`."""
    return NamedAdmins.of(settings.load())


def judged(
    user: Any,  # noqa: ANN401  whatever an auth manager that nobody knows has
    manager: str,
    named: Callable[[], NamedAdmins] = configured,
) -> tuple[Identity, frozenset[Permission]]:
    """Return who it is and what it may do; raises `NotAuthenticated`, and `Forbidden` where nobody is named."""
    try:
        admins = named()
    except InvalidSetting as error:
        log.exception("Nobody gets in: the settings that would name who may cannot be read")
        raise Forbidden(
            "The package manager's settings are wrong, so it lets nobody in.",
            next_action="The web server's log says which one; correct it and restart the web server.",
        ) from error
    if not admins:
        raise Forbidden(
            f"The package manager does not know what the roles of {manager} mean, so it lets nobody in.",
            next_action="Name who may change packages in [package_manager] admin_users or admin_roles.",
            auth_manager=manager,
        )
    if not getattr(user, "is_active", True):
        raise NotAuthenticated("This user is not active.")
    name = str(user.get_name())
    return Identity(manager, str(user.get_id()), name), admins.permissions(user, name)


def verdict(manager: str, named: NamedAdmins, known: Check | None) -> Check:
    """Return the check of an auth manager: `known` says who gets in where it is one that we know, else None."""
    if known is None:
        people = f"the users {_listed(named.users)} and the roles {_listed(named.roles)}"
        return Check(role_check.NAME, CheckStatus.OK, f"{manager} is not known; by name {people} get in.")
    if named:
        return Check(
            role_check.NAME,
            CheckStatus.WARNING,
            f"admin_users and admin_roles are set, but {manager} itself says who gets in. {known.cause}",
            "Remove both settings; they are for auth managers that are not known.",
        )
    return known


def roles_of(user: object) -> frozenset[str]:
    """Return the roles that the user object itself offers: `role` or `roles`, each a text or something with a `name`.

    Airflow's interface of a user has no roles, so an auth manager that keeps them elsewhere has none here.
    """
    roles = getattr(user, "roles", None)
    several = roles if isinstance(roles, Iterable) and not isinstance(roles, str) else (roles,)
    named = (getattr(role, "name", role) for role in (*several, getattr(user, "role", None)))
    return frozenset(name for name in named if isinstance(name, str))


def _listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names)) or "(none)"
