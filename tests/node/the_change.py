"""The change that a person makes at the page of the Airflow on the node, and what pods were and are there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_package_manager.domain import report
from testenv.node.manifests import CONFIG_MAP, INSTALLER
from tests.node import task_runs, the_page
from tests.node.task_runs import TaskRun
from tests.plugin import journey

if TYPE_CHECKING:
    from collections.abc import Callable

    from testenv.node.airflow import AirflowOnTheNode

SECONDS = 420
ALL = {"scheduler": 1, "worker": 2, "triggerer": 1, "dag-processor": 1, "api-server": 1}
"""Component → pods, of the newest Airflow."""


@dataclass(frozen=True)
class Before:
    """Tasks of the KubernetesExecutor of which nothing was installed yet."""

    failed: TaskRun
    """It needs the package, and has ended."""
    failed_pod: dict[str, Any]
    """Its pod, when it had ended."""
    state: str
    """How it ended."""
    lasting: TaskRun
    """It runs until the test lets it end."""
    lasting_pod: dict[str, Any]
    """Its pod, when the task ran."""


@dataclass(frozen=True)
class Added:
    """The operation by which a person added the package, and what was there before, meanwhile and after it."""

    operation: dict[str, Any]
    before: dict[str, set[str]]
    after: dict[str, set[str]]
    """Uids of the pods of each component."""
    tasks: Before
    too_early: TaskRun
    """A task that needs the package, started while the first worker was being replaced."""


def tasks_before(on_the_node: AirflowOnTheNode) -> Before:
    """Run a task that fails without the package, and start one that lasts."""
    lasting = task_runs.start(on_the_node, task_runs.LASTS)
    failed = task_runs.start(on_the_node, task_runs.IMPORTS)
    state, pod = failed.ended()
    lasts = on_the_node.airflow.home / "logs" / "lasts"
    running = lasting.until(lambda _: lasts.exists(), "a task that lasts")
    return Before(failed, pod, state, lasting, running)


def add(on_the_node: AirflowOnTheNode, tasks: Before) -> Added:
    """Add the missing package as a person does."""
    airflow = on_the_node.airflow
    before = pods(on_the_node)
    too_early: list[TaskRun] = []
    try:
        with the_page.logged_in(airflow, "admin") as page:
            the_page.add(
                page, "good-package", lambda: too_early.append(task_runs.start(on_the_node, task_runs.IMPORTS))
            )
    except AssertionError as error:
        raise AssertionError(f"{error}\n{on_the_node.describe()}") from error
    token = airflow.token("admin")
    _, history = airflow.api("GET", "operations", token=token)
    done = journey.operation(airflow, token, history["operations"][0]["id"])
    assert done["state"] == "SUCCEEDED", done["problem"]
    assert done["plan"]["components"] == list(ALL)
    on_the_node.await_ready(60)
    return Added(done, before, pods(on_the_node), tasks, *too_early)


def pods(on_the_node: AirflowOnTheNode) -> dict[str, set[str]]:
    """Return the uids of the pods of each component that stay."""
    names = [component.name for component in on_the_node.version.components]
    return {name: {pod["metadata"]["uid"] for pod in staying(on_the_node, name)} for name in names}


def staying(on_the_node: AirflowOnTheNode, component: str = "") -> list[dict[str, Any]]:
    """Return the pods that nobody has deleted."""
    return [pod for pod in on_the_node.pods(component) if "deletionTimestamp" not in pod["metadata"]]


def uids(on_the_node: AirflowOnTheNode, component: str) -> dict[str, str]:
    """Return name → uid of the pods of a component that stay."""
    return {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in staying(on_the_node, component)}


def digest(on_the_node: AirflowOnTheNode) -> str | None:
    """Return the digest of the lock that every pod that stays has installed: one and the same."""
    (found,) = {report_of(pod).lock_digest for pod in staying(on_the_node)}
    return found


def report_of(pod: dict[str, Any]) -> report.InstallReport:
    """Return what the init container reported."""
    (status,) = (row for row in pod["status"]["initContainerStatuses"] if row["name"] == INSTALLER)
    found = report.load_install(status["state"]["terminated"]["message"])
    assert found is not None
    return found


def rolled_back(
    on_the_node: AirflowOnTheNode, package: str, *, meanwhile: Callable[[], bool] | None = None
) -> dict[str, Any]:
    """Apply a package that does not work here, and return the operation, which has been rolled back by itself.

    `meanwhile`, if any, is asked again and again, until it has done what it waits for.
    """
    airflow, token = on_the_node.airflow, on_the_node.airflow.token("admin")
    planned, secret = journey.plan(airflow, token, f"add {package}")
    assert planned["state"] == "PLANNED", planned["problem"]
    status, answer = journey.apply(airflow, token, planned, secret)
    assert status == 202, answer
    if meanwhile is not None:
        journey.until(lambda: meanwhile() or None, "the moment in the middle", 120, every=0.1)
    done = journey.ended(airflow, token, planned["id"], SECONDS)
    assert done["state"] == "ROLLED_BACK", (done["problem"], on_the_node.describe())
    on_the_node.await_ready(120)
    return done


def ready(on_the_node: AirflowOnTheNode, component: str) -> int:
    """Return how many pods of a component are Ready."""
    return sum(
        condition["type"] == "Ready" and condition["status"] == "True"
        for pod in on_the_node.pods(component)
        for condition in pod["status"]["conditions"]
    )


def text(on_the_node: AirflowOnTheNode) -> str:
    """Return the requirements."""
    path = f"/api/v1/namespaces/{on_the_node.namespace}/configmaps/{CONFIG_MAP}"
    return str(on_the_node.cluster.admin.get(path)["data"]["requirements.txt"])
