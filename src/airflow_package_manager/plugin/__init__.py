"""The only room that imports airflow. Importing this package must cost an Airflow process nothing.

Every Airflow process imports it for the plugin class; only a web server reads the properties below, and only then
FastAPI, SQLAlchemy and the rest of the house are imported.
"""

from __future__ import annotations

import logging
from functools import cached_property
from typing import Any

from airflow.plugins_manager import AirflowPlugin

NAME = "Package Manager"
URL_PREFIX = "/package-manager"


class PackageManagerPlugin(AirflowPlugin):  # type: ignore[misc, unused-ignore]  # untyped where Airflow ships no types
    """Admin → Package Manager, and the HTTP API behind it."""

    name = "package_manager"

    @cached_property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """The application; if it cannot be made, one that says so, because an error here would stop the api-server."""
        try:
            from airflow_package_manager.plugin.airflow3 import create  # noqa: PLC0415  only a web server pays for it

            app = create()
        except Exception:
            logging.getLogger(__name__).exception("The package manager cannot start; Airflow goes on without it")
            from airflow_package_manager.plugin.broken import create as create_broken  # noqa: PLC0415  same

            app = create_broken()
        return [{"app": app, "url_prefix": URL_PREFIX, "name": NAME}]

    @cached_property
    def external_views(self) -> list[dict[str, str]]:  # type: ignore[override]
        """The menu entry; addresses are relative, so that they hold under any base_url."""
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
