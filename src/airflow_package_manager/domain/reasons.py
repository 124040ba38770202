"""Why an operation went back or failed, as the problem that its row keeps: one table of codes of our own making.

A rollout that fails is a state, never an error; the codes of `errors` and `refusals` may stand here too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

REASONS: Mapping[str, tuple[str, str]] = {
    "cancelled": ("The change was cancelled", "Nothing to do; plan again if you want it after all."),
    "preflight-failed": (
        "The check before the rollout failed",
        "Read what it printed; choose another version, or another package.",
    ),
    "preflight-timeout": (
        "The check before the rollout did not end in time",
        "Look at the server's load, or raise preflight_timeout; then plan again.",
    ),
    "component-failed": (
        "A component does not run with the change",
        "Read what the component reports; choose another version, or another package.",
    ),
    "component-timeout": (
        "A component was not ready in time",
        "Look at the component's own log, or raise ready_timeout; then plan again.",
    ),
    "component-silent": (
        "A component runs and does not work",
        "Read the component's own log; raise heartbeat_timeout if it only needs longer, else choose another version.",
    ),
    "component-restamped": (
        "Somebody else restarted a component meanwhile",
        "Find out who did; then plan again.",
    ),
    "component-changed": (
        "Somebody else changed a component meanwhile",
        "Let that change end, then plan again; a release tool that changes components should not run meanwhile.",
    ),
    "infrastructure": (
        "The cluster could not run it",
        "No package is at fault: mend what is named (image, quota, admission, room on the nodes), then plan again.",
    ),
    "import-errors": (
        "DAGs lost a module by this change",
        "Keep the package that they need, or correct the DAGs first.",
    ),
    "edited-meanwhile": (
        "The requirements were edited while the change was being applied",
        "The edited text was kept as it is. Review it on the page and adopt or correct it.",
    ),
    "rollback-incomplete": (
        "Not everything could be brought back",
        "'airflow-package-manager status' shows how each named component stands, and its own log why; start it again.",
    ),
    "plan-changed": (
        "The stored plan is not the one that was accepted",
        "Somebody wrote to the database; nothing was changed. Plan again.",
    ),
}
"""Code → title and next action."""


def reason(code: str, detail: str, **context: Any) -> dict[str, Any]:  # noqa: ANN401  any JSON value
    """Return the problem; `context` must hold JSON values only."""
    title, next_action = REASONS[code]
    return {**context, "code": code, "title": title, "detail": detail, "next_action": next_action}
