"""When a child counts as ready: its address answers, or it has been alive for the soak."""

from __future__ import annotations

import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException

_TIMEOUT = 5.0
_SUCCESS = range(200, 300)


class Readiness:
    """Tells whether one child is ready; asks its address in a thread, because an answer may take its time."""

    def __init__(self, url: str | None, soak: float, interval: float) -> None:
        """Begin; `soak` and `interval` in seconds, `url` an http address or None for the soak alone."""
        self._soak = soak
        self._since = time.monotonic()
        self._answered = threading.Event()
        self._over = threading.Event()
        self._url = url
        if url is not None:
            threading.Thread(target=self._ask, args=(url, interval), name="ready-url", daemon=True).start()

    def is_ready(self) -> bool:
        """Tell whether it is ready now; once ready it stays so."""
        return self._answered.is_set() if self._url is not None else self.has_soaked()

    def has_soaked(self) -> bool:
        """Tell whether the soak is over."""
        return self.age() >= self._soak

    def age(self) -> float:
        """Return the seconds since the child was started."""
        return time.monotonic() - self._since

    def end(self) -> None:
        """Stop asking."""
        self._over.set()

    def _ask(self, url: str, interval: float) -> None:
        answers = responder(url)
        while not self._over.wait(interval):
            if answers():
                self._answered.set()
                return


def responder(url: str) -> Callable[[], bool]:
    """Return a function that tells whether the address answers with 2xx, directly and without any proxy.

    Over https any certificate will do: it names the address that people use, hardly this machine's own, and nothing
    is told or believed here but a status. The kubelet asks in the same way.
    """
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    direct = (urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    opener = urllib.request.build_opener(*direct)

    def answers() -> bool:
        try:
            with opener.open(url, timeout=_TIMEOUT) as response:
                return response.status in _SUCCESS
        except (urllib.error.URLError, HTTPException, OSError):
            return False  # not yet: that is what is being asked

    return answers
