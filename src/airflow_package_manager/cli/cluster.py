"""What an administrator of Kubernetes applies or takes back: printed only, no cluster is asked and none changed."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence

from airflow_package_manager.adapters.kubernetes import manifests as made
from airflow_package_manager.adapters.kubernetes.kinds import DEPLOYMENT, STATEFUL_SET, Kind
from airflow_package_manager.adapters.kubernetes.manifests import Installation
from airflow_package_manager.adapters.kubernetes.stamping import ANNOTATION
from airflow_package_manager.cli.exit_status import OK
from airflow_package_manager.cli.terminal import say
from airflow_package_manager.refusals import Malformed

_KINDS = {kind.name.lower(): kind for kind in (DEPLOYMENT, STATEFUL_SET)}
_CLUSTER_WIDE = ("validatingadmissionpolicybinding", "validatingadmissionpolicy")


def kubernetes(arguments: argparse.Namespace) -> int:
    """Print manifests, values, or the commands that take everything back."""
    installation = _installation(arguments)
    printed = {"install": made.manifests, "values": _chart_values, "uninstall": _taking_back}[arguments.action]
    text = printed(installation).rstrip("\n")
    say(json.dumps({arguments.action: text}) if arguments.output == "json" else text)
    return OK


def _installation(arguments: argparse.Namespace) -> Installation:
    release = arguments.release
    try:
        named = [_workload(text) for text in arguments.workload]
        given: dict[str, object] = {}
        if named:
            given["workloads"] = _by_kind(named)
        elif release != "airflow":
            given["workloads"] = {
                kind: tuple(name.replace("airflow-", f"{release}-", 1) for name in names)
                for kind, names in Installation().workloads.items()
            }
        if arguments.template or named or release != "airflow":
            given["template"] = _template(arguments.template, named, release)
        if arguments.image:
            given["image"] = arguments.image
        return Installation(
            namespace=arguments.namespace,
            account=arguments.account or f"{release}-api-server",
            account_namespace=arguments.account_namespace,
            config_map=arguments.config_map,
            **given,  # type: ignore[arg-type]
        )
    except ValueError as error:
        raise Malformed(
            f"The manifests cannot be filled in: {error}.",
            next_action="Give names as 'kubectl get' shows them, workloads as Deployment/name or StatefulSet/name.",
            field="arguments",
        ) from error


def _workload(text: str) -> tuple[Kind, str]:
    kind, _, name = text.partition("/")
    if kind.lower() not in _KINDS:
        raise ValueError(f"{text!r} is not a Deployment/name or StatefulSet/name")
    return _KINDS[kind.lower()], name


def _by_kind(named: Sequence[tuple[Kind, str]]) -> Mapping[Kind, Sequence[str]]:
    return {kind: tuple(name for one, name in named if one is kind) for kind in (DEPLOYMENT, STATEFUL_SET)}


def _template(given: str, named: Sequence[tuple[Kind, str]], release: str) -> tuple[Kind, str]:
    """Return the workload given; else the one that looks like the scheduler; else the first."""
    if given:
        return _workload(given)
    schedulers = [one for one in named if one[1].endswith("scheduler")]
    return next(iter([*schedulers, *named]), (DEPLOYMENT, f"{release}-scheduler"))


def _chart_values(installation: Installation) -> str:
    return made.manifest("values-official.yaml", installation)


def _taking_back(installation: Installation) -> str:
    """Return the commands in an order in which no pod starts without what it needs before it has to."""
    namespace = f"--namespace {installation.namespace}"
    nothing = json.dumps({"spec": {"template": {"metadata": {"annotations": {ANNOTATION: None}}}}})
    lines = [
        "# Components restart on the current lock, one after another as fast as their strategy allows.",
        *(
            f"kubectl patch {kind.name.lower()} {name} {namespace} --type merge --patch '{nothing}'"
            for kind, names in installation.workloads.items()
            for name in names
        ),
        "# Take init container, volumes and environment out of the chart's values, then upgrade. Afterwards:",
        f"kubectl delete configmap {installation.config_maps[1]} {namespace} --ignore-not-found",
        f"# {installation.config_maps[0]} holds the requirements that people wrote; it stays.",
        f"kubectl delete rolebinding,role {made.NAME} {namespace} --ignore-not-found",
    ]
    for kind in _CLUSTER_WIDE:
        names = " ".join(f"{made.NAME}-{installation.namespace}-{part}" for part in made.POLICIES)
        lines.append(f"kubectl delete {kind} {names} --ignore-not-found")
    return "\n".join(lines)
