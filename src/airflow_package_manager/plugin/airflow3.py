"""The application inside Airflow 3's api-server, mounted by FastAPI."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from airflow_package_manager.plugin import auth, config
from airflow_package_manager.plugin.server import Server
from airflow_package_manager.web.fastapi_app import create_app


def create() -> FastAPI:
    """Return the sub-application; raises only when the installation itself is incomplete."""
    server = Server()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        """Watch while the worker serves; the only coroutine here, because ASGI has no other hook."""
        del app
        server.start()
        try:
            yield
        finally:
            server.stop()

    return create_app(api=server.api, authenticate=auth.principal, base_url=config.read().base_url, lifespan=lifespan)
