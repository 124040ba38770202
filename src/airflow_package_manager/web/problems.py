"""Errors on the wire: the one table from code to HTTP status, and the RFC 9457 body.

A body is data for a program and sentences for a person: cause, who can lift it, next action. Nothing here knows a
framework. `docs/errors.md` and a test keep to the table.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from airflow_package_manager.errors import PackageManagerError
from airflow_package_manager.refusals import Malformed, all_errors

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:airflow-package-manager:problem:"
"""`type` is a name, not an address: it means the same on every installation, also where no page can be fetched."""

STATUS_BY_CODE: Mapping[str, int] = {
    "malformed": 400,
    "not-authenticated": 401,
    "forbidden": 403,
    "cross-origin": 403,
    "csrf-failed": 403,
    "token-invalid": 403,
    "not-found": 404,
    "method-not-allowed": 405,
    "stale-plan": 409,
    "operation-in-progress": 409,
    "token-used": 409,
    "illegal-transition": 409,
    "store-conflict": 409,
    "stamp-conflict": 409,
    "components-unsettled": 409,
    "token-expired": 410,
    "body-too-large": 413,
    "unsupported-media-type": 415,
    "invalid-requirement": 422,
    "invalid-requirements-file": 422,
    "ambiguous-requirement": 422,
    "requirement-not-found": 422,
    "already-required": 422,
    "policy-violation": 422,
    "acknowledgement-required": 422,
    "acknowledgement-unknown": 422,
    "resolution-impossible": 422,
    "unknown-project": 422,
    "unknown-version": 422,
    "no-wheel": 422,
    "image-differs": 422,
    "store-too-large": 422,
    "nothing-to-change": 422,
    "no-components": 422,
    "unsupported-workload": 422,
    "too-many-plans": 429,
    "internal": 500,
    "invalid-setting": 500,
    "index-unavailable": 502,
    "index-refused": 502,
    "plan-abandoned": 503,
    "cluster-unavailable": 503,
    "cluster-forbidden": 503,
    "admission-refused": 503,
    "store-unavailable": 503,
    "database-busy": 503,
    "resolver-timeout": 504,
}

_RETRY_AFTER = {"too-many-plans": 5, "database-busy": 1}
"""Seconds, where the error itself does not know better."""
_SHOWN = 100
"""Characters of a name from the request that an error may repeat."""


def problem(error: PackageManagerError) -> dict[str, Any]:
    """Return the body of an error."""
    return {**error.context, **_members(error.code, error.title, error.detail, error.next_action)}


def stored_problem(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body of a problem that an operation keeps: `code`, `title`, `detail`, `next_action`, context."""
    code = str(row.get("code", "internal"))
    known = {kind.code: kind for kind in all_errors()}.get(code, PackageManagerError)
    members = _members(
        code,
        str(row.get("title") or known.title),
        str(row.get("detail", "")),
        str(row.get("next_action") or known.default_next_action),
    )
    return {**row, **members}


def headers(error: PackageManagerError) -> dict[str, str]:
    """Return the headers that belong to an error: `Allow`, `Retry-After`, `WWW-Authenticate`."""
    if error.code == "method-not-allowed":
        allowed = error.context.get("allowed")
        return {"Allow": ", ".join(map(str, allowed))} if isinstance(allowed, list) else {}
    if error.code == "not-authenticated":
        return {"WWW-Authenticate": "Bearer"}
    if error.code in _RETRY_AFTER:
        seconds = error.context.get("retry_after")
        return {
            "Retry-After": str(max(1, int(seconds)) if isinstance(seconds, int | float) else _RETRY_AFTER[error.code])
        }
    return {}


def malformed(error: ValidationError, where: str = "") -> Malformed:
    """Return what pydantic found as our own error that names the first field and lists all of them.

    What was sent is never repeated (it may be a token); names of fields are shortened and made printable.
    """
    found = [
        {"field": field_name(row["loc"], where), "message": row["msg"]}
        for row in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    first = found[0]
    return Malformed(f"{first['field']}: {first['message']}.", field=first["field"], fields=found[:10])


def field_name(location: Sequence[int | str], where: str = "") -> str:
    """Return a place in a body as a person writes it, for example ``changes[0].requirement``."""
    name = where
    for part in location:
        name += f"[{part}]" if isinstance(part, int) else f"{'.' if name else ''}{printable(part)}"
    return name or "body"


def printable(text: str) -> str:
    """Return a text from the request so that it can be shown: short, ASCII, no control character, no markup."""
    shown = text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
    return re.sub(r"[^ -~]|[<>&\"'\\]", lambda match: f"\\u{ord(match[0]) & 0xFFFF:04x}", shown)


def to_json(body: Mapping[str, Any]) -> bytes:
    """Return JSON in ASCII without characters that mean something to HTML, wherever it may end up."""
    return without_markup(json.dumps(body, ensure_ascii=True, separators=(",", ":"), default=str).encode())


def without_markup(json_text: bytes) -> bytes:
    """Return the same JSON value; `<`, `>` and `&` can stand in its strings only and are written as escapes."""
    return json_text.replace(b"<", b"\\u003c").replace(b">", b"\\u003e").replace(b"&", b"\\u0026")


def _members(code: str, title: str, detail: str, next_action: str) -> dict[str, Any]:
    return {
        "type": TYPE_PREFIX + code,
        "title": title,
        "status": STATUS_BY_CODE.get(code, 500),
        "detail": detail,
        "code": code,
        "next_action": next_action,
    }
