"""What the audit record keeps of a request and of a plan: who reads it later must see before and after, and no secret.

A whole file stands in the record as a digest, because a person's own lines may hold the credentials of an index.
"""

from __future__ import annotations

from typing import Any

from airflow_package_manager.domain import lock as locks
from airflow_package_manager.domain.plan import Effect, Plan


def of_request(request: dict[str, Any]) -> dict[str, Any]:
    """Return the request as the record keeps it."""
    if "requirements" not in request:
        return request
    text = request["requirements"]
    return {**request, "requirements": {"sha256": locks.text_digest(text), "lines": len(text.splitlines())}}


def of_plan(plan: Plan) -> dict[str, Any]:
    """Return before and after: digests of text and lock, each distribution's versions, and what restarts."""
    return {
        "before": {"requirements": locks.text_digest(plan.base_text), "lock": plan.base_lock_digest},
        "after": {"requirements": locks.text_digest(plan.proposed_text), "lock": plan.lock.digest()},
        "packages": {
            change.name: [change.before, change.after]
            for change in plan.package_changes
            if change.effect is not Effect.UNCHANGED_IMAGE
        },
        "components": list(plan.components),
        "acknowledgements": list(plan.acknowledgements),
    }
