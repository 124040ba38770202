"""What an administrator of Kubernetes applies, or takes back: printed, filled in for what is in the cluster."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence

from airflow_package_manager.adapters.kubernetes import manifests as made
from airflow_package_manager.adapters.kubernetes import taking_back
from airflow_package_manager.adapters.kubernetes.kinds import DEPLOYMENT, STATEFUL_SET, Kind
from airflow_package_manager.adapters.kubernetes.manifests import Installation
from airflow_package_manager.cli import looking
from airflow_package_manager.cli.exit_status import OK
from airflow_package_manager.cli.looking import Looked
from airflow_package_manager.cli.terminal import say, say_json, tell
from airflow_package_manager.domain.components import SCHEDULER, WEB_SERVERS
from airflow_package_manager.refusals import Malformed

_KINDS = {kind.name.lower(): kind for kind in (DEPLOYMENT, STATEFUL_SET)}
_MERGING = (
    "Before 'helm upgrade', compare with 'helm get values': Helm replaces lists. Append what is yours to env, volumes,"
    " volumeMounts and each extraInitContainers here, else it is gone. Where your values set images.airflow, it wins"
    " over defaultAirflowRepository and defaultAirflowTag: name our image there. airflowVersion is the version in it."
)
_OF_UNINSTALL = {"yes": "--yes", "requirements": "--requirements"}


def kubernetes(arguments: argparse.Namespace) -> int:
    """Print manifests, values, or the commands that take everything back; or take stamps and locks back."""
    uninstalls = arguments.action == "uninstall"
    if uninstalls and not arguments.dry_run:
        from airflow_package_manager.cli.uninstalling import uninstall  # noqa: PLC0415  printing needs no Airflow

        return uninstall(arguments)
    _require_printing(arguments, uninstalls=uninstalls)
    looked = looking.look(arguments)
    installation = _installation(arguments, looked)
    there = None if looked.found is None else [part.workload for part in looked.found.parts]
    if uninstalls:
        text = taking_back.commands(installation, there, requirements=arguments.requirements)
    elif arguments.action == "values":
        text = made.manifest("values-official.yaml", installation).rstrip("\n")
    else:
        text = made.manifests(installation, policies=not _sharing(installation, looked)).rstrip("\n")
    if arguments.output == "json":
        say_json(json.dumps({arguments.action: text, "found": looking.as_json(looked.found)}, indent=2))
    else:
        tell(looked.said)
        if arguments.action == "values":
            tell(_MERGING)
        say(text)
    return OK


def _sharing(installation: Installation, looked: Looked) -> tuple[str, ...]:
    """Return the components that would be held by the policies, because they run under the same account."""
    elsewhere = installation.account_namespace not in ("", installation.namespace)
    return () if looked.found is None or elsewhere else looked.found.sharing(installation.account)


def _require_printing(arguments: argparse.Namespace, *, uninstalls: bool) -> None:
    if not arguments.dry_run:
        raise Malformed(
            f"'kubernetes {arguments.action}' only prints: an administrator applies it.",
            next_action="Add --dry-run, and give what is printed to kubectl or helm.",
            field="arguments",
        )
    wrong = [option for name, option in _OF_UNINSTALL.items() if getattr(arguments, name)]
    if arguments.yes or (wrong and not uninstalls):
        raise Malformed(
            f"{wrong[0]} does not go with this.",
            next_action="--yes goes with 'kubernetes uninstall' alone, and not with --dry-run; --requirements goes with"
            " 'kubernetes uninstall'.",
            field="arguments",
        )


def _installation(arguments: argparse.Namespace, looked: Looked) -> Installation:
    """Return what is printed for: what the options say, else what was found, else settings and the chart's names."""
    found, read = looked.found, looked.settings
    release = arguments.release or (found.release if found else "") or read.release or "airflow"
    web = found.web if found is not None else None
    web_server = arguments.web_server or (web.component if web else WEB_SERVERS[0])
    chart = made.chart_workloads(release, web_server)
    try:
        named = [_workload(text) for text in arguments.workload]
        if not named and found is not None:
            named = [(part.workload.kind, part.workload.name) for part in found.parts]
        given: dict[str, object] = {}
        if named:
            given["workloads"] = _by_kind(named)
        elif chart != made.chart_workloads():
            given["workloads"] = chart
        if arguments.template or named or release != "airflow" or read.components:
            given["template"] = _template(arguments, looked, named, release)
        return Installation(
            namespace=arguments.namespace or (found.namespace if found else read.namespace),
            account=arguments.account or (web.account if web else f"{release}-{web_server}"),
            image=arguments.image or made.IMAGES[web_server],
            web_server=web_server,
            account_namespace=arguments.account_namespace,
            config_map=arguments.config_map or read.config_map,
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
    return {kind: tuple(name for one, name in named if one == kind) for kind in (DEPLOYMENT, STATEFUL_SET)}


def _template(
    arguments: argparse.Namespace, looked: Looked, named: Sequence[tuple[Kind, str]], release: str
) -> tuple[Kind, str]:
    """Return the workload given; else that of the component from which the check is made; else the first.

    That component is the scheduler, or, where the setting names components without it, the first of them.
    """
    if arguments.template:
        return _workload(arguments.template)
    components = looked.settings.components
    model = SCHEDULER if SCHEDULER in components or not components else components[0]
    if looked.found is not None and not arguments.workload:
        there = (part.workload for part in looked.found.parts if part.component == model)
        for one in there:
            return one.kind, one.name
    called = [one for one in named if one[1].endswith(model)]
    kinds = (kind for kind, names in Installation().workloads.items() if any(name.endswith(model) for name in names))
    return next(iter([*called, *named]), (next(kinds, DEPLOYMENT), f"{release}-{model}"))
