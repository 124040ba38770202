"""Beside the composition root: what the setting `target` means, with everything that belongs to it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from airflow_package_manager.adapters.kubernetes import checks as kubernetes_checks
from airflow_package_manager.adapters.kubernetes import preflight_job, workloads
from airflow_package_manager.adapters.kubernetes.api import Api, Wire
from airflow_package_manager.adapters.kubernetes.configmap_store import ConfigMapStore
from airflow_package_manager.adapters.kubernetes.connection import Connection
from airflow_package_manager.adapters.kubernetes.pods import Limits
from airflow_package_manager.adapters.kubernetes.remains import ConfigMapRemains
from airflow_package_manager.adapters.kubernetes.rollout import KubernetesRollout
from airflow_package_manager.adapters.local import checks as local_checks
from airflow_package_manager.adapters.local.directory_store import DirectoryStore
from airflow_package_manager.adapters.local.process_rollout import ProcessRollout
from airflow_package_manager.domain.executors import SchedulerStop
from airflow_package_manager.domain.inventory import Check
from airflow_package_manager.installer.directory import Directory
from airflow_package_manager.installer.sweeping import SITE_VARIABLE
from airflow_package_manager.ports import Clock, Remains, RequirementStore, RolloutTarget
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
    place: str
    """For people: where requirements and locks are kept."""
    patience: int
    """Seconds that one instance may take from being told to being ready, beside the time to stop that it tells."""
    seconds_per_instance: int
    """The same, where all goes well as late as it may: what a plan counts with."""
    scheduler_stop: SchedulerStop
    checks: Mapping[str, Callable[[], Check]]
    """Those of `doctor` that only this target knows, by name."""
    remains: Remains | None = None
    """What can be taken back, where the target keeps something of ours beside its directory."""
    close: Callable[[], None] = lambda: None
    """Lets watches end."""


Choose = Callable[[Settings, Clock, Mapping[str, str]], Target]
"""Settings, clock and environment become a target."""


def choose(settings: Settings, clock: Clock, environ: Mapping[str, str] = os.environ) -> Target:
    """Return the target that the settings mean; nothing is connected before its first use."""
    known: Mapping[str, Choose] = {LOCAL: local, KUBERNETES: kubernetes}
    return known[settings.target](settings, clock, environ)


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
        place=str(directory.root),
        patience=settings.install_timeout + settings.stop_timeout + settings.ready_timeout,
        # The site is there since the preflight: a component only stops, starts and proves that it lives.
        seconds_per_instance=settings.stop_timeout + settings.ready_timeout,
        scheduler_stop=SchedulerStop(settings.scheduler_restart),
        checks={
            local_checks.STORE: lambda: local_checks.store(directory, store),
            local_checks.SUPERVISORS: lambda: local_checks.supervisors(rollout),
        },
    )


def kubernetes(
    settings: Settings, clock: Clock, environ: Mapping[str, str], around: Callable[[Wire], Wire] = lambda wire: wire
) -> Target:
    """Return two ConfigMaps, and the workloads of one namespace; `around` may stand between us and the API server."""
    api = Api(around(Connection(kubeconfig=settings.kubeconfig, context=settings.kube_context, environ=environ)))
    store = ConfigMapStore(api, namespace=settings.namespace, name=settings.config_map)
    _, locks = store.names
    rollout = KubernetesRollout(
        api,
        namespace=settings.namespace,
        references=workloads.references(settings.workloads, settings.chart, settings.release),
        snapshot=store.read,
        clock=clock,
        named=settings.components,
        limits=Limits(soak=settings.soak),
        preflight=preflight_job.Options(
            timeout=settings.preflight_timeout,
            install_timeout=settings.install_timeout,
            installer=settings.installer_container,
            config_map=locks,
            labels=dict(settings.preflight_labels),
        ),
    )
    active = environ.get(SITE_VARIABLE, "")
    doctor = kubernetes_checks.Checks(
        api, store=store, rollout=rollout, namespace=settings.namespace, installer=settings.installer_container
    )
    return Target(
        name=KUBERNETES,
        store=store,
        rollout=rollout,
        # The installer of this pod keeps sites beside the link that activates one.
        sites=Path(active).parent / "sites" if Path(active).is_absolute() else Directory(settings.directory).sites,
        # Each pod may have to install anew, and says itself how long it may take to stop.
        patience=settings.install_timeout + settings.ready_timeout,
        seconds_per_instance=settings.install_timeout + settings.ready_timeout,
        place=f"ConfigMap {settings.config_map} in namespace {settings.namespace}",
        scheduler_stop=SchedulerStop.POD,
        checks=doctor.by_name(),
        remains=ConfigMapRemains(api, namespace=settings.namespace, names=store.names),
        close=rollout.close,
    )
