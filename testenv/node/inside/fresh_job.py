"""Startup probe: `fresh_job.py SchedulerJob` succeeds when this pod's main process has written such a job row.

Without Airflow's imports: a few tenths of a second of processor time instead of several seconds.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import psycopg2  # type: ignore[import-untyped]

_QUERY = (
    "SELECT count(*) FROM job WHERE job_type = %s AND hostname = %s AND state = 'running'"
    " AND start_date >= to_timestamp(%s) - interval '1 second'"
)


def started() -> float:
    """Return when process 1 of this container started, in Unix seconds: a StatefulSet's pod keeps its name."""
    ticks = int(Path("/proc/1/stat").read_text().rpartition(")")[2].split()[19])
    boot = next(line.split()[1] for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime"))
    return int(boot) + ticks / os.sysconf("SC_CLK_TCK")


def main(kind: str) -> int:
    """Return 0 when the row is there."""
    address = os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("postgresql+psycopg2://", "postgresql://")
    with psycopg2.connect(address, connect_timeout=5) as connection, connection.cursor() as cursor:
        cursor.execute(_QUERY, (kind, os.environ["POD_NAME"], started()))
        return 0 if cursor.fetchone()[0] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
