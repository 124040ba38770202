import itertools
import json

import pytest

from tests.web.house import PREFIX, TEXT, House, as_, changing

OPERATIONS = PREFIX + "operations"
APPLY = PREFIX + f"operations/{'0' * 32}/apply"


def assert_nothing_happened(house: House) -> None:
    snapshot = house.store.peek()
    assert (snapshot.text, dict(snapshot.locks), snapshot.current) == (TEXT, {}, None)
    assert house.repository.history() == ((), None)
    assert house.index.asked == []
    assert house.driven == []


REQUIREMENTS = {
    "empty": "",
    "spaces": "   ",
    "newline": "six\n--index-url https://evil.example.com",
    "carriage return": "six\r-e .",
    "vertical tab": "six\x0b-e .",
    "form feed": "six\x0c-r /etc/passwd",
    "file separator": "six\x1c-e .",
    "next line": "six\x85--pre",
    "line separator": "six\u2028--index-url x",
    "paragraph separator": "six\u2029-e .",
    "null": "six\0",
    "escape": "six\x1b[31m",
    "right-to-left": "six\u202e",
    "option": "--index-url https://evil.example.com",
    "option behind": "six --hash=sha256:00",
    "short option": "-e .",
    "file": "-r other.txt",
    "constraint": "-c other.txt",
    "quotes": "six\"; import os; '",
    "shell": "six; $(touch /tmp/x) `id` | sh && rm",
    "html": "<img src=x onerror=alert(1)>",
    "script": "</script><script>alert(1)</script>",
    "address": "https://evil.example.com/x.whl",
    "direct reference": "six @ https://evil.example.com/x.whl",
    "version control": "git+https://evil.example.com/x.git",
    "path": "./local",
    "home": "~/local",
    "archive": "x.tar.gz",
    "variable": "six==${HOME}",
    "variable as name": "${HOME}",
    "nested marker": "six; " + "(" * 200 + "python_version>'3'" + ")" * 200,
    "long version": "six==" + "9" * 5000,
    "too long": "x" * 2000,
    "look-alike": "\u0455ix",
    "full width": "\uff53\uff49\uff58",
    "ligature": "\ufb01x",
    "protected": "apache-airflow-core==3.0",
    "protected otherwise": "Apache_Airflow.Core==3.0",
    "protected repeated": "apache--airflow__core==3.0",
    "two": "six, tomli",
    "only a version": "==1.0",
}


@pytest.mark.parametrize("requirement", REQUIREMENTS.values(), ids=REQUIREMENTS.keys())
@pytest.mark.parametrize("action", ["add", "update", "remove"])
def test_a_bad_requirement_is_refused_by_name(house: House, requirement: str, action: str) -> None:
    body = {"changes": [{"action": action, "requirement": requirement}]}
    reply = house.client.post(OPERATIONS, changing("admin"), body)
    problem = reply.json()
    assert reply.status in {400, 422}, reply.text
    assert "changes[0].requirement" in json.dumps(problem) or problem["code"] in {
        "policy-violation",
        "requirement-not-found",
    }
    assert reply.content.isascii()
    assert not set(reply.content) & set(b"<>&")
    assert not any(character < " " for character in problem["detail"] + problem["next_action"])
    assert_nothing_happened(house)


