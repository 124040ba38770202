"""When a request may be sent again, and how long to wait before; pure."""

from __future__ import annotations

ATTEMPTS = 5
LONGEST_SECONDS = 10.0
"""Longest pause that is waited out inside a request; a server that asks for more is unavailable."""
_FIRST_SECONDS = 0.2
_TOO_MANY_REQUESTS, _SERVER_ERROR = 429, 500


def may_repeat(status: int, *, repeatable: bool) -> bool:
    """Tell whether a response allows the same request again.

    429 comes before anything was done. A 5xx may come after it, so only a `repeatable` request goes out once more.
    """
    return status == _TOO_MANY_REQUESTS or (status >= _SERVER_ERROR and repeatable)


def pause(attempt: int, asked: float | None, jitter: float) -> float | None:
    """Return the seconds to wait after the attempt (the first is 1), None when it was the last.

    `asked` is the server's Retry-After, `jitter` a random number from 0 to 1: many clients shall not come back at once.
    """
    if attempt >= ATTEMPTS or (asked is not None and asked > LONGEST_SECONDS):
        return None
    doubling = _FIRST_SECONDS * 2.0 ** (attempt - 1)
    return (asked or 0.0) + doubling * (0.5 + jitter)
