"""A client that calls an ASGI application in this process, byte for byte as a server would."""

from __future__ import annotations

import asyncio
import json as json_module
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

HOST = "airflow.example.com"
ADDRESS = "192.0.2.7"


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    def json(self) -> Any:  # noqa: ANN401  that is JSON
        return json_module.loads(self.content)

    @property
    def text(self) -> str:
        return self.content.decode()


class Client:
    """Sends one request at a time; an error that the application lets through is kept in `raised`."""

    def __init__(self, app: Callable[..., Any]) -> None:
        self._app = app
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
        scope = self._scope(method, path, headers)
        # In a thread of its own: a browser's event loop may be running in this one.
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(lambda: asyncio.run(self._exchange(scope, list(body)))).result()

    def post_at_once(self, path: str, headers: Mapping[str, str], json: object, times: int) -> list[Reply]:
        """Send the same request many times before any of them is answered, as one server would get them."""
        content = json_module.dumps(json).encode()
        scope = self._scope("POST", path, {"content-type": "application/json", **headers})

        async def all_of_them() -> list[Reply]:
            return await asyncio.gather(*(self._exchange({**scope, "state": {}}, [content]) for _ in range(times)))

        with ThreadPoolExecutor(1) as thread:
            return thread.submit(lambda: asyncio.run(all_of_them())).result()

    @staticmethod
    def _scope(method: str, path: str, headers: Mapping[str, str] | None) -> dict[str, Any]:
        raw_path, _, query = path.partition("?")
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(raw_path),
            "raw_path": raw_path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [
                (name.lower().encode(), value.encode("latin-1"))
                for name, value in {"host": HOST, **(headers or {})}.items()
            ],
            "client": (ADDRESS, 4711),
            "server": (HOST, 80),
            "state": {},
        }

    async def _exchange(self, scope: dict[str, Any], chunks: list[bytes | None]) -> Reply:
        self.raised, self.read = None, 0
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            if not chunks:
                return {"type": "http.request", "body": b"", "more_body": False}
            chunk = chunks.pop(0)
            if chunk is None:
                return {"type": "http.disconnect"}
            self.read += len(chunk)
            return {"type": "http.request", "body": chunk, "more_body": bool(chunks)}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        try:
            await self._app(scope, receive, send)
        except Exception as error:  # noqa: BLE001  a server would log it; the test looks at it
            self.raised = error
        start = next(message for message in sent if message["type"] == "http.response.start")
        content = b"".join(message.get("body", b"") for message in sent if message["type"] == "http.response.body")
        headers = {name.decode(): value.decode("latin-1") for name, value in start["headers"]}
        return Reply(start["status"], headers, content)
