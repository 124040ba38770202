"""The OpenAPI 3.1 document, made from the endpoint table, so that it cannot say anything else than what is served."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from airflow_package_manager import __version__
from airflow_package_manager.errors import PackageManagerError
from airflow_package_manager.web.endpoint import PATH_VALUES, Endpoint, refusals_of
from airflow_package_manager.web.forgery import SAFE_METHODS
from airflow_package_manager.web.operation_schemas import Problem
from airflow_package_manager.web.problems import MEDIA_TYPE, STATUS_BY_CODE

_REFERENCE = "#/components/schemas/{model}"
_PROBLEM = {"$ref": _REFERENCE.format(model="Problem")}


@cache
def document(endpoints: tuple[Endpoint, ...]) -> dict[str, Any]:
    """Return the document as JSON values; whoever gets it must not change it."""
    paths: dict[str, dict[str, Any]] = defaultdict(dict)
    for endpoint in endpoints:
        paths["/" + endpoint.path][endpoint.method.lower()] = _operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Airflow Package Manager",
            "version": __version__,
            "description": (
                "Plan, apply and watch changes of the Python packages of a running Airflow. Every refusal is a problem"
                " (RFC 9457) with a stable `code` and a `next_action`."
            ),
        },
        "servers": [{"url": ".", "description": "Relative to this document"}],
        "security": [{"bearer": []}, {"cookie": []}],
        "paths": dict(paths),
        "components": {"schemas": _schemas(endpoints), "securitySchemes": _SECURITY},
    }


_SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    "cookie": {"type": "apiKey", "in": "cookie", "name": "_token"},
}


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "description": f"Needs the permission `{endpoint.permission.value}`.",
        "parameters": [*_path_parameters(endpoint), *_query_parameters(endpoint), *_headers(endpoint)],
        "responses": {
            str(endpoint.status): {
                "description": "Done" if endpoint.status == 200 else "Accepted",  # noqa: PLR2004
                "content": {"application/json": {"schema": _reference(endpoint.response)}},
            },
            **_problems(refusals_of(endpoint)),
        },
    }
    if endpoint.request is not None:
        found["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _reference(endpoint.request)}},
        }
    return found


def _path_parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "pattern": f"^(?:{PATH_VALUES[name].pattern})$"},
        }
        for name in (part.strip("{}") for part in endpoint.path.split("/") if part.startswith("{"))
    ]


def _query_parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    schema = endpoint.query.model_json_schema()
    required = schema.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": _without_null(found)}
        for name, found in schema.get("properties", {}).items()
    ]


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A query has no null: what may be left out is left out."""
    kinds = [kind for kind in schema.get("anyOf", []) if kind != {"type": "null"}]
    plain = {key: value for key, value in schema.items() if key not in {"anyOf", "default", "title"}}
    if schema.get("default") is not None:
        plain["default"] = schema["default"]
    return {**plain, **kinds[0]} if len(kinds) == 1 else plain


def _headers(endpoint: Endpoint) -> list[dict[str, Any]]:
    if endpoint.method in SAFE_METHODS:
        return []
    return [{"name": "X-Package-Manager", "in": "header", "required": True, "schema": {"type": "string", "const": "1"}}]


def _problems(kinds: Iterable[type[PackageManagerError]]) -> dict[str, Any]:
    by_status: dict[int, list[str]] = defaultdict(list)
    for kind in kinds:
        by_status[STATUS_BY_CODE[kind.code]].append(kind.code)
    return {
        str(status): {
            "description": "Code: " + ", ".join(codes),
            "content": {MEDIA_TYPE: {"schema": _PROBLEM}},
        }
        for status, codes in sorted(by_status.items())
    }


def _schemas(endpoints: tuple[Endpoint, ...]) -> dict[str, Any]:
    wanted: dict[type[BaseModel], Literal["serialization", "validation"]] = {Problem: "serialization"}
    for endpoint in endpoints:
        wanted[endpoint.response] = "serialization"
        if endpoint.request is not None:
            wanted[endpoint.request] = "validation"
    _, found = models_json_schema(list(wanted.items()), ref_template=_REFERENCE)
    return dict(found["$defs"])


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _REFERENCE.format(model=model.__name__)}
