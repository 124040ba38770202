"""The application inside Airflow 3's api-server: built in the worker that serves it, on first need.

Nothing is opened while the plugin is mounted: gunicorn may fork afterwards, and no wrong setting of ours may keep
Airflow from starting. Each worker has one daemon thread that makes the tables and watches for orphaned operations.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from airflow_package_manager import __version__, wiring
from airflow_package_manager.plugin import auth, config
from airflow_package_manager.plugin.application import build
from airflow_package_manager.web.fastapi_app import create_app
from airflow_package_manager.web.handlers import Api, SessionFacts

RETRY_SECONDS = 10.0
STOP_SECONDS = 5.0
"""How long a stopping worker waits for its driver to give up its lease."""

log = logging.getLogger(__name__)


def create() -> FastAPI:
    """Return the sub-application; raises only when the installation itself is incomplete."""
    server = Server()
    return create_app(
        api=server.api, authenticate=auth.principal, base_url=config.read().base_url, lifespan=server.lifespan
    )


class Server:
    """One worker of the api-server."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._application: wiring.Application | None = None
        self._stop = threading.Event()

    def application(self) -> wiring.Application:
        """Return the house, built once; a failure is raised to whoever asks, and tried again for the next."""
        with self._guard:
            if self._application is None:
                self._application = build()
            return self._application

    def api(self) -> Api:
        """Return what the endpoints work with."""
        found = self.application()
        return Api(
            manager=found.manager,
            facts=lambda: session_facts(found),
            clock=time.time,
            planning_deadline=found.planning_deadline,
        )

    @asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        """Watch while the worker serves; the only coroutine here, because ASGI has no other hook."""
        del app
        self._stop.clear()
        thread = threading.Thread(target=self._watch, name="package-manager-watch", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            with self._guard:
                found = self._application
            if found is not None:
                found.close(STOP_SECONDS)
            thread.join(STOP_SECONDS)

    def _watch(self) -> None:
        while not self._stop.is_set():
            try:
                self.application().driver.watch(self._stop)
            except Exception:
                log.exception("The package manager's watch ended; it begins again in %.0f s", RETRY_SECONDS)
                self._stop.wait(RETRY_SECONDS)


def session_facts(application: wiring.Application) -> SessionFacts:
    """Return what the page needs to know of this installation."""
    image = application.installed.image()
    return SessionFacts(
        airflow_version=config.read().version,
        plugin_version=__version__,
        token_lifetime=application.settings.token_lifetime,
        target=application.target_name,
        place=application.place,
        components=application.component_names(),
        python=image.python_version,
        platform=image.platform,
    )
