from __future__ import annotations

import contextlib
import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from airflow_package_manager.adapters.kubernetes.api import Api
from airflow_package_manager.adapters.kubernetes.connection import Answer, Lost
from airflow_package_manager.adapters.kubernetes.failures import Gone
from airflow_package_manager.adapters.kubernetes.kinds import CONFIG_MAP, DEPLOYMENT, KINDS, POD, Object
from airflow_package_manager.adapters.kubernetes.retries import ATTEMPTS, pause
from airflow_package_manager.errors import AdmissionRefused, ClusterForbidden, ClusterUnavailable


class ScriptedWire:
    """Gives the answers that a test wrote down, and remembers what was asked."""

    def __init__(self, *answers: Answer | Exception) -> None:
        self.answers = deque(answers)
        self.asked: list[tuple[str, str, Mapping[str, str], Any]] = []
        self.pieces: list[bytes | Exception] = []
        self.renewed = 0
        self.read = 0.0

    def renew(self) -> None:
        self.renewed += 1

    def send(
        self, method: str, address: str, *, headers: Mapping[str, str], body: bytes | None = None, read: float
    ) -> Answer:
        self.read = read
        self.asked.append((method, address, headers, None if body is None else json.loads(body)))
        answer = self.answers.popleft()
        if isinstance(answer, Exception):
            raise answer
        return answer

    @contextlib.contextmanager
    def stream(
        self, address: str, *, headers: Mapping[str, str], read: float
    ) -> Iterator[tuple[Answer, Iterator[bytes]]]:
        yield self.send("GET", address, headers=headers, read=read), self._pieces()

    def _pieces(self) -> Iterator[bytes]:
        for piece in self.pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece


def _answer(body: object, status: int = 200, **headers: str) -> Answer:
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, json.dumps(body).encode())


def _status(code: int, message: str = "", reason: str = "", **details: object) -> Answer:
    body = {"kind": "Status", "code": code, "message": message, "reason": reason, "details": details}
    return _answer(body, code)


def _api(wire: ScriptedWire) -> tuple[Api, list[float]]:
    waited: list[float] = []
    return Api(wire, wait=waited.append, jitter=lambda: 0.5), waited


def _query(address: str) -> dict[str, str]:
    return {key: value[0] for key, value in parse_qs(urlsplit(address).query).items()}


BUSY = _status(429, "too many requests")
BROKEN = _status(500, "etcdserver: leader changed", "InternalError")
FOUND = _answer({"metadata": {"name": "one"}})


@pytest.mark.parametrize("trouble", [BUSY, BROKEN, _status(503), Lost("refused", sent=False), Lost("reset", sent=True)])
def test_passing_trouble_is_waited_out(trouble: Answer | Exception) -> None:
    wire = ScriptedWire(trouble, trouble, FOUND)
    api, waited = _api(wire)
    assert api.get(CONFIG_MAP, "airflow", "one") == {"metadata": {"name": "one"}}
    assert waited == [pytest.approx(0.2), pytest.approx(0.4)]
    assert wire.read > 0


def test_lasting_trouble_is_unavailable_in_bounded_time() -> None:
    wire = ScriptedWire(*[_status(503, "the server is shutting down")] * ATTEMPTS)
    api, waited = _api(wire)
    with pytest.raises(ClusterUnavailable, match=r"503.*shutting down") as caught:
        api.get(CONFIG_MAP, "airflow", "one")
    assert caught.value.retryable
    assert len(wire.asked) == ATTEMPTS
    assert sum(waited) < 5


def test_a_server_that_cannot_be_reached_is_unavailable_and_says_why() -> None:
    wire = ScriptedWire(*[Lost("connection refused", sent=False)] * ATTEMPTS)
    with pytest.raises(ClusterUnavailable, match=r"connection refused.*") as caught:
        _api(wire)[0].get(CONFIG_MAP, "airflow", "one")
    assert isinstance(caught.value.__cause__, Lost)


def test_the_servers_own_pause_is_honoured() -> None:
    wire = ScriptedWire(_answer({}, 429, Retry_After="3"), _status(503, retryAfterSeconds=2), FOUND)
    api, waited = _api(wire)
    api.get(CONFIG_MAP, "airflow", "one")
    assert waited == [pytest.approx(3.2), pytest.approx(2.4)]


def test_a_pause_that_is_too_long_is_not_waited_out() -> None:
    wire = ScriptedWire(_answer({}, 429, Retry_After="600"))
    with pytest.raises(ClusterUnavailable):
        _api(wire)[0].get(CONFIG_MAP, "airflow", "one")


