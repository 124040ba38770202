"""Reading from an index by HTTP: bounded, with credentials that never follow a redirect, errors translated."""

from __future__ import annotations

import base64
import http.client
import io
import os
import ssl
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from airflow_package_manager.errors import IndexRefused, IndexUnavailable
from airflow_package_manager.index_access import IndexAccess
from airflow_package_manager.web_address import host_of

_NOT_THERE = frozenset({404, 410})
_REFUSED = frozenset({401, 403})
_PARTIAL = 206
_TAIL = 65536
"""A wheel ends with its directory, and by convention with METADATA and RECORD before it: one request finds both."""

_PART = 1_048_576
_SHOWN = 200
"""Characters of an address."""


@dataclass(frozen=True)
class Answer:
    """What came back, whole."""

    url: str
    """After redirects."""
    status: int
    kind: str
    """Media type, lower case, without parameters."""
    body: bytes
    total: int
    """Size of the whole file, also where only a part of it was asked for."""


class IndexClient:
    """Asks one set of indexes."""

    def __init__(
        self,
        access: IndexAccess,
        *,
        timeout: float = 10.0,
        patience: float = 60.0,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """Take who may ask whom; `timeout` in seconds for each wait on a socket, `patience` for one whole body.

        Without the second an index that sends a byte now and then would hold a plan for ever.
        """
        self.access = access
        self._timeout = timeout
        self._patience = patience
        context = ssl.create_default_context()
        for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
            if environ.get(name) and not environ.get("SSL_CERT_FILE") and os.path.isfile(environ[name]):  # noqa: PTH113
                context.load_verify_locations(environ[name])
        self._opener = urllib.request.OpenerDirector()
        for handler in (
            urllib.request.ProxyHandler(),
            urllib.request.HTTPHandler(),
            urllib.request.HTTPSHandler(context=context),
            urllib.request.HTTPRedirectHandler(),
            urllib.request.HTTPErrorProcessor(),
            urllib.request.HTTPDefaultErrorHandler(),
        ):
            self._opener.add_handler(handler)

    def get(self, url: str, *, limit: int, headers: Mapping[str, str] | None = None) -> Answer | None:
        """Return the answer, None when there is no such thing; raises `IndexRefused`, `IndexUnavailable`.

        `limit` is the largest body in bytes, also after decompression.
        """
        host = host_of(url)
        if host is None:
            raise IndexUnavailable(
                f"The index names an address that nobody can ask: {self.access.redact(url)[:_SHOWN]!a}.",
                index=self.access.index_url,
            )
        request = urllib.request.Request(url, headers=dict(headers or {}))  # noqa: S310 - the scheme was just checked
        known = self.access.credentials(url)
        if known is not None:
            word = base64.b64encode(f"{known.user}:{known.password}".encode()).decode()
            request.add_unredirected_header("Authorization", f"Basic {word}")
        try:
            with self._opener.open(request, timeout=self._timeout) as response:
                body = self._bounded(response, limit, host)
                return Answer(
                    url=response.url,
                    status=response.status,
                    kind=response.headers.get_content_type(),
                    body=body,
                    total=_total(response.headers.get("Content-Range"), len(body)),
                )
        except urllib.error.HTTPError as error:
            with error:
                return self._refused(error.code, host)
        except (OSError, http.client.HTTPException, zlib.error, ValueError) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            raise IndexUnavailable(
                f"The package index {host} cannot be reached: {self.access.redact(str(reason)) or 'no answer'}.",
                index=host,
            ) from error

    def file(self, url: str, *, limit: int) -> RemoteFile:
        """Return a file that reads only the parts it is asked for, where the index allows; raises as `get`.

        `limit` bounds the whole file when the index sends nothing less.
        """
        return RemoteFile(self, url, limit)

    def _bounded(self, response: http.client.HTTPResponse, limit: int, host: str) -> bytes:
        until = time.monotonic() + self._patience
        parts, received = [], 0
        while received <= limit and (part := response.read1(min(_PART, limit + 1 - received))):
            if time.monotonic() > until:
                raise IndexUnavailable(
                    f"The package index {host} is too slow: {received} bytes in {self._patience:g} s.", index=host
                )
            parts.append(part)
            received += len(part)
        body = b"".join(parts)
        promised = response.headers.get("Content-Length", "")  # `read1` does not notice an end that comes too early
        if received <= limit and promised.isdigit() and received < int(promised):
            raise http.client.IncompleteRead(body, int(promised) - received)
        if response.headers.get("Content-Encoding", "").lower() == "gzip" and received <= limit:
            body = zlib.decompressobj(wbits=31).decompress(body, limit + 1)
        if len(body) > limit:
            raise IndexUnavailable(f"The package index {host} sent more than {limit} bytes.", index=host)
        return body

    @staticmethod
    def _refused(status: int, host: str) -> None:
        if status in _NOT_THERE:
            return
        if status in _REFUSED:
            raise IndexRefused(f"The package index {host} refused access ({status}).", index=host, status=status)
        raise IndexUnavailable(f"The package index {host} answered with status {status}.", index=host, status=status)


class RemoteFile(io.RawIOBase):
    """A file on an index, read by ranges; its end comes with the first request."""

    def __init__(self, client: IndexClient, url: str, limit: int) -> None:
        """Read the end of it."""
        super().__init__()
        self._client = client
        self._url = url
        self._limit = limit
        self._position = 0
        answer = self._fetch(f"bytes=-{_TAIL}")
        self.size = answer.total
        self._start = self.size - len(answer.body)
        self._held = answer.body

    def whole(self) -> bytes:
        """Return all of it."""
        self.seek(0)
        return self.read()

    def held_whole(self) -> bytes | None:
        """Return all of it when it came with what was read so far: small files, or an index without ranges."""
        return self._held if self._start == 0 else None

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def seekable(self) -> bool:
        """Return that it can be sought in."""
        return True

    def tell(self) -> int:
        """Return where the next byte is read."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a place counted from the start, from here, or from the end."""
        self._position = max(0, {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence] + offset)
        return self._position

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, fewer only at the end."""
        end = self.size if size < 0 else min(self.size, self._position + size)
        if self._position >= end:
            return b""
        if self._position < self._start:
            # One step towards the start, never shorter than a tail: a wheel is read in two or three requests.
            start = max(0, min(self._position, self._start - _TAIL))
            self._held = self._fetch(f"bytes={start}-{self._start - 1}").body + self._held
            self._start = start
        found = self._held[self._position - self._start : end - self._start]
        self._position = end
        return found

    def _fetch(self, wanted: str) -> Answer:
        answer = self._client.get(
            self._url, limit=self._limit, headers={"Range": wanted, "Accept-Encoding": "identity"}
        )
        if answer is None:
            raise IndexUnavailable("The index lists a file that it does not have.")
        return answer


def _total(content_range: str | None, received: int) -> int:
    last = (content_range or "").rpartition("/")[2]
    return int(last) if last.isdigit() else received
