"""The only way to the API server: raw JSON in and out, bounded time, bounded retries, our errors."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlencode

from airflow_package_manager.adapters.kubernetes import retries
from airflow_package_manager.adapters.kubernetes.connection import Answer, Lost
from airflow_package_manager.adapters.kubernetes.failures import (
    Absent,
    Gone,
    Request,
    failure,
    retry_after,
    watch_failure,
)
from airflow_package_manager.adapters.kubernetes.kinds import ACCESS_REVIEW, Kind, Object
from airflow_package_manager.errors import AdmissionRefused, ClusterUnavailable

FIELD_MANAGER = "airflow-package-manager"
PAGE = 100
READ_SECONDS = 30.0
CLOSING_SECONDS = 5.0
"""How much longer than its watch lasts a server may be silent."""
_LISTS = 3
"""How often a list is begun anew because its continue token expired."""
_JSON = "application/json"
_JSON_PATCH = "application/json-patch+json"
_MERGE_PATCH = "application/merge-patch+json"
_APPLY_PATCH = "application/apply-patch+yaml"
_UNAUTHENTICATED = 401
Trim = Callable[[Object], Object]
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Listing:
    """All objects of one kind and selector at one moment."""

    items: tuple[Object, ...]
    """Trimmed."""
    resource_version: str
    """The moment: a watch goes on from here."""


@dataclass(frozen=True)
class WatchEvent:
    """One change that a watch tells of."""

    type: str
    """ADDED, MODIFIED, DELETED, BOOKMARK."""
    object: Object
    """A bookmark's holds the resourceVersion alone."""


class Wire(Protocol):
    """What `connection.Connection` does."""

    def renew(self) -> None:
        """Read credentials anew with the next request."""
        ...

    def send(
        self, method: str, address: str, *, headers: Mapping[str, str], body: bytes | None = None, read: float
    ) -> Answer:
        """Return the response; raises `Lost`."""
        ...

    def stream(
        self, address: str, *, headers: Mapping[str, str], read: float
    ) -> AbstractContextManager[tuple[Answer, Iterator[bytes]]]:
        """Yield the head and the pieces of a response; raises `Lost`."""
        ...


