"""Which refusals of the door go into the audit record, so that the record is complete and nobody can flood it."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from airflow_package_manager.domain.access import Identity, Permission, Principal
from airflow_package_manager.errors import PackageManagerError
from airflow_package_manager.web.forgery import SAFE_METHODS

ACCESS_CODES = frozenset({"not-authenticated", "forbidden", "cross-origin", "csrf-failed"})
QUIET_SECONDS = 60.0
MAXIMUM_KEYS = 1000

_CHANGING = frozenset({Permission.PLAN, Permission.APPLY})

_Key = tuple[Identity | None, str | None, str, str]


class RefusalRecord:
    """Remembers what was recorded lately.

    A refused change of somebody who may change something is always recorded. What can be repeated without such a
    permission, by a page elsewhere, or by a page that polls, is recorded once a minute for the same caller, address,
    code and endpoint.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._guard = threading.Lock()
        self._seen: OrderedDict[_Key, float] = OrderedDict()

    def wants(
        self, error: PackageManagerError, principal: Principal | None, method: str, address: str | None, what: str
    ) -> bool:
        """Tell whether this refusal is recorded, and remember it."""
        if error.code not in ACCESS_CODES:
            if principal is None or method in SAFE_METHODS:
                return False
            if principal.permissions & _CHANGING:
                return True
        key = (principal.identity if principal else None, address, error.code, what)
        now = self._clock()
        with self._guard:
            last = self._seen.get(key)
            if last is not None and now - last < QUIET_SECONDS:
                return False
            self._seen[key] = now
            self._seen.move_to_end(key)
            while len(self._seen) > MAXIMUM_KEYS:
                self._seen.popitem(last=False)
            return True
