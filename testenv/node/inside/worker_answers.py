"""Startup probe: succeeds when the Celery worker of this pod answers a ping."""

from __future__ import annotations

import os
import sys

from celery import Celery  # type: ignore[import-not-found]  # only the image has it


def main() -> int:
    """Return 0 when it answers."""
    application = Celery(broker=os.environ["AIRFLOW__CELERY__BROKER_URL"])
    name = f"celery@{os.environ['POD_NAME']}"
    return 0 if application.control.ping(destination=[name], timeout=5, limit=1) else 1


if __name__ == "__main__":
    sys.exit(main())
