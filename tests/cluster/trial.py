"""An operation that was prepared, driven by the whole application in a namespace of its own.

A trial copies the database of a prepared operation, makes workloads that do as its scenario says, and drives.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airflow_package_manager import wiring
from airflow_package_manager.adapters.kubernetes import preflight_job
from airflow_package_manager.adapters.kubernetes.kinds import DEPLOYMENT
from airflow_package_manager.adapters.kubernetes.preflight_job import Options
from airflow_package_manager.adapters.kubernetes.stamping import Workload
from airflow_package_manager.domain import report
from airflow_package_manager.domain.operation import Operation
from airflow_package_manager.domain.report import InstallReport
from airflow_package_manager.driver import Pace
from testenv.cluster import REVISION, Client, Cluster, script
from tests.cluster import workloads
from tests.cluster.line import Hear, Line, silent
from tests.cluster.preparing import (
    LOCK_MAP,
    PACE,
    PASSED,
    TEXT_MAP,
    Prepared,
    application,
    config_map,
    environment,
)
from tests.cluster.workloads import Object, rolled_out
from tests.fakes.facts import FakeFacts

CHECKS = "app.kubernetes.io/component=preflight"
"""Label of the pods of checks."""
REFUSED = InstallReport(report.FAILED, code="no-wheel", cause="good-package has no such wheel any more.")
CHECK_REFUSED = json.dumps({**json.loads(PASSED), "status": "failed", "code": "import-failed", "detail": "ImportError"})


@dataclass(frozen=True)
class Works:
    """A component: how it is run, and what its pods of the new revision do."""

    kind: str = "Deployment"
    replicas: int = 1
    outcome: str = "instant"
    was: str = "instant"
    """What the pods do as they are before."""
    preflight: str = "ok"
    words: Mapping[str, str] = field(default_factory=dict)
    """Of `script`, for the new revision."""
    only: str = ""
    """Name of the one pod whose new revision does so; the others do well."""
    pod: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the pod's specification."""
    spec: Mapping[str, Any] = field(default_factory=dict)
    before: Mapping[str, str] = field(default_factory=dict)
    """Words of `script` for the pods as they are before."""

    @property
    def plural(self) -> str:
        return f"{self.kind.lower()}s"


@dataclass
class Trial:
    """One namespace with its workloads, and one database."""

    cluster: Cluster
    namespace: str
    home: Path
    prepared: Prepared
    works: Mapping[str, Works]
    environ: Mapping[str, str]
    kubeconfig: Path
    facts: FakeFacts = field(default_factory=FakeFacts)
    clean: ExitStack = field(default_factory=ExitStack)
    """What must go with the namespace and is not in it."""
    seen: list[str] = field(default_factory=list)
    """What a hand has to tell."""

    @property
    def admin(self) -> Client:
        return self.cluster.admin

    @contextmanager
    def application(self, hear: Hear = silent, pace: Pace = PACE) -> Iterator[tuple[wiring.Application, Line]]:
        """Yield the application of one process, and the line on which it talks to the API server."""
        with application(self.environ, hear, pace, self.facts) as found:
            yield found

    def drive(self, hear: Hear = silent) -> Operation:
        """Drive the operation in this thread to its end."""
        with self.application(hear) as (app, _):
            return app.driver.run(self.prepared.operation.id)

    # --- looking ---------------------------------------------------------------------------------------------------

    def path(self, component: str) -> str:
        return f"/apis/apps/v1/namespaces/{self.namespace}/{self.works[component].plural}/{component}"

    def inside(self, collection: str, group: str = "api/v1") -> str:
        return f"/{group}/namespaces/{self.namespace}/{collection}"

    def data(self, name: str) -> dict[str, str] | None:
        """Return what a ConfigMap holds, None for one that is absent."""
        found = {one["metadata"]["name"]: one for one in self.admin.items(self.inside("configmaps"))}
        return None if name not in found else dict(found[name].get("data") or {})

    def stamps(self) -> dict[str, int | None]:
        """Return the stamp of every workload that is there."""
        found = {}
        for plural in ("deployments", "statefulsets"):
            for one in self.admin.items(self.inside(plural, "apis/apps/v1")):
                annotations = one["spec"]["template"]["metadata"].get("annotations") or {}
                text = annotations.get(REVISION)
                found[one["metadata"]["name"]] = None if text is None else int(text)
        return found

    def pods(self) -> dict[str, str]:
        """Return name → uid of all pods of components that are not leaving."""
        found = self.admin.items(self.inside("pods"))
        return {
            pod["metadata"]["name"]: pod["metadata"]["uid"]
            for pod in found
            if "deletionTimestamp" not in pod["metadata"] and pod["metadata"]["labels"].get("app") in self.works
        }

    def statuses(self) -> dict[str, Object]:
        """Return what every pod says of itself: what to look at when it did not end as it must."""
        found = self.admin.items(self.inside("pods"))
        return {pod["metadata"]["name"]: {**pod["status"], "metadata": pod["metadata"]} for pod in found}

    def checks(self) -> list[str]:
        """Return the names of Jobs and of their pods that are there."""
        jobs = self.admin.items(self.inside("jobs", "apis/batch/v1"))
        pods = self.admin.items(self.inside("pods"), labelSelector=CHECKS)
        return [one["metadata"]["name"] for one in (*jobs, *pods)]

    def settled(self) -> None:
        """Wait until every workload has all its pods, ready and of its present template, and no other."""
        for component, works in self.works.items():
            if not works.spec.get("paused"):
                self.admin.until(self.path(component), rolled_out)

    def versions(self) -> dict[str, object]:
        """Return what changes whenever somebody changes something that is ours to change."""
        found: dict[str, object] = {"checks": self.checks(), "pods": self.pods()}
        for name in (TEXT_MAP, LOCK_MAP):
            found[name] = self.data(name)
        for component in self.works:
            found[component] = self.admin.get(self.path(component))["metadata"]["generation"]
        return found


