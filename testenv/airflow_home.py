"""A real Airflow on this machine: a fresh home, users, DAGs, and the supervised components on loopback."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

START_SECONDS = 240
STOP_SECONDS = 90
COMPONENTS = ("api-server", "scheduler", "dag-processor", "triggerer")


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

    @property
    def url(self) -> str:
        """The address of its web server, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

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
        """Return an Airflow access token of a user."""
        body = {"username": user, "password": self.passwords[user]}
        status, answer = self.request("POST", "/auth/token", body)
        if status not in {200, 201}:
            raise RuntimeError(f"log-in of {user} was answered {status}: {answer}")
        return str(answer["access_token"])

    def request(
        self, method: str, path: str, body: object = None, token: str | None = None, headers: Mapping[str, str] = {}
    ) -> tuple[int, Any]:
        """Return status and JSON (or text) of one request; raises `OSError` while nobody listens."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method)  # noqa: S310  our own address
        if data is not None:
            request.add_header("Content-Type", "application/json")
        if token is not None:
            request.add_header("Authorization", f"Bearer {token}")
        for name, value in headers.items():
            request.add_header(name, value)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310  our own address
                status, raw = response.status, response.read()
        except urllib.error.HTTPError as error:
            status, raw = error.code, error.read()
        try:
            return status, json.loads(raw)
        except ValueError:
            return status, raw.decode("utf-8", "replace")

    def api(self, method: str, path: str, body: object = None, *, token: str) -> tuple[int, Any]:
        """Call our own API, with the header that changes need."""
        headers = {"X-Package-Manager": "1"}
        return self.request(method, f"/package-manager/api/v1/{path}", body, token, headers)

    def wait_until_healthy(self, seconds: float = START_SECONDS) -> None:
        """Wait until every component is healthy in Airflow's own eyes; raises `TimeoutError` with the log's end."""
        names = ("metadatabase", "scheduler", "dag_processor", "triggerer")
        end = time.monotonic() + seconds
        health: Any = None
        while time.monotonic() < end:
            if self.process is not None and self.process.poll() is not None:
                raise RuntimeError(f"standalone ended with {self.process.returncode}:\n{self.log_end()}")
            try:
                _, health = self.request("GET", "/api/v2/monitor/health")
                if all((health.get(name) or {}).get("status") == "healthy" for name in names):
                    return
            except (OSError, AttributeError) as error:
                health = str(error)
            time.sleep(0.5)
        raise TimeoutError(f"Airflow is not healthy after {seconds} s: {health}\n{self.log_end()}")

    def log_end(self) -> str:
        """Return the end of what the components printed."""
        return self.log.read_text(errors="replace")[-6000:] if self.log.exists() else ""

    def start(self) -> None:
        """Start all components, supervised."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command("standalone", "--port", str(self.port)),
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
    home.mkdir(parents=True, exist_ok=True)
    (home / "dags").mkdir(exist_ok=True)
    for name, text in dags.items():
        (home / "dags" / name).write_text(text, encoding="utf-8")
    port = free_port()
    roles = {name: role or name for name, _, role in (user.partition(":") for user in users)}
    passwords = {name: secrets.token_urlsafe(9) for name in roles}
    file = home / "simple_auth_manager_passwords.json.generated"
    file.write_text(json.dumps(passwords), encoding="utf-8")
    file.chmod(0o600)
    kept = ("HOME", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR", "TMPDIR", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    environment |= {
        "PATH": f"{python.parent}:/usr/local/bin:/usr/bin:/bin",
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{name}:{role}" for name, role in roles.items()),
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "5",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
        **(settings or {}),
    }
    airflow = Airflow(home, python, port, passwords, environment, log=home / "standalone.log")
    migrated = airflow.run(str(python), "-m", "airflow", "db", "migrate")
    if migrated.returncode != 0:
        raise RuntimeError(f"airflow db migrate ended with {migrated.returncode}:\n{migrated.stderr[-4000:]}")
    return airflow


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
