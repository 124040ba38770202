"""Which workload is which component: what a person configured, else what a chart's labels say.

Nothing assumes a name or a kind: a reference is looked up, and exactly one workload must be there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from airflow_package_manager.adapters.kubernetes.api import Listing
from airflow_package_manager.adapters.kubernetes.failures import Absent
from airflow_package_manager.adapters.kubernetes.kinds import DEPLOYMENT, POD, REPLICA_SET, STATEFUL_SET, Kind, Object
from airflow_package_manager.adapters.kubernetes.stamping import Workload, controller_of, run_by
from airflow_package_manager.domain.components import WEB_SERVERS
from airflow_package_manager.errors import InvalidSetting
from airflow_package_manager.refusals import NoComponents, UnsupportedWorkload

SUPPORTED: Mapping[str, Kind] = {kind.name.lower(): kind for kind in (DEPLOYMENT, STATEFUL_SET)}
_FOREIGN = ("daemonset", "rollout", "replicaset", "job", "cronjob", "pod")
"""Kinds that people try; each is refused by its name."""
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", re.ASCII)
_SELECTOR = re.compile(r"[\w./, !=()-]{1,1000}", re.ASCII)
_OURS = ("Deployment", "StatefulSet")

PRESETS: Mapping[str, Mapping[str, str]] = {
    "official": {
        "scheduler": "tier=airflow,component=scheduler",
        "worker": "tier=airflow,component=worker",
        "triggerer": "tier=airflow,component=triggerer",
        "dag-processor": "tier=airflow,component=dag-processor",
        "api-server": "tier=airflow,component=api-server",
        "webserver": "tier=airflow,component=webserver",
    },
    "bitnami": {
        "scheduler": "app.kubernetes.io/name=airflow,app.kubernetes.io/component=scheduler",
        "worker": "app.kubernetes.io/name=airflow,app.kubernetes.io/component=worker",
        "triggerer": "app.kubernetes.io/name=airflow,app.kubernetes.io/component=triggerer",
        "dag-processor": "app.kubernetes.io/name=airflow,app.kubernetes.io/component=dag-processor",
        "api-server": "app.kubernetes.io/name=airflow,app.kubernetes.io/component in (web,api-server)",
    },
    "community": {
        "scheduler": "app=airflow,component=scheduler",
        "worker": "app=airflow,component=worker",
        "triggerer": "app=airflow,component=triggerer",
        "webserver": "app=airflow,component=web",
    },
    "none": {},
}
"""Chart → component → labels of its workload. Astronomer's chart wraps the official one and keeps its labels."""
_RELEASE: Mapping[str, str] = {
    "official": "release",
    "bitnami": "app.kubernetes.io/instance",
    "community": "release",
}
"""Chart → the label that names the Helm release."""
_ALIASES: Mapping[str, str] = {"astronomer": "official"}
CHARTS = (*PRESETS, *_ALIASES)


@dataclass(frozen=True)
class Reference:
    """How the workload of one component is found: by kind and name, or by labels."""

    kind: Kind | None = None
    name: str = ""
    selector: str = ""
    configured: bool = True
    """A person named it: then it must be there."""

    def __str__(self) -> str:
        """Return it as a person writes it."""
        return self.selector if self.kind is None else f"{self.kind.name}/{self.name}"


class Lookups(Protocol):
    """The methods of `api.Api` that finding needs."""

    def get(self, kind: Kind, namespace: str, name: str) -> Object:
        """Return one object; raises `Absent`."""
        ...

    def list(self, kind: Kind, namespace: str, *, selector: str, trim: Callable[[Object], Object]) -> Listing:
        """Return all objects of a selector, trimmed."""
        ...


def references(configured: Iterable[tuple[str, str]], chart: str, release: str = "") -> dict[str, Reference]:
    """Return component → reference: what a person configured, else what the chart's labels say.

    `configured` holds components with ``Kind/name`` or a label selector. Raises `InvalidSetting`.
    """
    found = preset(chart, release)
    for component, text in configured:
        try:
            found[component] = _reference(text)
        except ValueError as error:
            raise InvalidSetting(
                f"The setting workloads says {component}={text!r:.200}; it must be {error}.",
                next_action="Correct it in [package_manager].",
                setting="workloads",
                allowed=str(error),
            ) from None
    return found


