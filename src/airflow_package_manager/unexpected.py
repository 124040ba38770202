"""What nobody expected becomes one of our errors; its trace goes to the log, under an id that both carry."""

from __future__ import annotations

import uuid
from logging import Logger

from airflow_package_manager.errors import PackageManagerError


def as_ours(error: Exception, what: str, log: Logger) -> PackageManagerError:
    """Log the trace of an unexpected `error`, and return what may be shown of it.

    `what` met it, for example ``A step``; the error's own words stay in the log.
    """
    correlation = uuid.uuid4().hex
    log.error("%s met the unexpected; correlation id %s", what, correlation, exc_info=error)
    return PackageManagerError(
        f"{what} met an unexpected {type(error).__name__}.",
        next_action=f"Look for {correlation} in the server's log.",
        correlation_id=correlation,
    )
