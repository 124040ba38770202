"""The application inside Airflow 3's api-server, mounted by FastAPI."""

from __future__ import annotations

import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from airflow.api_fastapi.app import get_auth_manager
from fastapi import FastAPI

from airflow_package_manager.plugin import auth, config, fab_permissions, fab_users
from airflow_package_manager.plugin.role_check import name_of
from airflow_package_manager.plugin.server import RETRY_SECONDS, Server
from airflow_package_manager.web.fastapi_app import create_app

log = logging.getLogger(__name__)


def create() -> FastAPI:
    """Return the sub-application; raises only when the installation itself is incomplete."""
    server = Server()
    stopping = threading.Event()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        """Watch while the worker serves; the only coroutine here, because ASGI has no other hook."""
        del app
        server.start()
        if name_of(type(get_auth_manager())) == fab_permissions.AUTH_MANAGER:
            threading.Thread(target=_make_permissions, args=(stopping,), daemon=True).start()
        try:
            yield
        finally:
            stopping.set()
            server.stop()

    return create_app(
        api=server.api,
        authenticate=auth.principal,
        base_url=config.read().base_url,
        lifespan=lifespan,
    )


def _make_permissions(stopping: threading.Event) -> None:
    while not stopping.is_set():
        try:
            fab_users.ensure_permissions()
        except Exception:
            log.exception("The package manager's permissions cannot be made; again in %.0f s", RETRY_SECONDS)
            stopping.wait(RETRY_SECONDS)
        else:
            return
