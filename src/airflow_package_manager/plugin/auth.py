"""Who asks, as Airflow 3 knows it: one table from its users to our permissions, per auth manager, fail-closed.

Airflow authenticates (bearer token first, then its cookie); this module only judges whom it found. An auth manager
that is not in the table lets nobody in but those whom the settings name, because what its roles mean was never
verified. Auth managers are known by name: importing a provider for us would cost every process that lacks it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from airflow.api_fastapi.app import get_auth_manager, get_auth_manager_cls
from airflow.api_fastapi.auth.managers.base_auth_manager import BaseAuthManager
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.core_api.security import get_user
from fastapi import Depends, Request

from airflow_package_manager.domain.access import Identity, Permission, Principal
from airflow_package_manager.domain.inventory import Check, CheckStatus
from airflow_package_manager.errors import Forbidden, InvalidSetting, NotAuthenticated, PackageManagerError
from airflow_package_manager.plugin import fab_users, role_check, simple_users
from airflow_package_manager.plugin.fab_permissions import CHANGE, READ, RESOURCE
from airflow_package_manager.plugin.named_admins import NamedAdmins
from airflow_package_manager.web.forgery import SAFE_METHODS

Manager = BaseAuthManager[BaseUser]
Judge = Callable[[BaseUser, Manager], tuple[Identity, frozenset[Permission]]]

SIMPLE = "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"
FAB = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"
KEYCLOAK = "airflow.providers.keycloak.auth_manager.keycloak_auth_manager.KeycloakAuthManager"
AWS = "airflow.providers.amazon.aws.auth_manager.aws_auth_manager.AwsAuthManager"

log = logging.getLogger(__name__)


def authenticator(named: Callable[[], NamedAdmins]) -> Callable[..., Principal]:
    """Return FastAPI's dependency that says who calls; it raises `NotAuthenticated` or `Forbidden`.

    `named` is asked where the auth manager is not in the table. A plain function, so that FastAPI runs it in a thread:
    some auth managers ask another server. The address is the connection's, which uvicorn rewrites for trusted proxies
    only; no header is read here.
    """

    def principal(request: Request, user: BaseUser = Depends(get_user)) -> Principal:  # noqa: B008  FastAPI's way
        address = request.client.host if request.client else None
        changing = request.method not in SAFE_METHODS
        return principal_of(user, get_auth_manager(), address, named, changing=changing)

    return principal


def principal_of(
    user: BaseUser,
    manager: Manager,
    address: str | None,
    named: Callable[[], NamedAdmins] = NamedAdmins,
    *,
    changing: bool = True,
) -> Principal:
    """Return the caller; raises `NotAuthenticated`, and `Forbidden` where nothing says what the caller may do.

    Who only looks may be as Airflow remembers him; who changes something is looked up anew where that is a difference.
    """
    if user is None or getattr(user, "is_anonymous", False):
        raise NotAuthenticated("Nobody is logged in.")
    manager_name = name_of(type(manager))
    judge = _TABLE.get(manager_name)
    try:
        if changing and judge is fab_users.judged:
            user = fab_users.read_anew(user)
        identity, permissions = _by_name(user, manager_name, named) if judge is None else judge(user, manager)
    except PackageManagerError:
        raise
    except Exception as error:
        log.exception("%s could not be asked what a user may do", manager_name)
        raise Forbidden(
            f"Airflow's auth manager could not be asked what you may do ({type(error).__name__}).",
            next_action="Try again; if it stays so, the api-server's log has the reason.",
            auth_manager=manager_name,
        ) from error
    return Principal(identity, permissions, address)


def check(named: NamedAdmins) -> Check:
    """Return the check of `doctor`: whether anybody gets in at all, or everybody does."""
    return role_check.judged(
        get_auth_manager_cls,
        supported=lambda found: name_of(found) in _TABLE or bool(named),
        supports="SimpleAuthManager or the auth manager of Flask-AppBuilder, Keycloak or AWS",
        verdict=lambda: _verdict(name_of(get_auth_manager_cls()), named),
    )


def name_of(manager: type) -> str:
    """Return the import path of a class; a subclass has another one, because what it changes must be verified anew."""
    return f"{manager.__module__}.{manager.__qualname__}"


def _by_interface(kind: str) -> Judge:
    """Return what asks the auth manager itself, once and for the right to change.

    Not for the right to read: Keycloak's default policy lets everybody read everything.
    """

    def judged(user: BaseUser, manager: Manager) -> tuple[Identity, frozenset[Permission]]:
        allowed = manager.is_authorized_custom_view(method="PUT", resource_name=RESOURCE, user=user)
        # Nothing but True: an answer of another kind is no permission.
        permissions = frozenset(Permission) if allowed is True else frozenset()
        return Identity(kind, str(user.get_id()), str(user.get_name())), permissions

    return judged


def _by_name(user: BaseUser, manager: str, named: Callable[[], NamedAdmins]) -> tuple[Identity, frozenset[Permission]]:
    try:
        admins = named()
    except InvalidSetting as error:
        log.exception("Nobody gets in: the settings that would name who may cannot be read")
        raise Forbidden(
            "The package manager's settings are wrong, so it lets nobody in.",
            next_action="The api-server's log says which one; correct it and restart the api-server.",
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


_TABLE: Mapping[str, Judge] = {
    SIMPLE: simple_users.judged,
    FAB: fab_users.judged,
    KEYCLOAK: _by_interface("keycloak"),
    AWS: _by_interface("aws"),
}
"""Auth manager → who a user of it is, and what that user may do."""


def _verdict(manager: str, named: NamedAdmins) -> Check:
    if manager not in _TABLE:
        people = f"the users {_listed(named.users)} and the roles {_listed(named.roles)}"
        return Check(role_check.NAME, CheckStatus.OK, f"{manager} is not known; by name {people} get in.")
    if named:
        return Check(
            role_check.NAME,
            CheckStatus.WARNING,
            f"admin_users and admin_roles are set, but {manager} itself says who gets in: {_who(manager)}",
            "Remove both settings; they are for auth managers that are not known.",
        )
    if manager == SIMPLE and simple_users.everybody():
        return Check(
            role_check.NAME,
            CheckStatus.WARNING,
            "simple_auth_manager_all_admins is on: whoever reaches the api-server may change packages.",
            "Switch it off unless only you can reach this address.",
        )
    return Check(role_check.NAME, CheckStatus.OK, _who(manager))


def _who(manager: str) -> str:
    if manager == SIMPLE:
        return "Only the role Admin of SimpleAuthManager gets in."
    if manager == FAB:
        return f"Roles with the permissions {READ} and {CHANGE} on {RESOURCE} get in: by default only Admin."
    return f"Whoever may PUT the custom view {RESOURCE} gets in."


def _listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names)) or "(none)"
