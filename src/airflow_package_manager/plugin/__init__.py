"""The only room that imports airflow. Importing this package must cost an Airflow process nothing.

Every Airflow process imports it for the plugin class; only a web server reads the properties below, and only then its
web framework, SQLAlchemy and the rest of the house are imported. Airflow 2 reads some of them, Airflow 3 others; what
is not for the running one is empty, because Airflow 3 does not start with views of Flask-AppBuilder where that is not
installed.
"""

from __future__ import annotations

import logging
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
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """Airflow 3: the application; if it cannot be made, one that says so, or the api-server would not start."""
        if AIRFLOW_2:
            return []
        try:
            from airflow_package_manager.plugin.airflow3 import create  # noqa: PLC0415  only a web server pays for it

            app = create()
        except Exception:
            _tell()
            from airflow_package_manager.plugin.broken_fastapi import create as create_broken  # noqa: PLC0415  same

            app = create_broken()
        return [{"app": app, "url_prefix": URL_PREFIX, "name": NAME}]

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
        """Airflow 2: the same application for Flask; if it cannot be made, one that says so."""
        if not AIRFLOW_2:
            return []
        try:
            from airflow_package_manager.plugin.airflow2 import create  # noqa: PLC0415  only a web server pays for it

            blueprint = create()
        except Exception:
            _tell()
            from airflow_package_manager.plugin.broken_flask import create as create_broken  # noqa: PLC0415  same

            blueprint = create_broken()
        return [blueprint]

    @cached_property
    def appbuilder_views(self) -> list[Any]:  # type: ignore[override]
        """Airflow 2: the menu entry, its page around ours, and the two permissions."""
        if not AIRFLOW_2:
            return []
        try:
            from airflow_package_manager.plugin.airflow2_view import (  # noqa: PLC0415  only a web server pays for it
                PackageManagerView,
            )
        except Exception:
            _tell()
            return []
        return [{"name": NAME, "category": "Admin", "view": PackageManagerView()}]


def _tell() -> None:
    logging.getLogger(__name__).exception("The package manager cannot start; Airflow goes on without it")
