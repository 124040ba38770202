"""Our events, a second time: in Airflow's own audit log, and as one structured line in the server's log.

Called after our own commit. Airflow shows rows without a DAG to whoever may read its audit log, so nothing goes there
that our events do not hold themselves: no token, no credentials.
"""

from __future__ import annotations

import json
import logging
from typing import Any

from airflow.models.log import Log
from airflow.utils.session import create_session

from airflow_package_manager.domain.operation import Event

log = logging.getLogger("airflow_package_manager.audit")

PREFIX = "package_manager."
MAXIMUM_EVENT = 60
"""Characters of `Log.event`."""
MAXIMUM_OWNER = 500
MAXIMUM_EXTRA = 16_000
"""Characters of the details that are copied; whole texts stay in our own record."""


def mirror(event: Event) -> None:
    """Write the event to both; raises what Airflow's database raises, after the line in the log was written."""
    extra = as_json(event)
    log.info("package-manager-event %s", extra)
    identity = event.identity
    row = Log(
        event=(PREFIX + event.kind)[:MAXIMUM_EVENT],
        owner=(identity.id if identity else "package-manager")[:MAXIMUM_OWNER],
        owner_display_name=(identity.name if identity else "Package Manager")[:MAXIMUM_OWNER],
        extra=extra,
    )
    with create_session() as session:
        session.add(row)


def as_json(event: Event) -> str:
    """Return the event as one line of ASCII JSON, so that no name or message can begin a line of its own."""
    values: dict[str, Any] = {
        "kind": event.kind,
        "at": event.at,
        "message": event.message,
        "auth_manager": event.identity.auth_manager if event.identity else None,
        "principal_id": event.identity.id if event.identity else None,
        "principal": event.identity.name if event.identity else None,
        "address": event.address,
        "operation": event.operation_id,
        "state": event.state.value if event.state else None,
        "component": event.component,
        "details": dict(event.details),
    }
    line = json.dumps(values, ensure_ascii=True, default=str)
    if len(line) > MAXIMUM_EXTRA:
        values["details"] = {"left_out": "too long for this log; see the events of the package manager"}
        values["message"] = event.message[:1_000]
        line = json.dumps(values, ensure_ascii=True, default=str)
    return line
