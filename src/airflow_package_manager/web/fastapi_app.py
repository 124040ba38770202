"""FastAPI's side of the door: one route for everything, so that nothing can be reached without being authenticated.

Translation only: `dispatch` decides. Work runs in FastAPI's thread pool; the one coroutine is the bounded read of the
body, which ASGI offers no other way to do.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import ClientDisconnect

from airflow_package_manager.domain.access import Principal
from airflow_package_manager.errors import PackageManagerError
from airflow_package_manager.web import body, dispatch, forgery, pages
from airflow_package_manager.web.dispatch import Admitted, Dispatcher, Head
from airflow_package_manager.web.handlers import Api

_SERVER_ERROR = 500

Authenticate = Callable[..., Principal]
"""A FastAPI dependency; raises `NotAuthenticated`, or an `HTTPException` as Airflow's own does."""
Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def create_app(
    *,
    api: Callable[[], Api],
    authenticate: Authenticate,
    base_url: str | None = None,
    static: Path = pages.DIRECTORY,
    lifespan: Lifespan | None = None,
) -> FastAPI:
    """Return the application; `api` is asked at each request, `base_url` is Airflow's own address where configured.

    Raises `FileNotFoundError` when the page's files are missing.
    """
    dispatcher = Dispatcher(api=api, files=pages.load(static), base_url=base_url)
    app = FastAPI(
        title="Airflow Package Manager",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )

    def admit(request: Request, principal: Principal = Depends(authenticate)) -> Admitted:  # noqa: B008
        request.state.package_manager_principal = principal
        head = _head(request)
        return dispatcher.admit(head, principal, by_header=_named_by_header(request, head))

    async def read(request: Request, admitted: Admitted = Depends(admit)) -> bytes:  # noqa: B008
        return await _bounded(request, admitted.body_limit)

    def everything(
        request: Request,
        admitted: Admitted = Depends(admit),  # noqa: B008
        raw: bytes = Depends(read),
    ) -> Response:
        try:
            return _send(request, dispatcher.answer(admitted, raw))
        except Exception as error:  # noqa: BLE001  the border: `refuse` logs what nobody expected
            return _send(request, dispatcher.refuse(admitted.head, admitted.principal, error))

    def refuse(request: Request, error: Exception) -> Response:
        principal = getattr(request.state, "package_manager_principal", None)
        return _send(request, dispatcher.refuse(_head(request), principal, _translated(error)))

    app.add_api_route(
        "/{path:path}", everything, methods=list(dispatch.METHODS), response_class=Response, include_in_schema=False
    )
    for kind in (PackageManagerError, StarletteHTTPException, Exception):
        app.add_exception_handler(kind, refuse)
    return app


def _named_by_header(request: Request, head: Head) -> bool:
    """Tell whether the header alone named the caller.

    Where a middleware has found a user by its cookie, Airflow 3.1 and 3.2 never look at the header.
    """
    return forgery.is_bearer(head.headers) and getattr(request.state, "user", None) is None


async def _bounded(request: Request, limit: int) -> bytes:
    """Read at most `limit` bytes; with 0 nothing is read."""
    found = bytearray()
    try:
        if limit:
            async for chunk in request.stream():
                found += chunk
                if len(found) > limit:
                    raise body.too_large(limit)
    except ClientDisconnect:
        raise body.cut_off() from None
    return bytes(found)


def _translated(error: Exception) -> Exception:
    """Return Airflow's and Starlette's own refusals as ours."""
    if not isinstance(error, StarletteHTTPException | HTTPException) or error.status_code >= _SERVER_ERROR:
        return error
    if error.status_code == 405:  # noqa: PLR2004
        return dispatch.offered_nowhere()
    return dispatch.nobody()


def _head(request: Request) -> Head:
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Head(
        method=request.method,
        path=request.path_params.get("path", ""),
        query=request.scope.get("query_string", b"").decode("latin-1"),
        headers=headers,
        address=request.client.host if request.client else None,
        scheme=request.url.scheme,
    )


def _send(request: Request, found: dispatch.Response) -> Response:
    headers = dict(found.headers)
    content = found.content
    if request.method == "HEAD":
        headers["Content-Length"] = str(len(content))
        content = b""
    return Response(content, found.status, headers, found.media_type)