@contextmanager
def trial(
    cluster: Cluster,
    home: Path,
    prepared: Prepared,
    works: Mapping[str, Works],
    *,
    kubeconfig: Callable[[str], Path] | None = None,
    **more: str,
) -> Iterator[Trial]:
    """Make a namespace for a prepared operation, and wait until its pods are there.

    `kubeconfig` makes that of the application for a namespace, the administrator's when None; `more` are settings.
    """
    home.mkdir()
    shutil.copy(prepared.database, home)
    with cluster.namespace() as namespace:
        for name, data in prepared.config_maps.items():
            cluster.admin.create(config_map(namespace, name, data))
        for component, one in works.items():
            cluster.admin.create(_workload(namespace, component, one, prepared))
        config = cluster.kubeconfig if kubeconfig is None else kubeconfig(namespace)
        environ = environment(home, namespace, config, "http://127.0.0.1:9/simple/", works, **more)
        made = Trial(cluster, namespace, home, prepared, works, environ, config)
        with made.clean:
            made.settled()
            try:
                yield made
            except Exception as error:
                error.args = (*error.args, f"The pods were: {json.dumps(made.statuses())}")
                raise


def abuses(one: Trial) -> list[Callable[[], object]]:
    """Return what each policy denies, as proof that it is there; the check is made from the scheduler."""
    ours = Client.of(one.kubeconfig)
    job = preflight_job.make(Workload(DEPLOYMENT, one.admin.get(one.path("scheduler"))), 7, (), Options())
    job["metadata"]["namespace"] = one.namespace
    job["spec"]["backoffLimit"] = 1
    other = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other"}}
    return [
        lambda: ours.request("PATCH", one.path("scheduler"), {"spec": {"replicas": 3}}, dryRun="All"),
        lambda: ours.request("POST", one.inside("jobs", "apis/batch/v1"), job, dryRun="All"),
        lambda: ours.request("POST", one.inside("configmaps"), other, dryRun="All"),
    ]


def _workload(namespace: str, component: str, works: Works, prepared: Prepared) -> Object:
    lock, revision = prepared.lock, prepared.revision
    good = report.dump(InstallReport(report.INSTALLED, revision, lock.digest(), len(lock.pins), image=lock.image))
    said = report.dump(REFUSED) if works.outcome in {"fail-install", "heals"} else good
    check = CHECK_REFUSED if works.preflight == "fail-check" else PASSED
    annotations = script(revision, "instant", preflight=works.preflight, report=good, check=check)
    annotations |= script(
        revision,
        works.outcome,
        preflight=works.preflight,
        pod=works.only,
        **{"report": said, "check": "ImportError: nope" if "crash" in works.outcome else check, **works.words},
    )
    annotations |= _as_before(works, prepared)
    body = workloads.template(component, prepared.stamp, annotations, **works.pod)
    make = workloads.deployment if works.kind == "Deployment" else workloads.stateful_set
    return make(namespace, component, body, replicas=works.replicas, **works.spec)


def _as_before(works: Works, prepared: Prepared) -> dict[str, str]:
    old = prepared.previous
    digest = None if old is None else old.digest()
    said = InstallReport(report.INSTALLED, prepared.stamp, digest, image=prepared.lock.image)
    return script(prepared.stamp, works.was, **{"report": report.dump(said), **works.before})
