"""Who asks, as Airflow 2 knows it: its session first, then the backends of its REST API; judged by two permissions.

Roles are Flask-AppBuilder's, so what a role may do is read from its permissions and never from its name. An auth
manager that is not in the table lets nobody in, because what its answers mean was never verified.
"""

from __future__ import annotations

from typing import Any

from airflow.www.extensions.init_auth_manager import get_auth_manager, get_auth_manager_cls
from flask import Response, current_app, request, session
from flask_wtf.csrf import generate_csrf

from airflow_package_manager.domain.access import Identity, Permission, Principal
from airflow_package_manager.domain.inventory import Check, CheckStatus
from airflow_package_manager.errors import Forbidden, NotAuthenticated
from airflow_package_manager.plugin import role_check
from airflow_package_manager.plugin.fab_permissions import CHANGE, READ, RESOURCE
from airflow_package_manager.web.flask_blueprint import Caller
from airflow_package_manager.web.schemas import Csrf

_ALLOWED = {READ: frozenset({Permission.READ}), CHANGE: frozenset({Permission.PLAN, Permission.APPLY})}
"""Action on our resource → what it allows here."""
_KNOWN = {"airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager": "fab"}
"""Auth manager, by its name because no provider is imported for us → its name in identities."""


def caller() -> Caller:
    """Return who sent the request that Flask holds; raises `NotAuthenticated` or `Forbidden`."""
    manager = get_auth_manager()
    address = request.remote_addr
    if manager.is_logged_in():
        return Caller(principal_of(manager.get_user(), manager, address), by_header=False)
    user = _of_backends(manager)
    return Caller(principal_of(user, manager, address), by_header="Authorization" in request.headers)


def principal_of(user: Any, manager: Any, address: str | None) -> Principal:  # noqa: ANN401  Airflow 2 has no types here
    """Return the caller with what it may do."""
    name = _KNOWN.get(_name(type(manager)))
    if name is None:
        raise Forbidden(
            f"The package manager does not know what the roles of {_name(type(manager))} mean, so it lets nobody in.",
            next_action="On Airflow 2 this version supports Flask-AppBuilder's auth manager.",
            auth_manager=_name(type(manager)),
        )
    if user is None or user.is_anonymous or not user.is_active:
        raise NotAuthenticated("Nobody is logged in here, or the session or token has ended.")
    found = (
        permissions
        for action, permissions in _ALLOWED.items()
        if manager.is_authorized_custom_view(method=action, resource_name=RESOURCE, user=user)
    )
    return Principal(Identity(name, _stable_id(user), str(user.get_name())), frozenset().union(*found), address)


def csrf() -> Csrf | None:
    """Return the token of the session that asks, None where an operator has switched Airflow's protection off."""
    if not current_app.config["WTF_CSRF_ENABLED"]:
        return None
    return Csrf(header=current_app.config["WTF_CSRF_HEADERS"][0], token=generate_csrf())


def check() -> Check:
    """Return the check of `doctor`: whether anybody gets in at all."""
    return role_check.judged(
        get_auth_manager_cls,
        supported=lambda found: _name(found) in _KNOWN,
        supports="Flask-AppBuilder's auth manager",
        verdict=lambda: Check(
            role_check.NAME,
            CheckStatus.OK,
            f"Roles with the permissions {READ} and {CHANGE} on {RESOURCE} get in: by default only Admin.",
        ),
    )


def _of_backends(manager: Any) -> Any:  # noqa: ANN401  Airflow 2 has no types here
    """Return whom one of `[api] auth_backends` finds, as for Airflow's own REST API, None when none does.

    Some of them log the user in, for the REST API keeps no session. Ours does, for its CSRF token: what they wrote is
    taken out of it again, or a cookie would be worth a password.
    """
    before, modified = dict(session), session.modified
    try:
        for backend in current_app.api_auth:  # type: ignore[attr-defined]  # Airflow's own attribute
            answer: Response = backend.requires_authentication(Response)()
            if answer.status_code == Response.default_status and manager.is_logged_in():
                return manager.get_user()
    finally:
        session.clear()
        session.update(before)
        session.modified = modified
    return None


def _stable_id(user: Any) -> str:  # noqa: ANN401  Airflow 2 has no types here
    """Return the number of the user and since when there is one: SQLite gives the number of a deleted one anew."""
    created = getattr(user, "created_on", None)
    return str(user.get_id()) if created is None else f"{user.get_id()}@{created.isoformat()}"


def _name(found: type) -> str:
    return f"{found.__module__}.{found.__qualname__}"
