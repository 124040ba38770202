"""Every setting, once: name, type, default, help, since.

Read from the environment (`AIRFLOW__PACKAGE_MANAGER__*`), then from `[package_manager]` of `airflow.cfg`, then the
default. Standard library only, because the installer and the supervisor read settings where Airflow may not be
importable. `docs/configuration.md` is compared with `SETTINGS` by a test.
"""

from __future__ import annotations

import configparser
import dataclasses
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_package_manager.errors import InvalidSetting
from airflow_package_manager.redaction import without_credentials
from airflow_package_manager.web_address import host_of

SECTION = "package_manager"
ENVIRONMENT_PREFIX = "AIRFLOW__PACKAGE_MANAGER__"
COMPONENTS = ("scheduler", "worker", "triggerer", "dag-processor", "api-server")
"""What Airflow 3 can run, in the default order of a rollout: what executes before what parses, the api-server last."""
_INDEX_ADDRESS = re.compile(
    r"https?://(?:[^\s/@:?#\[\]]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?(?:[/?#]\S*)?", re.IGNORECASE | re.ASCII
)


def _text(raw: str) -> str:
    return raw


def _choice(*allowed: str) -> Callable[[str], str]:
    def parse(raw: str) -> str:
        if raw not in allowed:
            raise ValueError("one of " + ", ".join(allowed))
        return raw

    return parse


def _seconds(low: int, high: int) -> Callable[[str], int]:
    def parse(raw: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", raw) or not low <= int(raw) <= high:
            raise ValueError(f"a whole number of seconds from {low} to {high}")
        return int(raw)

    return parse


def _names(raw: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in raw.split(",") if part.strip())


def _components(raw: str) -> tuple[str, ...]:
    names = _names(raw)
    if names == ("auto",):
        return ()
    unknown = [name for name in names if name not in COMPONENTS]
    if not names or unknown or len(set(names)) != len(names):
        raise ValueError("auto, or some of " + ", ".join(COMPONENTS) + ", each once")
    return names


def _order(raw: str) -> tuple[str, ...]:
    names = _names(raw)
    if sorted(names) != sorted(COMPONENTS):
        raise ValueError("all of " + ", ".join(COMPONENTS) + " in the order wanted")
    return names


def _url(raw: str) -> str:
    if "@" in raw:
        raise ValueError("an address without credentials (they go into the environment, netrc, or a file)")
    if raw and (not _INDEX_ADDRESS.fullmatch(raw) or host_of(raw) is None):
        raise ValueError("an http or https address of a Simple API index")
    return raw


def _urls(raw: str) -> tuple[str, ...]:
    return tuple(_url(part) for part in raw.split() if part)


def _absolute_path(raw: str) -> str:
    if raw and not Path(raw).is_absolute():
        raise ValueError("an absolute path, or empty")
    return raw


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
        _choice("auto", "local"),
        "Where Airflow's components run. `local`: one machine (or containers that share one directory), each component"
        " started by `airflow-package-manager run`. `auto` means `local` in this version.",
    ),
    Setting(
        "directory",
        "",
        _absolute_path,
        "Where requirements, locks and sites are kept. Empty: `AIRFLOW_HOME/package_manager`.",
    ),
    Setting(
        "components",
        "auto",
        _components,
        "Which components a change restarts, separated by commas. `auto`: all that are there; the api-server only"
        " when the change brings or removes Airflow plugins or providers.",
    ),
    Setting(
        "rollout_order",
        ", ".join(COMPONENTS),
        _order,
        "The order of restarts when a change adds or updates. A change that only removes goes the other way round;"
        " the api-server is last both ways.",
    ),
    Setting("token_lifetime", "3600", _seconds(60, 86400), "Seconds for which the token of a plan can be used."),
    Setting(
        "index_url",
        "",
        _url,
        "The package index (Simple API). Empty: uv's own default. No credentials in the address.",
    ),
    Setting(
        "extra_index_urls",
        "",
        _urls,
        "Further indexes, separated by spaces, asked before `index_url`; the first index that knows a name is used.",
    ),
    Setting(
        "index_credentials_file",
        "",
        _absolute_path,
        "A netrc file with the credentials of the indexes, readable by Airflow's user only. Empty: the usual netrc.",
    ),
    Setting(
        "protected_packages",
        "",
        _names,
        "Further projects that may never be changed, separated by commas, beside Airflow, its providers, this plugin"
        " and uv.",
    ),
    Setting("denied_packages", "", _names, "Projects that may never be installed, directly or as a dependency."),
    Setting("planning_timeout", "60", _seconds(5, 600), "Seconds after which the resolver is stopped while planning."),
    Setting("install_timeout", "600", _seconds(10, 7200), "Seconds after which an installation is stopped."),
    Setting("preflight_timeout", "120", _seconds(10, 3600), "Seconds that the check before a rollout may take."),
    Setting(
        "ready_timeout",
        "180",
        _seconds(10, 3600),
        "Seconds within which a restarted component must be ready on its new site; else it goes back to the last good.",
    ),
    Setting("soak", "30", _seconds(1, 600), "Seconds that a restarted component must stay alive to count as ready."),
    Setting(
        "heartbeat_timeout",
        "90",
        _seconds(5, 3600),
        "Seconds to wait for Airflow's own heartbeat of a restarted component before the words 'not verified'.",
    ),
    Setting(
        "scheduler_restart",
        "handover",
        _choice("handover", "drain"),
        "`handover`: running LocalExecutor tasks finish on the old site while a new scheduler starts. `drain`: wait"
        " for them first.",
    ),
    Setting(
        "stop_timeout",
        "60",
        _seconds(1, 86400),
        "Seconds that a component may take to stop after SIGTERM before it is killed (drain included).",
    ),
)


@dataclass(frozen=True)
class Settings:
    """The values, parsed; one attribute per row of `SETTINGS`, in the same order (a test compares them)."""

    target: str
    directory: str
    components: tuple[str, ...]
    """Empty means auto."""
    rollout_order: tuple[str, ...]
    token_lifetime: int
    index_url: str
    extra_index_urls: tuple[str, ...]
    index_credentials_file: str
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
    return settings


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
