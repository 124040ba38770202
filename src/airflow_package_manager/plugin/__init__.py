"""The only room that imports airflow. Importing this package must cost an Airflow process nothing.

Every Airflow process imports it for the plugin class; only a web server reads the properties below, and only then its
web framework, SQLAlchemy and the rest of the house are imported. Each major version of Airflow reads its own ones; the
others are empty, because Airflow 3 does not start with views of Flask-AppBuilder where that is not installed.
"""

from __future__ import annotations

import importlib
import logging
import os
from functools import cached_property
from typing import Any

from airflow import __version__
from airflow.plugins_manager import AirflowPlugin

NAME = "Package Manager"
URL_PREFIX = "/package-manager"
AIRFLOW_2 = __version__.startswith("2.")


class PackageManagerPlugin(AirflowPlugin):  # type: ignore[misc, unused-ignore]  # untyped where Airflow ships no types
    """Admin → Package Manager, and the HTTP API behind it."""

    name = "package_manager"

    @cached_property
    def listeners(self) -> list[Any]:  # type: ignore[override]
        """Below a supervisor whose scheduler has handed over: who takes its tasks over."""
        handed_over = os.environ.get("AIRFLOW_PACKAGE_MANAGER_HANDED_OVER")
        return [importlib.import_module(f"{__name__}.takeover").Takeover()] if handed_over else []

    @cached_property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """Airflow 3: the application."""
        if AIRFLOW_2:
            return []
        return [{"app": _made("airflow3", or_else="broken_fastapi"), "url_prefix": URL_PREFIX, "name": NAME}]

    @cached_property
    def external_views(self) -> list[dict[str, str]]:  # type: ignore[override]
        """Airflow 3: the menu entry; addresses are relative, so that they hold under any base_url."""
        if AIRFLOW_2:
            return []
        return [
            {
                "name": NAME,
                "href": "package-manager/",
                "url_route": "package-manager",
                "destination": "nav",
                "category": "admin",
                "icon": "package-manager/static/icon.svg",
                "icon_dark_mode": "package-manager/static/icon-dark.svg",
            }
        ]

    @cached_property
    def flask_blueprints(self) -> list[Any]:  # type: ignore[override]
        """Airflow 2: the same application."""
        return [_made("airflow2", or_else="broken_flask")] if AIRFLOW_2 else []

    @cached_property
    def appbuilder_views(self) -> list[Any]:  # type: ignore[override]
        """Airflow 2: the menu entry, what stands around our page, and the permissions; made without the house."""
        if not AIRFLOW_2:
            return []
        from airflow_package_manager.plugin.airflow2_view import create  # noqa: PLC0415  only a web server pays for it

        return [{"name": NAME, "category": "Admin", "view": create()}]


def _made(module: str, *, or_else: str) -> Any:  # noqa: ANN401  whatever that Airflow mounts
    """Return what a module of this room creates; if it cannot, what says so: an error here would stop the server."""
    try:
        return importlib.import_module(f"{__name__}.{module}").create()
    except Exception:
        logging.getLogger(__name__).exception("The package manager cannot start; Airflow goes on without it")
        return importlib.import_module(f"{__name__}.{or_else}").create()
