import json
from typing import Any

import pytest

from airflow_package_manager.web.endpoint import Endpoint, refusals_of
from airflow_package_manager.web.endpoints import ENDPOINTS
from airflow_package_manager.web.openapi import document
from airflow_package_manager.web.problems import STATUS_BY_CODE
from tests.web.house import PREFIX, House, as_


def references(value: object) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*(references(inner) for inner in value.values()))
    if isinstance(value, list):
        return set().union(*(references(inner) for inner in value))
    return set()


def test_it_is_served_as_it_is_made(house: House) -> None:
    reply = house.client.get(PREFIX + "openapi.json", as_("admin"))
    assert reply.status == 200
    assert reply.json() == json.loads(json.dumps(document(ENDPOINTS)))


def test_it_has_each_endpoint_and_no_other() -> None:
    found = {(method.upper(), path) for path, row in document(ENDPOINTS)["paths"].items() for method in row}
    assert found == {(row.method, "/" + row.path) for row in ENDPOINTS}


def test_no_two_endpoints_share_an_address_or_a_name() -> None:
    assert len({(row.method, row.path) for row in ENDPOINTS}) == len(ENDPOINTS)
    assert len({row.name for row in ENDPOINTS}) == len(ENDPOINTS)


def test_every_reference_leads_somewhere() -> None:
    made = document(ENDPOINTS)
    for reference in references(made):
        place: Any = made
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]
        assert place


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda row: row.name)
def test_an_endpoint_names_every_status_that_it_may_answer_with(endpoint: Endpoint) -> None:
    row = document(ENDPOINTS)["paths"]["/" + endpoint.path][endpoint.method.lower()]
    expected = {str(endpoint.status)} | {str(STATUS_BY_CODE[kind.code]) for kind in refusals_of(endpoint)}
    assert set(row["responses"]) == expected
    assert {"400", "401", "403", "500"} <= expected
    assert ("requestBody" in row) == (endpoint.request is not None)
    names = [part.strip("{}") for part in endpoint.path.split("/") if part.startswith("{")]
    assert [found["name"] for found in row["parameters"] if found["in"] == "path"] == names
    marker = [found["name"] for found in row["parameters"] if found["in"] == "header"]
    assert marker == (["X-Package-Manager"] if endpoint.method == "POST" else [])


def test_queries_are_described_with_their_limits() -> None:
    listed = document(ENDPOINTS)["paths"]["/operations"]["get"]["parameters"]
    limit = next(found for found in listed if found["name"] == "limit")
    assert limit["schema"] == {"type": "integer", "minimum": 1, "maximum": 200, "default": 50}
    assert not any(found["required"] for found in listed)
