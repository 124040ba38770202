import json

import pytest

from airflow_package_manager.refusals import BodyTooLarge, Malformed, UnsupportedMediaType
from airflow_package_manager.web import body

LIMIT = body.MAXIMUM_BYTES


def test_a_plain_object_is_taken() -> None:
    raw = json.dumps({"restore": 3, "acknowledge": ["ä", "日本"]}).encode()
    assert body.parse(raw, LIMIT) == {"restore": 3, "acknowledge": ["ä", "日本"]}


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[]", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b'"text"', "not a JSON object"),
        (b"\xff\xfe{}", "not UTF-8"),
        (b'\xef\xbb\xbf{"a": 1}', "not JSON"),
        (b'{"a": "\xed\xa0\x80"}', "not UTF-8"),
        (b'{"a": 1, "a": 2}', "stands twice"),
        (b'{"a": {"b": 1, "b": 1}}', "stands twice"),
        (b'{"a": "\\ud800"}', "surrogate"),
        (b'{"\\udfff": 1}', "surrogate"),
        (b'{"a": ["x", "\\u0000"]}', "NUL"),
        (b'{"a\\u0000": 1}', "NUL"),
        (b'{"a": NaN}', "not JSON"),
        (b'{"a": -Infinity}', "not JSON"),
        (b'{"a": 1.5}', "not whole"),
        (b'{"a": 1e400}', "not whole"),
        (b'{"a": ' + b"9" * 5000 + b"}", "digits"),
        (b'{"a": ' + b"[" * 15_000 + b"]" * 15_000 + b"}", "deeper"),
        (b'{"a": ' + b"[" * 30 + b"]" * 30 + b"}", "deeper"),
        (b'{"a":' * 30 + b"1" + b"}" * 30, "deeper"),
        (b'{"a": [' + b"[]," * 50_000 + b"[]]}", "values"),
    ],
)
def test_what_is_no_plain_object_is_refused_by_name(raw: bytes, words: str) -> None:
    with pytest.raises(Malformed, match=words) as refused:
        body.parse(raw, LIMIT)
    assert refused.value.context["field"]
    assert refused.value.detail.isascii()
    assert len(refused.value.detail) < 500


def test_the_place_is_named() -> None:
    with pytest.raises(Malformed) as refused:
        body.parse(b'{"changes": [{"action": "add"}, {"requirement": "a\\u0000b"}]}', LIMIT)
    assert refused.value.context["field"] == "changes[1].requirement"


def test_a_key_is_never_repeated_raw() -> None:
    key = "<script>\\u001b" + "x" * 1000
    with pytest.raises(Malformed) as refused:
        body.parse(f'{{"{key}": 1, "{key}": 1}}'.encode(), LIMIT)
    assert "<" not in refused.value.detail
    assert "\x1b" not in refused.value.detail


def test_too_long_a_body_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(BodyTooLarge):
        body.parse(b"{" * (LIMIT + 1), LIMIT)


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON", 'application/json; charset="UTF-8"'])
def test_json_in_utf_8_is_taken(kind: str) -> None:
    body.require_json({"content-type": kind, "content-length": str(LIMIT)}, LIMIT)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": ""},
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "application/jsonp"},
        {"content-type": "application/json; charset=utf-16"},
        {"content-type": "application/json, text/plain"},
        {"content-type": "application/json", "content-encoding": "gzip"},
        {"content-type": "application/json", "content-encoding": "identity, br"},
    ],
)
def test_another_type_or_a_compressed_body_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(UnsupportedMediaType):
        body.require_json(headers, LIMIT)


@pytest.mark.parametrize("length", [str(LIMIT + 1), "9" * 5000])
def test_a_length_over_the_limit_is_refused_by_its_header(length: str) -> None:
    with pytest.raises(BodyTooLarge):
        body.require_json({"content-type": "application/json", "content-length": length}, LIMIT)
