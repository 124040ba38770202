"""One request, whatever the framework: the head is judged first, then the body is read, then the endpoint answers.

An adapter authenticates and calls `admit`, reads at most `Admitted.body_limit` bytes, and calls `answer`; whatever is
raised on the way it hands to `refuse`. Nothing is reachable around these three.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from pydantic import ValidationError

from airflow_package_manager.domain.access import Permission, Principal
from airflow_package_manager.errors import NotAuthenticated, PackageManagerError
from airflow_package_manager.refusals import Malformed, MethodNotAllowed, NotFound
from airflow_package_manager.web import body as bodies
from airflow_package_manager.web import endpoints, pages, problems, requests
from airflow_package_manager.web.endpoint import PREFIX, Endpoint
from airflow_package_manager.web.forgery import SAFE_METHODS, require_own_origin
from airflow_package_manager.web.handlers import Api, Call
from airflow_package_manager.web.refusal_record import RefusalRecord

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
"""Those that are answered by address; any other one is offered nowhere."""
_READ_METHODS = ("GET", "HEAD")
_MAXIMUM_FIELDS = 20
"""Of a query."""

log = logging.getLogger("airflow_package_manager.web")


@dataclass(frozen=True)
class Head:
    """A request without its body."""

    method: str
    path: str
    """Percent-decoded, below the address where the plugin is mounted, without a leading slash."""
    query: str
    """As sent, without the question mark."""
    headers: Mapping[str, str]
    """Lower-case names; a repeated header's values are joined by ``, ``."""
    address: str | None
    """Client IP as the server's trusted-proxy handling says."""
    scheme: str
    """http or https, in the same way."""


@dataclass(frozen=True)
class Response:
    """What an adapter sends."""

    status: int
    content: bytes
    media_type: str
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Admitted:
    """A head that may go on: either an endpoint or a file of the page."""

    head: Head
    principal: Principal
    endpoint: Endpoint | None = None
    path_values: Mapping[str, str] = field(default_factory=dict)
    file: pages.File | None = None

    @property
    def body_limit(self) -> int:
        """Return how many bytes may be read; 0: none are."""
        return self.endpoint.body_limit if self.endpoint and self.endpoint.request else 0


class Dispatcher:
    """The API and the page behind one door."""

    def __init__(self, *, api: Callable[[], Api], files: Mapping[str, pages.File], base_url: str | None) -> None:
        """Take what answers (asked for at each request, so that a broken setting is an answer and no crash)."""
        self._api = api
        self._files = files
        self._base_url = base_url
        self._record = RefusalRecord()

    def admit(self, head: Head, principal: Principal, *, by_header: bool) -> Admitted:
        """Judge the head; raises `NotFound`, `MethodNotAllowed`, `Forbidden`, what forgery and body raise.

        `by_header`: the header `Authorization` alone named the caller, so that no cookie of a browser did.
        """
        if not head.path.startswith(PREFIX):
            return Admitted(head, principal, file=self._file(head, principal))
        rows, values = endpoints.match(head.path.removeprefix(PREFIX))
        wanted = "GET" if head.method == "HEAD" else head.method
        found = next((row for row in rows if row.method == wanted), None)
        if found is None:
            raise _not_allowed(head, [row.method for row in rows])
        principal.require(found.permission)
        if found.method not in SAFE_METHODS:
            require_own_origin(head.headers, self._base_url, by_header=by_header, scheme=head.scheme)
        if found.request is not None:
            bodies.require_json(head.headers, found.body_limit)
        return Admitted(head, principal, found, values)

    def answer(self, admitted: Admitted, raw: bytes) -> Response:
        """Do what was asked; raises members of `errors` and `refusals`."""
        head, endpoint = admitted.head, admitted.endpoint
        if endpoint is None:
            return _file_response(head, admitted.file)
        call = Call(admitted.path_values, _query(endpoint, head.query), _body(endpoint, raw))
        found = endpoint.handler(self._api(), admitted.principal, call)
        content = problems.without_markup(found.to_json().encode())
        return Response(endpoint.status, content, "application/json", pages.HEADERS)

    def refuse(self, head: Head, principal: Principal | None, error: Exception) -> Response:
        """Return the answer to whatever was raised, record a refusal, and log what nobody expected."""
        correlation_id = None
        if not isinstance(error, PackageManagerError) or error.code == PackageManagerError.code:
            correlation_id = secrets.token_hex(8)
            log.error("Unexpected error %s while answering %s", correlation_id, _what(head), exc_info=error)
            error = PackageManagerError(
                "The server met an unexpected error; its trace is in the server's log.",
                next_action=f"Look for {correlation_id} in the server's log, and report it with the trace found there.",
                correlation_id=correlation_id,
            )
        elif self._record.wants(error, principal, head.method, head.address, _what(head)):
            self._write_down(head, principal, error)
        status = problems.STATUS_BY_CODE[error.code]
        headers = {**pages.HEADERS, **problems.headers(error)}
        if head.path == "" and head.method in _READ_METHODS:
            return Response(status, pages.refusal(error, correlation_id), "text/html; charset=utf-8", headers)
        return Response(status, problems.to_json(problems.problem(error)), problems.MEDIA_TYPE, headers)

    def _write_down(self, head: Head, principal: Principal | None, error: PackageManagerError) -> None:
        identity = principal.identity if principal else None
        try:
            self._api().manager.record_refusal(identity, head.address, error, _what(head))
        except Exception:
            # The refusal stands whether or not it could be recorded; that it could not be is for the log.
            log.exception("A refusal (%s, %s) could not be recorded", error.code, _what(head))

    def _file(self, head: Head, principal: Principal) -> pages.File:
        name = pages.INDEX if head.path == "" else head.path.removeprefix(pages.STATIC)
        found = self._files.get(name) if head.path == "" or head.path.startswith(pages.STATIC) else None
        if found is None:
            raise NotFound("There is nothing at this address.")
        if head.method not in _READ_METHODS:
            raise _not_allowed(head, ["GET"])
        if head.path == "":
            # The page is for those who may look. Its files hold nothing of anybody: the menu's icon is among them,
            # and Airflow shows the menu to every user.
            principal.require(Permission.READ)
        return found


