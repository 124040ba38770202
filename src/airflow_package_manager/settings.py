"""The values of `setting_table`, read and parsed.

Read from the environment (`AIRFLOW__PACKAGE_MANAGER__*`), then from `[package_manager]` of `airflow.cfg`, then the
default. Standard library only, because the installer and the supervisor read settings where Airflow may not be
importable.
"""

from __future__ import annotations

import configparser
import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from airflow_package_manager.errors import InvalidSetting
from airflow_package_manager.redaction import without_credentials
from airflow_package_manager.setting_table import SETTINGS

SECTION = "package_manager"
ENVIRONMENT_PREFIX = "AIRFLOW__PACKAGE_MANAGER__"
_ACCOUNT_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


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
    compile_bytecode: str
    preflight_timeout: int
    ready_timeout: int
    soak: int
    heartbeat_timeout: int
    scheduler_restart: str
    stop_timeout: int
    on_finished_command: tuple[str, ...]
    """Empty means none."""
    on_finished_url: str
    on_finished_timeout: int
    admin_users: tuple[str, ...]
    admin_roles: tuple[str, ...]


@dataclass(frozen=True)
class SettingValue:
    """One setting as `airflow-package-manager config` prints it."""

    name: str
    raw: str
    source: str
    """`environment`, the path of the configuration file, or `default`."""
    secret: bool = False

    def shown(self) -> str:
        """Return the value as anybody may read it."""
        return "****" if self.secret and self.raw else without_credentials(self.raw)


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
            values.append(SettingValue(setting.name, environ[variable].strip(), "environment", setting.secret))
        elif setting.name in section:
            values.append(SettingValue(setting.name, section[setting.name].strip(), str(config_path), setting.secret))
        else:
            values.append(SettingValue(setting.name, setting.default, "default", setting.secret))
    return tuple(values)


def load(environ: Mapping[str, str] = os.environ) -> Settings:
    """Return all settings; raises `InvalidSetting` with the name, the value and what is allowed."""
    parsed = {}
    for setting, value in zip(SETTINGS, read(environ), strict=True):
        try:
            parsed[setting.name] = setting.parse(value.raw)
        except ValueError as error:
            shown = value.shown()[:200]
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
