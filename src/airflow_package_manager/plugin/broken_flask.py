"""`broken` as a blueprint of Flask."""

from __future__ import annotations

from flask import Blueprint, Response, request
from werkzeug.exceptions import BadRequest, HTTPException, RequestEntityTooLarge

from airflow_package_manager.plugin import URL_PREFIX
from airflow_package_manager.plugin.broken import HEADERS, STATUS, answer


def create() -> Blueprint:
    """Return the blueprint."""
    blueprint = Blueprint("package_manager", __name__, url_prefix=URL_PREFIX)

    def everything(path: str = "") -> Response:
        content, media_type = answer(path)
        return Response(content, STATUS, dict(HEADERS), content_type=media_type)

    def refused(_error: HTTPException) -> Response:
        """Answer what Airflow's own guards refuse before `everything` is reached, such as a change without a token."""
        return everything(**(request.view_args or {}))

    methods = ["GET", "HEAD", "POST"]
    blueprint.add_url_rule("/", view_func=everything, methods=methods)
    blueprint.add_url_rule("/<path:path>", view_func=everything, methods=methods)
    for kind in (BadRequest, RequestEntityTooLarge, HTTPException):  # one for a status goes before one for all
        blueprint.register_error_handler(kind, refused)
    return blueprint
