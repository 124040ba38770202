"""Every setting, once: name, type, default, help, since.

Standard library only, as `settings`. `docs/configuration.md` is compared with `SETTINGS` by a test.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from airflow_package_manager import setting_forms as forms
from airflow_package_manager.domain.components import COMPONENTS


@dataclass(frozen=True)
class Setting:
    """One row of the table."""

    name: str
    default: str
    """As it would be written in `airflow.cfg`."""
    parse: Callable[[str], Any]
    """Raises `ValueError` with what is allowed."""
    help: str
    since: str = "0.1.0"
    secret: bool = False
    """Never shown: the value itself may let in whoever knows it."""


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "target",
        "auto",
        forms.choice("auto", "local", "kubernetes"),
        "Where Airflow's components run. `local`: one machine (or containers that share one directory), each component"
        " started by `airflow-package-manager run`. `kubernetes`: Deployments and StatefulSets. `auto`: `kubernetes`"
        " where a service account's token or the setting `kubeconfig` exists, else `local`.",
    ),
    Setting(
        "namespace",
        "data-orchestration",
        forms.kubernetes_name(63),
        "Kubernetes: the namespace of the ConfigMap and of Airflow's workloads.",
    ),
    Setting(
        "config_map",
        "airflow-config-pypi",
        forms.kubernetes_name(247),
        "Kubernetes: the ConfigMap whose key `requirements.txt` says what is wanted. Locks are kept in a second one of"
        " the same name with `-locks` behind it.",
    ),
    Setting(
        "kubeconfig",
        "",
        forms.absolute_path,
        "Kubernetes: the configuration file to connect with. Empty: the pod's own service account.",
    ),
    Setting("kube_context", "", forms.text, "Kubernetes: the context of `kubeconfig`. Empty: its current one."),
    Setting(
        "chart",
        "official",
        forms.choice("official", "astronomer", "bitnami", "community", "none"),
        "Kubernetes: whose Helm chart named and labelled Airflow's workloads. `none`: `workloads` names them all.",
    ),
    Setting(
        "release",
        "",
        forms.label_value,
        "Kubernetes: the Helm release, where more than one Airflow lives in the namespace.",
    ),
    Setting(
        "workloads",
        "",
        forms.workloads,
        "Kubernetes: workloads that the chart's labels do not find, separated by semicolons:"
        " `scheduler=Deployment/my-scheduler; worker=app=airflow,role=worker` (kind and name, or a label selector).",
    ),
    Setting(
        "installer_container",
        "package-manager",
        forms.kubernetes_name(63),
        "Kubernetes: the name of the init container that installs.",
    ),
    Setting(
        "preflight_labels",
        "",
        forms.labels,
        "Kubernetes: further labels of the pod that checks before a rollout, for network policies that ask for some:"
        " `key=value`, separated by commas.",
    ),
    Setting(
        "directory",
        "",
        forms.absolute_path,
        "Where requirements, locks and sites are kept. Empty: `AIRFLOW_HOME/package_manager`.",
    ),
    Setting(
        "components",
        "auto",
        forms.components,
        "Which components a change restarts, separated by commas. `auto`: all that are there; the web server only"
        " when the change brings or removes Airflow plugins or providers.",
    ),
    Setting(
        "rollout_order",
        ", ".join(COMPONENTS),
        forms.order,
        "The order of restarts when a change adds or updates. A change that only removes goes the other way round;"
        " the web server is last both ways.",
    ),
    Setting("token_lifetime", "3600", forms.seconds(60, 86400), "Seconds for which the token of a plan can be used."),
    Setting(
        "index_url",
        "",
        forms.url,
        "The package index (Simple API). Empty: uv's own default. No credentials in the address.",
    ),
    Setting(
        "extra_index_urls",
        "",
        forms.urls,
        "Further indexes, separated by spaces, asked before `index_url`; the first index that knows a name is used.",
    ),
    Setting(
        "index_credentials_file",
        "",
        forms.absolute_path,
        "A netrc file with the credentials of the indexes, readable by Airflow's user only. Empty: the usual netrc.",
    ),
    Setting(
        "wheelhouse",
        "",
        forms.absolute_path,
        "A directory of wheels that takes the place of every index, for where there is no network; the same one where"
        " plans are made and where components install. Empty: the indexes.",
    ),
    Setting(
        "protected_packages",
        "",
        forms.names,
        "Further projects that may never be changed, separated by commas, beside Airflow, its providers, this plugin"
        " and uv.",
    ),
    Setting("denied_packages", "", forms.names, "Projects that may never be installed, directly or as a dependency."),
    Setting(
        "planning_timeout", "60", forms.seconds(5, 600), "Seconds after which the resolver is stopped while planning."
    ),
    Setting("install_timeout", "600", forms.seconds(10, 7200), "Seconds after which an installation is stopped."),
    Setting(
        "compile_bytecode",
        "no",
        forms.choice("no", "yes"),
        "`yes`: compile what is installed at once, for a volume that components mount read-only. `no`: whatever is"
        " imported first compiles it, which a component that cannot write there would do again in every process.",
    ),
    Setting("preflight_timeout", "120", forms.seconds(10, 3600), "Seconds that the check before a rollout may take."),
    Setting(
        "ready_timeout",
        "180",
        forms.seconds(10, 3600),
        "Seconds within which a restarted component must be ready on its new site; else it goes back to the last good.",
    ),
    Setting(
        "soak", "30", forms.seconds(1, 600), "Seconds that a restarted component must stay alive to count as ready."
    ),
    Setting(
        "heartbeat_timeout",
        "90",
        forms.seconds(5, 3600),
        "Seconds to wait for Airflow's own heartbeat of a restarted component. One that had a heartbeat before and has"
        " none then goes back; one that never had is 'not verified'.",
    ),
    Setting(
        "scheduler_restart",
        "handover",
        forms.choice("handover", "drain"),
        "`handover`: running LocalExecutor tasks finish on the old site while a new scheduler starts. `drain`: wait"
        " for them first.",
    ),
    Setting(
        "stop_timeout",
        "60",
        forms.seconds(1, 86400),
        "Seconds that a component may take to stop after SIGTERM before it is killed (drain included).",
    ),
    Setting(
        "on_finished_command",
        "",
        forms.words,
        "A program to run when an accepted change has ended (SUCCEEDED, ROLLED_BACK or FAILED): its absolute path and"
        " words, quoted as in a shell, of which there is none. It reads the operation as JSON from its standard input"
        " and gets neither Airflow's settings nor its secrets in its environment. Empty: none.",
    ),
    Setting(
        "on_finished_url",
        "",
        forms.url,
        "An address that the same JSON is posted to. It may hold a secret and is never shown. Empty: none.",
        secret=True,
    ),
    Setting(
        "on_finished_timeout",
        "10",
        forms.seconds(1, 60),
        "Seconds after which `on_finished_command` is killed and `on_finished_url` given up, each.",
    ),
    Setting(
        "admin_users",
        "",
        forms.people,
        "Users who may do everything here, separated by commas, where Airflow's auth manager is none that this plugin"
        " knows: as that auth manager names them, capitals too. Known ones say themselves who may, and ignore this.",
    ),
    Setting(
        "admin_roles",
        "",
        forms.people,
        "Roles whose users may do everything here, under the same condition. A role is what the auth manager's own user"
        " object offers as `role` or `roles`; where it offers neither, this lets nobody in.",
    ),
)
