from __future__ import annotations

import http.server
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_package_manager.installer.readiness import responder
from testenv.cluster import pki


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/health" else 503)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """A web server over https whose certificate nobody here trusts, and which names another host."""
    made = pki.make(tmp_path / "pki")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.certificate, made.key)
    with http.server.HTTPServer(("127.0.0.2", 0), Answer) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_https_is_asked_whatever_its_certificate_says(port: int) -> None:
    assert responder(f"https://127.0.0.2:{port}/health")()
    assert not responder(f"https://127.0.0.2:{port}/")(), "it answers, but is not ready"


def test_an_address_of_the_wrong_scheme_is_never_ready(port: int) -> None:
    assert not responder(f"http://127.0.0.2:{port}/health")()