def test_pauses_are_jittered_and_grow() -> None:
    assert pause(1, None, 0.0) == pytest.approx(0.1)
    assert pause(1, None, 1.0) == pytest.approx(0.3)
    assert pause(4, None, 0.5) == pytest.approx(1.6)
    assert pause(ATTEMPTS, None, 0.5) is None


@pytest.mark.parametrize("trouble", [BROKEN, Lost("reset", sent=True)])
def test_a_deletion_that_may_have_happened_is_not_repeated_without_a_uid(trouble: Answer | Exception) -> None:
    wire = ScriptedWire(trouble)
    with pytest.raises(ClusterUnavailable):
        _api(wire)[0].delete(POD, "airflow", "web-0")
    assert len(wire.asked) == 1


@pytest.mark.parametrize("trouble", [BUSY, Lost("refused", sent=False)])
def test_a_deletion_that_did_not_happen_is_repeated(trouble: Answer | Exception) -> None:
    wire = ScriptedWire(trouble, _answer({"kind": "Status", "status": "Success"}))
    _api(wire)[0].delete(POD, "airflow", "web-0")
    assert len(wire.asked) == 2


def test_a_deletion_of_one_uid_is_repeated_and_may_find_it_gone() -> None:
    wire = ScriptedWire(Lost("reset", sent=True), _status(404, 'pods "web-0" not found', "NotFound"))
    _api(wire)[0].delete(POD, "airflow", "web-0", uid="u-1", propagation="Background")
    assert wire.asked[1][3] == {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "preconditions": {"uid": "u-1"},
        "propagationPolicy": "Background",
    }


def test_a_refusal_is_never_repeated() -> None:
    denied = _status(500, 'admission webhook "strict.example" denied the request: no')
    wire = ScriptedWire(denied)
    with pytest.raises(AdmissionRefused):
        _api(wire)[0].create(POD, "airflow", {"metadata": {"name": "one"}})


def test_credentials_that_expired_are_read_anew_once() -> None:
    wire = ScriptedWire(_status(401, "Unauthorized", "Unauthorized"), FOUND)
    api, waited = _api(wire)
    api.get(CONFIG_MAP, "airflow", "one")
    assert (wire.renewed, waited) == (1, [])
    wire = ScriptedWire(*[_status(401, "Unauthorized", "Unauthorized")] * 2)
    with pytest.raises(ClusterUnavailable, match="credentials") as caught:
        _api(wire)[0].get(CONFIG_MAP, "airflow", "one")
    assert caught.value.context["reason"] == "unauthenticated"
    assert "token" in caught.value.next_action


@pytest.mark.parametrize(
    ("body", "content"),
    [
        ({"data": {"a": None}}, "application/merge-patch+json"),
        ([{"op": "test", "path": "/metadata/uid", "value": "u"}], "application/json-patch+json"),
        (({"op": "test", "path": "/metadata/uid", "value": "u"},), "application/json-patch+json"),
    ],
)
def test_a_patch_says_what_it_is(body: Object | Sequence[Object], content: str) -> None:
    wire = ScriptedWire(FOUND)
    _api(wire)[0].patch(DEPLOYMENT, "air flow", "a/b", body, dry_run=True)
    method, address, headers, sent = wire.asked[0]
    assert (method, headers["Content-Type"]) == ("PATCH", content)
    assert urlsplit(address).path == "/apis/apps/v1/namespaces/air%20flow/deployments/a%2Fb"
    assert _query(address) == {"fieldManager": "airflow-package-manager", "dryRun": "All"}
    assert sent == (body if isinstance(body, dict) else list(body))


def test_an_application_never_forces() -> None:
    wire = ScriptedWire(FOUND)
    _api(wire)[0].apply(CONFIG_MAP, "airflow", "one", {"data": {"a": "b"}}, manager="somebody")
    _, address, headers, sent = wire.asked[0]
    assert headers["Content-Type"] == "application/apply-patch+yaml"
    assert _query(address) == {"fieldManager": "somebody", "dryRun": "All"}
    assert sent == {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}, "data": {"a": "b"}}


def _page(names: str, then: str = "") -> Answer:
    return _answer(
        {
            "metadata": {"resourceVersion": "7", "continue": then},
            "items": [{"metadata": {"name": name}} for name in names],
        }
    )


