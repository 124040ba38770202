"""How long a change usually takes here, from those that went well before."""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import median

from airflow_package_manager.domain.operation import Operation, State


def usual_seconds(past: Iterable[Operation], components: int) -> int | None:
    """Return the seconds that restarting so many components usually takes, the check before it included.

    The middle of what earlier operations took, each measured per component; None when there was none.
    """
    before, each = [], []
    for operation in past:
        started = operation.progress.started_at
        if operation.state is not State.SUCCEEDED or operation.accepted_at is None or operation.ended_at is None:
            continue
        if started:
            first = min(started.values())
            before.append(first - operation.accepted_at)
            each.append((operation.ended_at - first) / len(started))
    if not each or not components:
        return None
    return max(1, math.ceil(median(before) + components * median(each)))
