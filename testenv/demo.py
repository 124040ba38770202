"""`make demo`: a real Airflow with a DAG that cannot be imported for want of a package, until Ctrl-C."""

from __future__ import annotations

import shutil
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from testenv import airflow_environment, airflow_home, airflows

HOME = airflow_environment.REPOSITORY / ".demo"
DAG = '''"""Draws a table; cannot be imported until an admin adds prettytable."""

from airflow.sdk import dag, task
from prettytable import PrettyTable


@dag(schedule=None, catchup=False, tags=["demo"])
def table_demo():
    @task
    def draw() -> str:
        table = PrettyTable(["what", "state"])
        table.add_row(["prettytable", "installed"])
        print(table)
        return table.get_string()

    draw()


table_demo()
'''


def main() -> int:
    """Build, prepare, start, tell where to look, and stop everything at Ctrl-C."""
    for number in (signal.SIGTERM, signal.SIGINT):  # what a script starts in the background ignores the second one
        signal.signal(number, _interrupt)
    version = sys.argv[1] if len(sys.argv) > 1 else airflows.NEWEST
    print(
        f"Building an environment with Airflow {version} and this plugin (only the first time takes a while),"
        f" and preparing {HOME} …",
        flush=True,
    )
    shutil.rmtree(HOME, ignore_errors=True)
    airflow = airflows.prepare(version, HOME, dags={"table_demo.py": DAG})
    print(f"Starting {', '.join(airflow.components)} …", flush=True)
    started = time.monotonic()
    try:
        with airflow_home.running(airflow):
            _tell(airflow, time.monotonic() - started)
            while airflow.process is not None and airflow.process.poll() is None:
                time.sleep(0.5)
            print(airflow.log_end(), file=sys.stderr)
            return 1
    except KeyboardInterrupt:
        print("\nStopped; nothing is left running. The Airflow home stays in .demo until the next demo.")
        return 0


def _tell(airflow: airflow_home.Airflow, seconds: float) -> None:
    print(f"\nAirflow runs since {seconds:.0f} s.\n\n  {airflow.url}/plugin/package-manager\n")
    for user, password in airflow.passwords.items():
        print(f"  {user:8} password {password}")
    print(
        "\nThe DAG table_demo has an import error: it needs prettytable. Log in as admin, open Admin → Package Manager,"
        "\nadd prettytable, look at the plan, apply it, and run the DAG. Or from another terminal:\n"
        f"\n  AIRFLOW_HOME={airflow.home} {Path(airflow.python).parent}/airflow-package-manager add prettytable\n"
        "\nCtrl-C stops everything.",
        flush=True,
    )


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
