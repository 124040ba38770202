"""One worker of Airflow's web server, whichever framework it has: what the endpoints work with, and its watch.

Nothing is opened while the plugin is mounted: gunicorn may fork afterwards, and no wrong setting of ours may keep
Airflow from starting. Each worker has one daemon thread that makes the tables and watches for orphaned operations.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from airflow_package_manager import __version__, wiring
from airflow_package_manager.plugin import config
from airflow_package_manager.plugin.application import build
from airflow_package_manager.web.handlers import Api, SessionFacts
from airflow_package_manager.web.schemas import Csrf

RETRY_SECONDS = 10.0
STOP_SECONDS = 5.0
"""How long a stopping worker waits for its driver to give up its lease."""

log = logging.getLogger(__name__)


class Server:
    """One worker."""

    def __init__(self, csrf: Callable[[], Csrf | None] = lambda: None) -> None:
        """Take what gives the token that Airflow itself wants with a change, where it wants one."""
        self._csrf = csrf
        self._guard = threading.Lock()
        self._application: wiring.Application | None = None
        self._watching: threading.Thread | None = None
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
            csrf=self._csrf,
        )

    def start(self) -> None:
        """Watch from now on."""
        self._stop.clear()
        self._watching = threading.Thread(target=self._watch, name="package-manager-watch", daemon=True)
        self._watching.start()

    def stop(self) -> None:
        """End the watch and give leases up; harmless where nothing was started."""
        self._stop.set()
        with self._guard:
            found = self._application
        if found is not None:
            found.close(STOP_SECONDS)
        if self._watching is not None:
            self._watching.join(STOP_SECONDS)

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
