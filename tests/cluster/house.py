"""The whole house on a real API server: workloads as the official chart labels them, and the application over them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine

from airflow_package_manager import settings, wiring
from airflow_package_manager.domain import report
from airflow_package_manager.domain.access import Identity, Permission, Principal
from airflow_package_manager.domain.lock import Lock
from airflow_package_manager.domain.operation import Operation, State
from airflow_package_manager.domain.plan import ChangeSet
from airflow_package_manager.domain.report import InstallReport
from airflow_package_manager.installer import preflight_record
from testenv.cluster import Cluster, script
from tests.cluster.workloads import deployment, rolled_out, stateful_set, template
from tests.fakes.facts import FakeFacts

ADMIN = Principal(Identity("simple", "1", "admin"), frozenset(Permission), "127.0.0.1")
TEXT_MAP = "airflow-config-pypi"
KINDS: Mapping[str, tuple[str, int]] = {
    "scheduler": ("deployments", 1),
    "worker": ("statefulsets", 2),
    "triggerer": ("statefulsets", 1),
    "dag-processor": ("deployments", 1),
    "api-server": ("deployments", 2),
}
"""Component → kind and replicas."""

Object = dict[str, Any]


@dataclass
class House:
    """One namespace with Airflow's workloads, and one process of ours."""

    cluster: Cluster
    namespace: str
    app: wiring.Application
    facts: FakeFacts

    def path(self, component: str) -> str:
        return f"/apis/apps/v1/namespaces/{self.namespace}/{KINDS[component][0]}/{component}"

    def config_map(self, name: str = TEXT_MAP) -> Object:
        found: Object = self.cluster.admin.get(f"/api/v1/namespaces/{self.namespace}/configmaps/{name}")
        return found

    def pods(self, component: str) -> dict[str, str]:
        """Return the uids of the component's pods that are not leaving, by name."""
        found = self.cluster.admin.items(f"/api/v1/namespaces/{self.namespace}/pods?labelSelector=app%3D{component}")
        return {
            pod["metadata"]["name"]: pod["metadata"]["uid"]
            for pod in found
            if "deletionTimestamp" not in pod["metadata"]
        }

    def stamps(self) -> dict[str, int | None]:
        return {name: self.app.target.stamp(name).revision for name in KINDS}

    def planned(self, change_set: ChangeSet) -> tuple[Operation, str]:
        """Plan in this thread; return the operation and its token."""
        made, token = self.app.manager.plan(ADMIN, change_set)
        self.app.plans.join(60)
        found = self.app.manager.operation(ADMIN, made.id)
        assert found.state is State.PLANNED, found.problem
        return found, token

    def script(self, component: str, revision: int, lock: Lock, outcome: str = "ok", **words: str) -> None:
        """Write into a component's template what its pods of that revision will do."""
        said = InstallReport(report.INSTALLED, revision, lock.digest(), len(lock.pins), image=lock.image)
        checked = preflight_record.PreflightRecord(preflight_record.PASSED, "2 packages were checked.", 1, 0.0)
        annotations = script(
            revision,
            outcome,
            **{"report": report.dump(said), "check": json.dumps(dataclasses.asdict(checked)), **words},
        )
        patch = {"spec": {"template": {"metadata": {"annotations": annotations}}}}
        self.cluster.admin.request("PATCH", self.path(component), patch)

    def settled(self) -> dict[str, dict[str, str]]:
        """Wait until every template has rolled out; return the pods of each component."""
        for component in KINDS:
            self.cluster.admin.until(self.path(component), rolled_out)
        return {component: self.pods(component) for component in KINDS}

    def applied(self, operation: Operation, token: str) -> Operation:
        """Accept the plan and drive it in this thread to its end."""
        self.app.manager.apply(ADMIN, operation.id, token, operation.plan_digest or "")
        return self.app.driver.run(operation.id)


@contextmanager
def house(
    cluster: Cluster, namespace: str, home: Path, index: str, kubeconfig: Path | None = None, **environ: str
) -> Iterator[House]:
    """Create the workloads, wait for their pods, and build the application of one process.

    `environ` are further settings; `kubeconfig` is the administrator's when None.
    """
    for component, (plural, replicas) in KINDS.items():
        make = deployment if plural == "deployments" else stateful_set
        body = make(namespace, component, template(component, None, script(None)), replicas=replicas)
        body["metadata"]["labels"] |= {"tier": "airflow", "component": component, "release": "airflow"}
        cluster.admin.create(body)
    prefix = settings.ENVIRONMENT_PREFIX
    given = {
        "AIRFLOW_HOME": str(home),
        prefix + "KUBECONFIG": str(kubeconfig or cluster.kubeconfig),
        prefix + "NAMESPACE": namespace,
        prefix + "INDEX_URL": index,
        prefix + "SOAK": "1",
        **{prefix + name.upper(): value for name, value in environ.items()},
    }
    facts = FakeFacts()
    engine = create_engine(f"sqlite:///{home / 'airflow.db'}")
    app = wiring.build(settings=settings.load(given), engine=engine, facts=facts, environ=given, drive=False)
    try:
        built = House(cluster, namespace, app, facts)
        built.settled()
        yield built
    finally:
        app.close(5)
        engine.dispose()
