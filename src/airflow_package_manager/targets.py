"""Beside the composition root: what the setting `target` means, with everything that belongs to it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from airflow_package_manager.adapters.local import checks as local_checks
from airflow_package_manager.adapters.local.directory_store import DirectoryStore
from airflow_package_manager.adapters.local.process_rollout import ProcessRollout
from airflow_package_manager.domain.inventory import Check
from airflow_package_manager.installer.directory import Directory
from airflow_package_manager.ports import Clock, RequirementStore, RolloutTarget
from airflow_package_manager.settings import Settings

LOCAL = "local"
KUBERNETES = "kubernetes"


@dataclass(frozen=True)
class Target:
    """Where requirements are kept and components run."""

    name: str
    """For people: `LOCAL` or `KUBERNETES`."""
    store: RequirementStore
    rollout: RolloutTarget
    sites: Path
    """Where this interpreter finds sites, one directory per lock digest."""
    checks: Mapping[str, Callable[[], Check]]
    """Those of `doctor` that only this target knows, by name."""


def choose(settings: Settings, clock: Clock, environ: Mapping[str, str] = os.environ) -> Target:
    """Return the target that the settings mean; nothing is connected before its first use."""
    return {LOCAL: local}[settings.target](settings, clock, environ)


def local(settings: Settings, clock: Clock, _environ: Mapping[str, str]) -> Target:
    """Return one machine: a directory, and supervised processes that share it."""
    directory = Directory(settings.directory)
    store = DirectoryStore(directory)
    rollout = ProcessRollout(
        directory,
        clock=clock,
        named=settings.components,
        preflight_timeout=settings.preflight_timeout,
        install_timeout=settings.install_timeout,
    )
    return Target(
        name=LOCAL,
        store=store,
        rollout=rollout,
        sites=directory.sites,
        checks={
            local_checks.STORE: lambda: local_checks.store(directory, store),
            local_checks.SUPERVISORS: lambda: local_checks.supervisors(rollout),
        },
    )
