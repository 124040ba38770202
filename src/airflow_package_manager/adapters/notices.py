"""Two ways to tell somebody: a program that reads JSON, and an address that it is posted to. Standard library only."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import ssl
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlsplit

from airflow_package_manager import __version__
from airflow_package_manager.endings import HookFailed
from airflow_package_manager.redaction import without_credentials

_KEPT = (
    *("PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "AIRFLOW_HOME"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    *("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"),
)
"""What a program gets of our environment: nothing that Airflow keeps a secret in."""
_TAIL = 500
"""Bytes of what a program that failed printed last."""


def command(words: Sequence[str], timeout: float, environ: Mapping[str, str] = os.environ) -> Callable[[str], None]:
    """Return what runs a program, without a shell, with a text on its standard input.

    Raises `HookFailed` when it cannot be started, does not end within `timeout` seconds, or ends with another status
    than 0.
    """

    def tell(text: str) -> None:
        environment = {name: environ[name] for name in _KEPT if environ.get(name)}
        with tempfile.TemporaryFile() as said:
            try:
                running = subprocess.Popen(
                    list(words),
                    stdin=subprocess.PIPE,
                    stdout=said,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    cwd="/",
                    start_new_session=True,
                )
            except OSError as error:
                raise HookFailed(f"{words[0]} cannot be started: {error.strerror}") from error
            try:
                running.communicate(text.encode(), timeout=timeout)
            except subprocess.TimeoutExpired as error:
                raise HookFailed(f"{words[0]} did not end within {timeout:.0f} s") from error
            finally:
                if running.poll() is None:  # with whatever it started
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(running.pid, signal.SIGKILL)
                    running.wait()
            if running.returncode != 0:
                size = said.seek(0, os.SEEK_END)
                said.seek(max(0, size - _TAIL))
                printed = without_credentials(said.read().decode(errors="replace").strip())
                raise HookFailed(
                    f"{words[0]} ended with status {running.returncode}" + (f": {printed}" if printed else "")
                )

    return tell


def address(url: str, timeout: float) -> Callable[[str], None]:
    """Return what posts JSON to an address, which is shown by its host only: it may hold a secret.

    Raises `HookFailed` when it does not answer within `timeout` seconds, or with another status than 2xx. A redirect
    is not followed: it would turn into a request without the message.
    """
    host = urlsplit(url).hostname or "the address"
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
    ):
        opener.add_handler(handler)
    headers = {"Content-Type": "application/json", "User-Agent": f"airflow-package-manager/{__version__}"}

    def tell(text: str) -> None:
        request = urllib.request.Request(url, data=text.encode(), headers=headers)  # noqa: S310  the setting allows http and https only
        try:
            opener.open(request, timeout=timeout).close()
        except urllib.error.HTTPError as error:
            with error:
                raise HookFailed(f"{host} answered with status {error.code}") from None
        except TimeoutError:
            raise HookFailed(f"{host} did not answer within {timeout:.0f} s") from None
        except (OSError, http.client.HTTPException) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            raise HookFailed(f"{host} cannot be reached ({type(reason).__name__})") from None

    return tell
