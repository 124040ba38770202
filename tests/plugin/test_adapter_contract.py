"""One table of requests, sent through FastAPI on Airflow 3 and through Flask on Airflow 2: the answers are the same.

A refusal is compared byte for byte; an answer by its shape, because it names versions, times and what is installed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from airflow_package_manager.web.body import MAXIMUM_FILE_BYTES
from airflow_package_manager.web.endpoints import ENDPOINTS

if TYPE_CHECKING:
    from testenv.airflow_home import Airflow, Reply

pytestmark = pytest.mark.airflow

ROOT = "/package-manager/"
VALUES = {"id": "0" * 32, "name": "packaging", "n": "0"}
ROLES = ("viewer", "user", "op", "admin")
JSON = {"Content-Type": "application/json"}
MARKER = {"X-Package-Manager": "1"}
PAGE = {**MARKER, "Sec-Fetch-Site": "same-origin"}
"""What our page sends with a change."""
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")
HEADERS = (
    "Content-Type",
    "Cache-Control",
    "Content-Security-Policy",
    "Allow",
    "WWW-Authenticate",
    "Retry-After",
    "ETag",
)
"""What is compared beside status and body."""
GOOD: Mapping[str, Mapping[str, object]] = {
    "operations": {"changes": [{"action": "add", "requirement": "good-extra"}]},
    "operations/{id}/apply": {"token": "x" * 43, "digest": "0" * 64},
    "operations/{id}/cancel": {},
}


@dataclass(frozen=True)
class Case:
    """One request."""

    name: str
    method: str
    path: str
    """Below `ROOT`."""
    role: str | None = None
    """None: nobody."""
    by: str = "browser"
    """`program` sends credentials, `browser` the cookie of somebody who logged in."""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    csrf: bool = True
    """Send what Airflow itself wants with a change."""


def _address(path: str) -> str:
    return "api/v1/" + path.format(**VALUES)


def _everybody() -> Iterator[Case]:
    for row in ENDPOINTS:
        path, what = _address(row.path), f"{row.method} {row.path}"
        body = None if row.request is None else json.dumps(GOOD[row.path]).encode()
        kind = {} if body is None else JSON
        for role in (None, *ROLES):
            yield Case(f"{what} by a program of {role}", row.method, path, role, "program", {**kind, **MARKER}, body)
            yield Case(f"{what} by {role}", row.method, path, role, headers={**kind, **PAGE}, body=body)
        for query in ("?x=1", "?limit=1&limit=2", "?%ff=1"):
            yield Case(f"{what}{query}", row.method, path + query, "admin", headers={**kind, **PAGE}, body=body)
        for method in METHODS:
            if method != row.method:
                yield Case(f"{method} {row.path}", method, path, "admin", headers=PAGE)


def _changes() -> Iterator[Case]:
    origins: Mapping[str, Mapping[str, str]] = {
        "another origin": {"Origin": "https://evil.example.com"},
        "a hidden origin": {"Origin": "null"},
        "another site": {"Sec-Fetch-Site": "cross-site"},
        "a typed address": {"Sec-Fetch-Site": "none"},
        "no origin": {},
    }
    bodies: Mapping[str, bytes] = {
        "nothing": b"",
        "no JSON": b"{",
        "a list": b"[]",
        "a key twice": b'{"changes": [], "changes": []}',
        "NaN": b'{"restore": NaN}',
        "a fraction": b'{"restore": 1.5}',
        "an unknown field": b'{"x": 1}',
        "NUL": b'{"token": "\\u0000"}',
        "half a pair": b'{"token": "\\ud800"}',
        "depth": b'{"changes":' + b"[" * 40 + b"]" * 40 + b"}",
        "no UTF-8": b'{"token": "\xff"}',
        "an empty object": b"{}",
        "too much": b" " * (MAXIMUM_FILE_BYTES + 1),
        "markup": b'{"<script>": 1}',
    }
    kinds: Mapping[str, Mapping[str, str]] = {
        "text": {"Content-Type": "text/plain"},
        "a form": {"Content-Type": "application/x-www-form-urlencoded"},
        "another charset": {"Content-Type": "application/json; charset=latin-1"},
        "compression": {**JSON, "Content-Encoding": "gzip"},
    }
    for row in (row for row in ENDPOINTS if row.request is not None):
        path, good = _address(row.path), json.dumps(GOOD[row.path]).encode()
        for name, origin in origins.items():
            sent = {**JSON, **MARKER, **origin}
            yield Case(f"{row.path} from {name}", "POST", path, "admin", headers=sent, body=good)
            yield Case(
                f"{row.path} from {name} without more", "POST", path, "admin", headers=sent, body=good, csrf=False
            )
        yield Case(f"{row.path} by a program without marker", "POST", path, "admin", "program", JSON, good)
        for name, body in bodies.items():
            yield Case(f"{row.path} with {name}", "POST", path, "admin", headers={**JSON, **PAGE}, body=body)
        for name, kind in kinds.items():
            yield Case(f"{row.path} as {name}", "POST", path, "admin", headers={**kind, **PAGE}, body=good)
    for name, text in {"nothing": "", "nonsense": "not a requirement!", "an option": "-e /tmp"}.items():
        body = json.dumps({"changes": [{"action": "add", "requirement": text}]}).encode()
        yield Case(f"add {name}", "POST", _address("operations"), "admin", headers={**JSON, **PAGE}, body=body)


def _addresses() -> Iterator[Case]:
    found = ("", "static/app.js", "static/icon.svg", "static/vendor/bootstrap/bootstrap.min.css")
    lost = """
        static/ static/nothing static/wire.d.ts static/..%2f..%2fpyproject.toml static/%00 nothing api api/ api/v1
        api/v1/
        api/v2/session api/v1/session/ /api/v1/session API/V1/session api/v1/operations/nope api/v1/operations/%2e%2e
        api/v1/revisions/01 api/v1/revisions/-1 api/v1/packages/- api/v1/packages/%ff api/v1/events?limit=0
        api/v1/events?limit=x api/v1/operations?before=%0a api/v1/packages?scope=none openapi.json docs
    """
    for path in (*found, *lost.split()):
        for role in (None, "viewer", "admin"):
            yield Case(f"/{path} by {role}", "GET", path, role)
    for method in METHODS[1:]:
        for path in ("", "static/app.js", "nothing"):
            yield Case(f"{method} /{path}", method, path, "admin", headers=PAGE)
            yield Case(f"{method} /{path} by nobody", method, path)


CASES = {case.name: case for make in (_everybody, _changes, _addresses) for case in make()}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str | None]
    content: object


def _ask(airflow: Airflow, case: Case, credentials: Mapping[str, Mapping[str, str]]) -> Answer:
    who = credentials.get(f"{case.role} by {case.by}", {})
    if case.method in {"GET", "HEAD"} or not case.csrf:
        who = {name: value for name, value in who.items() if name in {"Authorization", "Cookie"}}
    reply = airflow.exchange(case.method, ROOT + case.path, case.body, {**who, **case.headers})
    return Answer(reply.status, {name: reply.headers[name] for name in HEADERS}, _content(reply))


def _content(reply: Reply) -> object:
    """Return the bytes of a refusal and of a file, and of an answer what its values are."""
    if reply.status < 300 and reply.headers["Content-Type"] == "application/json" and reply.content:
        return _shape(json.loads(reply.content))
    return reply.content


def _shape(value: Any) -> object:  # noqa: ANN401  that is JSON
    if isinstance(value, dict):
        return {key: _shape(inner) for key, inner in value.items() if key != "csrf"}
    if isinstance(value, list):
        return [_shape(value[0])] if value else []
    return type(value).__name__


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Answer]]:
    """Server → name of the case → answer; one server after the other, each alone and on an empty database."""
    from testenv import airflow_home, airflows

    found = {}
    for version in airflows.PREPARE:
        home = tmp_path_factory.mktemp("contract")
        with airflow_home.serving(airflows.prepare(version, home, dags={}, users=ROLES)) as airflow:
            who = {key: value for role in ROLES for key, value in _credentials(airflow, role).items()}
            found[version] = {name: _ask(airflow, case, who) for name, case in CASES.items()}
    return found


def _credentials(airflow: Airflow, role: str) -> dict[str, dict[str, str]]:
    token, cookie = airflow.token(role), {"Cookie": airflow.cookie(role)}
    session = airflow.exchange("GET", f"{ROOT}api/v1/session", None, cookie)
    csrf = session.json()["csrf"] if session.status == 200 else None
    wanted = {csrf["header"]: csrf["token"]} if csrf else {}
    program = {name: value for name, value in airflow.changing(token).items() if name not in MARKER}
    return {
        f"{role} by program": {"Authorization": airflow.authorization(token), **program},
        f"{role} by browser": {**cookie, **wanted},
    }


@pytest.mark.parametrize("name", CASES)
def test_both_answer_alike(answers: dict[str, dict[str, Answer]], name: str) -> None:
    assert answers["2.11"][name] == answers["3.3"][name]


def test_the_table_meets_what_it_is_about(answers: dict[str, dict[str, Answer]]) -> None:
    statuses = {answer.status for answer in answers["3.3"].values()}
    assert statuses >= {200, 400, 401, 403, 404, 405, 413, 415, 422}
    assert 500 not in statuses