def test_a_list_is_read_in_pages_each_trimmed_before_the_next() -> None:
    wire = ScriptedWire(_page("ab", "more"), _page("c"))
    seen: list[tuple[int, str]] = []

    def trim(found: Object) -> Object:
        seen.append((len(wire.asked), found["metadata"]["name"]))
        return {"kind": found["kind"], "apiVersion": found["apiVersion"], "name": found["metadata"]["name"]}

    labels = "tier=airflow,x in (a,b)"
    listing = _api(wire)[0].list(DEPLOYMENT, "airflow", selector=labels, fields="reason=x", trim=trim)
    assert seen == [(1, "a"), (1, "b"), (2, "c")]
    assert listing.items == tuple({"kind": "Deployment", "apiVersion": "apps/v1", "name": name} for name in "abc")
    assert listing.resource_version == "7"
    assert [_query(asked[1]) for asked in wire.asked] == [
        {"limit": "100", "labelSelector": labels, "fieldSelector": "reason=x"},
        {"limit": "100", "labelSelector": labels, "fieldSelector": "reason=x", "continue": "more"},
    ]


def test_a_list_whose_continuation_expired_is_begun_anew() -> None:
    expired = _status(410, "The provided continue parameter is too old", "Expired")
    wire = ScriptedWire(_page("ab", "more"), expired, _page("xy"))
    listing = _api(wire)[0].list(POD, "airflow")
    assert [found["metadata"]["name"] for found in listing.items] == ["x", "y"]
    with pytest.raises(Gone):
        _api(ScriptedWire(*[expired] * 3))[0].list(POD, "airflow")


def _event(type_: str, **object_: object) -> bytes:
    return json.dumps({"type": type_, "object": object_}).encode() + b"\n"


def test_a_watch_yields_events_however_their_bytes_are_cut() -> None:
    wire = ScriptedWire(_answer({}))
    told = _event("ADDED", metadata={"name": "ü"}) + b"\n" + _event("BOOKMARK", metadata={"resourceVersion": "9"})
    wire.pieces = [told[at : at + 7] for at in range(0, len(told), 7)]
    events = list(_api(wire)[0].watch(POD, "airflow", selector="a=b", since="5", seconds=29.2))
    assert [(event.type, event.object) for event in events] == [
        ("ADDED", {"metadata": {"name": "ü"}}),
        ("BOOKMARK", {"metadata": {"resourceVersion": "9"}}),
    ]
    assert _query(wire.asked[0][1]) == {
        "watch": "true",
        "allowWatchBookmarks": "true",
        "resourceVersion": "5",
        "timeoutSeconds": "30",
        "labelSelector": "a=b",
    }
    assert wire.read == 35


def test_a_watch_from_too_long_ago_is_gone_before_or_in_the_stream() -> None:
    api, _ = _api(ScriptedWire(_status(410, "too old resource version", "Expired")))
    with pytest.raises(Gone):
        next(api.watch(POD, "airflow", since="1", seconds=1))
    wire = ScriptedWire(_answer({}))
    wire.pieces = [_event("ERROR", kind="Status", code=410, reason="Expired", message="too old resource version")]
    with pytest.raises(Gone, match="too old"):
        next(_api(wire)[0].watch(POD, "airflow", since="1", seconds=1))


@pytest.mark.parametrize(
    "end", [Lost("nothing came for 35 s", sent=True), b'{"type": "ADD\n', b"\xff\n", b"[]\n", b'{"type": "ADDED"}\n']
)
def test_a_watch_that_breaks_is_unavailable_after_what_it_told(end: bytes | Exception) -> None:
    wire = ScriptedWire(_answer({}))
    wire.pieces = [_event("ADDED", metadata={"name": "one"}), end]
    events = _api(wire)[0].watch(POD, "airflow", since="1", seconds=1)
    assert next(events).type == "ADDED"
    with pytest.raises(ClusterUnavailable):
        next(events)


def test_a_watch_without_permission_names_the_rule() -> None:
    message = 'pods is forbidden: User "u" cannot watch resource "pods" in API group "" in the namespace "airflow"'
    api, _ = _api(ScriptedWire(_status(403, message, "Forbidden")))
    with pytest.raises(ClusterForbidden) as caught:
        next(api.watch(POD, "airflow", since="1", seconds=1))
    assert caught.value.context["verb"] == "watch"


@pytest.mark.parametrize("body", [b"<html>welcome</html>", b"[]", b""])
def test_what_is_no_api_server_is_unavailable(body: bytes) -> None:
    with pytest.raises(ClusterUnavailable, match="is this an API server"):
        _api(ScriptedWire(Answer(200, {}, body)))[0].get(CONFIG_MAP, "airflow", "one")


def test_every_kind_has_an_address_of_its_own() -> None:
    paths = {kind.path("airflow", "one") for kind in KINDS}
    assert len(paths) == len(KINDS)
    assert CONFIG_MAP.path("", "one") == "/api/v1/configmaps/one"
