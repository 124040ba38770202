"""An Airflow as the target sees it: workloads whose pods are scripted, and a store whose locks they report."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from airflow_package_manager.adapters.kubernetes.api import Api
from airflow_package_manager.adapters.kubernetes.connection import Connection
from airflow_package_manager.adapters.kubernetes.pods import Limits
from airflow_package_manager.adapters.kubernetes.preflight_job import Options
from airflow_package_manager.adapters.kubernetes.rollout import KubernetesRollout
from airflow_package_manager.adapters.kubernetes.workloads import Reference
from airflow_package_manager.domain import report as reports
from airflow_package_manager.domain.report import InstallReport
from airflow_package_manager.domain.rollout import ComponentStatus, Status
from airflow_package_manager.errors import ClusterUnavailable
from testenv.cluster import Cluster, script
from tests.cluster import workloads
from tests.cluster.workloads import Object
from tests.fakes.store import MemoryStore
from tests.supervisor.house import lock_of

Answer = TypeVar("Answer")
SECONDS = 60.0
QUICK = Limits(soak=1.0, unschedulable=3.0, refused=2.0)


def installed(revision: int | None, digest: str) -> str:
    return reports.dump(InstallReport(reports.INSTALLED, revision, digest, 1, 0.1))


REFUSED = reports.dump(InstallReport(reports.FAILED, 2, code="no-wheel", cause="demo has no wheel for this Python."))


class Installation:
    """One namespace of a real cluster."""

    def __init__(self, cluster: Cluster, namespace: str, *, kubeconfig: str = "", **more: Any) -> None:  # noqa: ANN401 - for the target
        self.cluster, self.namespace, self.admin = cluster, namespace, cluster.admin
        self.store = MemoryStore()
        self.store.set_lock(1, lock_of(1, "package-1").render())
        self.api = Api(Connection(kubeconfig=kubeconfig or str(cluster.kubeconfig)))
        self._targets: list[KubernetesRollout] = []
        self.target = self.named(**more)

    def named(self, *components: str, **more: Any) -> KubernetesRollout:  # noqa: ANN401 - for the target
        names = ("scheduler", "worker", "triggerer", "dag-processor")
        made = KubernetesRollout(
            self.api,
            namespace=self.namespace,
            snapshot=self.store.peek,
            clock=time.time,
            named=components,
            **{
                "references": {name: Reference(selector=f"app={name}", configured=False) for name in names},
                "limits": QUICK,
                "preflight": Options(timeout=5, install_timeout=5, component="triggerer"),
                **more,
            },
        )
        self._targets.append(made)
        return made

    def close(self) -> None:
        for target in self._targets:
            target.close()

    # --- workloads -----------------------------------------------------------------------------------------------

    def make(
        self,
        kind: str,
        component: str,
        *,
        replicas: int = 1,
        stamp: int | None = None,
        scripts: Iterable[Mapping[str, str]] = (),
        pod: Mapping[str, Any] | None = None,
        **spec: object,
    ) -> str:
        """Create a workload whose pods of revision 1, or without one, report `lock.1`; return its path."""
        digest = lock_of(1, "package-1").digest()
        words: dict[str, str] = {}
        for revision in (None, 1):
            words |= script(revision, report=installed(revision, digest))
        for more in scripts:
            words |= more
        body = getattr(workloads, kind)(
            self.namespace,
            component,
            workloads.template(component, stamp, words, **(pod or {})),
            replicas=replicas,
            **spec,
        )
        self.admin.create(body)
        return self.path(kind, component)

    def path(self, kind: str, component: str) -> str:
        plural = {"deployment": "deployments", "stateful_set": "statefulsets"}[kind]
        return f"/apis/apps/v1/namespaces/{self.namespace}/{plural}/{component}"

    def lock(self, revision: int, *, name: str | None = None) -> str:
        """Put a lock into the store and return its digest."""
        lock = lock_of(revision, name or f"package-{revision}")
        self.store.set_lock(revision, lock.render(), current=False)
        return lock.digest()

    def scripted(self, revision: int, outcome: str = "ok", *, name: str | None = None, **words: str) -> dict[str, str]:
        """Put a lock into the store; return what makes the pods of its revision do this."""
        digest = self.lock(revision, name=name)
        report = REFUSED if outcome in {"fail-install", "heals"} else installed(revision, digest)
        return script(revision, outcome, **{"report": report, **words})

    def digest(self, revision: int) -> str:
        return lock_of(revision, f"package-{revision}").digest()

    # --- looking -------------------------------------------------------------------------------------------------

    def restart(self, component: str, revision: int) -> None:
        self.target.restart(component, revision, self.target.stamp(component).version)

    def restore(self, component: str, stamp: int | None) -> None:
        self.target.restore(component, stamp, self.target.stamp(component).version)

    def until(
        self,
        enough: Callable[[ComponentStatus], bool],
        component: str = "triggerer",
        wanted: str | None = None,
        *,
        rescue: bool = False,
    ) -> ComponentStatus:
        """Return the first status that is enough; with `rescue`, what is stuck is discarded meanwhile."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            try:
                found = self.target.observe(component, wanted)
            except ClusterUnavailable as error:  # as the driver does: it may pass
                said = error.detail
            else:
                if enough(found):
                    return found
                said = str(found)
            if rescue:
                self.target.discard_stuck(component)
            time.sleep(0.1)
        raise AssertionError(f"it stayed {said}")

    def current(self, component: str = "triggerer", wanted: str | None = None) -> ComponentStatus:
        return self.until(lambda found: found.status is Status.CURRENT, component, wanted)

    def failed(self, component: str = "triggerer", wanted: str | None = None) -> ComponentStatus:
        return self.until(lambda found: found.status is Status.FAILED, component, wanted)

    def crash_once(self, component: str) -> None:
        """Let its pod's main container end and run again, ready all the while, as one that is quick at both."""
        [pod] = workloads.pods(self.admin, self.namespace, component)
        [main] = pod["status"]["containerStatuses"]
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        ended = {"terminated": {"exitCode": 1, "reason": "Error", "message": "out of luck", "finishedAt": now}}
        again = {**main, "restartCount": 1, "lastState": ended, "state": {"running": {"startedAt": now}}}
        path = f"/api/v1/namespaces/{self.namespace}/pods/{pod['metadata']['name']}/status"
        self.admin.request("PATCH", path, {"status": {"containerStatuses": [again]}})

    def uids(self, component: str = "triggerer") -> dict[str, str]:
        """Return name → uid of the pods that are not leaving."""
        found: list[Object] = workloads.pods(self.admin, self.namespace, component)
        return {
            pod["metadata"]["name"]: pod["metadata"]["uid"]
            for pod in found
            if "deletionTimestamp" not in pod["metadata"]
        }