BODIES = {
    "nothing": {},
    "empty change set": {"changes": []},
    "two kinds": {"changes": [{"action": "add", "requirement": "x"}], "restore": 0},
    "no object": [],
    "unknown field": {"changes": [{"action": "add", "requirement": "x"}], "force": True},
    "unknown inner field": {"changes": [{"action": "add", "requirement": "x", "editable": True}]},
    "unknown action": {"changes": [{"action": "purge", "requirement": "x"}]},
    "number": {"changes": [{"action": "add", "requirement": 7}]},
    "null": {"changes": [{"action": "add", "requirement": None}]},
    "list": {"changes": "six"},
    "too many changes": {"changes": [{"action": "add", "requirement": f"x{number}"} for number in range(101)]},
    "restore as text": {"restore": "1"},
    "restore as truth": {"restore": True},
    "negative restore": {"restore": -1},
    "huge restore": {"restore": 10**17},
    "file as list": {"requirements": ["six"]},
    "null byte": {"requirements": "six\0"},
    "file of too many lines": {"requirements": "six\n" * 5_001},
    "acknowledge as text": {"restore": 0, "acknowledge": "shadows:x"},
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_a_bad_body_is_malformed_and_names_the_field(house: House, body: object) -> None:
    reply = house.client.post(OPERATIONS, changing("admin"), body)
    assert (reply.status, reply.json()["code"]) == (400, "malformed"), reply.text
    assert reply.json()["field"]
    assert_nothing_happened(house)


FILES = {
    "option": "--index-url https://evil.example.com\nsix\n",
    "editable": "-e .\n",
    "include": "-r /etc/passwd\n",
    "address": "https://evil.example.com/x.whl\n",
    "direct reference": "x @ file:///etc/passwd\n",
    "variable": "six==${VERSION}\n",
    "nonsense": "<b>hello</b> ; '\n",
    "protected": "apache_airflow_core==1\n",
    "line separator": "six\u2028--pre\n",
    "many bad lines": "== broken\n" * 4_000,
    "spaces": "six" + " " * 1_000_000 + "x",
    "addresses": "://" * 300_000 + "@",
    "fields of an address": "https://packages.example.com/" + "?" * 1_000_000,
}


@pytest.mark.parametrize("text", FILES.values(), ids=FILES.keys())
def test_a_bad_file_is_refused_with_its_line(house: House, text: str) -> None:
    reply = house.client.post(OPERATIONS, changing("admin"), {"requirements": text})
    assert reply.status == 422, reply.text
    assert not set(reply.content) & set(b"<>&")
    assert len(reply.content) < 200_000
    assert_nothing_happened(house)


RAW = {
    "not JSON": b"changes=1",
    "empty": b"",
    "deep": b'{"changes":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep objects": b'{"a":' * 30_000 + b"1" + b"}" * 30_000,
    "duplicate": b'{"restore": 1, "restore": 0}',
    "lone surrogate": b'{"requirements": "\\ud800"}',
    "not UTF-8": b'{"requirements": "\xff"}',
    "UTF-16": '{"restore": 1}'.encode("utf-16"),
    "NaN": b'{"restore": NaN}',
    "float": b'{"restore": 1.0}',
    "long number": b'{"restore": ' + b"9" * 5000 + b"}",
    "byte order mark": b'\xef\xbb\xbf{"restore": 1}',
}


@pytest.mark.parametrize("raw", RAW.values(), ids=RAW.keys())
@pytest.mark.parametrize("path", [OPERATIONS, APPLY, APPLY.replace("apply", "cancel")], ids=["plan", "apply", "cancel"])
def test_what_is_no_plain_json_is_malformed(house: House, path: str, raw: bytes) -> None:
    headers = {**changing("admin"), "content-type": "application/json"}
    reply = house.client.request("POST", path, headers, [raw])
    assert (reply.status, reply.json()["code"]) == (400, "malformed")
    assert_nothing_happened(house)


@pytest.mark.parametrize("chunk", [1_000, 64 * 1024])
def test_ten_megabytes_are_not_read(house: House, chunk: int) -> None:
    headers = {**changing("admin"), "content-type": "application/json"}
    chunks = itertools.repeat(b" " * chunk, 10_000_000 // chunk)
    reply = house.client.request("POST", OPERATIONS, headers, chunks)
    assert (reply.status, reply.json()["code"]) == (413, "body-too-large")
    assert house.client.read <= 1024 * 1024 + chunk
    declared = house.client.request("POST", OPERATIONS, {**headers, "content-length": "10000000"}, [b" " * 1000])
    assert declared.status == 413
    assert house.client.read == 0
    assert_nothing_happened(house)


def test_only_a_whole_file_may_be_large(house: House) -> None:
    padding = " " * (300 * 1024)
    headers = {**changing("admin"), "content-type": "application/json"}
    change = '{"changes": [{"action": "add", "requirement": "tomli"}]' + padding + "}"
    assert house.client.request("POST", OPERATIONS, headers, [change.encode()]).status == 413
    text = TEXT + "# " + "x" * (300 * 1024) + "\n"
    assert house.client.post(OPERATIONS, changing("admin"), {"requirements": text}).status == 202


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "multipart/form-data; boundary=x"},
        {"content-type": "application/json", "content-encoding": "gzip"},
        {"content-type": "application/json", "content-encoding": "deflate"},
    ],
)
def test_only_plain_json_is_read(house: House, headers: dict[str, str]) -> None:
    reply = house.client.request("POST", OPERATIONS, {**changing("admin"), **headers}, [b"{}"])
    assert (reply.status, reply.json()["code"]) == (415, "unsupported-media-type")
    assert house.client.read == 0


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"token": "x"},
        {"token": 5, "digest": "x"},
        {"token": ["x"], "digest": "x"},
        {"token": "x", "digest": None},
        {"token": "x" * 300, "digest": "x"},
        {"token": "x", "digest": "0" * 65},
        {"token": "x", "digest": "0", "revision": 1},
    ],
)
def test_a_token_of_the_wrong_kind_is_malformed_and_never_repeated(house: House, body: dict[str, object]) -> None:
    reply = house.client.post(APPLY, changing("admin"), body)
    assert (reply.status, reply.json()["code"]) == (400, "malformed")
    assert "x" * 300 not in reply.text


@pytest.mark.parametrize(
    "query",
    [
        "packages?scope=everything",
        "packages?q=" + "x" * 201,
        "packages?q=a&q=b",
        "packages?unknown=1",
        "packages?q=%ff",
        "operations?limit=0",
        "operations?limit=201",
        "operations?limit=" + "9" * 5000,
        "operations?before=%00",
        "operations?before=<script>",
        "operations?limit=",
        "events?before=x",
        "events?before=-1",
        f"operations/{'0' * 32}/events?after=-1",
        "revisions/0?diff=x",
        "session?token=abc",
        "packages?" + "&".join(f"a{number}=1" for number in range(100)),
    ],
)
def test_a_bad_query_is_malformed_and_names_the_field(house: House, query: str) -> None:
    reply = house.client.get(PREFIX + query, as_("admin"))
    assert (reply.status, reply.json()["code"]) == (400, "malformed"), reply.text
    assert reply.json()["field"]
    assert not set(reply.content) & set(b"<>&")


def test_a_post_takes_no_query(house: House) -> None:
    reply = house.client.post(OPERATIONS + "?dry_run=1", changing("admin"), {"restore": 0})
    assert (reply.status, reply.json()["field"]) == (400, "dry_run")


def test_a_connection_that_ends_within_the_body_is_no_error_of_the_server(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    headers = {**changing("admin"), "content-type": "application/json"}
    reply = house.client.request("POST", PREFIX + "operations", headers, [b'{"changes"', None])
    assert reply.status == 400
    assert house.client.raised is None
    assert caplog.text == ""
