"""An operation that is planned and accepted once, then driven by the whole application in many namespaces.

Planning needs a resolver and takes a second; what comes after does not care in whose namespace the plan was made. So a
trial copies the database of a prepared operation, makes workloads that do as its scenario says, and drives.
"""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine

from airflow_package_manager import settings, targets, wiring
from airflow_package_manager.adapters.kubernetes.api import Wire
from airflow_package_manager.domain import report
from airflow_package_manager.domain.access import Identity, Permission, Principal
from airflow_package_manager.domain.lock import Lock
from airflow_package_manager.domain.operation import Operation, State
from airflow_package_manager.domain.plan import Action, Change, ChangeSet
from airflow_package_manager.domain.report import InstallReport
from airflow_package_manager.driver import Pace
from testenv.cluster import REVISION, Client, Cluster, script
from tests.cluster import workloads
from tests.cluster.line import Hear, Line, silent
from tests.cluster.workloads import Object, rolled_out
from tests.fakes.facts import FakeFacts

ADMIN = Principal(Identity("simple", "1", "admin"), frozenset(Permission), "127.0.0.1")
TEXT_MAP, LOCK_MAP = "airflow-config-pypi", "airflow-config-pypi-locks"
MINE = "# mine\n"
OLD, NEW = "good-package==1.0", "good-package==2.0"
REFUSED = InstallReport(report.FAILED, code="no-wheel", cause="good-package has no such wheel any more.")
PASSED = json.dumps(
    {"status": "passed", "message": "m", "pid": 1, "started_at": 1.0, "code": None, "warnings": [], "detail": None}
)
CHECK_REFUSED = json.dumps({**json.loads(PASSED), "status": "failed", "code": "import-failed", "detail": "ImportError"})
PACE = Pace(lease=15.0, renew=5.0, watch=0.2, poll=0.15, back_off=(0.3,) * 5)


@dataclass(frozen=True)
class Prepared:
    """An accepted operation, and what a namespace must have for it to make sense there."""

    database: Path
    operation: Operation
    config_maps: Mapping[str, Mapping[str, str]]
    """Name → data of those that are there before."""
    stamp: int | None
    """Of every workload before."""
    previous: Lock | None
    """What `stamp` means."""

    @property
    def revision(self) -> int:
        assert self.operation.revision is not None
        return self.operation.revision

    @property
    def lock(self) -> Lock:
        assert self.operation.plan is not None
        return self.operation.plan.lock

    @property
    def components(self) -> tuple[str, ...]:
        assert self.operation.plan is not None
        return self.operation.plan.components

    @property
    def texts(self) -> tuple[str, str]:
        """Return the base text and the proposed one."""
        assert self.operation.plan is not None
        return self.operation.plan.base_text, self.operation.plan.proposed_text


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

    def checks(self) -> list[str]:
        """Return the names of Jobs and of their pods that are there."""
        jobs = self.admin.items(self.inside("jobs", "apis/batch/v1"))
        pods = self.admin.items(self.inside("pods"), labelSelector="app.kubernetes.io/component=preflight")
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
def application(
    environ: Mapping[str, str], hear: Hear = silent, pace: Pace = PACE, facts: FakeFacts | None = None
) -> Iterator[tuple[wiring.Application, Line]]:
    """Yield the whole application of one process over the database of `AIRFLOW_HOME`."""
    lines: list[Line] = []

    def around(wire: Wire) -> Wire:
        lines.append(Line(wire, hear))
        return lines[0]

    engine = create_engine(f"sqlite:///{Path(environ['AIRFLOW_HOME']) / 'airflow.db'}")
    app = wiring.build(
        settings=settings.load(environ),
        engine=engine,
        facts=facts or FakeFacts(),
        environ=environ,
        drive=False,
        choose=partial(targets.kubernetes, around=around),
        pace=pace,
    )
    try:
        yield app, lines[0]
    finally:
        app.close(5)
        engine.dispose()


