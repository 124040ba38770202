"""A whole Airflow in real pods: PostgreSQL and redis beside them, users, DAGs, all on loopback."""

from __future__ import annotations

import base64
import json
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from testenv import postgres, redis
from testenv.airflow_home import Airflow, free_port
from testenv.cluster import Cluster, build, control_plane
from testenv.node import airflow_image, machine, manifests, task_pods
from testenv.node.components import Component
from testenv.node.enclosure import NodeFailed
from testenv.node.manifests import Object, Places
from testenv.node.node import Node, real_node
from testenv.node.versions import NEWEST, USERS, Version

SECONDS_TO_START = 300.0
SECONDS_TO_MIGRATE = 180.0
MAXIMUM_RESTARTS = 1
"""Of one container, while everything starts at once."""
TASK = "kubernetes_executor"
"""Label of a pod that the KubernetesExecutor made."""
_TICK = 0.5


@dataclass(frozen=True)
class AirflowOnTheNode:
    """A running Airflow in pods."""

    airflow: Airflow
    """Its HTTP side: address, passwords, requests; and commands on this machine. Nothing is started by this object."""
    node: Node
    version: Version
    namespace: str
    dags: Path
    """The DAG folder of every component: files written here are parsed."""

    @property
    def airflows(self) -> tuple[Airflow, ...]:
        """Return the one that runs in the pods."""
        return (self.airflow,)

    @property
    def cluster(self) -> Cluster:
        """Return the control plane."""
        return self.node.cluster

    def workload(self, component: Component) -> Object:
        """Return the Deployment or StatefulSet of a component as it is now."""
        path = f"/apis/apps/v1/namespaces/{self.namespace}/{component.collection}/{component.workload}"
        found: Object = self.cluster.admin.get(path)
        return found

    def pods(self, component: str = "") -> list[Object]:
        """Return the pods of one component, or of all, by name; a worker's labels are on task pods too."""
        return self._pods(f"tier=airflow,component={component}" if component else "tier=airflow", "!" + TASK)

    def task_pods(self, dag: str) -> list[Object]:
        """Return the pods in which the KubernetesExecutor runs tasks of a DAG."""
        return self._pods(f"{TASK}=True", f"dag_id={dag}")

    def kill(self, pod: Object) -> None:
        """Delete a pod as a person does; one that has gone meanwhile is gone."""
        self.cluster.admin.delete(f"/api/v1/namespaces/{self.namespace}/pods/{pod['metadata']['name']}")

    def await_ready(self, seconds: float = SECONDS_TO_START) -> None:
        """Wait until each component has all its pods Ready on its newest template; raises `NodeFailed` with why."""
        deadline = time.monotonic() + seconds
        while not all(_settled(self.workload(component)) for component in self.version.components):
            if time.monotonic() > deadline or any(_restarts(pod) > MAXIMUM_RESTARTS for pod in self.pods()):
                raise NodeFailed(f"Airflow does not get ready (waited at most {seconds:.0f} s)\n{self.describe()}")
            time.sleep(_TICK)

    def describe(self) -> str:
        """Return what each pod is doing, the end of what it printed, and the ends of the node's logs."""
        lines = []
        for pod in self._pods("tier=airflow"):
            name, status = pod["metadata"]["name"], pod["status"]
            states = [
                f"{row['name']}: {json.dumps(row['state'])[:1500]} restarts {row['restartCount']}"
                for kind in ("initContainerStatuses", "containerStatuses")
                for row in status.get(kind, [])
            ]
            lines.append(f"== {name} {status.get('phase')} {status.get('reason', '')}\n" + "\n".join(states))
            main = pod["spec"]["containers"][0]["name"]
            lines.append(self.node.container_logs(self.namespace, name, main)[-2500:])
        return "\n".join([*lines, self.node.log_end()])

    def _pods(self, *selectors: str) -> list[Object]:
        path = f"/api/v1/namespaces/{self.namespace}/pods"
        found = self.cluster.admin.items(path, labelSelector=",".join(selectors))
        return sorted(found, key=lambda pod: pod["metadata"]["name"])


@dataclass(frozen=True)
class NodeWithImage:
    """A node that has the image of Airflow's pods."""

    node: Node
    version: Version
    """Of the Airflow."""
    environment: Path
    """The virtual environment that pods mount, which also runs on this machine."""


@contextmanager
def node_with_image(version: Version = NEWEST, *, say: bool = False) -> Iterator[NodeWithImage]:
    """Bring up a control plane and this machine as its node, with the image; all is gone at the end.

    With `say`, progress is printed. Raises `machine.MachineUnfit` where that cannot be, and `NodeFailed` with the ends
    of the logs. Call it from the main thread.
    """
    progress = _Progress(loud=say)
    environment = prepare(version)
    progress("programs and the image's environment")
    with control_plane(fake_node=False) as cluster:
        progress("the control plane")
        with real_node(cluster) as node:
            node.load(airflow_image.write(node.home / "airflow.tar", version.image))
            progress("the node")
            yield NodeWithImage(node, version, environment)


