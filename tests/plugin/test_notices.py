"""Hooks for real: a program, an HTTP server on loopback, and Airflow's own Stats over a statsd socket."""

from __future__ import annotations

import json
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_package_manager.adapters import notices
from airflow_package_manager.endings import HookFailed
from tests.conftest import FINISHED
from tests.plugin import journey

if TYPE_CHECKING:
    from testenv.airflow_home import Airflow

SOURCE = Path(__file__).resolve().parents[2] / "src"
TEXT = json.dumps({"state": "SUCCEEDED", "summary": "add humanize"})


def _program(directory: Path, body: str) -> str:
    path = directory / "tell me.sh"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_a_program_reads_the_operation_and_gets_its_words_as_they_are(tmp_path: Path) -> None:
    path = _program(
        tmp_path, f'printf "%s|" "$@" > "{tmp_path}/words"; cat > "{tmp_path}/text"; env > "{tmp_path}/env"'
    )
    secrets = {
        "AIRFLOW__CORE__FERNET_KEY": "k",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql://u:p@h/d",
        "PW": "x",
    }
    environ = {"PATH": "/usr/bin:/bin", "AIRFLOW_HOME": "/opt/airflow", "TZ": "UTC", **secrets}
    notices.command([path, "to team", "$(id)", ";"], 10, environ)(TEXT)
    assert (tmp_path / "words").read_text() == "to team|$(id)|;|"
    assert json.loads((tmp_path / "text").read_text()) == json.loads(TEXT)
    given = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines())
    assert {"PATH", "AIRFLOW_HOME", "TZ"} <= set(given)
    assert not set(secrets) & set(given)


def test_a_program_that_fails_says_what_it_printed_last_without_credentials(tmp_path: Path) -> None:
    path = _program(tmp_path, "echo https://me:hunter2@example.com is down >&2; exit 3")
    with pytest.raises(HookFailed, match=r"ended with status 3: https://\*\*\*\*@example.com is down") as raised:
        notices.command([path], 10)(TEXT)
    assert "hunter2" not in str(raised.value)


def test_a_program_that_does_not_read_is_no_failure(tmp_path: Path) -> None:
    notices.command([_program(tmp_path, "exec true")], 10)("x" * 1_000_000)


def test_a_program_that_does_not_end_is_killed_with_its_children(tmp_path: Path) -> None:
    path = _program(tmp_path, f'sleep 300 & echo $! > "{tmp_path}/child"; wait')
    began = time.monotonic()
    with pytest.raises(HookFailed, match="did not end within 1 s"):
        notices.command([path], 1)(TEXT)
    assert time.monotonic() - began < 5
    child = (tmp_path / "child").read_text().strip()
    deadline = time.monotonic() + 5
    while _runs(child):
        assert time.monotonic() < deadline


def _runs(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_program_that_is_not_there_is_said() -> None:
    with pytest.raises(HookFailed, match="/nowhere/tell cannot be started: No such file"):
        notices.command(["/nowhere/tell"], 10)(TEXT)


class _Listener(BaseHTTPRequestHandler):
    server: Listening

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.heard.append((self.path, self.headers["Content-Type"], json.loads(body)))
        status = int(self.path.rpartition("/")[2])
        if status == 0:
            self.server.released.wait(20)
            return
        self.send_response(status)
        self.send_header("Location", "/elsewhere/200")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST  # noqa: N815 - the base class names it

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        """Say nothing."""


class Listening(ThreadingHTTPServer):
    """A server on loopback that remembers what it heard."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Listener)
        self.heard: list[tuple[str, str, Any]] = []
        self.released = threading.Event()

    def url(self, status: int) -> str:
        """Return an address that answers so; 0 never answers."""
        return f"http://127.0.0.1:{self.server_address[1]}/secret-of-this-channel/{status}"


@pytest.fixture
def listening() -> Iterator[Listening]:
    server = Listening()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield server
    server.released.set()
    server.shutdown()
    server.server_close()
    thread.join(5)


def test_an_address_gets_the_operation_as_json(listening: Listening) -> None:
    notices.address(listening.url(204), 10)(TEXT)
    assert listening.heard == [("/secret-of-this-channel/204", "application/json", json.loads(TEXT))]


@pytest.mark.parametrize(
    ("status", "said"), [(500, "status 500"), (302, "status 302"), (0, "did not answer within 1 s")]
)
def test_an_address_that_refuses_redirects_or_hangs_is_named_by_its_host(
    status: int, said: str, listening: Listening
) -> None:
    with pytest.raises(HookFailed, match=said) as raised:
        notices.address(listening.url(status), 1)(TEXT)
    assert str(raised.value).startswith("127.0.0.1 ")
    assert "secret" not in str(raised.value)
    assert len(listening.heard) == 1


def test_an_address_that_nobody_listens_at_is_said() -> None:
    with pytest.raises(HookFailed, match=r"127.0.0.1 cannot be reached \(ConnectionRefusedError\)"):
        notices.address("http://127.0.0.1:9/x", 5)(TEXT)


COUNT = """
import sys
from airflow_package_manager.domain.access import Identity
from airflow_package_manager.domain.operation import Operation, State
from airflow_package_manager.plugin import metrics
metrics.begin()
for state in (State.SUCCEEDED, State.ROLLED_BACK, State.FAILED):
    metrics.count(Operation(
        id="0" * 32, state=state, owner=Identity("simple", "1", "admin"), request={}, summary="x", created_at=0.0,
        updated_at=0.0, expires_at=0.0, token_hash="", accepted_at=100.0, ended_at=112.5,
    ))
"""


def test_ends_are_counted_and_timed_by_airflows_own_stats(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as statsd:
        statsd.bind(("127.0.0.1", 0))
        statsd.settimeout(5)
        environment = {
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": str(SOURCE),
            "HOME": str(tmp_path),
            "AIRFLOW_HOME": str(tmp_path),
            "AIRFLOW__METRICS__STATSD_ON": "True",
            "AIRFLOW__METRICS__STATSD_HOST": "127.0.0.1",
            "AIRFLOW__METRICS__STATSD_PORT": str(statsd.getsockname()[1]),
        }
        done = subprocess.run(
            [sys.executable, "-c", COUNT], env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        received: list[str] = []
        while len(received) < 6:  # Airflow sends some of its own between
            line = statsd.recv(1000).decode()
            received += [line] if "package_manager" in line else []
    assert [line for line in received if line.endswith("|c")] == [
        f"airflow.package_manager.operation.{state}:1|c" for state in ("succeeded", "rolled_back", "failed")
    ]
    times = [line for line in received if line.endswith("|ms")]
    assert times == ["airflow.package_manager.operation.duration:12500.000000|ms"] * 3


@pytest.mark.airflow
def test_a_real_api_server_tells_its_hook_how_a_change_ended(airflow: Airflow) -> None:
    token = airflow.token("admin")
    _, now = airflow.api("GET", "requirements", token=token)
    done = journey.change(airflow, token, requirements=now["text"] + "# told\n")
    assert done["state"] == "SUCCEEDED", done["problem"]
    told = airflow.home / FINISHED

    def heard() -> tuple[dict[str, Any], str] | None:
        for path in told.glob("*.json"):
            found = json.loads(path.read_text())
            if found["id"] == done["id"]:
                return found, path.with_suffix(".parent").read_text()
        return None

    found, parent = journey.until(heard, "the hook", 30)
    assert {key: found[key] for key in ("state", "summary", "revision")} == {
        key: done[key] for key in ("state", "summary", "revision")
    }
    assert "api" in parent, "the server itself ran it"
