"""What becomes of a caller when Airflow's auth manager cannot be asked: nobody gets in, and the log has the reason."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from airflow_package_manager.errors import Forbidden, PackageManagerError

log = logging.getLogger(__name__)


@contextmanager
def asked(auth_manager: str) -> Iterator[None]:
    """Turn whatever an auth manager (its import path) raises into `Forbidden`; our own refusals pass."""
    try:
        yield
    except PackageManagerError:
        raise
    except Exception as error:
        log.exception("%s could not be asked what a user may do", auth_manager)
        raise Forbidden(
            f"Airflow's auth manager could not be asked what you may do ({type(error).__name__}).",
            next_action="Try again; if it stays so, the web server's log has the reason.",
            auth_manager=auth_manager,
        ) from error
