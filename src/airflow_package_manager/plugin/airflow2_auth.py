"""Who asks, as Airflow 2 knows it: its session first, then the backends of its REST API; judged by two permissions.

Roles are Flask-AppBuilder's, so what a role may do is read from its permissions and never from its name. An auth
manager other than theirs lets nobody in but those whom the settings name.
"""

from __future__ import annotations

from typing import Any

from airflow.www.extensions.init_auth_manager import get_auth_manager, get_auth_manager_cls
from flask import Response, current_app, request, session
from flask_wtf.csrf import generate_csrf

from airflow_package_manager.domain.access import Principal
from airflow_package_manager.domain.inventory import Check
from airflow_package_manager.errors import NotAuthenticated
from airflow_package_manager.plugin import fab_users, named_admins, role_check
from airflow_package_manager.plugin.asking import asked
from airflow_package_manager.plugin.fab_permissions import AUTH_MANAGER
from airflow_package_manager.plugin.named_admins import NamedAdmins
from airflow_package_manager.plugin.role_check import name_of
from airflow_package_manager.web.flask_blueprint import Caller
from airflow_package_manager.web.schemas import Csrf


def caller() -> Caller:
    """Return who sent the request that Flask holds; raises `NotAuthenticated` or `Forbidden`."""
    manager = get_auth_manager()
    address = request.remote_addr
    if manager.is_logged_in():
        return Caller(principal_of(manager.get_user(), manager, address), by_header=False)
    user = _of_backends(manager)
    return Caller(principal_of(user, manager, address), by_header="Authorization" in request.headers)


def principal_of(user: Any, manager: Any, address: str | None) -> Principal:  # noqa: ANN401  Airflow 2 has no types here
    """Return the caller with what it may do; raises `NotAuthenticated` or `Forbidden`."""
    if user is None or getattr(user, "is_anonymous", False):
        raise NotAuthenticated("Nobody is logged in here, or the session or token has ended.")
    name = name_of(type(manager))
    with asked(name):
        judged = fab_users.judged(user, manager) if name == AUTH_MANAGER else named_admins.judged(user, name)
    return Principal(*judged, address)


def csrf() -> Csrf | None:
    """Return the token of the session that asks, None where an operator has switched Airflow's protection off."""
    if not current_app.config["WTF_CSRF_ENABLED"]:
        return None
    return Csrf(header=current_app.config["WTF_CSRF_HEADERS"][0], token=generate_csrf())


def check(named: NamedAdmins) -> Check:
    """Return the check of `doctor`: whether anybody gets in at all."""
    return role_check.judged(
        get_auth_manager_cls,
        supported=lambda found: name_of(found) == AUTH_MANAGER or bool(named),
        supports="Flask-AppBuilder's auth manager",
        verdict=lambda: _verdict(named),
    )


def _verdict(named: NamedAdmins) -> Check:
    manager = name_of(get_auth_manager_cls())
    return named_admins.verdict(manager, named, fab_users.who_gets_in() if manager == AUTH_MANAGER else None)


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
