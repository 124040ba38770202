"""`python -m airflow_package_manager.installer.run COMPONENT READY_URL COMMAND…`: one supervised component.

What `standalone` starts four times; people use `airflow-package-manager run`. READY_URL may be ``-``.
"""

from __future__ import annotations

import sys

from airflow_package_manager import settings
from airflow_package_manager.installer.supervisor import supervise


def main(arguments: list[str]) -> int:
    """Supervise until the command ends; return the exit status."""
    component, url, *command = arguments
    return supervise(component, command, settings.load(), ready_url=None if url == "-" else url)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
