"""What a user of Airflow's SimpleAuthManager may do: everything as ADMIN, else nothing."""

from __future__ import annotations

from collections.abc import Mapping

from airflow.api_fastapi.auth.managers.base_auth_manager import BaseAuthManager
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.configuration import conf

from airflow_package_manager.domain.access import Identity, Permission
from airflow_package_manager.domain.inventory import Check, CheckStatus
from airflow_package_manager.errors import NotAuthenticated
from airflow_package_manager.plugin import role_check

_NOTHING: frozenset[Permission] = frozenset()
_ANONYMOUS = "Anonymous"
"""The user that SimpleAuthManager invents when everybody is an admin."""


def judged(user: BaseUser, manager: BaseAuthManager[BaseUser]) -> tuple[Identity, frozenset[Permission]]:
    """Return who it is and what it may do; raises `NotAuthenticated`."""
    return Identity("simple", str(user.get_id()), str(user.get_name())), _permissions(user, manager)


def who_gets_in() -> Check:
    """Return the check of `doctor`."""
    if _everybody():
        return Check(
            role_check.NAME,
            CheckStatus.WARNING,
            "simple_auth_manager_all_admins is on: whoever reaches the api-server may change packages.",
            "Switch it off unless only you can reach this address.",
        )
    return Check(role_check.NAME, CheckStatus.OK, "Only the role Admin of SimpleAuthManager gets in.")


def _everybody() -> bool:
    """Tell whether the operator chose that whoever reaches the server is an admin."""
    return bool(conf.getboolean("core", "simple_auth_manager_all_admins"))


def _permissions(user: BaseUser, manager: BaseAuthManager[BaseUser]) -> frozenset[Permission]:
    """Only the role ADMIN, in the token and, so that a demotion counts at once, in the configuration too."""
    if str(getattr(user, "role", None)).upper() != "ADMIN":
        return _NOTHING
    if _everybody():
        return frozenset(Permission)
    configured = dict(map(_name_and_role, manager.get_users()))  # type: ignore[attr-defined]  # SimpleAuthManager's
    if user.get_name() == _ANONYMOUS and _ANONYMOUS not in configured:
        raise NotAuthenticated("Nobody is logged in: this token is from the time when everybody was an admin.")
    return frozenset(Permission) if configured.get(user.get_name()) == "ADMIN" else _NOTHING


def _name_and_role(configured: object) -> tuple[str, str]:
    """Return both of a configured user: a dictionary in Airflow 3.1, an object since 3.2."""
    found = configured if isinstance(configured, Mapping) else vars(configured)
    return str(found["username"]), str(found["role"]).upper()
