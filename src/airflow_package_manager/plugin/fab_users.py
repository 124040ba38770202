"""What a user of Flask-AppBuilder may do, and for Airflow 3 the permissions that say so.

Airflow 3 mounts no views of Flask-AppBuilder, so nobody but us makes the permissions there. Its provider is imported in
a web server that has it already, and nowhere else; it has no types.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Mapping
from typing import Any

from airflow.utils.session import create_session
from sqlalchemy.exc import IntegrityError

from airflow_package_manager.domain.access import Identity, Permission
from airflow_package_manager.domain.inventory import Check, CheckStatus
from airflow_package_manager.errors import NotAuthenticated
from airflow_package_manager.plugin import role_check
from airflow_package_manager.plugin.fab_permissions import CHANGE, READ, RESOURCE

_ALLOWED: Mapping[str, frozenset[Permission]] = {
    READ: frozenset({Permission.READ}),
    CHANGE: frozenset({Permission.PLAN, Permission.APPLY}),
}
"""Action on our resource → what it allows here."""
_ADMIN = "Admin"
"""The role that Airflow itself gives every permission."""

log = logging.getLogger(__name__)


def read_anew(user: Any) -> Any:  # noqa: ANN401  Flask-AppBuilder's
    """Return the user as the database has it now; raises `NotAuthenticated` when it has none of that number.

    Airflow keeps users for `[fab] cache_ttl` seconds. That is good enough for looking, as on Airflow's own pages; for a
    change, who was deactivated, deleted or deprived of a role is refused at once.
    """
    with create_session(scoped=False) as session:
        found = session.get(type(user), int(user.get_id()))
    if found is None:
        raise NotAuthenticated("This user is not there any more.")
    return found


def judged(user: Any, manager: Any) -> tuple[Identity, frozenset[Permission]]:  # noqa: ANN401  same
    """Return who it is and what it may do; raises `NotAuthenticated`."""
    if not user.is_active:
        raise NotAuthenticated("This user is not active.")
    permissions = (
        allowed
        for action, allowed in _ALLOWED.items()
        if manager.is_authorized_custom_view(method=action, resource_name=RESOURCE, user=user)
    )
    return Identity("fab", _stable_id(user), str(user.get_name())), frozenset().union(*permissions)


def ensure_permissions() -> None:
    """Make both permissions where they are missing, and give each to Admin as it is made; raises what a database does.

    Never taken back from any role, nor given again: what an administrator grants or takes stays.
    """
    security: Any = importlib.import_module("airflow.providers.fab.www.security_appless")
    for action in (READ, CHANGE):
        with create_session(scoped=False) as session:
            manager = security.ApplessAirflowSecurityManager(session=session)
            if manager.get_permission(action, RESOURCE) is None:
                _make(session, manager, action)


def _make(session: Any, manager: Any, action: str) -> None:  # noqa: ANN401  same
    """Make one permission by the session that the manager was given: since which version it offers its own differs."""
    names = manager.create_action(action), manager.create_resource(RESOURCE)
    if None in names:  # it logged why
        raise RuntimeError(f"Flask-AppBuilder did not make the names of {action} on {RESOURCE}.")
    permission = manager.permission_model()
    permission.action, permission.resource = names
    session.add(permission)
    admin = manager.find_role(_ADMIN)
    if admin is not None:
        admin.permissions.append(permission)
    try:
        session.commit()  # both or neither
    except IntegrityError:
        session.rollback()
        log.debug("Another process made the permission %s on %s", action, RESOURCE)
    else:
        log.info("Made the permission %s on %s; the role %s has it", action, RESOURCE, _ADMIN)


def who_gets_in() -> Check:
    """Return the check of `doctor`."""
    return Check(
        role_check.NAME,
        CheckStatus.OK,
        f"Roles with the permissions {READ} and {CHANGE} on {RESOURCE} get in: by default only Admin.",
    )


def _stable_id(user: Any) -> str:  # noqa: ANN401  same
    """Return the number of the user and since when there is one: SQLite gives the number of a deleted one anew."""
    created = getattr(user, "created_on", None)
    return str(user.get_id()) if created is None else f"{user.get_id()}@{created.isoformat()}"
