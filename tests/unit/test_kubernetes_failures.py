"""What each answer of a real API server becomes; `tests.contract.kubernetes_refusals` recorded them."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from airflow_package_manager.adapters.kubernetes.failures import Request, failure
from airflow_package_manager.adapters.kubernetes.kinds import CONFIG_MAP, DEPLOYMENT, KINDS, POD, Kind
from airflow_package_manager.adapters.kubernetes.permissions import ANY, PERMISSIONS, needs, rules
from airflow_package_manager.errors import AdmissionRefused, ClusterForbidden, ClusterUnavailable, PackageManagerError
from tests.contract.kubernetes_refusals import EXPECTED, RECORDED

ANSWERS: dict[str, Any] = json.loads(RECORDED.read_text())
BY_NAME = {kind.name: kind for kind in KINDS}


def test_every_case_was_recorded() -> None:
    assert set(ANSWERS) == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_an_answer_becomes_the_error_that_it_means(name: str) -> None:
    answer, expected = ANSWERS[name], EXPECTED[name]
    kind = BY_NAME.get(answer["kind"], Kind("example.test", "v1", "things", "Thing"))
    body = answer["body"] if isinstance(answer["body"], str) else json.dumps(answer["body"])
    error = failure(answer["status"], body.encode(), Request(answer["verb"], kind, "airflow", answer["name"]))
    assert type(error) is expected.error
    assert expected.says in str(error)
    carried = error.context if isinstance(error, PackageManagerError) else vars(error)
    assert {**carried, **(expected.context or {})} == carried


@pytest.mark.parametrize("body", [b"", b"<html>502 Bad Gateway</html>", b"[]", b"null", b'{"kind": "Other"}', b"\xff"])
@pytest.mark.parametrize("status", [302, 400, 403, 404, 409, 410, 418, 422, 429, 500, 502, 503, 504])
def test_what_somebody_between_answers_is_never_a_wrong_certainty(status: int, body: bytes) -> None:
    error = failure(status, body, Request("get", POD, "airflow", "one"))
    assert isinstance(error, ClusterUnavailable)
    assert str(status) in error.detail


def test_a_message_shows_no_credentials_and_is_bounded() -> None:
    message = "proxy https://me:pa55word@proxy.example said " + "x" * 5000
    body = json.dumps({"kind": "Status", "message": message}).encode()
    error = failure(503, body, Request("get", POD, "airflow", "one"))
    assert "pa55word" not in str(error)
    assert len(str(error)) < 1500


def test_who_may_lift_a_refusal_is_told() -> None:
    for kind in (ClusterForbidden, AdmissionRefused):
        assert not kind.retryable
    assert ClusterUnavailable.retryable


@pytest.mark.parametrize("verb", ["get", "patch", "delete", "create", "list", "watch"])
def test_a_missing_rule_is_yaml_to_paste(verb: str) -> None:
    (rule,) = yaml.safe_load(Request(verb, DEPLOYMENT, "airflow", "airflow-worker").rule())
    named = {} if verb in {"create", "list", "watch"} else {"resourceNames": ["airflow-worker"]}
    assert rule == {"apiGroups": ["apps"], "resources": ["deployments"], **named, "verbs": [verb]}


# --- the table of permissions --------------------------------------------------------------------------------------

STORE = ("airflow-config-pypi", "airflow-config-pypi-locks")


def test_every_permission_says_why_and_none_is_named_twice() -> None:
    rows = [(row.kind, verb) for row in PERMISSIONS for verb in row.verbs]
    assert len(rows) == len(set(rows))
    assert all(row.why for row in PERMISSIONS)
    # RBAC cannot limit these by name.
    assert all(row.names == ANY for row in PERMISSIONS if {"create", "list", "watch"} & set(row.verbs))


def test_the_role_holds_what_is_asked_for_and_nothing_else() -> None:
    workloads = {DEPLOYMENT: ("airflow-scheduler",)}
    allowed = {
        (group, resource, verb, name)
        for rule in rules(STORE, workloads)
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        for name in rule.get("resourceNames", [""])
    }
    asked = {(need.kind.group, need.kind.plural, need.verb, need.name) for need in needs(STORE, workloads)}
    assert asked == allowed
    assert ("", "configmaps", "patch", "airflow-config-pypi-locks") in asked
    assert ("apps", "deployments", "patch", "airflow-scheduler") in asked
    assert not any(resource == "statefulsets" and verb == "patch" for _, resource, verb, _ in asked)
    assert not {"secrets", "leases", "pods/exec", "pods/log"} & {resource for _, resource, _, _ in asked}
    assert CONFIG_MAP.plural in {resource for _, resource, _, _ in asked}
