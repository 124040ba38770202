"""A real Airflow 2 on this machine: Flask-AppBuilder's users and roles, its APIs by basic auth."""

from __future__ import annotations

import base64
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.cookies import SimpleCookie
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlencode

from testenv import fab_users
from testenv.airflow_home import API, Airflow, Reply, free_port, make, migrate, roles_of

_BACKENDS = "airflow.providers.fab.auth_manager.api.auth.backend.basic_auth,airflow.api.auth.backend.session"
_PATIENCE = 60
"""Seconds for a log-in."""


@dataclass
class Airflow2(Airflow):
    """One running Airflow 2."""

    web_server = "webserver"
    components: ClassVar[tuple[str, ...]] = ("webserver", "scheduler", "triggerer")
    rest = "/api/v1"
    new_run: ClassVar[Mapping[str, object]] = {}
    health: ClassVar[tuple[str, tuple[str, ...]]] = ("/health", ("metadatabase", "scheduler", "triggerer"))
    sessions: dict[str, dict[str, str]] = field(default_factory=dict)
    """Credentials → headers of the session that our API gave, with its CSRF token."""
    browsers: dict[str, str] = field(default_factory=dict)
    """User → cookie of a log-in."""

    def forget(self, user: str) -> None:
        """Forget the sessions of a user who is no more."""
        self.sessions.pop(self.token(user), None)
        self.browsers.pop(user, None)

    def token(self, user: str) -> str:
        """Return a user's credentials for basic auth."""
        return base64.b64encode(f"{user}:{self.passwords[user]}".encode()).decode()

    def authorization(self, token: str) -> str:
        """Return the header of basic auth."""
        return f"Basic {token}"

    def changing(self, token: str) -> dict[str, str]:
        """Fetch a session as a script does, once; who may not read gets none, and is refused without it too."""
        marker = {**super().changing(token), **self._referrer()}
        if token not in self.sessions:
            reply = self.exchange("GET", f"{API}session", None, {"Authorization": self.authorization(token)})
            if reply.status != HTTPStatus.OK:
                return marker
            csrf = reply.json()["csrf"]
            self.sessions[token] = {"Cookie": cookies(reply), csrf["header"]: csrf["token"]}
        return {**marker, **self.sessions[token]}

    def cookie(self, user: str) -> str:
        """Log in as a browser does, by Airflow's form, once; return the cookie."""
        if user not in self.browsers:
            self.browsers[user] = self._log_in(user, time.monotonic() + _PATIENCE)
        return self.browsers[user]

    def _referrer(self) -> dict[str, str]:
        """Return the header that says where a request comes from: over https Flask's protection wants it."""
        return {"Referer": f"{self.url}/"} if self.public else {}

    def _log_in(self, user: str, end: float) -> str:
        form = self.exchange("GET", "/login/", None, {})
        token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', form.content.decode())
        if token is None:
            raise RuntimeError(f"the log-in page has no form: {form.content[:500]!r}")
        fields = {"csrf_token": token[1], "username": user, "password": self.passwords[user]}
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        headers = {"Cookie": cookies(form), **kind, **self._referrer()}
        done = self.exchange("POST", "/login/", urlencode(fields).encode(), headers)
        if done.status == HTTPStatus.TOO_MANY_REQUESTS and time.monotonic() < end:
            time.sleep(5)  # Airflow takes five in forty seconds
            return self._log_in(user, end)
        if done.status != HTTPStatus.FOUND:
            raise RuntimeError(f"log-in of {user} was answered {done.status}: {done.content[:500]!r}")
        return cookies(done)


def cookies(reply: Reply) -> str:
    """Return the cookies that an answer sets, as a request sends them."""
    jar: SimpleCookie = SimpleCookie()
    for header in reply.headers.get_all("Set-Cookie", []):
        jar.load(header)
    return "; ".join(f"{name}={morsel.value}" for name, morsel in jar.items())


def dag(text: str) -> str:
    """Return a DAG file that may be written for Airflow 3, as Airflow 2 can import it."""
    return text.replace("from airflow.sdk import", "from airflow.decorators import")


def variables(address: str, port: int) -> dict[str, str]:
    """Return the environment of an Airflow 2 whose webserver has this address and port on loopback."""
    return {
        "AIRFLOW__SCHEDULER__DAG_DIR_LIST_INTERVAL": "5",
        "AIRFLOW__WEBSERVER__BASE_URL": address,
        "AIRFLOW__WEBSERVER__WEB_SERVER_HOST": "127.0.0.1",
        "AIRFLOW__WEBSERVER__WEB_SERVER_PORT": str(port),
        "AIRFLOW__WEBSERVER__WORKERS": "2",
        "AIRFLOW__API__AUTH_BACKENDS": _BACKENDS,
    }


def prepare(
    home: Path,
    python: Path,
    *,
    dags: Mapping[str, str],
    users: tuple[str, ...] = ("admin", "viewer"),
    settings: Mapping[str, str] | None = None,
) -> Airflow2:
    """Make an Airflow 2 home: DAG files, a migrated SQLite database, roles and users; nothing is started.

    A user is a name that is its role too, or ``name:role``. DAGs may be written for Airflow 3.
    """
    port = free_port()
    roles = roles_of(users)
    passwords = {name: secrets.token_urlsafe(9) for name in roles}
    environment = make(home, python, {name: dag(text) for name, text in dags.items()})
    environment |= {**variables(f"http://127.0.0.1:{port}", port), **(settings or {})}
    airflow = Airflow2(home, python, port, passwords, environment, log=home / "standalone.log")
    migrate(airflow)
    fab_users.add(airflow, roles)
    return airflow
