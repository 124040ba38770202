"""A look into the cluster before something is printed for it, and what was found in words."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from airflow_package_manager import settings
from airflow_package_manager.adapters.kubernetes.api import Api
from airflow_package_manager.adapters.kubernetes.connection import Connection, inside_cluster
from airflow_package_manager.adapters.kubernetes.discovery import Discovery, Findings, Wish
from airflow_package_manager.cli import rendering
from airflow_package_manager.errors import PackageManagerError
from airflow_package_manager.refusals import NoComponents
from airflow_package_manager.settings import Settings

OFFLINE = "No cluster was looked at, as --offline says."
NOWHERE = (
    "No cluster was looked at: this is no pod with an account, and neither --kubeconfig or --context nor the settings"
    " kubeconfig and kube_context name one."
)
DEFAULTS = "Names are those of the options and the settings, else the official chart's."
_NEEDED = {
    "install": ("--namespace", "--workload", "--account"),
    "values": ("--namespace",),
    "uninstall": ("--namespace", "--workload"),
}
"""What is printed must not be guessed where a cluster was looked at: who applies it permits, or removes, by it."""


@dataclass(frozen=True)
class Looked:
    """What a command prints from."""

    settings: Settings
    found: Findings | None
    """None: no cluster was looked at."""
    said: str
    """For people: what was found, or why nothing was looked at."""


def look(arguments: argparse.Namespace, environ: Mapping[str, str] = os.environ) -> Looked:
    """Look into the cluster that options or settings name, or this pod's own.

    Raises what the cluster answers, and `NoComponents`, where what was not found would be guessed; `InvalidSetting`.
    """
    read = settings.load(environ)
    if arguments.offline:
        return Looked(read, None, f"{OFFLINE} {DEFAULTS}")
    kubeconfig = str(Path(arguments.kubeconfig).expanduser().absolute()) if arguments.kubeconfig else read.kubeconfig
    context = arguments.context or read.kube_context
    if not (kubeconfig or context or inside_cluster(environ)):
        return Looked(read, None, f"{NOWHERE} {DEFAULTS}")
    api = Api(Connection(kubeconfig=kubeconfig, context=context, environ=environ))
    try:
        found = Discovery(api, _wish(arguments, read, environ)).look()
    except PackageManagerError as error:
        missing = _missing(arguments, read, environ, None)
        if missing:
            error.next_action = f"{error.next_action} {_way_out(missing)}"
            raise
        return Looked(
            read, None, f"WARNING: The cluster could not be looked at: {error.detail} {error.next_action} {DEFAULTS}"
        )
    missing = _missing(arguments, read, environ, found)
    if missing:
        raise NoComponents(
            f"{' and '.join(missing)} would be guessed, so nothing is printed. {' '.join(found.notes)}",
            next_action=_way_out(missing),
            components=[],
        )
    return Looked(read, found, _words(found, read.installer_container, _config_map(arguments, read)))


def as_json(found: Findings | None) -> dict[str, object] | None:
    """Return the findings for a program."""
    if found is None:
        return None
    parts = [
        {
            "component": part.component,
            "workload": f"{part.workload.kind.name}/{part.workload.name}",
            "service_account": part.account,
            "installs": part.installs,
        }
        for part in found.parts
    ]
    return {
        "namespace": found.namespace,
        "chart": found.chart,
        "release": found.release,
        "components": parts,
        "config_map": found.config_map,
        "notes": list(found.notes),
    }


def _missing(
    arguments: argparse.Namespace, read: Settings, environ: Mapping[str, str], found: Findings | None
) -> list[str]:
    """Return the options without which the chart's names would be printed."""
    there = found is not None and bool(found.parts)
    known = {
        "--namespace": there or _wish(arguments, read, environ).namespace_named,
        "--workload": there or bool(arguments.workload),
        "--account": bool(arguments.account) or (found is not None and found.web is not None),
    }
    return [option for option in _NEEDED[arguments.action] if not known[option]]


def _way_out(missing: Sequence[str]) -> str:
    return (
        f"Name {' and '.join(missing)}, or look as somebody who may see it; --offline prints the chart's names for what"
        " you do not name."
    )


def _wish(arguments: argparse.Namespace, read: Settings, environ: Mapping[str, str]) -> Wish:
    named = {value.name for value in settings.read(environ) if value.source != "default"}
    return Wish(
        namespace=arguments.namespace or read.namespace,
        namespace_named=bool(arguments.namespace) or "namespace" in named,
        chart=read.chart,
        chart_named="chart" in named,
        release=arguments.release or read.release,
        workloads=read.workloads,
        installer=read.installer_container,
        config_map=_config_map(arguments, read),
    )


def _config_map(arguments: argparse.Namespace, read: Settings) -> str:
    return str(arguments.config_map or read.config_map)


def _words(found: Findings, installer: str, config_map: str) -> str:
    lines = [f"Looked into namespace {found.namespace}; nothing was changed."]
    if found.parts:
        rows = [
            [
                part.component,
                f"{part.workload.kind.name}/{part.workload.name}",
                part.account,
                installer if part.installs else "no",
            ]
            for part in found.parts
        ]
        lines += [rendering.table(["component", "workload", "service account", "init container"], rows)]
        release = f"release {found.release} of " if found.release else ""
        lines.append(f"Labels: {release}chart {found.chart}.")
    else:
        lines.append(DEFAULTS)
    if found.config_map is not None:
        lines.append(
            f"ConfigMap {config_map}: there, and kept as it is."
            if found.config_map
            else f"ConfigMap {config_map}: not there yet; the first change makes it."
        )
    return "\n".join([*lines, *(f"Note: {note}" for note in found.notes)])
