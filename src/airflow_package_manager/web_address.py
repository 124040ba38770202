"""Which addresses can be asked at all; standard library only, because settings and supervisors need it too."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def host_of(url: str) -> str | None:
    """Return the host of an http or https address, None where nobody can be asked: no host, an impossible one or port.

    `urlsplit` finds some of that when it is called, some when a part is looked at, and some not at all.
    """
    try:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or parts.port == 0 or not parts.hostname:
            return None
        if "[" in parts.netloc:
            ipaddress.IPv6Address(parts.hostname)
    except ValueError:
        return None
    return parts.hostname
