"""A proxy on loopback that ends TLS: https outside, plain http behind it, as a load balancer or nginx does."""

from __future__ import annotations

import http.client
import http.server
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path

NAME = "tls-proxy"
"""In the header `Server` of what it answers itself."""
SECONDS = 60.0
"""For one answer of what stands behind."""
_OF_ONE_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "te", "upgrade"}


@contextmanager
def proxy(port: int, behind: int, certificate: Path, key: Path) -> Iterator[None]:
    """Serve on `port` of loopback what is served on the port `behind`; raises `OSError` when the port is taken."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    class Handler(_Handler):
        upstream = behind

    class Server(_Server):
        def get_request(self) -> tuple[ssl.SSLSocket, tuple[str, int]]:
            plain, address = super().get_request()
            # Whoever takes his time with it keeps nobody waiting but his own thread.
            return context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False), address

    with Server(("127.0.0.1", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1})
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Keep quiet: browsers and clients hang up as they like."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = NAME
    upstream = 0

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        connection = http.client.HTTPConnection("127.0.0.1", self.upstream, timeout=SECONDS)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in _OF_ONE_HOP and not name.lower().startswith("x-forwarded-"):
                    connection.putheader(name, value)  # also `Host`: what the browser asked for
            connection.putheader("X-Forwarded-For", self.client_address[0])
            connection.putheader("X-Forwarded-Proto", "https")
            connection.putheader("X-Forwarded-Host", self.headers.get("Host") or "")
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException):
            self.send_error(HTTPStatus.BAD_GATEWAY)
            return
        finally:
            connection.close()
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in _OF_ONE_HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _pass_on  # noqa: N815  as `http.server` calls them

    def log_message(self, *_: object) -> None:
        """Keep quiet."""
