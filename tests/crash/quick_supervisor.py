"""A real supervisor with short times: `python -m tests.crash.quick_supervisor COMPONENT COMMAND…`."""

from __future__ import annotations

import os
import sys

from airflow_package_manager import settings
from airflow_package_manager.installer.supervisor import supervise
from airflow_package_manager.installer.timing import Timing

QUICK = Timing(
    ready_timeout=10.0,
    soak=float(os.environ["CRASH_SOAK"]),
    stop_timeout=5.0,
    install_timeout=30.0,
    tick=0.03,
    poll=0.06,
    beat=0.5,
    handover=1.0,
    retry=0.5,
    sweep=5.0,
)


if __name__ == "__main__":
    component, *command = sys.argv[1:]
    sys.exit(supervise(component, command, settings.load(), timing=QUICK))
