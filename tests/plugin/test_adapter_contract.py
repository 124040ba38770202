"""One table of requests, sent through FastAPI on Airflow 3 and through Flask on Airflow 2: the answers are the same.

A refusal is compared byte for byte; an answer by its shape, because it names versions, times and what is installed.
Behind the table comes the life of an operation on a component that is restarted, and a plan whose index is slow.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from airflow_package_manager.web.body import MAXIMUM_FILE_BYTES
from airflow_package_manager.web.endpoints import ENDPOINTS
from testenv import airflow_home, airflows, catalogue
from tests.plugin import journey, machine

if TYPE_CHECKING:
    from testenv.airflow_home import Airflow, Reply
    from testenv.package_index import PackageIndexServer

pytestmark = pytest.mark.airflow

ROOT = "/package-manager/"
VALUES = {"id": "0" * 32, "name": "good-package", "n": "0"}
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
ACCEPTED = frozenset(
    {"plan", "plan another", "apply", "cancel", "plan what cannot be", "plan slowly", "cancel while planning"}
)
"""Steps of a life that are answered 202."""
REFUSED = {
    "apply with another's token": (403, "token-invalid"),
    "apply what was not seen": (409, "stale-plan"),
    "apply again": (409, "token-used"),
    "apply beside it": (409, "operation-in-progress"),
    "apply what became stale": (409, "stale-plan"),
    "apply what was refused": (409, "illegal-transition"),
    "cancel again": (409, "illegal-transition"),
    "cancel what has ended": (409, "illegal-transition"),
    "plan beside it": (429, "too-many-plans"),
}
"""Step of a life → how it is refused."""
_ID = re.compile(rb"[0-9a-f]{32}")
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
    return _answer(reply)


def _answer(reply: Reply) -> Answer:
    return Answer(reply.status, {name: reply.headers[name] for name in HEADERS}, _content(reply))


def _content(reply: Reply) -> object:
    """Return the bytes of a refusal and of a file, and of an answer what its values are."""
    if reply.status < 300 and reply.headers["Content-Type"] == "application/json" and reply.content:
        return _shape(json.loads(reply.content))
    return _ID.sub(b"ID", reply.content)


def _shape(value: Any) -> object:  # noqa: ANN401  that is JSON
    if isinstance(value, dict):
        return {key: _shape(inner) for key, inner in value.items() if key != "csrf"}
    if isinstance(value, list):
        return [_shape(value[0])] if value else []
    return type(value).__name__


class Life:
    """What an admin does with a plan in a browser, and what is answered."""

    def __init__(self, airflow: Airflow, credentials: Mapping[str, str]) -> None:
        """Begin; nothing is planned yet."""
        self._airflow = airflow
        self._headers = {**credentials, **JSON, **PAGE}
        self.answers: dict[str, Answer] = {}
        """Step → answer."""
        self.kinds: list[tuple[str, str | None]] = []
        """Kind and component of each event of the operation that was applied."""
        self.slow: list[float] = []
        """Seconds of each answer to the request for a plan, and while it waited for its index."""

    def run(self) -> Life:
        """Live it: a change that succeeds, one that became stale meanwhile, and plans that are dropped."""
        first, second = self._planned("plan", "good-package"), self._planned("plan another", "good-extra")
        digest = first["plan"]["digest"]
        self._post("apply with another's token", first, "apply", token=second["token"], digest=digest)
        self._post("apply what was not seen", first, "apply", token=first["token"], digest="0" * 64)
        self._post("apply", first, "apply", token=first["token"], digest=digest)
        self._post("apply again", first, "apply", token=first["token"], digest=digest)
        self._post("apply beside it", second, "apply", token=second["token"], digest=second["plan"]["digest"])
        ended = self._until(first, lambda found: found["state"] in journey.END_STATES)
        assert ended["state"] == "SUCCEEDED", ended["problem"]
        address = f"operations/{first['id']}"
        rows = self._get("its events", f"{address}/events?after=0&limit=200")["events"]
        self.kinds = [(row["kind"], row["component"]) for row in rows]
        for path in (address, f"{address}/events?after=1&limit=1", "revisions", "revisions/1?diff=0", "revisions/0"):
            self._get(path.replace(first["id"], "{id}"), path)
        for path in ("operations?limit=1", "events?limit=1", "components", "requirements", "packages", "health"):
            self._get(f"{path} then", path)
        self._get("the package", "packages/good-package")
        self._post("apply what became stale", second, "apply", token=second["token"], digest=second["plan"]["digest"])
        self._post("cancel", second, "cancel")
        self._post("cancel again", second, "cancel")
        self._post("cancel what has ended", first, "cancel")
        self._refused()
        self._slow()
        return self

    def _refused(self) -> None:
        found = self._planned("plan what cannot be", "conflicting")
        assert found["state"] == "REFUSED", found
        self._post("apply what was refused", found, "apply", token=found["token"], digest="0" * 64)

    def _slow(self) -> None:
        """Ask Airflow itself how it is, while a plan waits: Airflow 2 has one worker here, which does one thing."""
        began = time.monotonic()
        planning = self._ask("plan slowly", "POST", "operations", journey.adding(catalogue.SLOW))
        self.slow.append(time.monotonic() - began)
        self._ask("plan beside it", "POST", "operations", journey.adding("good-extra"))
        for _ in range(20):
            began = time.monotonic()
            status, _ = self._airflow.request("GET", self._airflow.health[0])
            self.slow.append(time.monotonic() - began)
            assert status == 200
            time.sleep(0.1)
        address = f"operations/{planning['operation']['id']}"
        assert self._get("planning", address)["state"] == "PLANNING"
        self._post("cancel while planning", planning["operation"], "cancel")
        self._until(planning["operation"], lambda found: found["state"] == "CANCELLED")

    def _planned(self, step: str, requirement: str) -> dict[str, Any]:
        created = self._ask(step, "POST", "operations", journey.adding(requirement))
        found = self._until(created["operation"], lambda found: found["state"] != "PLANNING")
        self._get(f"{step}, and look", f"operations/{found['id']}")
        return {**found, "token": created["token"]}

    def _until(self, operation: Mapping[str, Any], so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        path = f"{ROOT}api/v1/operations/{operation['id']}"

        def look() -> dict[str, Any] | None:
            found: dict[str, Any] = self._airflow.exchange("GET", path, None, self._headers).json()
            return found if so(found) else None

        return journey.until(look, f"what comes of {operation['summary']}")

    def _post(self, step: str, operation: Mapping[str, Any], what: str, **body: str) -> None:
        self._ask(step, "POST", f"operations/{operation['id']}/{what}", body)

    def _get(self, step: str, path: str) -> dict[str, Any]:
        return self._ask(step, "GET", path)

    def _ask(self, step: str, method: str, path: str, body: object = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        reply = self._airflow.exchange(method, f"{ROOT}api/v1/{path}", data, self._headers)
        self.answers[step] = _answer(reply)
        found: dict[str, Any] = reply.json()
        return found


@dataclass
class Asked:
    """What the servers answered."""

    airflows: list[Airflow] = field(default_factory=list)
    table: dict[str, dict[str, Answer]] = field(default_factory=dict)
    """Server → name of the case → answer."""
    lives: dict[str, Life] = field(default_factory=dict)


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory, package_index: PackageIndexServer) -> Asked:
    """Ask one server after the other, each alone and on an empty database; one component comes after the table."""
    found = Asked()
    settings = {
        "AIRFLOW__PACKAGE_MANAGER__INDEX_URL": package_index.url,
        "AIRFLOW__PACKAGE_MANAGER__SOAK": "1",
        "AIRFLOW__PACKAGE_MANAGER__HEARTBEAT_TIMEOUT": "5",
        "AIRFLOW__WEBSERVER__WORKERS": "1",
    }
    for version in airflows.PREPARE:
        home = tmp_path_factory.mktemp("contract")
        prepared = airflows.prepare(version, home, dags={}, users=ROLES, settings=settings)
        with airflow_home.serving(prepared) as airflow:
            found.airflows.append(airflow)
            who = {key: value for role in ROLES for key, value in _credentials(airflow, role).items()}
            found.table[version] = {name: _ask(airflow, case, who) for name, case in CASES.items()}
            with machine.supervised(airflow.python, airflow.environment):
                found.lives[version] = Life(airflow, who["admin by browser"]).run()
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
def test_both_answer_alike(answers: Asked, name: str) -> None:
    assert answers.table["2.11"][name] == answers.table["3.3"][name]


def test_the_table_meets_what_it_is_about(answers: Asked) -> None:
    statuses = {answer.status for answer in answers.table["3.3"].values()}
    assert statuses >= {200, 400, 401, 403, 404, 405, 413, 415, 422}
    assert 500 not in statuses
    assert answers.table["3.3"]["GET packages/{name} by admin"].status == 200, "the index was asked"


def test_the_life_of_an_operation_is_alike_from_plan_to_end(answers: Asked) -> None:
    assert answers.lives["2.11"].answers == answers.lives["3.3"].answers
    assert answers.lives["2.11"].kinds == answers.lives["3.3"].kinds


def test_the_life_meets_what_it_is_about(answers: Asked) -> None:
    found = answers.lives["3.3"].answers
    assert {step for step, answer in found.items() if answer.status == 202} == ACCEPTED
    refused = {step: answer for step, answer in found.items() if answer.status >= 300}
    assert {step: (answer.status, _code(answer)) for step, answer in refused.items()} == REFUSED


def _code(answer: Answer) -> object:
    assert isinstance(answer.content, bytes)
    return json.loads(answer.content)["code"]


def test_no_worker_waits_for_a_plan(answers: Asked) -> None:
    """Its index answers after half a minute."""
    for version, life in answers.lives.items():
        assert max(life.slow) < 2, version
