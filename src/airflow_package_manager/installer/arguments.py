"""What a supervisor is told when it is started, refused before it starts or writes anything."""

from __future__ import annotations

from airflow_package_manager.domain.components import COMPONENTS
from airflow_package_manager.errors import InvalidSetting
from airflow_package_manager.redaction import without_credentials
from airflow_package_manager.web_address import host_of


def known_component(name: str) -> str:
    """Return the name; raises `InvalidSetting` when Airflow has no such component: nothing would ever restart it."""
    if name not in COMPONENTS:
        raise InvalidSetting(
            f"{name!r} is not a component of Airflow.",
            next_action="Name one of " + ", ".join(COMPONENTS) + ".",
            setting="--component",
            value=name,
            allowed=", ".join(COMPONENTS),
        )
    return name


def askable(url: str | None) -> str | None:
    """Return the address; raises `InvalidSetting` when nobody can be asked there: nothing would ever count as ready."""
    if url is None:
        return None
    if host_of(url) is None or not url.isascii() or not url.isprintable() or " " in url:
        shown = without_credentials(url)
        raise InvalidSetting(
            f"--ready-url {shown!r} is no address that can be asked.",
            next_action="Give it whole, for example http://127.0.0.1:8080/api/v2/monitor/health.",
            setting="--ready-url",
            value=shown,
            allowed="an http or https address with its host",
        )
    return url
