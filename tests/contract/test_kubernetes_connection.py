"""The connection on a loopback server that misbehaves as no real API server does on demand."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from airflow_package_manager.adapters.kubernetes.api import Api
from airflow_package_manager.adapters.kubernetes.connection import Connection, Lost, inside_cluster
from airflow_package_manager.adapters.kubernetes.kinds import CONFIG_MAP, POD
from airflow_package_manager.errors import ClusterUnavailable, InvalidSetting

TOKEN = "s3cret-token"
KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: here
clusters: [{{name: here, cluster: {{server: "{url}"}}}}]
users: [{{name: me, user: {{token: {token}}}}}]
contexts: [{{name: here, context: {{cluster: here, user: me}}}}]
"""
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
EVENT = b'{"type":"ADDED","object":{"kind":"Pod","metadata":{"name":"web-0","resourceVersion":"7"}}}\n'


@contextmanager
def _serving(answer: Callable[[socket.socket, bytes], object]) -> Iterator[str]:
    """Answer each connection once; yields the address."""
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(0.1)
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            try:
                connection, _ = server.accept()
            except TimeoutError:
                continue
            with connection:
                connection.settimeout(5)
                answer(connection, _request(connection))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
    finally:
        over.set()
        thread.join()
        server.close()


def _request(connection: socket.socket) -> bytes:
    read = connection.recv(65536)
    head, _, _ = read.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
    while len(read) < len(head) + 4 + length:
        read += connection.recv(65536)
    return read


def _connection(tmp_path: Path, url: str) -> Connection:
    file = tmp_path / "kubeconfig"
    file.write_text(KUBECONFIG.format(url=url, token=TOKEN))
    return Connection(kubeconfig=str(file))


def _body(text: bytes) -> bytes:
    return HEAD + b"Content-Length: %d\r\n\r\n" % len(text) + text


def test_a_request_carries_the_credentials_and_only_what_it_says(tmp_path: Path) -> None:
    seen: list[bytes] = []

    def answer(connection: socket.socket, request: bytes) -> None:
        seen.append(request)
        connection.sendall(_body(b"{}"))

    with _serving(answer) as url:
        Api(_connection(tmp_path, url)).patch(CONFIG_MAP, "airflow", "one", {"data": {"a": None}})
    head, _, body = seen[0].partition(b"\r\n\r\n")
    lines = head.decode().lower().split("\r\n")
    assert lines[0] == "patch /api/v1/namespaces/airflow/configmaps/one?fieldmanager=airflow-package-manager http/1.1"
    assert f"authorization: bearer {TOKEN}" in lines
    assert "content-type: application/merge-patch+json" in lines
    assert body == b'{"data": {"a": null}}'


def test_nobody_listens(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    waited: list[float] = []
    with pytest.raises(ClusterUnavailable, match="refused") as caught:
        Api(_connection(tmp_path, url), wait=waited.append).get(CONFIG_MAP, "airflow", "one")
    assert len(waited) == 4
    assert TOKEN not in str(caught.value)
    with pytest.raises(Lost) as lost:
        _connection(tmp_path, url).send("GET", "/", headers={}, read=1)
    assert not lost.value.sent


def test_a_server_that_never_answers_is_given_up(tmp_path: Path) -> None:
    silent = threading.Event()
    with _serving(lambda _, __: silent.wait(3)) as url:
        began = time.monotonic()
        with pytest.raises(Lost) as lost:
            _connection(tmp_path, url).send("GET", "/", headers={}, read=0.2)
        silent.set()
    assert lost.value.sent
    assert time.monotonic() - began < 2


def test_an_answer_that_breaks_off_is_lost(tmp_path: Path) -> None:
    with (
        _serving(lambda connection, _: connection.sendall(HEAD + b"Content-Length: 900\r\n\r\n{")) as url,
        pytest.raises(Lost) as lost,
    ):
        _connection(tmp_path, url).send("GET", "/", headers={}, read=2)
    assert lost.value.sent


def test_a_half_open_watch_is_noticed(tmp_path: Path) -> None:
    silent = threading.Event()

    def answer(connection: socket.socket, _: bytes) -> None:
        connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(EVENT), EVENT))
        silent.wait(9)

    with _serving(answer) as url:
        events = Api(_connection(tmp_path, url)).watch(POD, "airflow", since="1", seconds=0.1)
        assert next(events).object["metadata"]["name"] == "web-0"
        began = time.monotonic()
        with pytest.raises(ClusterUnavailable, match="broke"):
            next(events)
        assert time.monotonic() - began < 8
        silent.set()


