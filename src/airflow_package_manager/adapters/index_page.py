"""A project's page of the Simple API, as JSON (PEP 691, 700) or HTML (PEP 503), as values."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

from packaging.tags import Tag, parse_tag
from packaging.utils import InvalidSdistFilename, InvalidWheelFilename, parse_sdist_filename
from packaging.version import InvalidVersion, Version

from airflow_package_manager.errors import IndexUnavailable
from airflow_package_manager.web_address import host_of

JSON_TYPE = "application/vnd.pypi.simple.v1+json"
ACCEPT = f"{JSON_TYPE}, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_BASE = re.compile(r"<base\s[^>]*href=[\"']([^\"']+)", re.IGNORECASE)


@dataclass(frozen=True)
class ListedFile:
    """One wheel or sdist of a project's page."""

    filename: str
    url: str
    """Absolute."""
    version: Version
    tags: frozenset[Tag] | None
    """None: a source distribution."""
    sha256: str | None
    size: int | None
    requires_python: str | None
    uploaded_at: str | None
    yanked: str | None
    """The reason, possibly empty; None when it is not yanked."""


def parse(body: bytes, kind: str, url: str) -> tuple[ListedFile, ...]:
    """Return the files of a page in its order; raises `IndexUnavailable` when it is no such page.

    `kind` is the media type. Files of other kinds (`.exe`, `.egg`) and with names that are not valid are left out: no
    installer could use them.
    """
    rows = _json_rows(body, url) if kind.endswith("json") else _html_rows(body, url)
    files = (listed(row, url) for row in rows)
    return tuple(file for file in files if file is not None)


def _json_rows(body: bytes, url: str) -> list[dict[str, Any]]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    rows = document.get("files") if isinstance(document, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        host = urlsplit(url).hostname
        raise IndexUnavailable(f"The package index {host} sent a page that is no Simple API page.", index=host)
    return rows


def _html_rows(body: bytes, url: str) -> list[dict[str, Any]]:
    text = body.decode("utf-8", "replace")
    base = _BASE.search(text)
    parser = _Links(_joined(url, base[1]) or url if base else url)
    parser.feed(text)
    parser.close()
    return parser.rows


class _Links(HTMLParser):
    """Collects the links of a page as rows of the JSON form."""

    def __init__(self, base: str) -> None:
        super().__init__()
        self._base = base
        self.rows: list[dict[str, Any]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take one link."""
        attributes = dict(attrs)
        href = attributes.get("href")
        joined = _joined(self._base, href) if tag == "a" and href else None
        if joined is None:
            return
        address, fragment = urldefrag(joined)
        algorithm, _, digest = fragment.partition("=")
        self.rows.append(
            {
                "filename": unquote(urlsplit(address).path.rpartition("/")[2]),
                "url": address,
                "hashes": {algorithm: digest},
                "requires-python": attributes.get("data-requires-python"),
                "yanked": (attributes["data-yanked"] or True) if "data-yanked" in attributes else False,
            }
        )


def listed(row: Mapping[str, Any], page: str) -> ListedFile | None:
    """Return the file that a row in the JSON form describes, None when no installer could use it.

    `page` is the address that the row's own address may be relative to; empty for rows of our own making, whose
    addresses may be of any kind.
    """
    filename, address = row.get("filename"), row.get("url")
    if not isinstance(filename, str) or not isinstance(address, str):
        return None
    try:
        version, tags = _named(filename)
    except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion, ValueError):
        return None
    url = _joined(page, address)
    if url is None or (page and host_of(url) is None):
        return None
    hashes = row.get("hashes")
    sha256 = hashes.get("sha256") if isinstance(hashes, dict) else None
    yanked = row.get("yanked")
    return ListedFile(
        filename=filename,
        url=url,
        version=version,
        tags=tags,
        sha256=sha256 if isinstance(sha256, str) and _SHA256.fullmatch(sha256) else None,
        size=_typed(row.get("size"), int),
        requires_python=_typed(row.get("requires-python"), str) or None,
        uploaded_at=_typed(row.get("upload-time"), str),
        yanked=yanked if isinstance(yanked, str) else "" if yanked is True else None,
    )


def _joined(page: str, address: str) -> str | None:
    try:
        return urljoin(page, address)
    except ValueError:  # half an IPv6 address
        return None


def _named(filename: str) -> tuple[Version, frozenset[Tag] | None]:
    if not filename.endswith(".whl"):
        return parse_sdist_filename(filename)[1], None
    parts = filename.removesuffix(".whl").split("-")
    if len(parts) not in {5, 6}:
        raise InvalidWheelFilename(filename)
    # A page has thousands of files of few versions and tags; each is parsed once.
    return _version(parts[1]), _tags("-".join(parts[-3:]))


_version = lru_cache(maxsize=4096)(Version)
_tags = lru_cache(maxsize=1024)(parse_tag)


def _typed(value: object, kind: type[Any]) -> Any:  # noqa: ANN401 - narrowed by `kind`
    return value if isinstance(value, kind) and not isinstance(value, bool) else None
