"""Shows the page in every state: `python testenv/page_gallery.py`, then open the printed address.

Serves the static files and scripted answers on loopback, on a free port, with the same Content-Security-Policy as the
real server. `/frame/NAME` shows a scenario in a frame with Airflow's sandbox and a light/dark switch.
"""

from __future__ import annotations

import gzip
import mimetypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from airflow_package_manager.web.pages import HEADERS
from testenv.page_scenarios import SCENARIOS
from testenv.page_worlds import World

STATIC = Path(__file__).resolve().parent.parent / "src/airflow_package_manager/web/static"
POLICY = HEADERS["Content-Security-Policy"]
SANDBOX = "allow-scripts allow-same-origin allow-forms"
_FRAME = """<!doctype html><html class="{theme}"><meta charset="utf-8"><title>Airflow</title>
<body style="margin:0"><iframe src="../{name}/{place}" sandbox="{sandbox}"
style="border:0;width:100vw;height:100vh"></iframe>
"""


class Gallery(ThreadingHTTPServer):
    """One server; each scenario's world is made anew whenever its page is opened."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.worlds: dict[str, World] = {}
        self.sent: dict[str, int] = {}
        """Compressed bytes of every static file that was asked for."""

    def address(self, name: str, *, framed: bool = False) -> str:
        """Return the address of a scenario."""
        root = f"http://127.0.0.1:{self.server_address[1]}"
        return f"{root}/frame/{name}" if framed else f"{root}/{name}/{SCENARIOS[name][0]}"


class _Handler(BaseHTTPRequestHandler):
    server: Gallery
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._handle("GET")

    def do_POST(self) -> None:
        self._handle("POST")

    def _handle(self, method: str) -> None:
        parts = urlsplit(self.path)
        name, _, rest = unquote(parts.path).lstrip("/").partition("/")
        query = dict(parse_qsl(parts.query))
        if name == "frame" and rest in SCENARIOS:
            theme = query.get("theme", "dark")
            text = _FRAME.format(theme=theme, name=rest, place=SCENARIOS[rest][0], sandbox=SANDBOX)
            self._send(200, "text/html", text.encode(), policy=None)
        elif name not in SCENARIOS:
            links = "".join(f'<li><a href="/{one}/{place[0]}">{one}</a>' for one, place in SCENARIOS.items())
            self._send(200 if not name else 404, "text/html", f"<ul>{links}</ul>".encode(), policy=None)
        elif rest == "":
            self.server.worlds[name] = SCENARIOS[name][1]()
            self._file("index.html")
        elif rest.startswith("static/"):
            self._file(rest.removeprefix("static/"))
        elif rest.startswith("api/v1/"):
            self._api(name, method, rest.removeprefix("api/v1/"), query)
        else:
            self._send(404, "text/plain", b"no such file")

    def _api(self, name: str, method: str, path: str, query: dict[str, str]) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        world = self.server.worlds.setdefault(name, SCENARIOS[name][1]())
        if method == "POST" and self.headers.get("X-Package-Manager") != "1":
            self._send(403, "text/plain", b"csrf")
            return
        answer = world.answer(method, path, query, body)
        if answer is None:
            self.close_connection = True
            return
        status, model = answer
        kind = "application/problem+json" if status >= HTTPStatus.BAD_REQUEST else "application/json"
        self._send(status, kind, model.model_dump_json().encode())

    def _file(self, path: str) -> None:
        target = (STATIC / path).resolve()
        if not target.is_file() or STATIC not in target.parents:
            self._send(404, "text/plain", b"no such file")
            return
        body = gzip.compress(target.read_bytes(), 6)
        self.server.sent[path] = len(body)
        kind = mimetypes.guess_type(target.name)[0] or "application/octet-stream"
        self._send(200, f"{kind}; charset=utf-8", body, compressed=True)

    def _send(
        self, status: int, kind: str, body: bytes, *, policy: str | None = POLICY, compressed: bool = False
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        if compressed:
            self.send_header("Content-Encoding", "gzip")
        if policy:
            self.send_header("Content-Security-Policy", policy)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        """Say nothing: a gallery is looked at."""


@contextmanager
def gallery() -> Iterator[Gallery]:
    """Serve until the block is left."""
    server = Gallery()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


if __name__ == "__main__":
    with gallery() as shown:
        print(f"http://127.0.0.1:{shown.server_address[1]}/  (Ctrl-C ends it)")
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print("ended")
