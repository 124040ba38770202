"""The page's files, the page that says no, and the headers that every answer carries."""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from airflow_package_manager.errors import NotAuthenticated, PackageManagerError

DIRECTORY = Path(__file__).parent / "static"
INDEX = "index.html"
STATIC = "static/"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".woff2": "font/woff2",
}
"""What is served; other files beside them (licences, types) are not."""

IN_AIRFLOW = "../plugin/package-manager"
"""Airflow's own page around ours, from ours: the same on Airflow 2 and 3, which send whom they do not know to their
log-in and then back."""

_STYLE = (
    ":root{color-scheme:light dark}"
    "body{font:.9375rem/1.55 system-ui,sans-serif;max-width:34rem;margin:14vh auto;padding:0 1.25rem}"
    "main{border:1px solid color-mix(in srgb,CanvasText 16%,Canvas);border-radius:.75rem;padding:1.5rem 1.75rem}"
    "h1{font-size:1.25rem;line-height:1.3;margin:0 0 .75rem}"
    "p{margin:.5rem 0 0;color:color-mix(in srgb,CanvasText 72%,Canvas)}.next{color:CanvasText}"
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; "
        f"style-src 'self' 'sha256-{_STYLE_HASH}'; "
        "img-src 'self' data:; font-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
"""Bootstrap draws its marks from `data:` images; nothing is inline but the style of the page that says no, by hash."""

REVALIDATED = "private, no-cache"
"""For files, which hold nothing of anybody: kept by the browser, asked for each time by their ETag."""


@dataclass(frozen=True)
class File:
    """One file as it is sent."""

    content: bytes
    media_type: str
    etag: str


def load(directory: Path) -> dict[str, File]:
    """Return the files below a directory by their relative path; they stay in memory, so no address reaches the disk.

    Raises `FileNotFoundError` when the page itself is not among them.
    """
    files = {}
    for path in sorted(directory.rglob("*")):
        media_type = _TYPES.get(path.suffix)
        if media_type is None or not path.is_file():
            continue
        content = path.read_bytes()
        etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        files[path.relative_to(directory).as_posix()] = File(content, media_type, etag)
    if INDEX not in files:
        raise FileNotFoundError(f"{directory / INDEX} is missing: the installation is incomplete")
    return files


def refusal(error: PackageManagerError, correlation_id: str | None = None) -> bytes:
    """Return a page for people in Airflow's frame: what happened and what to do; it needs no other file."""
    trace = f"<p>Correlation id: <code>{html.escape(correlation_id)}</code></p>" if correlation_id else ""
    unknown = isinstance(error, NotAuthenticated)
    log_in = f'<p class="next"><a href="{IN_AIRFLOW}">Log in to Airflow</a></p>' if unknown else ""
    return (
        "<!doctype html>\n"
        '<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Package Manager: {html.escape(error.title)}</title><style>{_STYLE}</style></head>"
        f'<body><main role="main"><h1>{html.escape(error.title)}</h1><p>{html.escape(error.detail)}</p>'
        f'<p class="next">{html.escape(error.next_action)}</p>{log_in}{trace}</main></body></html>\n'
    ).encode("utf-8", "backslashreplace")
