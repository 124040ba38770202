"""Admin → Package Manager in Airflow 2: its own frame around the page, at the address that Airflow 3 has for it too.

The page is built with another Bootstrap than Airflow 2, so it stands in a frame of its own, as in Airflow 3.
"""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path
from typing import Any

from airflow.configuration import conf
from airflow.www.extensions.init_auth_manager import get_auth_manager
from flask import redirect, request
from flask_appbuilder import BaseView, expose

from airflow_package_manager.domain.access import Permission
from airflow_package_manager.errors import PackageManagerError
from airflow_package_manager.plugin import NAME, URL_PREFIX
from airflow_package_manager.plugin.fab_permissions import CHANGE, READ, RESOURCE


class PackageManagerView(BaseView):  # type: ignore[misc, unused-ignore]  # Flask-AppBuilder has no types
    """Makes the permissions and the menu entry; Flask-AppBuilder gives both to the role Admin alone."""

    route_base = "/plugin"
    default_view = "page"
    class_permission_name = RESOURCE
    base_permissions = (READ, CHANGE)
    template_folder = str(Path(__file__).parent / "templates")

    @expose(URL_PREFIX)  # type: ignore[untyped-decorator, unused-ignore]
    def page(self) -> Any:  # noqa: ANN401  what Flask takes for an answer
        """Return the frame; whoever may not look sees in it why, and the status says so too."""
        manager = get_auth_manager()
        if not manager.is_logged_in():
            return redirect(manager.get_url_login(next_url=request.url))
        address = f"{request.script_root}{URL_PREFIX}/"
        if not conf.getboolean("webserver", "x_frame_enabled", fallback=True):
            return redirect(address)  # Airflow forbids all frames, also its own
        return self.render_template("package_manager/frame.html", title=NAME, address=address), _status()


def _status() -> HTTPStatus:
    """Return whether the caller may look, judged as for the page in the frame."""
    try:
        from airflow_package_manager.plugin import airflow2_auth  # noqa: PLC0415  the view needs nothing else of ours
    except ImportError:  # it is in the log since the start, and the page in the frame says so too
        return HTTPStatus.SERVICE_UNAVAILABLE
    try:
        airflow2_auth.caller().principal.require(Permission.READ)
    except PackageManagerError:
        return HTTPStatus.FORBIDDEN
    return HTTPStatus.OK


def create() -> PackageManagerView:
    """Return the view."""
    return PackageManagerView()
