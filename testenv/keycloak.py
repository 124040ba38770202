"""A private Keycloak for tests: its database in a temporary directory, a free port on loopback, its admin REST API.

`with server() as keycloak: keycloak.make_realm(...)`. It is stopped by its process id, and nothing of it survives.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from testenv import keycloak_program
from testenv.airflow_home import free_port

REALM, CLIENT = "airflow", "airflow"
ROLES = ("Admin", "Op", "User", "Viewer", "SuperAdmin")
"""Those to which Airflow's provider gives permissions; it makes none."""
SECONDS_TO_START = 180.0
SECONDS_TO_STOP = 60.0


@dataclass
class Keycloak:
    """One server, and what its administrator does."""

    program: Path
    directory: Path
    port: int
    user: str = "keeper"
    password: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    client_secret: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it answers; raises `RuntimeError` with what it said."""
        # The script runs Java as its child: both hear of it when we die, and are one group.
        command = ["setpriv", "--pdeathsig", "TERM", "--", "sh", str(self.program / "bin" / "kc.sh")]
        command += ["start", "--optimized", "--http-enabled=true", "--http-host=127.0.0.1"]
        # Its usual cache would look for others of its kind, and listen on the network.
        command += [f"--http-port={self.port}", f"--hostname={self.url}", "--cache=local"]
        environment = {name: os.environ[name] for name in ("HOME", "PATH", "LANG", "JAVA_HOME") if name in os.environ}
        environment |= {
            "KC_BOOTSTRAP_ADMIN_USERNAME": self.user,
            "KC_BOOTSTRAP_ADMIN_PASSWORD": self.password,
            # Its own address of the file would open a port for other processes, on every interface.
            "KC_DB_URL": f"jdbc:h2:file:{self.directory / 'keycloak'};NON_KEYWORDS=VALUE",
            "JAVA_OPTS_APPEND": f"-Djava.io.tmpdir={self.directory}",
        }
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        end = time.monotonic() + SECONDS_TO_START
        while time.monotonic() < end and self.process.poll() is None:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/realms/master", timeout=10):  # noqa: S310
                return
            time.sleep(0.3)
        raise RuntimeError(f"Keycloak does not start:\n{self._log.read_text(errors='replace')[-4000:]}")

    def stop(self) -> None:
        """Stop it; what does not go by itself is killed by its process group."""
        if self.process is None:
            return
        process, self.process = self.process, None
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)
            raise

    def make_realm(self, airflow: str) -> None:
        """Make the realm, its roles and the client of an Airflow at this address, as Airflow's documentation says.

        One that is there goes first.
        """
        if REALM in {realm["realm"] for realm in self.admin("GET", "")}:
            self.admin("DELETE", f"/{REALM}")
        client = {
            "clientId": CLIENT,
            "secret": self.client_secret,
            "publicClient": False,
            "directAccessGrantsEnabled": True,
            "serviceAccountsEnabled": True,
            "authorizationServicesEnabled": True,
            # Each permission is enough by itself: of those that Airflow's command makes, two are about looking.
            "authorizationSettings": {"decisionStrategy": "AFFIRMATIVE"},
            "rootUrl": airflow,
            "redirectUris": [f"{airflow}/*"],
            "webOrigins": [airflow],
            "attributes": {"post.logout.redirect.uris": f"{airflow}/*"},
        }
        roles = {"realm": [{"name": name} for name in ROLES]}
        self.admin("POST", "", {"realm": REALM, "enabled": True, "roles": roles, "clients": [client]})

    def add_user(self, name: str, password: str, *roles: str) -> str:
        """Add a user and return its id."""
        who = {"username": name, "firstName": name, "lastName": "Test", "email": f"{name}@example.com", "enabled": True}
        with_password = {"credentials": [{"type": "password", "value": password, "temporary": False}]}
        self.realm("POST", "users", {**who, **with_password})
        identifier = self.user_id(name)
        self.change_roles(identifier, "POST", *roles)
        return identifier

    def user_id(self, name: str) -> str:
        """Return the id of a user; raises `ValueError` when there is none of that name."""
        (found,) = self.realm("GET", f"users?exact=true&username={urllib.parse.quote(name)}")
        return str(found["id"])

    def change_roles(self, user: str, method: str, *roles: str) -> None:
        """Give (`POST`) roles of the realm to a user, or take them away (`DELETE`)."""
        self.realm(method, f"users/{user}/role-mappings/realm", [self.realm("GET", f"roles/{name}") for name in roles])

    def client(self, method: str, path: str = "", body: object = None) -> Any:  # noqa: ANN401  JSON
        """Ask about the client of Airflow; `path` begins with a slash."""
        (found,) = self.realm("GET", f"clients?clientId={CLIENT}")
        return self.realm(method, f"clients/{found['id']}{path}", body)

    def realm(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401  JSON
        """Ask about the realm."""
        return self.admin(method, f"/{REALM}/{path}", body)

    def admin(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401  JSON
        """Send one request of the administrator, below `/admin/realms`; raises `RuntimeError` with a refusal."""
        form = {"grant_type": "password", "client_id": "admin-cli", "username": self.user, "password": self.password}
        token_url = f"{self.url}/realms/master/protocol/openid-connect/token"
        token = _sent(urllib.request.Request(token_url, urllib.parse.urlencode(form).encode()))["access_token"]  # noqa: S310
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/admin/realms{path}", data, method=method)  # noqa: S310
        request.add_header("Authorization", f"Bearer {token}")
        request.add_header("Content-Type", "application/json")
        return _sent(request)

    @property
    def _log(self) -> Path:
        return self.directory / "keycloak.log"


def _sent(request: urllib.request.Request) -> Any:  # noqa: ANN401  JSON
    try:
        with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310  our own address
            content = response.read()
    except urllib.error.HTTPError as error:
        said = error.read().decode("utf-8", "replace")
        raise RuntimeError(f"{request.get_method()} {request.full_url}: {error.code} {said}") from error
    return json.loads(content) if content else None


@contextlib.contextmanager
def server() -> Iterator[Keycloak]:
    """Start a server, and stop it and remove all it left at the end; raises `KeycloakMissing`.

    Call it from the main thread: the server is told to stop when the thread that started it ends.
    """
    program = keycloak_program.home()
    directory = Path(tempfile.mkdtemp(prefix="package-manager-keycloak-"))
    keycloak = Keycloak(program, directory, free_port())
    try:
        keycloak.start()
        yield keycloak
    finally:
        keycloak.stop()
        shutil.rmtree(directory)
