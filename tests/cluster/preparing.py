"""The whole application of one process on an API server, and operations that it planned and accepted once.

Planning needs a resolver and takes a second; what comes after does not care in whose namespace the plan was made.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path

from sqlalchemy import create_engine

from airflow_package_manager import settings, targets, wiring
from airflow_package_manager.adapters.kubernetes.api import Wire
from airflow_package_manager.domain.access import Identity, Permission, Principal
from airflow_package_manager.domain.lock import Lock
from airflow_package_manager.domain.operation import Operation, State
from airflow_package_manager.domain.plan import Action, Change, ChangeSet
from airflow_package_manager.driver import Pace
from testenv.cluster import Cluster, script
from tests.cluster import workloads
from tests.cluster.line import Hear, Line, silent
from tests.cluster.workloads import Object
from tests.fakes.facts import FakeFacts

ADMIN = Principal(Identity("simple", "1", "admin"), frozenset(Permission), "127.0.0.1")
TEXT_MAP, LOCK_MAP = "airflow-config-pypi", "airflow-config-pypi-locks"
MINE = "# mine\n"
OLD, NEW = "good-package==1.0", "good-package==2.0"
PASSED = json.dumps(
    {"status": "passed", "message": "m", "pid": 1, "started_at": 1.0, "code": None, "warnings": [], "detail": None}
)
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
        "install_timeout": "120",
        "stop_timeout": "1",
        "ready_timeout": "120",
        "preflight_timeout": "120",
        "workloads": "; ".join(f"{name}=app={name}" for name in components),
        "chart": "none",
        **more,
    }
    prefix = settings.ENVIRONMENT_PREFIX
    return {"AIRFLOW_HOME": str(home), **{prefix + name.upper(): value for name, value in given.items()}}


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
                admin.create(config_map(namespace, TEXT_MAP, {"requirements.txt": MINE}))
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


def config_map(namespace: str, name: str, data: Mapping[str, str]) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace},
        "data": dict(data),
    }


def eventually(look: Callable[[], object], what: object = "it", *, seconds: float = 60.0, every: float = 0.1) -> None:
    """Return when it is true; fails after so many seconds."""
    until = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < until, f"{what} did not happen in time"
        time.sleep(every)
