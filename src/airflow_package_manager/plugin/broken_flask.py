"""`broken` as a blueprint of Flask."""

from __future__ import annotations

from flask import Blueprint, Response

from airflow_package_manager.plugin import URL_PREFIX
from airflow_package_manager.plugin.broken import HEADERS, STATUS, answer


def create() -> Blueprint:
    """Return the blueprint."""
    blueprint = Blueprint("package_manager", __name__, url_prefix=URL_PREFIX)

    def everything(path: str = "") -> Response:
        content, media_type = answer(path)
        return Response(content, STATUS, dict(HEADERS), content_type=media_type)

    blueprint.add_url_rule("/", view_func=everything)
    blueprint.add_url_rule("/<path:path>", view_func=everything)
    return blueprint
