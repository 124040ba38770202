"""Flask's side of the door: one rule for everything, so that nothing can be reached without being authenticated.

Translation only: `dispatch` decides. What Flask's other guards refuse before our view is reached (the CSRF protection
that Airflow puts in front of every view, a body over Flask's own limit) is judged by the same steps in the same order,
so that a refusal is the same bytes whoever made it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from flask import Blueprint, Response, redirect, request
from flask.blueprints import BlueprintSetupState
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import ClientDisconnected, HTTPException, RequestEntityTooLarge
from werkzeug.routing import BaseConverter
from werkzeug.wrappers import Response as Redirect

from airflow_package_manager.domain.access import Principal
from airflow_package_manager.errors import CsrfFailed
from airflow_package_manager.refusals import Malformed
from airflow_package_manager.web import body, dispatch, pages
from airflow_package_manager.web.dispatch import Admitted, Dispatcher, Head
from airflow_package_manager.web.handlers import Api

NAME = "package_manager"
_CONVERTER = "package_manager_rest"
_BAD_REQUEST, _TOO_LARGE, _SERVER_ERROR = 400, 413, 500


@dataclass(frozen=True)
class Caller:
    """Whom the server found behind a request."""

    principal: Principal
    by_header: bool
    """The header `Authorization` named the caller, no cookie did."""


Authenticate = Callable[[], Caller]
"""Reads Flask's request; raises `NotAuthenticated`, or an `HTTPException` as Flask's own guards do."""


def create_blueprint(
    *,
    api: Callable[[], Api],
    authenticate: Authenticate,
    url_prefix: str,
    base_url: str | None = None,
    static: Path = pages.DIRECTORY,
) -> Blueprint:
    """Return the API and the page below `url_prefix`; `api` is asked at each request, `base_url` is Airflow's address.

    Raises `FileNotFoundError` when the page's files are missing.
    """
    dispatcher = Dispatcher(api=api, files=pages.load(static), base_url=base_url)

    def respond(then: Callable[[Admitted], dispatch.Response]) -> Response:
        head, principal = _head(), None
        try:
            if head.method not in dispatch.METHODS:
                raise dispatch.offered_nowhere()  # noqa: TRY301  answered like everything else
            caller = authenticate()
            principal = caller.principal
            return _send(then(dispatcher.admit(head, principal, by_header=caller.by_header)))
        except Exception as error:  # noqa: BLE001  the border: `refuse` logs what nobody expected
            return _send(dispatcher.refuse(head, principal, _translated(error)))

    def everything(path: str) -> Response:
        del path  # `_head` reads it
        return respond(lambda admitted: dispatcher.answer(admitted, _bounded(admitted.body_limit)))

    def refused(error: HTTPException) -> Response:
        """Answer what was raised before `everything` was reached."""

        def refuse(admitted: Admitted) -> NoReturn:
            raise _guard(error, admitted.body_limit)

        return respond(refuse)

    def slash() -> Redirect:
        return redirect(f"{request.script_root}{url_prefix}/", 308)

    blueprint = Blueprint(NAME, __name__, url_prefix=url_prefix)
    blueprint.add_url_rule("", view_func=slash)
    blueprint.record_once(lambda state: _route(state, everything))
    for kind in (_BAD_REQUEST, _TOO_LARGE, HTTPException):  # one for a status goes before one for all
        blueprint.register_error_handler(kind, refused)
    return blueprint


class _Rest(BaseConverter):
    """Any rest of an address, an empty one and one that begins with a slash included."""

    regex = ".*"
    part_isolating = False


def _route(state: BlueprintSetupState, view: Callable[[str], Response]) -> None:
    """Send every method and every address below the prefix to `view`; `add_url_rule` knows listed methods only."""
    app, endpoint = state.app, f"{state.name}.{view.__name__}"
    app.url_map.converters[_CONVERTER] = _Rest
    rule = app.url_rule_class(f"{state.url_prefix}/<{_CONVERTER}:path>", endpoint=endpoint, merge_slashes=False)
    rule.provide_automatic_options = False  # type: ignore[attr-defined]  # Flask's own mark
    app.url_map.add(rule)
    app.view_functions[endpoint] = view


def _bounded(limit: int) -> bytes:
    """Read at most `limit` bytes; with 0 nothing is read.

    A server that ends the body itself, as gunicorn does, is read past werkzeug: under a limit that is no whole number,
    and Airflow sets one, werkzeug asks it for a fraction of a byte.
    """
    if not limit:
        return b""
    ended = request.environ.get("wsgi.input_terminated", False)
    stream = request.environ["wsgi.input"] if ended else request.stream
    try:
        found: bytes = stream.read(limit + 1)
    except (ClientDisconnected, OSError):
        raise body.cut_off() from None
    if len(found) > limit:
        raise body.too_large(limit)
    return found


def _guard(error: HTTPException, limit: int) -> Exception:
    """Return the refusal of one of Flask's guards as ours."""
    if isinstance(error, CSRFError):
        return CsrfFailed(
            f"Airflow's own protection refuses the request: {error.description}",
            next_action="Reload the page. Programs GET …/api/v1/session first, keep its cookie, and send the token"
            " that stands there under csrf in the header that it names; over https with the header Referer.",
        )
    if isinstance(error, RequestEntityTooLarge):
        return body.too_large(limit)
    if (error.code or _SERVER_ERROR) < _SERVER_ERROR:
        return Malformed(f"The server cannot read the request: {error.description}", field="request")
    return error


def _translated(error: Exception) -> Exception:
    """Return the refusal of whoever authenticates as ours."""
    if isinstance(error, HTTPException) and (error.code or _SERVER_ERROR) < _SERVER_ERROR:
        return dispatch.nobody()
    return error


def _head() -> Head:
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        key = name.lower()
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    return Head(
        method=request.method,
        path=(request.view_args or {}).get("path", ""),
        query=request.query_string.decode("latin-1"),
        headers=headers,
        address=request.remote_addr,
        scheme=request.scheme,
    )


def _send(found: dispatch.Response) -> Response:
    return Response(found.content, found.status, dict(found.headers), content_type=found.media_type)
