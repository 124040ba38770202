"""The door for bodies: bytes in, one JSON object out, or a refusal that names what is wrong.

Limits come before parsing, and whatever two JSON readers could understand differently is refused: duplicate keys,
NaN, numbers beyond 64 bits, lone surrogates, NUL.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from airflow_package_manager.refusals import BodyTooLarge, Malformed, UnsupportedMediaType
from airflow_package_manager.web.problems import field_name, printable

MAXIMUM_BYTES = 256 * 1024
MAXIMUM_FILE_BYTES = 1024 * 1024
"""Of a body that carries a whole requirements file."""
MAXIMUM_DEPTH = 20
MAXIMUM_VALUES = 10_000
MAXIMUM_OPENINGS = 20_000
"""Brackets and braces, those in texts included: cheap to count, while a million empty lists are dear to build."""
MAXIMUM_DIGITS = 18


def require_json(headers: Mapping[str, str], limit: int) -> None:
    """Raise `UnsupportedMediaType` or `BodyTooLarge` by what the headers say, before a byte of the body is read."""
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise UnsupportedMediaType("The body is compressed (Content-Encoding).", field="Content-Encoding")
    kind, _, parameters = headers.get("content-type", "").partition(";")
    charset = parameters.strip().lower().replace('"', "")
    if kind.strip().lower() != "application/json" or charset not in {"", "charset=utf-8"}:
        raise UnsupportedMediaType("The Content-Type is not application/json (in UTF-8).", field="Content-Type")
    length = headers.get("content-length", "")
    # A length with so many digits is over every limit; reading it as a number would itself cost time.
    if length.isascii() and length.isdigit() and (len(length) > MAXIMUM_DIGITS or int(length) > limit):
        raise too_large(limit)


def too_large(limit: int) -> BodyTooLarge:
    """Return the refusal of a body with more than `limit` bytes."""
    return BodyTooLarge(f"The body has more than {limit} bytes.", limit=limit)


def cut_off() -> Malformed:
    """Return the refusal of a body that never came whole."""
    return Malformed("The connection ended before the body did.", field="body")


def parse(raw: bytes, limit: int) -> dict[str, Any]:
    """Return the object that the body holds; raises `BodyTooLarge`, or `Malformed` with the place."""
    if len(raw) > limit:
        raise too_large(limit)
    if raw.count(b"[") + raw.count(b"{") > MAXIMUM_OPENINGS:
        raise Malformed(f"The body holds more than {MAXIMUM_VALUES} values.", field="body")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed(f"The body is not UTF-8 (byte {error.start}).", field="body") from None
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_number,
            parse_constant=_constant,
        )
    except json.JSONDecodeError as error:
        raise Malformed(
            f"The body is not JSON: {error.msg} (line {error.lineno}, column {error.colno}).", field="body"
        ) from None
    except RecursionError:
        raise _too_deep() from None
    if not isinstance(value, dict):
        raise Malformed("The body is not a JSON object.", field="body")
    _require_plain(value)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in pairs:
        if key in values:
            name = printable(key)
            raise Malformed(f"The key {name} stands twice in one object.", field=name)
        values[key] = value
    return values


def _integer(digits: str) -> int:
    if len(digits) > MAXIMUM_DIGITS:
        raise Malformed(f"A number has more than {MAXIMUM_DIGITS} digits.", field="body")
    return int(digits)


def _number(text: str) -> NoReturn:
    del text
    raise Malformed("A number is not whole; no field takes such a one.", field="body")


def _constant(name: str) -> NoReturn:
    raise Malformed(f"{name} is not JSON.", field="body")


def _require_plain(value: dict[str, Any]) -> None:
    """Walk without recursion: the depth is what an attacker chooses."""
    waiting: list[tuple[tuple[int | str, ...], Any]] = [((), value)]
    seen = 0
    while waiting:
        place, found = waiting.pop()
        seen += 1
        if seen + len(waiting) > MAXIMUM_VALUES:
            raise Malformed(f"The body holds more than {MAXIMUM_VALUES} values.", field="body")
        if isinstance(found, str):
            _require_text(found, place)
        elif isinstance(found, dict | list):
            if len(place) >= MAXIMUM_DEPTH:
                raise _too_deep()
            if isinstance(found, dict):
                for key in found:
                    _require_text(key, (*place, key))
                waiting.extend(((*place, key), inner) for key, inner in found.items())
            else:
                waiting.extend(((*place, number), inner) for number, inner in enumerate(found))


def _require_text(text: str, place: tuple[int | str, ...]) -> None:
    if "\0" in text:
        name = field_name(place)
        raise Malformed(f"{name} holds a NUL character.", field=name)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        name = field_name(place)
        raise Malformed(f"{name} holds half of a surrogate pair, which is no character.", field=name) from None


def _too_deep() -> Malformed:
    return Malformed(f"The body is nested deeper than {MAXIMUM_DEPTH} levels.", field="body")