def test_an_event_comes_before_the_watch_goes_on(tmp_path: Path) -> None:
    told = threading.Event()

    def answer(connection: socket.socket, _: bytes) -> None:
        connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(EVENT), EVENT))
        assert told.wait(5), "the first event was held back"
        connection.sendall(b"%x\r\n%s\r\n0\r\n\r\n" % (len(EVENT), EVENT))

    with _serving(answer) as url:
        events = Api(_connection(tmp_path, url)).watch(POD, "airflow", since="1", seconds=5)
        assert next(events).type == "ADDED"
        told.set()
        assert [event.type for event in events] == ["ADDED"]


def test_a_redirect_is_not_followed_with_our_credentials(tmp_path: Path) -> None:
    asked: list[bytes] = []

    def answer(connection: socket.socket, request: bytes) -> None:
        asked.append(request)
        connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n")

    with _serving(answer) as url, pytest.raises(ClusterUnavailable, match="302"):
        Api(_connection(tmp_path, url)).get(CONFIG_MAP, "airflow", "one")
    assert len(asked) == 1


def test_a_child_process_makes_connections_of_its_own(tmp_path: Path) -> None:
    ports: list[int] = []

    def answer(connection: socket.socket, _: bytes) -> None:
        ports.append(connection.getpeername()[1])
        connection.sendall(_body(b'{"metadata": {}}'))

    with _serving(answer) as url:
        connection = _connection(tmp_path, url)
        api = Api(connection)
        api.get(CONFIG_MAP, "airflow", "one")
        before = connection._connected()
        script = (
            "import os, sys; from airflow_package_manager.adapters.kubernetes.connection import Connection;"
            "connection = Connection(kubeconfig=sys.argv[1]); first = connection._connected();"
            "child = os.fork();\n"
            "if child == 0: os._exit(0 if connection._connected() is not first else 1)\n"
            "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"
        )
        done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "kubeconfig")], check=False)
        assert done.returncode == 0
        assert connection._connected() is before


def test_a_token_that_cannot_be_read_any_more_passes_without_being_shown(tmp_path: Path) -> None:
    def fail(_: object) -> None:
        raise RuntimeError(f"the command that gives {TOKEN} failed")

    connection = _connection(tmp_path, "http://127.0.0.1:1")
    connection._connected().configuration.refresh_api_key_hook = fail
    with pytest.raises(ClusterUnavailable, match="credentials cannot be read") as caught:
        Api(connection, wait=lambda _: None).get(CONFIG_MAP, "airflow", "one")
    assert TOKEN not in str(caught.value)


def test_nothing_is_imported_before_the_first_request() -> None:
    script = (
        "import sys; from airflow_package_manager.adapters.kubernetes import api, configmap_store, connection, mirror;"
        "api.Api(connection.Connection(kubeconfig='/nowhere'));"
        "sys.exit(1 if {'kubernetes', 'urllib3', 'yaml'} & set(sys.modules) else 0)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize("text", [None, "", "{", "kind: Config\ncurrent-context: gone\n"])
def test_a_kubeconfig_that_cannot_be_used_is_named(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "kubeconfig"
    if text is not None:
        file.write_text(text)
    with pytest.raises(InvalidSetting) as caught:
        Connection(kubeconfig=str(file)).send("GET", "/", headers={}, read=1)
    assert str(file) in caught.value.detail
    assert caught.value.context["setting"] == "kubeconfig"


def test_a_process_without_an_account_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting) as caught:
        Connection(account=tmp_path, environ={}).send("GET", "/", headers={}, read=1)
    assert "kubeconfig" in caught.value.next_action
    environ = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "1"}
    assert not inside_cluster(environ, tmp_path)
    (tmp_path / "token").write_text("t")
    assert inside_cluster(environ, tmp_path)
    assert not inside_cluster({}, tmp_path)
    with pytest.raises(InvalidSetting, match="certification"):
        Connection(account=tmp_path, environ=environ).send("GET", "/", headers={}, read=1)


def test_a_client_that_is_not_installed_says_so(tmp_path: Path) -> None:
    script = (
        "import sys; sys.modules['kubernetes'] = None\n"
        "from airflow_package_manager.adapters.kubernetes.connection import Connection\n"
        "from airflow_package_manager.errors import InvalidSetting\n"
        "try: Connection(kubeconfig=sys.argv[1]).send('GET', '/', headers={}, read=1)\n"
        "except InvalidSetting as error: print(error.next_action)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONWARNINGS": "default"},
    )
    assert "'kubernetes' (31 or newer)" in done.stdout
