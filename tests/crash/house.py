"""The real application as one process has it: wired over SQLite, a driver with short times, accidents."""

from __future__ import annotations

import dataclasses
import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from sqlalchemy import create_engine

from airflow_package_manager import settings as all_settings
from airflow_package_manager import wiring
from airflow_package_manager.adapters.local.process_rollout import ProcessRollout
from airflow_package_manager.domain.facts import Heartbeat, ImportFailure
from airflow_package_manager.driver import Driver, Pace
from airflow_package_manager.engine.advance import Engine
from airflow_package_manager.installer.directory import Directory
from airflow_package_manager.manager import PackageManager
from airflow_package_manager.ports import OperationRepository, RolloutTarget
from tests.crash.accident import Accidents, Repository, Store, Target

PACE = Pace(lease=0.8, renew=0.2, watch=0.1, poll=0.05)


class NoAirflow:
    """`AirflowFacts` of light components: no job beats, no DAG is there."""

    def heartbeats(self, component: str, instances: int) -> tuple[Heartbeat, ...] | None:
        assert component
        assert instances
        return None

    def import_errors(self) -> tuple[ImportFailure, ...]:
        return ()

    def unparsed_files(self, since: float) -> int:
        assert since
        return 0

    def running_tasks(self) -> int:
        return 0


@dataclass(frozen=True)
class House:
    """What a process works with."""

    manager: PackageManager
    driver: Driver
    repository: OperationRepository
    accidents: Accidents


def build() -> House:
    """Return the house of this process's `AIRFLOW_HOME`."""
    home = Path(os.environ["AIRFLOW_HOME"])
    settings = all_settings.load()
    engine = create_engine(f"sqlite:///{home / 'airflow.db'}")
    application = wiring.build(settings=settings, engine=engine, facts=NoAirflow(), drive=False)
    directory = Directory(settings.directory)
    accidents = Accidents(home, directory)
    world = application.driver._engine._world
    repository = cast("OperationRepository", Repository(world.repository, accidents))
    # The settings allow no check as short as the test of a hanging one wants it.
    target = ProcessRollout(
        directory,
        clock=time.time,
        named=settings.components,
        preflight_timeout=float(os.environ.get("CRASH_CHECK_SECONDS", settings.preflight_timeout)),
        install_timeout=settings.install_timeout,
    )
    driver = Driver(
        repository=repository,
        engine=Engine(
            dataclasses.replace(
                world,
                store=Store(world.store, accidents),
                target=cast("RolloutTarget", Target(target, accidents)),
                repository=repository,
            )
        ),
        clock=time.time,
        name=f"{socket.gethostname()}:{os.getpid()}",
        pace=PACE,
    )
    return House(application.manager, driver, world.repository, accidents)
