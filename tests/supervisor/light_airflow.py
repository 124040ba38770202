"""Stands in for `airflow` below `standalone`: `light_airflow.py LOG COMMAND…` logs what it gets, waits for SIGTERM."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path

NAMES = ("AIRFLOW__API__", "AIRFLOW__WEBSERVER__", "AIRFLOW__WORKERS__", "AIRFLOW_PACKAGE_MANAGER_SITE")


def main() -> int:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    event = {
        "argv": sys.argv[2:],
        "pid": os.getpid(),
        "environment": {name: value for name, value in os.environ.items() if name.startswith(NAMES)},
    }
    with Path(sys.argv[1]).open("a") as stream:
        stream.write(json.dumps(event) + "\n")
    if sys.argv[2:] == ["db", "migrate"]:
        return int(os.environ.get("LIGHT_MIGRATE", "0"))
    while not stop.wait(0.05):
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