class Api:
    """One API server; safe to share between threads.

    Every method raises `ClusterUnavailable`, `ClusterForbidden`, `AdmissionRefused` and `InvalidSetting` beside what
    its own docstring names.
    """

    def __init__(
        self,
        wire: Wire,
        *,
        wait: Callable[[float], object] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Take the connection, how to wait (seconds) and a source of numbers from 0 to 1."""
        self._wire = wire
        self._wait = wait
        self._jitter = jitter

    def get(self, kind: Kind, namespace: str, name: str) -> Object:
        """Return one object; raises `Absent`."""
        return self._ask("GET", Request("get", kind, namespace, name))

    def list(
        self, kind: Kind, namespace: str, *, selector: str = "", fields: str = "", trim: Trim = lambda found: found
    ) -> Listing:
        """Return all objects that both selectors find (labels, fields), each trimmed before the next page is asked for.

        Raises `Gone` when the list expired several times while it was read.
        """
        for attempt in range(1, _LISTS + 1):
            try:
                return self._pages(Request("list", kind, namespace), selector, fields, trim)
            except Gone:
                if attempt == _LISTS:
                    raise
                _log.info("The list of %s expired while it was read; listing anew.", kind.resource)
        raise AssertionError("unreachable")  # pragma: no cover

    def create(self, kind: Kind, namespace: str, body: Object, *, dry_run: bool = False) -> Object:
        """Create an object and return it as stored; raises `AlreadyThere`, `Invalid`, `Absent` (the namespace).

        A lost answer is asked again, so `AlreadyThere` may name an object that this very call made.
        """
        name = str(body.get("metadata", {}).get("name", ""))
        filled = {"apiVersion": kind.api_version, "kind": kind.name, **body}
        request = Request("create", kind, namespace, name)
        return self._ask("POST", request, filled, query=_writing(FIELD_MANAGER, dry_run=dry_run), path_name="")

    def patch(
        self, kind: Kind, namespace: str, name: str, body: Object | Sequence[Object], *, dry_run: bool = False
    ) -> Object:
        """Change an object and return it: a dict is a merge patch, a sequence a JSON patch.

        Raises `Absent`, `Conflict` (another resourceVersion), `Invalid` (another uid, a failed test, a bad value).
        """
        content, sent = (_MERGE_PATCH, body) if isinstance(body, dict) else (_JSON_PATCH, list(body))
        query = _writing(FIELD_MANAGER, dry_run=dry_run)
        return self._ask("PATCH", Request("patch", kind, namespace, name), sent, content=content, query=query)

    def apply(
        self, kind: Kind, namespace: str, name: str, body: Object, *, dry_run: bool = True, manager: str
    ) -> Object:
        """Apply fields for a manager without force; raises `Conflict` with the managers that own them already."""
        metadata = {**body.get("metadata", {}), "name": name}
        filled = {"apiVersion": kind.api_version, "kind": kind.name, **body, "metadata": metadata}
        query = _writing(manager, dry_run=dry_run)
        return self._ask("PATCH", Request("patch", kind, namespace, name), filled, content=_APPLY_PATCH, query=query)

    def delete(
        self, kind: Kind, namespace: str, name: str, *, uid: str | None = None, propagation: str | None = None
    ) -> None:
        """Delete an object; one that is absent is fine, one of another uid raises `Conflict`.

        `propagation` is Background, Foreground or Orphan.
        """
        options: Object = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        if propagation is not None:
            options["propagationPolicy"] = propagation
        # Without a uid a repeated request could delete a successor of the same name.
        with contextlib.suppress(Absent):
            self._ask("DELETE", Request("delete", kind, namespace, name), options, repeatable=uid is not None)

    def watch(
        self, kind: Kind, namespace: str, *, selector: str = "", since: str, seconds: float
    ) -> Iterator[WatchEvent]:
        """Yield the changes after a resourceVersion as they come, for so many seconds at most.

        Raises `Gone` when that moment is too old, `ClusterUnavailable` when the connection broke or was half open.
        """
        request = Request("watch", kind, namespace)
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": since,
            "timeoutSeconds": str(max(1, math.ceil(seconds))),
            **({"labelSelector": selector} if selector else {}),
        }
        address = f"{kind.path(namespace)}?{urlencode(query)}"
        # The server ends the watch after `timeoutSeconds`: one that does not, or is silent for longer, is not there.
        read = math.ceil(seconds) + CLOSING_SECONDS
        try:
            with self._wire.stream(address, headers={"Accept": _JSON}, read=read) as (answer, pieces):
                if answer.status != 200:  # noqa: PLR2004  OK
                    if answer.status == _UNAUTHENTICATED:
                        self._wire.renew()
                    raise failure(answer.status, answer.body, request)
                for line in _lines(pieces):
                    yield _event(line, request)
        except Lost as error:
            raise ClusterUnavailable(f"The watch of {kind.resource} broke: {error}.") from error

    def allowed(self, kind: Kind, namespace: str, verb: str, name: str = "") -> bool:
        """Tell whether RBAC lets our account do this; admission is not asked (a dry run is)."""
        attributes = {"group": kind.group, "resource": kind.plural, "namespace": namespace, "verb": verb, "name": name}
        body = {"spec": {"resourceAttributes": attributes}}
        return self.create(ACCESS_REVIEW, "", body).get("status", {}).get("allowed") is True

    def _pages(self, request: Request, selector: str, fields: str, trim: Trim) -> Listing:
        wanted = {"limit": str(PAGE), "labelSelector": selector, "fieldSelector": fields}
        query = {name: text for name, text in wanted.items() if text}
        items: list[Object] = []
        while True:
            page = self._ask("GET", request, query=query)
            # The server leaves these two out inside a list; a watch does not.
            named = {"apiVersion": request.kind.api_version, "kind": request.kind.name}
            items.extend(trim({**named, **item}) for item in page.pop("items", None) or ())
            metadata = page.get("metadata", {})
            if not metadata.get("continue"):
                return Listing(tuple(items), str(metadata.get("resourceVersion", "")))
            query = {**query, "continue": metadata["continue"]}

    def _ask(
        self,
        method: str,
        request: Request,
        body: object = None,
        *,
        content: str = _JSON,
        query: Mapping[str, str] | None = None,
        path_name: str | None = None,
        repeatable: bool = True,
    ) -> Object:
        name = request.name if path_name is None else path_name
        address = request.kind.path(request.namespace, name) + (f"?{urlencode(query)}" if query else "")
        sent = None if body is None else json.dumps(body).encode("utf-8", "surrogatepass")
        answer = self._answer(method, address, content, sent, request, repeatable=repeatable)
        try:
            found = json.loads(answer.body)
        except ValueError as error:
            raise ClusterUnavailable(f"The answer to {request} is no JSON: is this an API server?") from error
        if not isinstance(found, dict):
            raise ClusterUnavailable(f"The answer to {request} is no object: is this an API server?")
        return found

    def _answer(
        self, method: str, address: str, content: str, body: bytes | None, request: Request, *, repeatable: bool
    ) -> Answer:
        headers = {"Accept": _JSON, **({} if body is None else {"Content-Type": content})}
        renewed = False
        attempt = 0
        while True:
            attempt += 1
            asked: float | None = None
            try:
                answer = self._wire.send(method, address, headers=headers, body=body, read=READ_SECONDS)
            except Lost as error:
                problem: Exception = ClusterUnavailable(f"The API server cannot be reached for {request}: {error}.")
                problem.__cause__ = error
                again = repeatable or not error.sent
            else:
                if 200 <= answer.status < 300:  # noqa: PLR2004  success
                    return answer
                problem = failure(answer.status, answer.body, request)
                again = retries.may_repeat(answer.status, repeatable=repeatable) and not isinstance(
                    problem, AdmissionRefused
                )
                asked = retry_after(answer.headers, answer.body)
                if answer.status == _UNAUTHENTICATED and not renewed:
                    self._wire.renew()
                    renewed = True
                    continue
            pause = retries.pause(attempt, asked, self._jitter()) if again else None
            if pause is None:
                raise problem
            _log.info("%s; trying again in %.1f s.", problem, pause)
            self._wait(pause)


def _writing(manager: str, *, dry_run: bool) -> dict[str, str]:
    return {"fieldManager": manager, **({"dryRun": "All"} if dry_run else {})}


def _lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        yield from (line for line in lines if line.strip())


def _event(line: bytes, request: Request) -> WatchEvent:
    try:
        read: Any = json.loads(line)
        type_, found = str(read["type"]), dict(read["object"])
    except (ValueError, TypeError, KeyError) as error:
        raise ClusterUnavailable(f"What came as an event of {request} is none.") from error
    if type_ == "ERROR":
        raise watch_failure(found, request)
    return WatchEvent(type_, found)
