"""A real supervisor with short times and the light installer: `light_supervisor.py COMPONENT READY_URL TIMES COMMAND…`.

TIMES: words such as soak=0.3; READY_URL: an address or ``-``.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

from airflow_package_manager import settings
from airflow_package_manager.installer.supervisor import supervise
from airflow_package_manager.installer.timing import Timing

LIGHT_INSTALLER = Path(__file__).with_name("light_installer.py")
QUICK = Timing(
    ready_timeout=2.0,
    soak=0.4,
    stop_timeout=3.0,
    install_timeout=5.0,
    tick=0.02,
    poll=0.05,
    beat=0.1,
    probe=0.05,
    handover=0.3,
    retry=0.3,
    sweep=0.2,
    lost=1.0,
    silent=5.0,
    young=600.0,
)


def main() -> int:
    component, url, times, *command = sys.argv[1:]
    given = dict(word.split("=") for word in times.split())
    timing = dataclasses.replace(QUICK, **{name: float(value) for name, value in given.items()})
    return supervise(
        component,
        command,
        settings.load(),
        ready_url=None if url == "-" else url,
        timing=timing,
        install_command=lambda directory, revision: [
            sys.executable,
            str(LIGHT_INSTALLER),
            str(directory),
            str(revision),
        ],
    )


if __name__ == "__main__":
    sys.exit(main())
