"""The official chart's workloads, from the facts in `official-chart.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

Object = dict[str, Any]
FACTS: Object = yaml.safe_load(Path(__file__).with_name("official-chart.yaml").read_text())
EXECUTORS = ("CeleryExecutor", "KubernetesExecutor", "LocalExecutor")
MAJORS = (2, 3)
INSTALLATIONS = [(major, executor) for major in MAJORS for executor in EXECUTORS]
"""Airflow's major version and executor."""
IMAGE = "registry.example.com/airflow:1"
PORT = 8080


@dataclass(frozen=True)
class Component:
    """One workload of the chart."""

    name: str
    kind: str
    strategy: Mapping[str, Any] = field(default_factory=dict)
    """As rendered; empty: the API server's default."""
    grace: int | None = None
    sidecars: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()
    probes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """startup, readiness, liveness → how, when."""

    @property
    def plural(self) -> str:
        return f"{self.kind.lower()}s"


def components(major: int, executor: str) -> dict[str, Component]:
    """Return the components of an installation by name."""
    return {
        name: component(name, kind)
        for name, row in FACTS["components"].items()
        if major in row["airflow"] and (kind := row["kind"].get(executor))
    }


def component(name: str, kind: str = "") -> Component:
    """Return one component, or another workload of the chart; the kind of the CeleryExecutor where none is given."""
    if name in FACTS["others"]:
        return Component(name, FACTS["others"][name]["kind"])
    row = FACTS["components"][name]
    kind = kind or row["kind"]["CeleryExecutor"]
    return Component(
        name,
        kind,
        row["strategy"] if kind == "Deployment" else {},
        row["grace"],
        tuple(row.get("sidecars", {}).get(kind, ())),
        tuple(row.get("claims", {}).get(kind, ())),
        row["probes"],
    )


def others(executor: str) -> dict[str, Component]:
    """Return the workloads that hold no Airflow."""
    return {name: component(name) for name, row in FACTS["others"].items() if executor in row["executors"]}


def labels(name: str, release: str = "airflow") -> dict[str, str]:
    """Return the labels of a component's pods, by which its workload selects them."""
    return {key: _filled(value, name, release) for key, value in FACTS["labels"].items()}


def called(name: str, release: str = "airflow") -> str:
    """Return what its workload and its service account are called."""
    return _filled(FACTS["name"], name, release)


def template(one: Component, release: str = "airflow") -> Object:
    """Return the pod template as the chart renders it, without anything of ours."""
    probes = {f"{moment}Probe": _probe(probe) for moment, probe in one.probes.items()}
    of_airflow = one.name in FACTS["components"]
    init = [{"name": name, "image": IMAGE} for name in FACTS["init_containers"] if of_airflow]
    sidecars = [{"name": name, "image": IMAGE} for name in one.sidecars]
    return {
        "metadata": {"labels": labels(one.name, release)},
        "spec": {
            "serviceAccountName": called(one.name, release),
            "initContainers": init,
            "containers": [{"name": one.name, "image": IMAGE, **probes}, *sidecars],
            **({} if one.grace is None else {"terminationGracePeriodSeconds": one.grace}),
        },
    }


def workload(one: Component, namespace: str, *, release: str = "airflow", replicas: int = 1) -> Object:
    """Return the workload as the chart renders it, without anything of ours."""
    stateful = one.kind == "StatefulSet"
    claims = [{"metadata": {"name": name}, "spec": _CLAIM} for name in one.claims]
    spec: Object = {
        "replicas": replicas,
        "selector": {"matchLabels": labels(one.name, release)},
        "template": template(one, release),
        **({"strategy": dict(one.strategy)} if one.strategy and not stateful else {}),
        **({"serviceName": called(one.name, release)} if stateful else {}),
        **({"volumeClaimTemplates": claims} if claims else {}),
    }
    marks = {**labels(one.name, release), "chart": "airflow", "heritage": "Helm"}
    metadata = {"name": called(one.name, release), "namespace": namespace, "labels": marks}
    return {"apiVersion": "apps/v1", "kind": one.kind, "metadata": metadata, "spec": spec}


_CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}


def _probe(probe: Mapping[str, Any]) -> Object:
    times = {key: value for key, value in probe.items() if key not in {"by", "path"}}
    command = {"exec": {"command": ["true"]}}
    return {**times, **(command if probe["by"] == "exec" else {"httpGet": {"path": probe["path"], "port": PORT}})}


def _filled(pattern: str, name: str, release: str) -> str:
    return str(pattern).replace("<component>", name).replace("<release>", release)
