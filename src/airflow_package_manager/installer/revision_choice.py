"""Which lock a pod uses: its stamp, what the mounted locks say, and what happens when they do not fit, as one table.

A pod must neither meet an untested lock nor be down because somebody lost a ConfigMap. So only a revision in flight
waits in vain for its lock and fails; whatever else has no lock starts on its image alone and says so.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass


@dataclass(frozen=True)
class Choice:
    """What one look at the mounted locks leads to."""

    revision: int | None
    """The lock to install; None: there is none."""
    in_flight: bool = False
    """The revision was never promoted: whatever is wrong with it is a failure."""
    missing: bool = False
    """Something was to be installed and its lock is not there."""
    waits: bool = False
    """The lock may still come: the mount of a ConfigMap is up to two minutes behind."""
    why: str = ""
    """For people, when there is no lock."""


def choose(stamp: int | None, current: int | None, locks: Container[int]) -> Choice:
    """Return what to do now; when it `waits`, the same with no time left.

    `locks` tells which of the two revisions have a lock. A lock that is missing in flight (`in_flight` and `missing`)
    ends in a failure that is worth another try; any other missing lock in a start without a site.
    """
    if stamp is None:
        return _of_current(current, locks, "")
    in_flight = current is None or stamp > current
    if stamp in locks:
        return Choice(stamp, in_flight)
    gone = f"The lock of revision {stamp}, with which this pod is stamped, is not there"
    if current is None:
        return Choice(None, missing=True, waits=True, why=f"{gone}, and nothing says which revision is current.")
    if in_flight:
        return Choice(None, in_flight=True, missing=True, waits=True, why=f"{gone} (yet).")
    return _of_current(current, locks, f"{gone}. ")


def _of_current(current: int | None, locks: Container[int], before: str) -> Choice:
    if current is None:
        return Choice(None)
    if current in locks:
        return Choice(current)
    return Choice(None, missing=True, why=f"{before}The lock of the current revision {current} is not there.")
