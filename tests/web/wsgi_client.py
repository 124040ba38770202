"""A client that calls a WSGI application in this process, byte for byte as gunicorn would."""

from __future__ import annotations

import json as json_module
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import unquote_to_bytes

from tests.web.client import ADDRESS, HOST, Reply


class _Body:
    """What gunicorn hands over: a stream that ends by itself, or breaks off."""

    def __init__(self, chunks: Iterable[bytes | None]) -> None:
        self._chunks: Iterator[bytes | None] = iter(chunks)
        self._rest = b""
        self.given = 0

    def read(self, size: int = -1) -> bytes:
        found = bytearray(self._rest)
        while size < 0 or len(found) < size:
            chunk = next(self._chunks, b"")
            if chunk is None:
                raise OSError("the connection ended")
            if not chunk:
                break
            self.given += len(chunk)
            found += chunk
        cut = len(found) if size < 0 else size
        self._rest = bytes(found[cut:])
        return bytes(found[:cut])


class WsgiClient:
    """Sends one request at a time, below the address where the application is mounted."""

    def __init__(self, app: Callable[..., Any], prefix: str) -> None:
        self._app = app
        self._prefix = prefix
        self.raised: Exception | None = None
        self.read = 0
        """Bytes of the last body that the application asked for."""

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Reply:
        return self.request("GET", path, headers)

    def post(self, path: str, headers: Mapping[str, str], json: object) -> Reply:
        content = json_module.dumps(json).encode()
        return self.request("POST", path, {"content-type": "application/json", **headers}, [content])

    def request(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: Iterable[bytes | None] = ()
    ) -> Reply:
        """Send; each item of `body` is one chunk, None is where the connection ends."""
        stream = _Body(body)
        self.raised = None
        reply = self._exchange(method, path, headers or {}, stream)
        self.read = stream.given
        return reply

    def post_at_once(self, path: str, headers: Mapping[str, str], json: object, times: int) -> list[Reply]:
        """Send the same request many times, as many at once as FastAPI's thread pool would."""
        content = json_module.dumps(json).encode()
        sent = {"content-type": "application/json", **headers}
        with ThreadPoolExecutor(40) as threads:
            asked = [threads.submit(self._exchange, "POST", path, sent, _Body([content])) for _ in range(times)]
            return [one.result() for one in asked]

    def _exchange(self, method: str, path: str, headers: Mapping[str, str], stream: _Body) -> Reply:
        address, _, query = path.partition("?")
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": self._prefix + unquote_to_bytes(address).decode("latin-1"),
            "QUERY_STRING": query,
            "SERVER_NAME": HOST,
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": ADDRESS,
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": stream,
            "wsgi.input_terminated": True,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        for name, value in {"host": HOST, **headers}.items():
            key = name.upper().replace("-", "_")
            environ[key if key in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{key}"] = value
        started: list[Any] = []

        def start(status: str, found: list[tuple[str, str]], _error: object = None) -> None:
            started[:] = [int(status.split(" ", 1)[0]), {name.lower(): value for name, value in found}]

        answer = self._app(environ, start)
        content = b"".join(answer)
        if hasattr(answer, "close"):
            answer.close()
        return Reply(started[0], started[1], content)
