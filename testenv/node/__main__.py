"""`make demo-kubernetes`: a real Airflow in real pods, with a DAG that lacks a package, until Ctrl-C.

`python -m testenv.node prepare` only installs and builds what is missing, which takes minutes once per machine. A
last word such as `2.11` names another Airflow than the newest.
"""

from __future__ import annotations

import signal
import sys
import time
from types import FrameType

from testenv.demo import DAG
from testenv.node import why_not
from testenv.node.airflow import AirflowOnTheNode, airflow_on_the_node, node_with_image, prepare
from testenv.node.versions import NEWEST, VERSIONS


def main() -> int:
    """Bring it up, tell where to look, and take everything down at Ctrl-C."""
    reason = why_not()
    if reason is not None:
        print(f"There can be no real node here: {reason}.", file=sys.stderr)
        return 0 if "prepare" in sys.argv[1:] else 1
    version = next((VERSIONS[word] for word in sys.argv[1:] if word != "prepare"), NEWEST)
    if "prepare" in sys.argv[1:]:
        prepare(version)
        return 0
    for number in (signal.SIGTERM, signal.SIGINT):  # what a script starts in the background ignores the second one
        signal.signal(number, _interrupt)
    print("Starting a Kubernetes with this machine as its node (what is missing is built, which takes minutes) …")
    started = time.monotonic()
    try:
        with (
            node_with_image(version, say=True) as on,
            airflow_on_the_node(on, dags={"table_demo.py": DAG}, say=True) as running,
        ):
            _tell(running, time.monotonic() - started)
            while True:
                time.sleep(1)
    except KeyboardInterrupt:
        print("\nStopped; no process, container, mount or file is left.")
        return 0


def _tell(running: AirflowOnTheNode, seconds: float) -> None:
    airflow = running.airflow
    print(f"\nAirflow runs in {len(running.pods())} pods, after {seconds:.0f} s.\n")
    print(f"  {airflow.url}/plugin/package-manager\n")
    for user, password in airflow.passwords.items():
        print(f"  {user:8} password {password}")
    print(
        "\nThe DAG table_demo has an import error: it needs prettytable. Log in as admin, open Admin → Package Manager,"
        "\nadd prettytable, look at the plan, apply it, watch the pods being replaced, and run the DAG."
        f"\n\n  export KUBECONFIG={running.cluster.kubeconfig}\n"
        f"  kubectl --namespace {running.namespace} get pods --watch\n"
        "\nCtrl-C stops everything.",
        flush=True,
    )


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
