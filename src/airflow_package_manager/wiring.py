"""The composition root: settings and Airflow's database engine become adapters, and those a manager and a driver.

Nothing is decided here, and this is the only module that knows every room. Threads start on first use, so a server
may fork after building.
"""

from __future__ import annotations

import math
import os
import secrets
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import Engine as DatabaseEngine

from airflow_package_manager import listeners, targets, uv_command
from airflow_package_manager.adapters.index import SimpleIndex
from airflow_package_manager.adapters.installed import InterpreterDistributions
from airflow_package_manager.adapters.sql.events import SqlEvents
from airflow_package_manager.adapters.sql.operations import SqlOperations
from airflow_package_manager.adapters.sql.tables import ensure_tables
from airflow_package_manager.adapters.uv.resolver import UvResolver
from airflow_package_manager.background import Background
from airflow_package_manager.checks import Checks
from airflow_package_manager.domain.access import TOKEN_BYTES
from airflow_package_manager.domain.inventory import Check
from airflow_package_manager.domain.lock import normalised
from airflow_package_manager.domain.policy import Policy
from airflow_package_manager.driver import DEFAULT_PACE, Driver, Pace
from airflow_package_manager.endings import Endings, Hook
from airflow_package_manager.engine.advance import Engine
from airflow_package_manager.engine.step import Patience, World
from airflow_package_manager.index_access import index_access
from airflow_package_manager.installer.directory import Directory
from airflow_package_manager.manager import PackageManager
from airflow_package_manager.mirroring import Copies, Mirror, MirroredEvents, MirroredOperations
from airflow_package_manager.planner import Planner
from airflow_package_manager.planning_rules import PlanningRules
from airflow_package_manager.ports import AirflowFacts, Clock, InstalledDistributions, RolloutTarget
from airflow_package_manager.refusals import NoComponents
from airflow_package_manager.settings import Settings

_NO_HOOKS: Mapping[str, Hook] = {}
BEFORE_RESOLVING = 30
"""Seconds that a plan may take beside its resolver: reading the world before, metadata of wheels after."""


@dataclass(frozen=True)
class Application:
    """Everything built, for whoever serves it or prints it."""

    settings: Settings
    manager: PackageManager
    planner: Planner
    driver: Driver
    target: RolloutTarget
    place: str
    """For people: where requirements and locks are kept."""
    installed: InstalledDistributions
    checks: Callable[[], tuple[Check, ...]]
    planning_deadline: float
    """Seconds after which an operation that is still PLANNING counts as abandoned."""
    stopping: threading.Event
    """Set when this process ends: whatever drives gives its lease up."""
    plans: Background
    drives: Background
    leave_target: Callable[[], None]
    """Lets what watches the target end."""

    @property
    def target_name(self) -> str:
        """Return the kind of target, for people."""
        return self.settings.target

    def component_names(self) -> tuple[str, ...]:
        """Return the components that are there, or those that the settings name."""
        try:
            return self.target.components()
        except NoComponents:
            return self.settings.components

    def close(self, seconds: float) -> None:
        """Give leases up and wait for drivers, at most so long each; another process goes on with their operations."""
        self.stopping.set()
        self.drives.join(seconds)
        self.leave_target()