def nobody() -> NotAuthenticated:
    """Return the refusal of a request whose caller Airflow does not know."""
    return NotAuthenticated("Nobody is logged in here, or the session or token has ended.")


def offered_nowhere() -> MethodNotAllowed:
    """Return the refusal of a method that is not among `METHODS`; it needs no caller."""
    return MethodNotAllowed("This method is offered nowhere here.", allowed=["GET", "HEAD", "POST"])


def _file_response(head: Head, file: pages.File | None) -> Response:
    if file is None:
        raise NotFound("There is nothing at this address.")
    if head.path == "":
        return Response(200, file.content, file.media_type, pages.HEADERS)
    headers = {**pages.HEADERS, "Cache-Control": pages.REVALIDATED, "ETag": file.etag}
    known = [tag.strip().removeprefix("W/") for tag in head.headers.get("if-none-match", "").split(",")]
    if file.etag in known:
        return Response(304, b"", file.media_type, headers)
    return Response(200, file.content, file.media_type, headers)


def _query(endpoint: Endpoint, raw: str) -> requests.Query:
    try:
        pairs = parse_qsl(raw, keep_blank_values=True, errors="strict", max_num_fields=_MAXIMUM_FIELDS)
    except ValueError:
        raise Malformed("The query cannot be read: it is not UTF-8, or has too many fields.", field="query") from None
    values: dict[str, str] = {}
    for name, value in pairs:
        if name in values:
            raise Malformed(f"{problems.printable(name)} stands twice in the query.", field=problems.printable(name))
        values[name] = value
    try:
        return endpoint.query.model_validate(values)
    except ValidationError as error:
        raise problems.malformed(error) from None


def _body(endpoint: Endpoint, raw: bytes) -> requests.Request | None:
    if endpoint.request is None:
        return None
    values = bodies.parse(raw, endpoint.body_limit)
    if len(raw) > bodies.MAXIMUM_BYTES and "requirements" not in values:
        raise bodies.too_large(bodies.MAXIMUM_BYTES)
    try:
        return endpoint.request.model_validate(values)
    except ValidationError as error:
        raise problems.malformed(error) from None


def _not_allowed(head: Head, methods: list[str]) -> MethodNotAllowed:
    allowed = [*methods, "HEAD"] if "GET" in methods else methods
    return MethodNotAllowed(
        f"{problems.printable(head.method)} is not offered here; these are: {', '.join(allowed)}.", allowed=allowed
    )


def _what(head: Head) -> str:
    """Return what was asked in words that complete "Refused to …"; no query, no unknown address."""
    if not head.path.startswith(PREFIX):
        return "open the page" if head.path == "" else "open a file of the page"
    try:
        rows, _ = endpoints.match(head.path.removeprefix(PREFIX))
    except NotFound:
        return "call an unknown address"
    return f"call {problems.printable(head.method)} {rows[0].path}"
