import json

import pytest
from pydantic import ValidationError

from airflow_package_manager.errors import OperationInProgress, PackageManagerError, StalePlan, TooManyPlans
from airflow_package_manager.refusals import MethodNotAllowed, all_errors
from airflow_package_manager.web import problems
from airflow_package_manager.web.requests import OperationRequest

MEMBERS = {"type", "title", "status", "detail", "code", "next_action"}


def test_every_code_has_a_status_and_no_status_is_left_over() -> None:
    assert set(problems.STATUS_BY_CODE) == {kind.code for kind in all_errors()}


@pytest.mark.parametrize("kind", all_errors(), ids=lambda kind: kind.code)
def test_every_error_is_a_whole_problem(kind: type[PackageManagerError]) -> None:
    body = problems.problem(kind("It is so."))
    assert set(body) == MEMBERS
    assert body["code"] == kind.code
    assert 400 <= body["status"] < 600
    assert body["type"] == f"urn:airflow-package-manager:problem:{kind.code}"
    assert all(body[name] for name in MEMBERS)


def test_context_stands_beside_the_members_and_cannot_replace_them() -> None:
    error = StalePlan("Changed.", difference="-a\n+b\n", status=200, code="x")
    body = problems.problem(error)
    assert body["difference"] == "-a\n+b\n"
    assert (body["status"], body["code"]) == (409, "stale-plan")


def test_a_stored_problem_gets_its_members_back() -> None:
    stored = {"code": "no-wheel", "detail": "There is none.", "project": "six"}
    body = problems.stored_problem(stored)
    assert set(body) == MEMBERS | {"project"}
    assert (body["status"], body["title"]) == (422, "There is no wheel for this Python and platform")


def test_a_stored_problem_of_a_version_that_is_gone_is_shown_all_the_same() -> None:
    assert problems.stored_problem({"code": "left-long-ago", "detail": "x"})["status"] == 500


def test_headers_belong_to_the_error() -> None:
    assert problems.headers(MethodNotAllowed("x", allowed=["GET", "HEAD"])) == {"Allow": "GET, HEAD"}
    assert problems.headers(TooManyPlans("x", retry_after=7.2)) == {"Retry-After": "7"}
    assert problems.headers(TooManyPlans("x")) == {"Retry-After": "5"}
    assert problems.headers(OperationInProgress("x")) == {}


def test_json_holds_no_character_that_means_something_to_html_and_reads_back_equal() -> None:
    body = {"detail": "</script><b>&\u2028 ü"}
    raw = problems.to_json(body)
    assert not set(raw) & set(b"<>&")
    assert raw.isascii()
    assert json.loads(raw) == body


def test_what_was_sent_is_not_repeated() -> None:
    with pytest.raises(ValidationError) as invalid:
        OperationRequest.model_validate({"changes": [{"action": "s3cret", "requirement": 5}], "<b>": "s3cret"})
    error = problems.malformed(invalid.value)
    text = json.dumps(problems.problem(error))
    assert "s3cret" not in text
    assert "<b>" not in text
    assert error.context["field"] == "changes[0].action"
    fields = error.context["fields"]
    assert isinstance(fields, list)
    assert [row["field"] for row in fields] == [
        "changes[0].action",
        "changes[0].requirement",
        "\\u003cb\\u003e",
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [("plain", "plain"), ("a\x1b[31m", "a\\u001b[31m"), ("<i>", "\\u003ci\\u003e"), ("x" * 200, "x" * 100 + "\\u2026")],
)
def test_a_name_is_shown_printable(text: str, shown: str) -> None:
    assert problems.printable(text) == shown
