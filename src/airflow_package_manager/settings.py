"""Every setting, once: name, type, default, help, since.

Read from the environment (`AIRFLOW__PACKAGE_MANAGER__*`), then from `[package_manager]` of `airflow.cfg`, then the
default. Standard library only, because the installer and the supervisor read settings where Airflow may not be
importable. `docs/configuration.md` is compared with `SETTINGS` by a test.
"""

from __future__ import annotations

import configparser
import dataclasses
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_package_manager import setting_forms as forms
from airflow_package_manager.errors import InvalidSetting
from airflow_package_manager.redaction import without_credentials
from airflow_package_manager.setting_forms import COMPONENTS

SECTION = "package_manager"
ENVIRONMENT_PREFIX = "AIRFLOW__PACKAGE_MANAGER__"
_ACCOUNT_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


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
        "Which components a change restarts, separated by commas. `auto`: all that are there; the api-server only"
        " when the change brings or removes Airflow plugins or providers.",
    ),
    Setting(
        "rollout_order",
        ", ".join(COMPONENTS),
        forms.order,
        "The order of restarts when a change adds or updates. A change that only removes goes the other way round;"
        " the api-server is last both ways.",
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
        "Seconds to wait for Airflow's own heartbeat of a restarted component before the words 'not verified'.",
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
)


@dataclass(frozen=True)
class Settings:
    """The values, parsed; one attribute per row of `SETTINGS`, in the same order (a test compares them)."""

    target: str
    """`local` or `kubernetes`, never `auto`."""
    namespace: str
    config_map: str
    kubeconfig: str
    kube_context: str
    chart: str
    release: str
    workloads: tuple[tuple[str, str], ...]
    """Component → ``Kind/name`` or a label selector."""
    installer_container: str
    preflight_labels: tuple[tuple[str, str], ...]
    directory: str
    components: tuple[str, ...]
    """Empty means auto."""
    rollout_order: tuple[str, ...]
    token_lifetime: int
    index_url: str
    extra_index_urls: tuple[str, ...]
    index_credentials_file: str
    wheelhouse: str
    """Empty means the indexes."""
    protected_packages: tuple[str, ...]
    denied_packages: tuple[str, ...]
    planning_timeout: int
    install_timeout: int
    preflight_timeout: int
    ready_timeout: int
    soak: int
    heartbeat_timeout: int
    scheduler_restart: str
    stop_timeout: int


@dataclass(frozen=True)
class SettingValue:
    """One setting as `airflow-package-manager config` prints it."""

    name: str
    raw: str
    source: str
    """`environment`, the path of the configuration file, or `default`."""


def airflow_home(environ: Mapping[str, str]) -> Path:
    """Return `AIRFLOW_HOME` by Airflow's own rule."""
    return Path(environ.get("AIRFLOW_HOME") or "~/airflow").expanduser()


def read(environ: Mapping[str, str] = os.environ) -> tuple[SettingValue, ...]:
    """Return each setting as text with its source; raises `InvalidSetting` for a name that does not exist."""
    config_path = Path(environ.get("AIRFLOW_CONFIG") or airflow_home(environ) / "airflow.cfg").expanduser()
    section = _config_section(config_path)
    known = {setting.name for setting in SETTINGS}
    given = {key.removeprefix(ENVIRONMENT_PREFIX).lower() for key in environ if key.startswith(ENVIRONMENT_PREFIX)}
    for name in sorted((given | set(section)) - known):
        raise InvalidSetting(
            f"[{SECTION}] has no setting named {name!r}.",
            next_action="Remove it, or correct its name; docs/configuration.md lists all settings.",
            setting=name,
            allowed=sorted(known),
        )
    values = []
    for setting in SETTINGS:
        variable = ENVIRONMENT_PREFIX + setting.name.upper()
        if variable in environ:
            values.append(SettingValue(setting.name, environ[variable].strip(), "environment"))
        elif setting.name in section:
            values.append(SettingValue(setting.name, section[setting.name].strip(), str(config_path)))
        else:
            values.append(SettingValue(setting.name, setting.default, "default"))
    return tuple(values)


def load(environ: Mapping[str, str] = os.environ) -> Settings:
    """Return all settings; raises `InvalidSetting` with the name, the value and what is allowed."""
    parsed = {}
    for setting, value in zip(SETTINGS, read(environ), strict=True):
        try:
            parsed[setting.name] = setting.parse(value.raw)
        except ValueError as error:
            shown = without_credentials(value.raw)[:200]
            raise InvalidSetting(
                f"[{SECTION}] {setting.name} = {shown!r} (from {value.source}) is not allowed: it must be {error}.",
                setting=setting.name,
                value=shown,
                allowed=str(error),
            ) from None
    settings = Settings(**parsed)
    if not settings.directory:
        settings = dataclasses.replace(settings, directory=str(airflow_home(environ).absolute() / "package_manager"))
    if settings.target == "auto":
        settings = dataclasses.replace(settings, target=_target(settings, environ))
    return settings


def _target(settings: Settings, environ: Mapping[str, str]) -> str:
    in_a_pod = "KUBERNETES_SERVICE_HOST" in environ and _ACCOUNT_TOKEN.exists()
    return "kubernetes" if settings.kubeconfig or in_a_pod else "local"


def _config_section(path: Path) -> dict[str, str]:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        with path.open(encoding="utf-8") as stream:
            parser.read_file(stream)
    except FileNotFoundError:
        return {}
    except (OSError, configparser.Error, UnicodeDecodeError) as error:
        raise InvalidSetting(
            f"{path} cannot be read: {error}", next_action="Repair the file.", setting=str(path), allowed="an INI file"
        ) from error
    return dict(parser[SECTION]) if parser.has_section(SECTION) else {}