def environment(
    home: Path, namespace: str, kubeconfig: Path, index: str, components: Iterable[str], **more: str
) -> dict[str, str]:
    """Return the settings of an application in a namespace; `more` are further ones."""
    given = {
        "kubeconfig": str(kubeconfig),
        "namespace": namespace,
        "index_url": index,
        "soak": "1",
        "install_timeout": "10",
        "stop_timeout": "1",
        "ready_timeout": "10",
        "preflight_timeout": "10",
        "workloads": "; ".join(f"{name}=app={name}" for name in components),
        "chart": "none",
        **more,
    }
    prefix = settings.ENVIRONMENT_PREFIX
    return {"AIRFLOW_HOME": str(home), **{prefix + name.upper(): value for name, value in given.items()}}


# --- preparing -----------------------------------------------------------------------------------------------------


class Base(Enum):
    """What is there before the operation."""

    NOTHING = "nothing"
    """No ConfigMap, no stamp: the first operation ever."""
    WRITTEN = "written"
    """A ConfigMap that people wrote."""
    INSTALLED = "installed"
    """The same, and revision 1 brought ``good-package==1.0``."""


class Preparations:
    """Prepares each operation once, when it is first asked for."""

    def __init__(self, cluster: Cluster, index: str, home: Path) -> None:
        self._cluster, self._index, self._home = cluster, index, home
        self._guard = threading.Lock()
        self._known: dict[tuple[object, ...], Prepared] = {}

    def get(self, base: Base, *components: str, wanted: str = NEW) -> Prepared:
        """Return the accepted operation that brings `wanted`."""
        key = (base, components, wanted)
        with self._guard:
            if key not in self._known:
                self._known[key] = self._prepare(base, components, wanted)
            return self._known[key]

    def _prepare(self, base: Base, components: tuple[str, ...], wanted: str) -> Prepared:
        """Plan and accept; no pod runs here."""
        home = self._home / str(len(self._known))
        home.mkdir()
        installed = base is Base.INSTALLED
        admin = self._cluster.admin
        with self._cluster.namespace() as namespace:
            for name in components:
                pod = workloads.template(name, None, script(None) | script(1, check=PASSED))
                admin.create(workloads.deployment(namespace, name, pod, replicas=0))
            if base is not Base.NOTHING:
                admin.create(_config_map(namespace, TEXT_MAP, {"requirements.txt": MINE}))
            environ = environment(home, namespace, self._cluster.kubeconfig, self._index, components)
            previous: Lock | None = None
            with application(environ) as (app, _):
                if installed:
                    first = app.driver.run(accepted(app, Change(Action.ADD, OLD)).id)
                    assert first.state is State.SUCCEEDED, first.problem
                    assert first.plan is not None
                    previous = first.plan.lock
                operation = accepted(app, Change(Action.UPDATE if installed else Action.ADD, wanted))
            found = admin.items(f"/api/v1/namespaces/{namespace}/configmaps")
        maps = {one["metadata"]["name"]: one.get("data") or {} for one in found}
        ours = {name: maps[name] for name in (TEXT_MAP, LOCK_MAP) if name in maps}
        return Prepared(home / "airflow.db", operation, ours, 1 if installed else None, previous)


def accepted(app: wiring.Application, change: Change) -> Operation:
    """Plan and accept a change; return the operation."""
    made, token = app.manager.plan(ADMIN, ChangeSet(changes=(change,)))
    app.plans.join(60)
    planned = app.manager.operation(ADMIN, made.id)
    assert planned.state is State.PLANNED, planned.problem
    app.manager.apply(ADMIN, planned.id, token, planned.plan_digest or "")
    return app.manager.operation(ADMIN, planned.id)


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
            cluster.admin.create(_config_map(namespace, name, data))
        for component, one in works.items():
            cluster.admin.create(_workload(namespace, component, one, prepared))
        config = cluster.kubeconfig if kubeconfig is None else kubeconfig(namespace)
        environ = environment(home, namespace, config, "http://127.0.0.1:9/simple/", works, **more)
        made = Trial(cluster, namespace, home, prepared, works, environ, config)
        with made.clean:
            made.settled()
            yield made


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


def _config_map(namespace: str, name: str, data: Mapping[str, str]) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace},
        "data": dict(data),
    }


def eventually(look: Callable[[], object], what: object = "it", *, seconds: float = 30.0, every: float = 0.1) -> None:
    """Return when it is true; fails after so many seconds."""
    until = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < until, f"{what} did not happen in time"
        time.sleep(every)
