"""The application inside Airflow 2's webserver, as a blueprint of Flask.

Airflow makes it in gunicorn's first process, which forks: whatever serves begins its watch at its first request.
"""

from __future__ import annotations

import atexit
import os
import threading

from flask import Blueprint

from airflow_package_manager.plugin import URL_PREFIX, airflow2_auth, config
from airflow_package_manager.plugin.server import Server
from airflow_package_manager.web.flask_blueprint import create_blueprint


def create() -> Blueprint:
    """Return the blueprint; raises only when the installation itself is incomplete."""
    server = Server(airflow2_auth.csrf)
    blueprint = create_blueprint(
        api=server.api,
        authenticate=airflow2_auth.caller,
        url_prefix=URL_PREFIX,
        base_url=config.read().base_url,
    )
    blueprint.before_app_request(Begin(server))  # Airflow's own requests too: an orphan waits for nobody to look at us
    return blueprint


class Begin:
    """Starts the watch in each process that answers a request, once; its end gives leases up."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._guard = threading.Lock()
        self._begun_in: int | None = None

    def __call__(self) -> None:
        """Let every request pass."""
        if self._begun_in == os.getpid():
            return
        with self._guard:
            if self._begun_in != os.getpid():
                self._server.start()
                atexit.register(self._server.stop)
                self._begun_in = os.getpid()
