"""What the OpenAPI document allows, and much that it does not, is sent; each answer must be one that it names."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote, urlencode

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from schemathesis import GenerationMode

from airflow_package_manager.web.endpoints import ENDPOINTS
from airflow_package_manager.web.openapi import document
from tests.web.client import Reply
from tests.web.house import FRAMEWORKS, House, as_

DOCUMENT = json.loads(json.dumps(document(ENDPOINTS)))
DOCUMENT["security"] = []  # the callers of these tests are named in a header of their own
OPERATIONS = {
    operation.definition.raw["operationId"]: operation
    for found in schemathesis.openapi.from_dict(DOCUMENT).get_all_operations()
    if (operation := found.ok()) is not None  # type: ignore[union-attr]  # an error raises
}
OWN_PAGE = as_("admin", **{"sec-fetch-site": "same-origin"})
"""The marker of a change comes from the document."""
few = settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
)


def test_every_endpoint_is_asked() -> None:
    assert set(OPERATIONS) == {row.name for row in ENDPOINTS}


@pytest.mark.parametrize("name", sorted(OPERATIONS))
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_what_the_document_allows_gets_an_answer_that_it_names(name: str, framework: str) -> None:
    house = House(framework=framework)

    @few
    @given(case=OPERATIONS[name].as_strategy(GenerationMode("positive")))
    def ask(case: schemathesis.Case[Any]) -> None:
        reply = send(house, case)
        assert reply.status not in {401, 405, 413, 415}
        conforms(name, reply)

    ask()
    assert house.client.raised is None


@pytest.mark.parametrize("name", ["plan", "apply", "cancel", "package", "revision"])
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_what_the_document_forbids_is_refused(name: str, framework: str) -> None:
    house = House(framework=framework)

    @few
    @given(case=OPERATIONS[name].as_strategy(GenerationMode("negative")))
    def ask(case: schemathesis.Case[Any]) -> None:
        reply = send(house, case)
        assert 400 <= reply.status < 500, (case, reply)
        conforms(name, reply)

    ask()
    assert house.driven == []


def send(house: House, case: schemathesis.Case[Any]) -> Reply:
    path = quote(case.formatted_path, safe="/%")
    query = urlencode({key: value for key, value in (case.query or {}).items() if value is not None}, doseq=True)
    headers = {key: str(value) for key, value in {**OWN_PAGE, **dict(case.headers or {})}.items()}
    body: list[bytes] = []
    if case.method.upper() == "POST":
        content: Any = case.body
        body = [content if isinstance(content, bytes) else json.dumps(content, default=str).encode()]
        headers["content-type"] = "application/json"
    return house.client.request(case.method.upper(), f"/api/v1{path}?{query}", headers, body)


def conforms(name: str, reply: Reply) -> None:
    allowed = OPERATIONS[name].definition.raw["responses"]
    assert str(reply.status) in allowed, (name, reply)
    content = allowed[str(reply.status)]["content"]
    kind = reply.headers["content-type"]
    assert kind in content
    assert reply.headers["cache-control"] == "no-store"
    schema = {**content[kind]["schema"], "components": DOCUMENT["components"]}
    Draft202012Validator(schema).validate(reply.json())
