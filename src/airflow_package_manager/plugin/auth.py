"""Who asks, as Airflow 3 knows it: one table from its users to our permissions, per auth manager, fail-closed.

Airflow authenticates (bearer token first, then its cookie); this module only judges whom it found. An auth manager
that is not in the table lets nobody in but those whom the settings name, because what its roles mean was never
verified. Auth managers are known by name: importing a provider for us would cost every process that lacks it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from airflow.api_fastapi.app import get_auth_manager, get_auth_manager_cls
from airflow.api_fastapi.auth.managers.base_auth_manager import BaseAuthManager
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.core_api.security import get_user
from fastapi import Depends, Request

from airflow_package_manager.domain.access import Identity, Permission, Principal
from airflow_package_manager.domain.inventory import Check, CheckStatus
from airflow_package_manager.errors import NotAuthenticated
from airflow_package_manager.plugin import (
    fab_permissions,
    fab_users,
    keycloak_users,
    named_admins,
    role_check,
    simple_users,
)
from airflow_package_manager.plugin.asking import asked
from airflow_package_manager.plugin.fab_permissions import RESOURCE
from airflow_package_manager.plugin.named_admins import NamedAdmins
from airflow_package_manager.plugin.role_check import name_of
from airflow_package_manager.web.forgery import SAFE_METHODS

Manager = BaseAuthManager[BaseUser]
Judge = Callable[[BaseUser, Manager], tuple[Identity, frozenset[Permission]]]
Look = Callable[[BaseUser, Manager], BaseUser]

SIMPLE = "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"
FAB = fab_permissions.AUTH_MANAGER
KEYCLOAK = "airflow.providers.keycloak.auth_manager.keycloak_auth_manager.KeycloakAuthManager"
AWS = "airflow.providers.amazon.aws.auth_manager.aws_auth_manager.AwsAuthManager"


def principal(request: Request, user: BaseUser = Depends(get_user)) -> Principal:  # noqa: B008  FastAPI's way
    """Return who calls (a FastAPI dependency); raises `NotAuthenticated` or `Forbidden`.

    A plain function, so that FastAPI runs it in a thread: some auth managers ask another server. The address is the
    connection's, which uvicorn rewrites for trusted proxies only; no header is read here.
    """
    address = request.client.host if request.client else None
    return principal_of(user, get_auth_manager(), address, changing=request.method not in SAFE_METHODS)


def principal_of(
    user: BaseUser,
    manager: Manager,
    address: str | None,
    named: Callable[[], NamedAdmins] = named_admins.configured,
    *,
    changing: bool = True,
) -> Principal:
    """Return the caller; raises `NotAuthenticated`, and `Forbidden` where nothing says what the caller may do.

    Who only looks is taken as Airflow remembers them; who changes something is looked up anew where that may differ.
    """
    if user is None or getattr(user, "is_anonymous", False):
        raise NotAuthenticated("Nobody is logged in.")
    manager_name = name_of(type(manager))
    judge, look_anew = _TABLE.get(manager_name), _ANEW.get(manager_name)
    with asked(manager_name):
        if changing and look_anew is not None:
            user = look_anew(user, manager)
        identity, permissions = (
            named_admins.judged(user, manager_name, named) if judge is None else judge(user, manager)
        )
    return Principal(identity, permissions, address)


def check(named: NamedAdmins) -> Check:
    """Return the check of `doctor`: whether anybody gets in at all, or everybody does."""
    return role_check.judged(
        get_auth_manager_cls,
        supported=lambda found: name_of(found) in _TABLE or bool(named),
        supports="SimpleAuthManager or the auth manager of Flask-AppBuilder, Keycloak or AWS",
        verdict=lambda: _verdict(named),
    )


def _by_interface(kind: str, refused: Look | None = None) -> Judge:
    """Return what asks the auth manager itself, once and for the right to change; `refused` tells why it said no.

    Not for the right to read: Keycloak's default policy lets everybody read everything.
    """

    def judged(user: BaseUser, manager: Manager) -> tuple[Identity, frozenset[Permission]]:
        # Nothing but True: an answer of another kind is no permission.
        allowed = manager.is_authorized_custom_view(method="PUT", resource_name=RESOURCE, user=user) is True
        if refused is not None and not allowed:
            refused(user, manager)
        permissions = frozenset(Permission) if allowed else frozenset()
        return Identity(kind, str(user.get_id()), str(user.get_name())), permissions

    return judged


_TABLE: Mapping[str, Judge] = {
    SIMPLE: simple_users.judged,
    FAB: fab_users.judged,
    KEYCLOAK: _by_interface("keycloak", refused=keycloak_users.read_anew),
    AWS: _by_interface("aws"),
}
"""Auth manager → who a user of it is, and what that user may do."""
_ANEW: Mapping[str, Look] = {
    FAB: lambda user, _: fab_users.read_anew(user),
    KEYCLOAK: keycloak_users.read_anew,
}
"""Auth manager → the user as it is now, where what Airflow has of it may be older; raises `NotAuthenticated`."""


def _verdict(named: NamedAdmins) -> Check:
    manager = name_of(get_auth_manager_cls())
    return named_admins.verdict(manager, named, _who(manager))


def _who(manager: str) -> Check | None:
    """Return who gets in by an auth manager that we know."""
    if manager == FAB:
        return fab_users.who_gets_in()
    if manager == SIMPLE:
        return simple_users.who_gets_in()
    if manager in _TABLE:
        return Check(role_check.NAME, CheckStatus.OK, f"Whoever may PUT the custom view {RESOURCE} gets in.")
    return None