def build(
    *,
    settings: Settings,
    engine: DatabaseEngine,
    facts: AirflowFacts,
    mirror: Mirror | None = None,
    further_checks: Callable[[], tuple[Check, ...]] = tuple,
    on_finished: Mapping[str, Hook] = _NO_HOOKS,
    executors: tuple[str, ...] = (),
    clock: Clock = time.time,
    environ: Mapping[str, str] = os.environ,
    drive: bool = True,
    choose: targets.Choose = targets.choose,
    pace: Pace = DEFAULT_PACE,
) -> Application:
    """Return the house, its tables created where they are missing.

    Without `drive` this process starts no driver for what it accepts: a command that looks, or does not wait.
    `mirror` gets each event after its commit, and each of `on_finished` each operation that has ended, beside the hooks
    that the settings name; `further_checks` are those of `doctor` that only the plugin can make, `executors` the
    class names of Airflow's. `choose` makes the
    target, and `pace` says how long the driver waits for what.
    Raises `InvalidSetting`, `StoreUnavailable`, `DatabaseBusy`.
    """
    ensure_tables(engine)
    record = SqlEvents(engine)
    operations = SqlOperations(engine, clock=clock)
    copies = Copies(mirror or (lambda _: None), record, clock)
    endings = Endings({**on_finished, **listeners.hooks(settings, clock, environ)}, record, clock)
    repository, events = MirroredOperations(operations, copies, endings), MirroredEvents(record, copies)

    target = choose(settings, clock, environ)
    directory = Directory(settings.directory)
    access = index_access(settings, environ)
    index = SimpleIndex(access, default_index=_default_index, directory=directory.root / "metadata")
    installed = InterpreterDistributions(target.sites)
    resolver = UvResolver(
        uv=uv_command.find_uv,
        access=access,
        index=index,
        wheels=index,
        timeout=settings.planning_timeout,
        cache=directory.cache,
    )
    policy = Policy(
        protected=frozenset(map(normalised, settings.protected_packages)),
        denied=frozenset(map(normalised, settings.denied_packages)),
    )
    patience = Patience(
        preflight=settings.install_timeout + settings.preflight_timeout,
        component=target.patience,
        heartbeat=settings.heartbeat_timeout,
    )
    stopping = threading.Event()
    planner = Planner(
        store=target.store,
        target=target.rollout,
        installed=installed,
        index=index,
        resolver=resolver,
        repository=repository,
        facts=facts,
        policy=policy,
        clock=clock,
        rules=PlanningRules(
            configured_components=settings.components,
            order=settings.rollout_order,
            deadline=settings.planning_timeout + BEFORE_RESOLVING,
            executors=executors,
            scheduler_stop=target.scheduler_stop,
            seconds_once=math.ceil(patience.preflight + patience.parsing),
            seconds_per_component=settings.heartbeat_timeout,
            seconds_per_instance=target.seconds_per_instance,
        ),
        sleep=stopping.wait,
    )
    driver = Driver(
        repository=repository,
        engine=Engine(
            World(
                store=target.store,
                target=target.rollout,
                installed=installed,
                repository=repository,
                facts=facts,
                policy=policy,
                clock=clock,
                patience=patience,
            )
        ),
        clock=clock,
        name=f"{socket.gethostname()}:{os.getpid()}",
        pace=pace,
    )
    plans = Background("package-manager-plan", planner.plan)
    drives = Background("package-manager-drive", lambda operation_id: driver.run(operation_id, stopping))
    checks = Checks(
        store=target.store,
        sites=target.sites,
        index=index,
        events=record,
        repository=repository,
        target=target.rollout,
        of_target=target.checks,
        further=further_checks,
    )
    planning_deadline = float(settings.planning_timeout + 2 * BEFORE_RESOLVING)
    manager = PackageManager(
        store=target.store,
        target=target.rollout,
        installed=installed,
        index=index,
        repository=repository,
        events=events,
        policy=policy,
        clock=clock,
        new_token=lambda: secrets.token_urlsafe(TOKEN_BYTES),
        new_id=lambda: secrets.token_hex(16),
        plan_soon=plans.soon,
        drive_soon=drives.soon if drive else _leave_to_another,
        checks=checks.all,
        token_lifetime=settings.token_lifetime,
        planning_deadline=planning_deadline,
        remains=target.remains,
    )
    return Application(
        settings=settings,
        manager=manager,
        planner=planner,
        driver=driver,
        target=target.rollout,
        place=target.place,
        installed=installed,
        checks=checks.all,
        planning_deadline=planning_deadline,
        stopping=stopping,
        plans=plans,
        drives=drives,
        leave_target=target.close,
    )


def _leave_to_another(_operation_id: str) -> None:
    """Start nothing: the watch of an api-server finds it within seconds."""


def _default_index() -> str:
    with tempfile.TemporaryDirectory(prefix="package-manager-") as scratch:
        return uv_command.default_index(uv_command.find_uv(), Path(scratch))
