"""`broken` as an application of FastAPI."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.responses import Response

from airflow_package_manager.plugin.broken import HEADERS, STATUS, answer


def create() -> FastAPI:
    """Return the application."""
    app = FastAPI(title="Airflow Package Manager (not started)", openapi_url=None, docs_url=None, redoc_url=None)

    def everything(request: Request) -> Response:
        content, media_type = answer(request.path_params["path"])
        return Response(content, STATUS, dict(HEADERS), media_type)

    app.add_api_route("/{path:path}", everything, methods=["GET", "HEAD", "POST"], include_in_schema=False)
    return app
