"""What stands at our address when the package manager could not start: an honest page, and a problem for programs.

It needs no settings, no database and no permission, and tells nothing but that the log has the reason.
"""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.responses import Response

from airflow_package_manager.errors import PackageManagerError
from airflow_package_manager.web import pages, problems


def create() -> FastAPI:
    """Return the application."""
    app = FastAPI(title="Airflow Package Manager (not started)", openapi_url=None, docs_url=None, redoc_url=None)
    error = PackageManagerError(
        "The package manager could not start with this api-server. Airflow itself runs without it.",
        next_action="Look for 'The package manager cannot start' in the api-server's log, correct it, and restart it.",
    )

    def everything(request: Request) -> Response:
        if request.path_params["path"] == "":
            return Response(pages.refusal(error), 503, dict(pages.HEADERS), "text/html; charset=utf-8")
        body = {**problems.problem(error), "status": 503}
        return Response(problems.to_json(body), 503, dict(pages.HEADERS), problems.MEDIA_TYPE)

    app.add_api_route("/{path:path}", everything, methods=["GET", "HEAD", "POST"], include_in_schema=False)
    return app
