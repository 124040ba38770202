"""Tasks that the KubernetesExecutor runs, each in a pod of its own."""

import importlib.util
import time
from pathlib import Path

from airflow.sdk import dag, task

LOGS = Path("/opt/airflow/logs")
SECONDS = 1500


@dag(schedule=None, catchup=False)
def imports_in_a_pod():
    @task(executor="KubernetesExecutor")
    def use() -> str:
        import good_package

        return str(good_package.__file__)

    use()


@dag(schedule=None, catchup=False)
def lasts_in_a_pod():
    @task(executor="KubernetesExecutor")
    def last() -> bool:
        """Wait for the test, then tell whether the package is there."""
        (LOGS / "lasts").touch()
        end = time.monotonic() + SECONDS
        while not (LOGS / "go-on").exists() and time.monotonic() < end:
            time.sleep(0.5)
        return importlib.util.find_spec("good_package") is not None

    last()


imports_in_a_pod()
lasts_in_a_pod()
