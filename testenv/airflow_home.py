"""A real Airflow on this machine: a fresh home, users, DAGs, and the supervised components on loopback."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import secrets
import signal
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import Any, ClassVar

from testenv import tls_proxy

START_SECONDS = 240
STOP_SECONDS = 90
API = "/package-manager/api/v1/"


@dataclass(frozen=True)
class Reply:
    """What came back, byte for byte."""

    status: int
    headers: Message
    content: bytes

    def json(self) -> Any:  # noqa: ANN401  that is JSON
        """Return the value; the text itself where it is none."""
        try:
            return json.loads(self.content)
        except ValueError:
            return self.content.decode("utf-8", "replace")


@dataclass
class Airflow:
    """One running Airflow."""

    home: Path
    python: Path
    """Interpreter of its environment: the image."""
    port: int
    passwords: Mapping[str, str]
    """User → password."""
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    """`airflow-package-manager standalone`."""
    log: Path = field(default=Path("standalone.log"))
    public: str | None = None
    """The address that people use, without a slash at the end; by default that of its web server, over http."""
    authority: Path | None = None
    """Certificate of whoever signed the one behind that address."""

    web_server = "api-server"
    components: ClassVar[tuple[str, ...]] = ("api-server", "scheduler", "dag-processor", "triggerer")
    rest = "/api/v2"
    """Where Airflow's own API begins."""
    new_run: ClassVar[Mapping[str, object]] = {"logical_date": None}
    """Body that triggers a DAG."""
    health: ClassVar[tuple[str, tuple[str, ...]]] = (
        "/api/v2/monitor/health",
        ("metadatabase", "scheduler", "dag_processor", "triggerer"),
    )
    """Where Airflow says how it is, and which of its parts."""

    @property
    def url(self) -> str:
        """The address at which it is asked, without a slash at the end."""
        return self.public or f"http://127.0.0.1:{self.port}"

    def command(self, *arguments: str) -> list[str]:
        """Return our command line of this environment as an argv."""
        return [str(self.python.parent / "airflow-package-manager"), *arguments]

    def run(
        self, *command: str, text: str = "", timeout: float = 180, extra: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in this home and return what it said; never raises for its exit status."""
        return subprocess.run(
            command,
            env={**self.environment, **(extra or {})},
            input=text,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def token(self, user: str) -> str:
        """Return what names a user in the header `Authorization`: an access token of Airflow."""
        body = {"username": user, "password": self.passwords[user]}
        status, answer = self.request("POST", "/auth/token", body)
        if status not in {200, 201}:
            raise RuntimeError(f"log-in of {user} was answered {status}: {answer}")
        return str(answer["access_token"])

    def request(
        self, method: str, path: str, body: object = None, token: str | None = None, headers: Mapping[str, str] = {}
    ) -> tuple[int, Any]:
        """Return status and JSON (or text) of one request; raises `OSError` while nobody listens."""
        authorization = {} if token is None else {"Authorization": self.authorization(token)}
        kind = {} if body is None else {"Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        reply = self.exchange(method, path, data, {**kind, **authorization, **headers})
        return reply.status, reply.json()

    def exchange(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Reply:
        """Send one request as it is and return the answer as it is; no redirect is followed."""
        request = urllib.request.Request(self.url + path, data=body, method=method)  # noqa: S310  our own address
        for name, value in headers.items():
            request.add_header(name, value)
        try:
            with _opener(self.authority).open(request, timeout=30) as response:
                return Reply(response.status, response.headers, response.read())
        except urllib.error.HTTPError as error:
            with error:
                if error.headers.get("Server", "").startswith(tls_proxy.NAME):
                    raise ConnectionError("Nobody listens behind the proxy.") from error
                return Reply(error.code, error.headers, error.read())

    def authorization(self, token: str) -> str:
        """Return the header that carries what `token` returned."""
        return f"Bearer {token}"

    def changing(self, token: str) -> dict[str, str]:
        """Return the headers that a program sends with a change, beside its credentials."""
        del token
        return {"X-Package-Manager": "1"}

    def cookie(self, user: str) -> str:
        """Return the cookie that the browser of a logged-in user sends."""
        return f"_token={self.token(user)}"

    def api(self, method: str, path: str, body: object = None, *, token: str) -> tuple[int, Any]:
        """Call our own API, with the headers that changes need."""
        return self.request(method, f"{API}{path}", body, token, {} if method == "GET" else self.changing(token))

    def wait_until_healthy(self, seconds: float = START_SECONDS, parts: tuple[str, ...] = ()) -> None:
        """Wait until every component is healthy in Airflow's own eyes; raises `TimeoutError` with the log's end.

        `parts` are those that run, if not all of them.
        """
        path, names = self.health[0], parts or self.health[1]
        end = time.monotonic() + seconds
        health: Any = None
        while time.monotonic() < end:
            if self.process is not None and self.process.poll() is not None:
                raise RuntimeError(f"standalone ended with {self.process.returncode}:\n{self.log_end()}")
            try:
                _, health = self.request("GET", path)
                if all((health.get(name) or {}).get("status") == "healthy" for name in names):
                    return
            except (OSError, AttributeError) as error:
                health = str(error)
            time.sleep(0.5)
        raise TimeoutError(f"Airflow is not healthy after {seconds} s: {health}\n{self.log_end()}")

    def log_end(self) -> str:
        """Return the end of what the components printed."""
        return self.log.read_text(errors="replace")[-6000:] if self.log.exists() else ""

    def start(self, *command: str) -> None:
        """Start all components, supervised; or a command instead."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command or self.command("standalone", "--port", str(self.port)),
                env=self.environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def stop(self) -> None:
        """Stop everything that was started; what does not go by itself is killed by its process group."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)
            raise
        finally:
            self.process = None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object, **__: object) -> None:
        return None


@functools.cache
def _opener(authority: Path | None) -> urllib.request.OpenerDirector:
    trusted = ssl.create_default_context(cafile=authority)
    return urllib.request.build_opener(_NoRedirect, urllib.request.HTTPSHandler(context=trusted))


def prepare(
    home: Path,
    python: Path,
    *,
    dags: Mapping[str, str],
    users: tuple[str, ...] = ("admin", "viewer"),
    settings: Mapping[str, str] | None = None,
) -> Airflow:
    """Make an Airflow home: users, DAG files, a migrated SQLite database; nothing is started.

    A user is a name that is its role too, or ``name:role``. `settings` are environment variables, ours or Airflow's.
    """
    port = free_port()
    roles = roles_of(users)
    passwords = {name: secrets.token_urlsafe(9) for name in roles}
    environment = make(home, python, dags) | {
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{name}:{role}" for name, role in roles.items()),
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
        **(settings or {}),
    }
    file = home / "simple_auth_manager_passwords.json.generated"
    file.write_text(json.dumps(passwords), encoding="utf-8")
    file.chmod(0o600)
    airflow = Airflow(home, python, port, passwords, environment, log=home / "standalone.log")
    migrate(airflow)
    return airflow


def roles_of(users: tuple[str, ...]) -> dict[str, str]:
    """Return user → role."""
    return {name: role or name for name, _, role in (user.partition(":") for user in users)}


def make(home: Path, python: Path, dags: Mapping[str, str]) -> dict[str, str]:
    """Make the directory with its DAG files; return the environment that every Airflow of the tests has."""
    (home / "dags").mkdir(parents=True, exist_ok=True)
    for name, text in dags.items():
        (home / "dags" / name).write_text(text, encoding="utf-8")
    kept = ("HOME", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR", "TMPDIR", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    return environment | {
        "PATH": f"{python.parent}:/usr/local/bin:/usr/bin:/bin",
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
    }


def migrate(airflow: Airflow) -> None:
    """Make its database, before anything else may touch the home."""
    migrated = airflow.run(str(airflow.python), "-m", "airflow", "db", "migrate")
    if migrated.returncode != 0:
        raise RuntimeError(f"airflow db migrate ended with {migrated.returncode}:\n{migrated.stderr[-4000:]}")


@contextlib.contextmanager
def serving(airflow: Airflow) -> Iterator[Airflow]:
    """Start its web server alone, without a supervisor, wait until it answers, and stop it whatever happens."""
    airflow.start(str(airflow.python), "-m", "airflow", airflow.web_server)
    try:
        airflow.wait_until_healthy(parts=("metadatabase",))
        yield airflow
    finally:
        airflow.stop()


@contextlib.contextmanager
def running(airflow: Airflow) -> Iterator[Airflow]:
    """Start it, wait until it is healthy, and stop it whatever happens."""
    airflow.start()
    try:
        airflow.wait_until_healthy()
        yield airflow
    finally:
        airflow.stop()


def free_port() -> int:
    """Return a port on loopback that nobody used a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
