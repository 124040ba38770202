"""How an index is read that misbehaves on the wire: too slow as a whole, or cut off in the middle."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from airflow_package_manager.adapters import index_page
from airflow_package_manager.adapters.index_http import IndexClient
from airflow_package_manager.errors import IndexUnavailable
from airflow_package_manager.index_access import IndexAccess

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 1000\r\nConnection: close\r\n\r\n"


@contextmanager
def wire(speak: Callable[[socket.socket], object]) -> Iterator[str]:
    """Serve one connection by hand; yields the address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                speak(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/simple/"
        thread.join()


def test_an_index_that_drips_is_given_up() -> None:
    hung_up = threading.Event()

    def drip(connection: socket.socket) -> None:
        connection.sendall(HEAD)
        try:
            for _ in range(400):
                connection.sendall(b"x")
                time.sleep(0.05)
        except OSError:
            hung_up.set()

    client = IndexClient(IndexAccess(), timeout=5, patience=0.3)
    with wire(drip) as url:
        began = time.monotonic()
        with pytest.raises(IndexUnavailable, match="too slow"):
            client.get(url, limit=10_000)
        assert time.monotonic() - began < 10
    assert hung_up.is_set()


def test_a_body_that_is_cut_off_is_no_answer() -> None:
    with wire(lambda connection: connection.sendall(HEAD + b"x" * 999)) as url, pytest.raises(IndexUnavailable):
        IndexClient(IndexAccess()).get(url, limit=10_000)


def test_a_whole_body_is_an_answer() -> None:
    with wire(lambda connection: connection.sendall(HEAD + b"x" * 1000)) as url:
        found = IndexClient(IndexAccess()).get(url, limit=1000)
    assert found is not None
    assert found.body == b"x" * 1000


def test_one_byte_too_much_is_refused() -> None:
    with (
        wire(lambda connection: connection.sendall(HEAD + b"x" * 1000)) as url,
        pytest.raises(IndexUnavailable, match="more than 999"),
    ):
        IndexClient(IndexAccess()).get(url, limit=999)


@pytest.mark.parametrize("url", ["https://h:99999/x.whl", "https://[bad/x.whl", "https:///x.whl", "file:///etc/passwd"])
def test_an_address_that_nobody_can_ask_is_an_index_that_cannot_be_used(url: str) -> None:
    with pytest.raises(IndexUnavailable, match="nobody can ask"):
        IndexClient(IndexAccess()).get(url, limit=10)


@pytest.mark.parametrize(
    "address", ["https://h:99999/six-1.0-py3-none-any.whl", "https://[bad/six-1.0-py3-none-any.whl"]
)
def test_a_page_that_names_one_keeps_its_other_files(address: str) -> None:
    names = (address, "six-2.0-py3-none-any.whl")
    html = "".join(f'<a href="{name}">x</a>' for name in names).encode()
    page = json.dumps({"files": [{"filename": name.rpartition("/")[2], "url": name} for name in names]}).encode()
    for body, kind in ((html, "text/html"), (page, index_page.JSON_TYPE)):
        (file,) = index_page.parse(body, kind, "https://packages.example.com/simple/six/")
        assert str(file.version) == "2.0"


def test_a_base_address_that_nobody_can_ask_is_no_base() -> None:
    body = b'<base href="https://[bad/"><a href="six-2.0-py3-none-any.whl">x</a>'
    (file,) = index_page.parse(body, "text/html", "https://packages.example.com/simple/six/")
    assert file.url == "https://packages.example.com/simple/six/six-2.0-py3-none-any.whl"
