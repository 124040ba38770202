"""Runs of DAGs whose tasks the KubernetesExecutor executes: how they end, and in which pods they were."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from tests.plugin import journey

if TYPE_CHECKING:
    from testenv.node.airflow import AirflowOnTheNode

IMPORTS, LASTS = "imports_in_a_pod", "lasts_in_a_pod"
TASKS = {IMPORTS: "use", LASTS: "last"}
SECONDS = 150
Value = TypeVar("Value")


@dataclass
class TaskRun:
    """One run of a DAG with one task."""

    on_the_node: AirflowOnTheNode
    dag: str
    run: str
    """The run's id."""

    def pod(self) -> dict[str, Any] | None:
        """Return the pod in which the task is or was, None while there is none."""
        found = [pod for pod in self.on_the_node.task_pods(self.dag) if self._is_mine(pod)]
        assert len(found) <= 1, "the task was tried once"
        return found[0] if found else None

    def until(self, enough: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
        """Return the pod as soon as it is so."""

        def look() -> dict[str, Any] | None:
            pod = self.pod()
            return pod if pod is not None and enough(pod) else None

        return self._until(look, what)

    def ended(self) -> tuple[str, dict[str, Any]]:
        """Return how the run ended, and its pod when that had ended too."""
        airflow = self.on_the_node.airflow
        token = airflow.token("admin")

        def look() -> str | None:
            state = journey.run_state(airflow, token, self.dag, self.run)
            return state if state in {"success", "failed"} else None

        state = self._until(look, f"the end of {self.dag}")
        return state, self.until(_has_ended, f"the end of a pod of {self.dag}")

    def returned(self) -> object:
        """Return what the task returned."""
        airflow = self.on_the_node.airflow
        path = f"/api/v2/dags/{self.dag}/dagRuns/{self.run}/taskInstances/{TASKS[self.dag]}/xcomEntries/return_value"
        status, found = airflow.request("GET", path, token=airflow.token("admin"))
        assert status == 200, found
        return found["value"]

    def log(self) -> str:
        """Return what the task logged: all components of this Airflow see one directory of logs."""
        logs = self.on_the_node.airflow.home / "logs" / f"dag_id={self.dag}" / f"run_id={self.run}"
        return "\n".join(path.read_text(errors="replace") for path in sorted(logs.rglob("*.log")))

    def _until(self, look: Callable[[], Value | None], what: str) -> Value:
        try:
            return journey.until(look, what, SECONDS)
        except TimeoutError as error:
            raise AssertionError(f"{error}\n{self.log()}\n{self.on_the_node.describe()}") from error

    def _is_mine(self, pod: dict[str, Any]) -> bool:
        return bool(pod["metadata"].get("annotations", {}).get("run_id") == self.run)


def _has_ended(pod: dict[str, Any]) -> bool:
    return pod["status"]["phase"] in {"Succeeded", "Failed"}


def start(on_the_node: AirflowOnTheNode, dag: str) -> TaskRun:
    """Trigger a run."""
    token = on_the_node.airflow.token("admin")
    return TaskRun(on_the_node, dag, journey.run_dag(on_the_node.airflow, token, dag))
