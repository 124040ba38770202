"""Whether a change was sent by our own page or by a program, and not by another site through somebody's browser.

Pure. Browsers that know `Sec-Fetch-Site` decide by it; others by `Origin`; a request that carries neither is no
browser's and is only taken when its `Authorization` header names the caller, never with a cookie. The custom header is
the second lock: another site cannot send it without a CORS preflight, which we never answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from airflow_package_manager.errors import CrossOrigin, CsrfFailed

MARKER_HEADER = "x-package-manager"
MARKER_VALUE = "1"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_DEFAULT_PORTS = {"http": 80, "https": 443}


def is_bearer(headers: Mapping[str, str]) -> bool:
    """Tell whether the request names its caller by a bearer token, which no browser sends by itself."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and bool(token.strip())


def require_own_origin(headers: Mapping[str, str], base_url: str | None, *, by_header: bool, scheme: str) -> None:
    """Raise `CrossOrigin` or `CsrfFailed` unless the change comes from our own origin or from a program.

    `headers` have lower-case names. `base_url` is Airflow's own address as configured, None when it is not. `scheme`
    is the request's as the server's trusted-proxy handling says.
    `by_header`: the header `Authorization` alone named the caller, and no cookie did.
    """
    site = headers.get("sec-fetch-site")
    origin = headers.get("origin")
    if origin == "null":
        raise CrossOrigin("The browser hides where this request comes from (Origin: null).")
    if site is not None:
        if site != "same-origin":
            raise CrossOrigin("The browser says that another site sent this request (Sec-Fetch-Site).")
    elif origin is not None:
        if not _is_own(origin, headers.get("host"), base_url, scheme):
            raise CrossOrigin("The browser says that another site sent this request (Origin).")
    elif not by_header:
        raise CrossOrigin(
            "The request names no origin and carries a cookie.",
            next_action="Programs authenticate by the header 'Authorization', as for Airflow's own REST API.",
        )
    if headers.get(MARKER_HEADER) != MARKER_VALUE:
        raise CsrfFailed("The header 'X-Package-Manager: 1' is missing.")


def _is_own(origin: str, host: str | None, base_url: str | None, scheme: str) -> bool:
    sent = _address(origin)
    if sent is None:
        return False
    own = None if base_url is None else _address(base_url)
    if sent == own:
        return True
    if sent[0] == "http" and (scheme == "https" or (own is not None and own[:2] == ("https", sent[1]))):
        return False  # a page that came without TLS is anybody's who stands between, whatever host it names
    # A proxy that ends TLS hides the scheme from us, so the Host header can only be compared under the origin's own.
    return host is not None and sent == _address(f"{sent[0]}://{host}")


def _address(url: str) -> tuple[str, str, int] | None:
    """Return scheme, host and port, or None for what is no http(s) address."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or "@" in parts.netloc:
        return None
    return parts.scheme, parts.hostname, port or _DEFAULT_PORTS[parts.scheme]
