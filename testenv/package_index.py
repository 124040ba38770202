"""A small package index on loopback: the Simple API as JSON or HTML, and each way in which an index misbehaves.

Usage from a shell: ``python -m testenv.package_index`` prints the address and serves the catalogue until it is told to
stop.
"""

from __future__ import annotations

import argparse
import base64
import html
import json
import re
import signal
import struct
import sys
import threading
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import TYPE_CHECKING, Any

from testenv import catalogue
from testenv.wheels import IndexFile

if TYPE_CHECKING:
    from typing_extensions import Self

JSON_TYPE = "application/vnd.pypi.simple.v1+json"
HTML_TYPE = "text/html; charset=utf-8"


class PackageIndexServer:
    """A running index; use it as a context manager. Every attribute may be changed while it runs."""

    def __init__(
        self,
        files: Iterable[IndexFile] = (),
        *,
        port: int = 0,
        html_only: bool = False,
        ranges: bool = True,
        metadata_files: bool = False,
        credentials: tuple[str, str] | None = None,
    ) -> None:
        """Listen on loopback; `port` 0 takes a free one. `credentials` (user, password) are asked of every request."""
        self.html_only = html_only
        """Answer as pypiserver does: HTML, hashes in the links, nothing else."""
        self.ranges = ranges
        self.metadata_files = metadata_files
        """Offer and announce `.metadata` files (PEP 658)."""
        self.credentials = credentials
        self.status: int | None = None
        """Answer every request with this status."""
        self.statuses: dict[str, int] = {}
        """Project → status of its listing."""
        self.delays: dict[str, float] = {}
        """Project → seconds before its listing is answered."""
        self.changing: set[str] = set()
        """Projects whose files differ at each download."""
        self.requests: list[tuple[str, str]] = []
        """Method and path of each request so far."""
        self._files: dict[str, list[IndexFile]] = {}
        self._downloads = 0
        self._stopping = threading.Event()
        for file in files:
            self.add(file)
        server = self

        class Handler(_Handler):
            index = server

        self._server = _Server(("127.0.0.1", port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """Return the port it listens on."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Return the Simple API's address, without credentials."""
        return f"http://127.0.0.1:{self.port}/simple/"

    def add(self, file: IndexFile) -> None:
        """Offer one more file; one of the same name is replaced."""
        others = [known for known in self._files.get(file.project, []) if known.filename != file.filename]
        self._files[file.project] = [*others, file]

    def remove(self, project: str) -> None:
        """Forget a project (normalised name)."""
        self._files.pop(project, None)

    def listing(self, project: str) -> list[IndexFile] | None:
        """Return the files of a project, None when it is unknown."""
        return self._files.get(project)

    def find(self, filename: str) -> IndexFile | None:
        """Return one file by its name."""
        return next((file for files in self._files.values() for file in files if file.filename == filename), None)

    def names(self) -> list[str]:
        """Return the normalised names of all projects."""
        return sorted(self._files)

    def download(self, file: IndexFile) -> bytes:
        """Return the bytes of one download."""
        if file.project not in self.changing:
            return file.content
        self._downloads += 1
        comment = f"download {self._downloads}".encode()
        return file.content[:-2] + struct.pack("<H", len(comment)) + comment

    def wait(self, seconds: float) -> None:
        """Wait, but no longer than the server lives."""
        self._stopping.wait(seconds)

    def close(self) -> None:
        """Stop listening; harmless when it has stopped."""
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def serve_catalogue(**options: Any) -> PackageIndexServer:  # noqa: ANN401 - handed on as they are
    """Return a running index that offers the whole catalogue and misbehaves where its names say so."""
    server = PackageIndexServer(catalogue.catalogue(), **options)
    server.statuses.update(catalogue.STATUS)
    server.delays[catalogue.SLOW] = catalogue.SLOW_SECONDS
    server.changing.add(catalogue.CHANGING)
    return server


class _Server(ThreadingHTTPServer):
    """Fit for a client that opens fifty connections at once and may be killed at any moment."""

    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - the library's types
        """Say nothing of clients that went away."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    timeout = 30
    index: PackageIndexServer

    def do_GET(self) -> None:
        self._respond(send_body=True)

    def do_HEAD(self) -> None:
        self._respond(send_body=False)

    def log_message(self, *_arguments: object) -> None:
        """Keep quiet: `requests` has it all."""

    def _respond(self, *, send_body: bool) -> None:
        index = self.index
        path = self.path.partition("?")[0]
        index.requests.append((self.command, path))
        status, kind, body, headers = self._answer(path)
        wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if status == 200 and index.ranges and path.startswith("/files/") and wanted:  # noqa: PLR2004
            first, last = wanted[1], wanted[2]
            start = int(first) if first else max(0, len(body) - int(last or 0))
            end = min(int(last), len(body) - 1) if first and last else len(body) - 1
            headers["Content-Range"] = f"bytes {start}-{end}/{len(body)}"
            status, body = 206, body[start : end + 1]
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        if send_body:
            self.wfile.write(body)

    def _answer(self, path: str) -> tuple[int, str, bytes, dict[str, str]]:
        index = self.index
        if index.credentials is not None:
            expected = "Basic " + base64.b64encode(":".join(index.credentials).encode()).decode()
            if self.headers.get("Authorization") != expected:
                return 401, "text/plain", b"who are you?", {"WWW-Authenticate": 'Basic realm="index"'}
        if index.status is not None:
            return index.status, "text/plain", b"as asked", {}
        if match := re.fullmatch(r"/files/([^/]+?)(\.metadata)?", path):
            return self._file(match[1], metadata=bool(match[2]))
        if path == "/simple/":
            return self._listing("", [{"name": name} for name in index.names()], [])
        if match := re.fullmatch(r"/simple/([^/]+)/", path):
            return self._project(match[1])
        return 404, "text/plain", b"no such page", {}

    def _file(self, filename: str, *, metadata: bool) -> tuple[int, str, bytes, dict[str, str]]:
        index = self.index
        file = index.find(filename)
        if file is None or (metadata and not index.metadata_files):
            return 404, "text/plain", b"no such file", {}
        body = file.metadata.encode() if metadata else index.download(file)
        ranged = index.ranges and file.project not in index.changing
        return 200, "application/octet-stream", body, {"Accept-Ranges": "bytes"} if ranged else {}

    def _project(self, name: str) -> tuple[int, str, bytes, dict[str, str]]:
        index = self.index
        index.wait(index.delays.get(name, 0))
        if name in index.statuses:
            return index.statuses[name], "text/plain", b"as asked", {}
        files = index.listing(name)
        if files is None:
            return 404, "text/plain", b"no such project", {}
        return self._listing(name, [], files)

    def _listing(
        self, name: str, projects: list[dict[str, str]], files: list[IndexFile]
    ) -> tuple[int, str, bytes, dict[str, str]]:
        if self.index.html_only or JSON_TYPE not in self.headers.get("Accept", ""):
            links = [f'<a href="/simple/{row["name"]}/">{row["name"]}</a>' for row in projects]
            links += [self._link(file) for file in files]
            page = f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>"
            return 200, HTML_TYPE, page.encode(), {}
        document: dict[str, Any] = {"meta": {"api-version": "1.1"}, "name": name}
        if projects:
            document["projects"] = projects
        else:
            document["versions"] = sorted({file.version for file in files})
            document["files"] = [self._entry(file) for file in files]
        return 200, JSON_TYPE, json.dumps(document).encode(), {}

    def _link(self, file: IndexFile) -> str:
        attributes = ""
        if not self.index.html_only and file.requires_python:
            attributes += f' data-requires-python="{html.escape(file.requires_python)}"'
        if not self.index.html_only and file.yanked is not None:
            attributes += f' data-yanked="{html.escape(file.yanked)}"'
        return f'<a href="/files/{file.filename}#sha256={file.sha256}"{attributes}>{file.filename}</a><br>'

    def _entry(self, file: IndexFile) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "filename": file.filename,
            "url": f"/files/{file.filename}",
            "hashes": {"sha256": file.sha256},
            "size": len(file.content),
            "upload-time": file.uploaded_at,
            "yanked": False if file.yanked is None else file.yanked or True,
            "requires-python": file.requires_python,
        }
        if self.index.metadata_files:
            entry["core-metadata"] = True
        return entry


def main() -> None:
    """Serve the catalogue until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--html", action="store_true", help="answer as an index without the JSON form")
    arguments = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with serve_catalogue(port=arguments.port, html_only=arguments.html) as server:
        print(server.url, flush=True)
        stop.wait()


if __name__ == "__main__":
    main()
