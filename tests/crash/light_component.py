"""A component that only lives: loads the plugins of its site as Airflow does, says so, and waits for its end."""

from __future__ import annotations

import os
import signal
import threading
import time
from importlib import metadata
from pathlib import Path

COMPONENT_VARIABLE = "TESTENV_COMPONENT"
OURS = "airflow-package-manager"


def begin() -> threading.Event:
    """Log the start, load every plugin, and return an event that SIGTERM sets.

    The component's name leaves the environment then: what this process starts (a check) is no such component.
    """
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    component = os.environ[COMPONENT_VARIABLE]
    site = Path(os.environ.get("AIRFLOW_PACKAGE_MANAGER_SITE", "unset")).name
    line = f"{component} {os.getpid()} {time.time()} {site}\n"
    with (Path(os.environ["AIRFLOW_HOME"]) / "starts.log").open("a") as log:
        log.write(line)
    for entry_point in metadata.entry_points(group="airflow.plugins"):
        if entry_point.dist is not None and entry_point.dist.name != OURS:
            entry_point.load()
    del os.environ[COMPONENT_VARIABLE]
    return stopping


if __name__ == "__main__":
    begin().wait()
