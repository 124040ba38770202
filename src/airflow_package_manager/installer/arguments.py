"""What a supervisor is told when it is started, refused before it starts or writes anything."""

from __future__ import annotations

from airflow_package_manager.errors import InvalidSetting
from airflow_package_manager.settings import COMPONENTS


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
