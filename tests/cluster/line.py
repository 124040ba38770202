"""Between us and the API server: every request has a name, and somebody may act before it, after it, or in its place.

A name is what RBAC calls it and the object, for example ``patch statefulsets/worker``; a dry run is ``try``, a second
change of the same name is ``patch statefulsets/worker 2``.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

from airflow_package_manager.adapters.kubernetes.api import Wire
from airflow_package_manager.adapters.kubernetes.connection import Answer

CHANGES = ("create", "patch", "delete")
_VERBS: Mapping[str, str] = {"POST": "create", "PATCH": "patch", "DELETE": "delete"}
_QUESTION = "create selfsubjectaccessreviews"
Hear = Callable[[str], Answer | None]
"""Gets ``before NAME`` and ``after NAME``, and ``before piece of NAME`` for what a watch tells.

An answer before is given in the place of the server's; it may raise `connection.Lost`.
"""


def silent(_moment: str) -> None:
    """Do nothing."""


class Line:
    """An `api.Wire` on which somebody listens."""

    def __init__(self, real: Wire, hear: Hear = silent) -> None:
        self._real = real
        self._hear = hear
        self._counts: Counter[str] = Counter()
        self.requests: list[str] = []
        """Names of all requests, watches included."""

    @property
    def changes(self) -> list[str]:
        """Return the names of what changed something, or tried to, in order."""
        return [name for name in self.requests if is_change(name)]

    def renew(self) -> None:
        self._real.renew()

    def send(
        self, method: str, address: str, *, headers: Mapping[str, str], body: bytes | None = None, read: float
    ) -> Answer:
        name = self._numbered(named(method, address, body))
        self.requests.append(name)
        answer = self._hear(f"before {name}")
        if answer is None:
            answer = self._real.send(method, address, headers=headers, body=body, read=read)
        self._hear(f"after {name}")
        return answer

    @contextmanager
    def stream(
        self, address: str, *, headers: Mapping[str, str], read: float
    ) -> Iterator[tuple[Answer, Iterator[bytes]]]:
        name = named("WATCH", address, None)
        self.requests.append(name)
        with self._real.stream(address, headers=headers, read=read) as (answer, pieces):
            yield answer, self._heard(name, pieces)

    def _heard(self, name: str, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self._hear(f"before piece of {name}")
            yield piece

    def _numbered(self, name: str) -> str:
        if not is_change(name):
            return name
        self._counts[name] += 1
        return name if self._counts[name] == 1 else f"{name} {self._counts[name]}"


def is_change(name: str) -> bool:
    return name.split(" ", maxsplit=1)[0] in CHANGES and not name.startswith(_QUESTION)


def named(method: str, address: str, body: bytes | None) -> str:
    """Return the name of a request."""
    url = urlsplit(address)
    parts = url.path.strip("/").split("/")
    inside = parts[parts.index("namespaces") + 2 :] if "namespaces" in parts else parts[-1:]
    sent = json.loads(body) if body is not None and method == "POST" else {}
    name = inside[1] if len(inside) > 1 else str(sent.get("metadata", {}).get("name", ""))
    if method in _VERBS:
        verb = "try" if "dryRun" in parse_qs(url.query) else _VERBS[method]
    else:
        verb = "watch" if method == "WATCH" else "get" if name else "list"
    return f"{verb} {inside[0]}" + (f"/{name}" if name else "")