@contextmanager
def airflow_on_the_node(
    on: NodeWithImage, *, dags: Mapping[str, str], settings: Mapping[str, str] | None = None, say: bool = False
) -> Iterator[AirflowOnTheNode]:
    """Bring up a whole Airflow in pods; its processes outside of pods are gone at the end, its pods with the node.

    `settings` are environment variables of every component, ours or Airflow's; with `say`, progress is printed. Raises
    `NodeFailed` with states and logs. Call it from the main thread.
    """
    progress = _Progress(loud=say)
    environment = on.environment
    with ExitStack() as last:
        database = last.enter_context(postgres.server())
        broker = last.enter_context(redis.server())
        progress("PostgreSQL and redis")
        running = _prepared(on, dags)
        variables = {**_variables(running, database, broker), **(settings or {})}
        running.airflow.environment.update(_outside(environment, on.node.home, variables))
        _migrate(running.airflow)
        on.version.add_users(running.airflow)
        progress("the database")
        _apply(running, environment, variables)
        running.await_ready()
        running.airflow.wait_until_healthy()
        progress(f"{len(running.pods())} pods")
        yield running


def prepare(version: Version = NEWEST) -> Path:
    """Install and build what is missing; returns the virtual environment of the image. Raises `MachineUnfit`."""
    machine.make_ready()
    build.programs(*(name for name in build.CONTROL_PLANE if name != "kwok"), *build.NODE)
    return airflow_image.environment(version.pins)


class _Progress:
    def __init__(self, *, loud: bool) -> None:
        self._loud = loud
        self._since = time.monotonic()

    def __call__(self, what: str) -> None:
        now = time.monotonic()
        if self._loud:
            print(f"{now - self._since:6.1f} s  {what}", flush=True)
        self._since = now


def _prepared(on: NodeWithImage, dags: Mapping[str, str]) -> AirflowOnTheNode:
    """Make the directories that pods see, and the users' passwords."""
    home = on.node.home / "airflow"
    for name in ("dags", "logs", "users"):
        (home / name).mkdir(parents=True)
        os.chown(home / name, airflow_image.USER, 0)
    for name, text in dags.items():
        (home / "dags" / name).write_text(on.version.dag(text), encoding="utf-8")
    passwords = {name: secrets.token_urlsafe(9) for name in USERS}
    file = home / "users" / "passwords.json"
    file.touch(mode=0o600)
    file.write_text(json.dumps(passwords), encoding="utf-8")
    os.chown(file, airflow_image.USER, 0)
    airflow = on.version.airflow(home, on.environment / "bin" / "python", free_port(), passwords, {})
    return AirflowOnTheNode(airflow, on.node, on.version, manifests.NAMESPACE, home / "dags")


def _variables(running: AirflowOnTheNode, database: postgres.Postgres, broker: redis.Redis) -> dict[str, str]:
    """Return the environment that all components share."""
    return {
        "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(os.urandom(32)).decode(),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__DAGS_FOLDER": f"{airflow_image.HOME}/dags",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__HOSTNAME_CALLABLE": "pod_name.of_this_pod",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database.url(),
        "AIRFLOW__CELERY__BROKER_URL": broker.url,
        "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{database.url()}",
        "AIRFLOW__CELERY__WORKER_CONCURRENCY": "1",
        **task_pods.variables(running.version),
        **running.version.variables(running.airflow.url, running.airflow.port),
        **{name: os.environ[name] for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if name in os.environ},
    }


def _outside(environment: Path, home: Path, variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a command of this Airflow on the machine itself."""
    outside = {"HOME": str(home), "AIRFLOW_HOME": str(home / "migration"), "PATH": f"{environment}/bin:/usr/bin:/bin"}
    inside = {name: value for name, value in variables.items() if name != "AIRFLOW__CORE__HOSTNAME_CALLABLE"}
    return {**inside, **outside}


def _migrate(airflow: Airflow) -> None:
    done = airflow.run(str(airflow.python), "-m", "airflow", "db", "migrate", timeout=SECONDS_TO_MIGRATE)
    if done.returncode:
        raise NodeFailed(f"airflow db migrate ended with {done.returncode}:\n{done.stdout}{done.stderr}"[-4000:])


def _apply(running: AirflowOnTheNode, environment: Path, variables: Mapping[str, str]) -> None:
    admin, namespace = running.cluster.admin, running.namespace
    home = running.airflow.home
    port = urlsplit(running.cluster.url).port or 443
    version = running.version
    places = Places(version, environment, home / "dags", home / "logs", home / "users", running.airflow.port, port)
    admin.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    around = (
        *manifests.secrets(namespace, variables),
        *manifests.accounts(namespace, version),
        *task_pods.launching(namespace),
    )
    for body in (*around, task_pods.config_map(namespace, places)):
        admin.apply(body)
    for component in version.components:
        admin.apply(manifests.workload(component, namespace, places))


def _restarts(pod: Object) -> int:
    return max((row["restartCount"] for row in pod["status"].get("containerStatuses", [])), default=0)


def _settled(workload: Mapping[str, Any]) -> bool:
    status, wanted = workload.get("status", {}), workload["spec"]["replicas"]
    seen = status.get("observedGeneration", 0) >= workload["metadata"]["generation"]
    return seen and all(status.get(count, 0) == wanted for count in ("replicas", "updatedReplicas", "readyReplicas"))
