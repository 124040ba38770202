"""The whole application over fakes: one object that a test drives, and a world that it can make go wrong."""

from __future__ import annotations

import functools
import itertools

from airflow_package_manager.domain.access import Identity, Permission, Principal
from airflow_package_manager.domain.executors import SchedulerStop
from airflow_package_manager.domain.inventory import Check, CheckStatus
from airflow_package_manager.domain.operation import Event, Operation
from airflow_package_manager.domain.plan import Action, Change, ChangeSet
from airflow_package_manager.domain.policy import Policy
from airflow_package_manager.domain.resolution import Image
from airflow_package_manager.driver import Driver
from airflow_package_manager.engine.advance import Engine
from airflow_package_manager.engine.step import Patience, World
from airflow_package_manager.manager import PackageManager
from airflow_package_manager.planner import Planner
from airflow_package_manager.planning_rules import PlanningRules
from airflow_package_manager.ports import OperationRepository, Remains
from testenv.wheels import IndexFile, wheel
from tests.fakes import installed
from tests.fakes.clock import ManualClock
from tests.fakes.facts import FakeFacts
from tests.fakes.faults import Faults
from tests.fakes.index import FakeIndex
from tests.fakes.installed import FakeInstalled
from tests.fakes.repository import MemoryRepository
from tests.fakes.resolver import FakeResolver
from tests.fakes.store import MemoryStore
from tests.fakes.target import FakeTarget

VERSIONS = ("1.0", "2.0", "3.0", "4.1", "9.0")
ORDER = ("scheduler", "worker", "triggerer", "dag-processor", "api-server")
ADMIN = Principal(Identity("simple", "1", "admin"), frozenset(Permission), "127.0.0.1")
OTHER = Principal(Identity("simple", "2", "other"), frozenset(Permission), "127.0.0.2")
VIEWER = Principal(Identity("simple", "3", "viewer"), frozenset(), "127.0.0.3")
PATIENCE = Patience(preflight=150, component=300, heartbeat=90)


def image(**versions: str) -> Image:
    """Return an image with Airflow and the given distributions (underscores stand for hyphens)."""
    found = {"apache-airflow": "3.3.2", "uv": "0.13.0", **versions}
    return installed.image(installed.distribution(name, version) for name, version in found.items())


@functools.cache
def _wheels() -> tuple[IndexFile, ...]:
    """Return what the index offers: each project in the same few versions."""
    plugin = {"airflow.plugins": {"one": "one:One"}}
    return tuple(
        wheel(name, version, entry_points=plugin if "plugin" in name else None)
        for name in ("humanize", "tabulate", "six", "a-plugin", "plugin-one", "google-cloud-thing")
        for version in VERSIONS
    )


class Held:
    """A lease in the hands of a test that steps by itself."""

    holder = "host:1:test"

    def __init__(self, app: Application, operation_id: str) -> None:
        self.app, self.operation_id = app, operation_id

    def require(self) -> None:
        assert self.app.repository.claim(self.operation_id, self.holder, now=self.app.clock(), seconds=15)


class Application:
    """Everything wired over fakes. Nothing runs by itself (but see `at_once`): the test calls `driver().run(...)`."""

    def __init__(
        self,
        text: str = "",
        *,
        components: tuple[str, ...] = ("scheduler", "triggerer", "dag-processor"),
        configured: tuple[str, ...] = (),
        policy: Policy | None = None,
        found: Image | None = None,
        at_once: bool = False,
        remains: Remains | None = None,
    ) -> None:
        """With `at_once` planner and driver do their work before the manager's answer is out."""
        self.faults = Faults()
        self.clock = ManualClock()
        self.store = MemoryStore(text, faults=self.faults)
        self.target = FakeTarget(self.store.peek, self.clock, components, named=configured, faults=self.faults)
        self.facts = FakeFacts(faults=self.faults)
        self.installed = FakeInstalled(found or image())
        for component in components:
            self.target.report_image(component, self.installed.of_image.fingerprint())
        self.index = FakeIndex(_wheels())
        self.resolver = FakeResolver(self.index)
        self.repository = MemoryRepository(clock=self.clock, faults=self.faults)
        self.policy = policy or Policy()
        self.checks: tuple[Check, ...] = (Check("index-reachable", CheckStatus.OK, "it answers"),)
        self.planned: list[str] = []
        self.driven: list[str] = []
        self._numbers = itertools.count(1)
        self.planner = Planner(
            store=self.store,
            target=self.target,
            installed=self.installed,
            index=self.index,
            resolver=self.resolver,
            repository=self.repository,
            facts=self.facts,
            policy=self.policy,
            clock=self.clock,
            rules=PlanningRules(
                configured,
                ORDER,
                deadline=120,
                executors=("LocalExecutor",),
                scheduler_stop=SchedulerStop.HANDOVER,
                seconds_once=120,
                seconds_per_component=90,
                seconds_per_instance=210,
            ),
            sleep=self.clock.sleep,
        )
        self.manager = PackageManager(
            store=self.store,
            target=self.target,
            installed=self.installed,
            index=self.index,
            repository=self.repository,
            events=self.repository,
            policy=self.policy,
            clock=self.clock,
            new_token=lambda: f"token-{next(self._numbers)}",
            new_id=lambda: f"{next(self._numbers):032x}",
            plan_soon=self.planner.plan if at_once else self.planned.append,
            drive_soon=self.drive if at_once else self.driven.append,
            checks=lambda: self.checks,
            token_lifetime=3600,
            planning_deadline=120,
            remains=remains,
        )

    def engine(self, repository: OperationRepository | None = None) -> Engine:
        return Engine(
            World(
                store=self.store,
                target=self.target,
                installed=self.installed,
                repository=repository or self.repository,
                facts=self.facts,
                policy=self.policy,
                clock=self.clock,
                patience=PATIENCE,
            )
        )

    def driver(self, name: str = "host:1") -> Driver:
        return Driver(
            repository=self.repository, engine=self.engine(), clock=self.clock, name=name, sleep=self.clock.sleep
        )

    def drive(self, operation_id: str) -> None:
        """Drive an operation to its end."""
        self.driven.append(operation_id)
        self.driver().run(operation_id)

    def plan(self, change_set: ChangeSet, principal: Principal = ADMIN) -> tuple[Operation, str]:
        """Ask for a plan and let the planner end it."""
        operation, token = self.manager.plan(principal, change_set)
        self.planner.plan(operation.id)
        return self.repository.get(operation.id), token

    def accepted(self, change_set: ChangeSet, principal: Principal = ADMIN) -> Operation:
        """Plan and apply; nothing drives it yet."""
        operation, token = self.plan(change_set, principal)
        assert operation.plan_digest is not None, operation.problem
        return self.manager.apply(principal, operation.id, token, operation.plan_digest)

    def done(self, change_set: ChangeSet) -> Operation:
        """Plan, apply, and drive to the end."""
        return self.driver().run(self.accepted(change_set).id)

    def events(self, operation_id: str) -> list[Event]:
        return list(self.repository.of_operation(operation_id, after=0, limit=1000))

    def kinds(self, operation_id: str) -> list[str]:
        return [event.kind for event in self.events(operation_id)]


def add(*requirements: str) -> ChangeSet:
    return ChangeSet(changes=tuple(Change(Action.ADD, text) for text in requirements))


def update(*requirements: str) -> ChangeSet:
    return ChangeSet(changes=tuple(Change(Action.UPDATE, text) for text in requirements))


def remove(*names: str) -> ChangeSet:
    return ChangeSet(changes=tuple(Change(Action.REMOVE, name) for name in names))
