"""Which exit status each error code ends with; `docs/cli.md` lists them and a test compares."""

from __future__ import annotations

from collections.abc import Mapping

OK = 0
FAILED = 1
"""The operation ended FAILED, or a check of `doctor` did."""
USAGE = 2
"""Wrong arguments, or input that cannot be read."""
POLICY = 3
RESOLUTION = 4
NOT_FOUND = 5
TOKEN = 6
STALE = 7
IN_PROGRESS = 8
COMPONENTS = 9
ROLLED_BACK = 10
"""The operation was rolled back: everything is as before."""
CANCELLED = 11
INTERNAL = 70
UNAVAILABLE = 75
"""Try again later."""
FORBIDDEN = 77
CONFIGURATION = 78

STATUS_BY_CODE: Mapping[str, int] = {
    "internal": INTERNAL,
    "malformed": USAGE,
    "not-found": NOT_FOUND,
    "method-not-allowed": USAGE,
    "body-too-large": USAGE,
    "unsupported-media-type": USAGE,
    "not-authenticated": FORBIDDEN,
    "forbidden": FORBIDDEN,
    "cross-origin": FORBIDDEN,
    "csrf-failed": FORBIDDEN,
    "token-invalid": TOKEN,
    "token-used": TOKEN,
    "token-expired": TOKEN,
    "invalid-requirement": USAGE,
    "invalid-requirements-file": USAGE,
    "ambiguous-requirement": USAGE,
    "requirement-not-found": NOT_FOUND,
    "already-required": USAGE,
    "policy-violation": POLICY,
    "acknowledgement-required": POLICY,
    "acknowledgement-unknown": USAGE,
    "resolution-impossible": RESOLUTION,
    "unknown-project": RESOLUTION,
    "unknown-version": RESOLUTION,
    "no-wheel": RESOLUTION,
    "image-differs": COMPONENTS,
    "store-too-large": USAGE,
    "nothing-to-change": OK,
    "no-components": COMPONENTS,
    "unsupported-workload": COMPONENTS,
    "components-unsettled": COMPONENTS,
    "stale-plan": STALE,
    "operation-in-progress": IN_PROGRESS,
    "illegal-transition": IN_PROGRESS,
    "too-many-plans": UNAVAILABLE,
    "index-unavailable": UNAVAILABLE,
    "index-refused": UNAVAILABLE,
    "resolver-timeout": UNAVAILABLE,
    "plan-abandoned": UNAVAILABLE,
    "store-conflict": STALE,
    "stamp-conflict": STALE,
    "store-unavailable": UNAVAILABLE,
    "cluster-unavailable": UNAVAILABLE,
    "cluster-forbidden": CONFIGURATION,
    "admission-refused": COMPONENTS,
    "database-busy": UNAVAILABLE,
    "invalid-setting": CONFIGURATION,
}

STATUS_BY_STATE: Mapping[str, int] = {
    "SUCCEEDED": OK,
    "ROLLED_BACK": ROLLED_BACK,
    "FAILED": FAILED,
    "CANCELLED": CANCELLED,
}