def preset(chart: str, release: str = "") -> dict[str, Reference]:
    """Return component → reference by a chart's labels; an empty release is any."""
    chart = _ALIASES.get(chart, chart)
    suffix = f",{_RELEASE[chart]}={release}" if release and chart in _RELEASE else ""
    return {
        component: Reference(selector=labels + suffix, configured=False) for component, labels in PRESETS[chart].items()
    }


def referred(references: Mapping[str, Reference], component: str) -> Reference | None:
    """Return how a component's workload is found, None where that is not known.

    A chart that runs both majors of Airflow has one web server under one label; people name it by either word.
    """
    found = references.get(component)
    if found is None and component in WEB_SERVERS:
        return next((references[name] for name in WEB_SERVERS if name in references), None)
    return found


def release_label(chart: str) -> str:
    """Return the label by which a chart's workloads name their Helm release, empty where there is none."""
    return _RELEASE.get(_ALIASES.get(chart, chart), "")


def find(api: Lookups, namespace: str, component: str, reference: Reference, *, named: bool) -> Workload:
    """Return the one workload of a component; `named`: a person counts on it, so say more where it is not there.

    Raises `NoComponents` that names what was looked for, and `UnsupportedWorkload` for two, or for a kind that cannot
    be restarted from here.
    """
    if reference.kind is not None:
        try:
            one = Workload(reference.kind, api.get(reference.kind, namespace, reference.name))
        except Absent:
            raise _absent(namespace, component, reference) from None
        return _its_own(api, namespace, component, one)
    found = [
        Workload(kind, one)
        for kind in SUPPORTED.values()
        for one in api.list(kind, namespace, selector=reference.selector, trim=_whole).items
    ]
    if len(found) == 1:
        return _its_own(api, namespace, component, found[0])
    if len(found) > 1:
        names = [f"{one.kind.name}/{one.name}" for one in found]
        raise UnsupportedWorkload(
            f"{component}: {' and '.join(names)} both carry {reference} in namespace {namespace}.",
            next_action=f"Say which one is meant: set 'release', or workloads = {component}={names[0]}.",
            component=component,
            workloads=names,
        )
    foreign = _foreign(api, namespace, reference.selector, (REPLICA_SET, POD) if named else (REPLICA_SET,))
    if foreign is not None:
        raise run_by(component, str(foreign.get("kind", "")), str(foreign.get("name", "")))
    raise _absent(namespace, component, reference)


def _reference(text: str) -> Reference:
    kind, separator, name = text.partition("/")
    known = kind.lower().partition(".")[0]
    if separator and known in SUPPORTED and _NAME.fullmatch(name):
        return Reference(SUPPORTED[known], name)
    if separator and known in _FOREIGN:
        raise ValueError(f"a Deployment or StatefulSet; a {kind} cannot be restarted safely from here")
    if known in SUPPORTED or not _SELECTOR.fullmatch(text):
        raise ValueError("Deployment/name or StatefulSet/name, or a label selector")
    return Reference(selector=text)


def _its_own(api: Lookups, namespace: str, component: str, found: Workload) -> Workload:
    """Return a workload that runs its own pods; a Rollout may take its template from a Deployment scaled to zero."""
    if found.kind == DEPLOYMENT and found.replicas == 0:
        foreign = _foreign(api, namespace, found.selector, (REPLICA_SET,))
        if foreign is not None:
            raise run_by(component, str(foreign.get("kind", "")), str(foreign.get("name", "")))
    return found


def _foreign(api: Lookups, namespace: str, selector: str, kinds: Iterable[Kind]) -> Object | None:
    """Return who runs pods with these labels, when it is a kind that is none of ours.

    Pods without a controller are tasks of the KubernetesExecutor, which carry a worker's labels.
    """
    for kind in kinds:
        for one in api.list(kind, namespace, selector=selector, trim=_owners).items:
            owner = controller_of(one)
            if owner is not None and owner.get("kind") not in (*_OURS, "ReplicaSet", "Job"):
                return owner
    return None


def _absent(namespace: str, component: str, reference: Reference) -> NoComponents:
    return NoComponents(
        f"There is no workload of {component} in namespace {namespace}: {reference} was looked for.",
        next_action="Correct the settings 'namespace', 'chart', 'release' or 'workloads'; 'kubectl get"
        f" deployments,statefulsets --namespace {namespace} --show-labels' shows what is there.",
        components=[component],
        looked_for=str(reference),
    )


def _whole(found: Object) -> Object:
    return found


def _owners(found: Object) -> Object:
    return {"metadata": {"ownerReferences": found["metadata"].get("ownerReferences") or []}}
