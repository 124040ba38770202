"""Who asks, as Airflow knows it: the one table from Airflow's users to our permissions, per auth manager, fail-closed.

Airflow authenticates (bearer token first, then its cookie); this module only judges whom it found. An auth manager
that is not in the table lets nobody in, because what its roles mean was never verified.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from airflow.api_fastapi.app import get_auth_manager, get_auth_manager_cls
from airflow.api_fastapi.auth.managers.base_auth_manager import BaseAuthManager
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager
from airflow.api_fastapi.core_api.security import get_user
from airflow.configuration import conf
from fastapi import Depends, Request

from airflow_package_manager.domain.access import Identity, Permission, Principal
from airflow_package_manager.domain.inventory import Check, CheckStatus
from airflow_package_manager.errors import Forbidden, NotAuthenticated
from airflow_package_manager.plugin import role_check

EVERYTHING = frozenset(Permission)
NOTHING: frozenset[Permission] = frozenset()
_ANONYMOUS = "Anonymous"
"""The user that SimpleAuthManager invents when everybody is an admin."""


def principal(request: Request, user: BaseUser = Depends(get_user)) -> Principal:  # noqa: B008  FastAPI's way
    """Return the caller with what it may do (a FastAPI dependency); raises `NotAuthenticated` or `Forbidden`.

    The address is the connection's, which uvicorn rewrites for trusted proxies only; no header is read here.
    """
    return principal_of(user, get_auth_manager(), request.client.host if request.client else None)


def principal_of(user: BaseUser, manager: BaseAuthManager[BaseUser], address: str | None) -> Principal:
    """Return the caller; raises `Forbidden` for an auth manager whose roles nobody verified."""
    # The class itself, not a subclass: one that changes what a role means must be verified anew.
    row = _TABLE.get(type(manager))
    if row is None:
        raise Forbidden(
            f"The package manager does not know what the roles of {_name(manager)} mean, so it lets nobody in.",
            next_action="This version supports Airflow's SimpleAuthManager; others follow.",
            auth_manager=_name(manager),
        )
    name, permissions = row
    if getattr(user, "is_anonymous", False):
        raise NotAuthenticated("Nobody is logged in.")
    return Principal(Identity(name, str(user.get_id()), str(user.get_name())), permissions(user), address)


def _of_simple_user(user: BaseUser) -> frozenset[Permission]:
    """Only the role ADMIN, in the token and, so that a demotion counts at once, in the configuration too."""
    if str(getattr(user, "role", None)).upper() != "ADMIN":
        return NOTHING
    if conf.getboolean("core", "simple_auth_manager_all_admins"):
        return EVERYTHING  # the operator's explicit choice
    configured = {found.username: str(found.role).upper() for found in SimpleAuthManager.get_users()}
    if user.get_name() == _ANONYMOUS and _ANONYMOUS not in configured:
        raise NotAuthenticated("Nobody is logged in: this token is from the time when everybody was an admin.")
    return EVERYTHING if configured.get(user.get_name()) == "ADMIN" else NOTHING


_TABLE: Mapping[type, tuple[str, Callable[[BaseUser], frozenset[Permission]]]] = {
    SimpleAuthManager: ("simple", _of_simple_user),
}
"""Auth manager → its name in identities, and what a user of it may do."""


def check() -> Check:
    """Return the check of `doctor`: whether anybody gets in at all, or everybody does."""
    return role_check.judged(
        get_auth_manager_cls,
        supported=lambda found: found in _TABLE,
        supports="Airflow's SimpleAuthManager",
        verdict=_simple_check,
    )


def _simple_check() -> Check:
    if conf.getboolean("core", "simple_auth_manager_all_admins"):
        return Check(
            role_check.NAME,
            CheckStatus.WARNING,
            "simple_auth_manager_all_admins is on: whoever reaches the api-server may change packages.",
            "Switch it off unless only you can reach this address.",
        )
    return Check(role_check.NAME, CheckStatus.OK, "Only the role Admin of SimpleAuthManager gets in.")


def _name(manager: object) -> str:
    return f"{type(manager).__module__}.{type(manager).__qualname__}"
