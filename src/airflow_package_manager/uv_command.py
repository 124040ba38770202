"""The one way to run uv: a list of arguments, a clean environment, bounded time and output, nothing secret returned.

Standard library only. Ambient `UV_*` variables and configuration files changed answers (measured), so the child's
environment is built from an allow-list and `--no-config` is always given.
"""

from __future__ import annotations

import enum
import os
import selectors
import signal
import subprocess  # noqa: TID251 - this module is where uv is started
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from airflow_package_manager.errors import PackageManagerError
from airflow_package_manager.index_access import IndexAccess, index_access

__all__ = ["Ended", "IndexAccess", "Outcome", "default_index", "environment", "find_uv", "index_access", "run"]

_POLL_SECONDS = 0.1
_MAXIMUM_OUTPUT = 16 * 1024 * 1024
_MAXIMUM_MESSAGES = 1024 * 1024
_CHUNK = 65536
_KEPT = (
    "HOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "XDG_CACHE_HOME",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "SSL_CLIENT_CERT",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
)
_OTHER_CA_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""Where many people say which authorities they trust; uv reads `SSL_CERT_FILE` only."""


class Ended(enum.Enum):
    """How a run came to its end."""

    BY_ITSELF = "by-itself"
    TIMED_OUT = "timed-out"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class Outcome:
    """What a run left; texts are redacted."""

    ended: Ended
    status: int
    """The exit status; negative when a signal ended it."""
    output: str
    """Standard output, at most 16 MiB of it, without user and password of any address."""
    messages: str
    """Standard error, at most 1 MiB of it, without any secret that is known."""
    seconds: float


def find_uv() -> Path:
    """Return the absolute path of the uv that came as our dependency, never one that PATH happens to name.

    Raises `PackageManagerError` when there is none.
    """
    candidates = [Path(sys.executable).parent / "uv"]
    try:
        from uv import find_uv_bin  # noqa: PLC0415 - only who runs uv pays for it

        candidates.insert(0, Path(find_uv_bin()))
    except (ImportError, FileNotFoundError):
        pass  # the loop below looks beside the interpreter, and says so when nothing is there
    for candidate in candidates:
        if candidate.is_file() and os.access(candidate, os.X_OK):
            return candidate.absolute()
    raise PackageManagerError(
        f"uv, a dependency of this plugin, is not beside {sys.executable}.",
        next_action="Install it into Airflow's environment: pip install 'uv>=0.13,<0.14'.",
        python=sys.executable,
    )


def environment(access: IndexAccess, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return all that a uv child sees of the world."""
    values = {name: environ[name] for name in _KEPT if environ.get(name)}
    for name in _OTHER_CA_BUNDLES:
        if environ.get(name) and "SSL_CERT_FILE" not in values and Path(environ[name]).is_file():
            values["SSL_CERT_FILE"] = environ[name]
    values.setdefault("LANG", "C.UTF-8")
    values["PATH"] = os.defpath
    # uv asks an interpreter for its facts; that one must answer without any site.
    values["AIRFLOW_PACKAGE_MANAGER_SITE"] = "off"
    return {**values, "UV_HTTP_RETRIES": "1", "UV_PYTHON_DOWNLOADS": "never", **access.environment()}


def run(
    uv: Path,
    arguments: Sequence[str],
    *,
    directory: Path,
    timeout: float,
    access: IndexAccess | None = None,
    cache: Path | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    environ: Mapping[str, str] = os.environ,
) -> Outcome:
    """Run uv with these arguments and wait for it.

    `directory` is its working directory: a fresh one, so that no file found there can speak. After `timeout` seconds,
    or once `cancelled` says so (asked ten times a second), its whole process group is killed. `cache` is uv's cache
    directory, uv's own choice when None.
    """
    access = access or IndexAccess()
    command = [str(uv), "--no-config", "--no-progress", "--color", "never"]
    command += ["--cache-dir", str(cache)] if cache is not None else []
    started = time.monotonic()
    with subprocess.Popen(
        [*command, *arguments, *access.arguments()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=directory,
        env=environment(access, environ),
        start_new_session=True,
        close_fds=True,
    ) as process:
        try:
            ended, texts = _follow(process, started + timeout, cancelled)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    output, messages = (bytes(text).decode("utf-8", "replace") for text in texts)
    # Output is read by programs: a password that is a word of it, such as "airflow", must not change names in it.
    output, messages = access.redact_addresses(output), access.redact(messages)
    return Outcome(ended, process.returncode, output, messages, time.monotonic() - started)


def default_index(uv: Path, directory: Path, *, timeout: float = 10) -> str:
    """Return the address of the index that uv asks when nobody names one; empty when uv does not say."""
    nothing = directory / "nothing.in"
    nothing.write_text("")
    arguments = ["pip", "compile", "--emit-index-url", "--offline", "--no-header", str(nothing)]
    outcome = run(uv, arguments, directory=directory, timeout=timeout)
    for line in outcome.output.splitlines():
        if line.startswith("--index-url "):
            return line.removeprefix("--index-url ").strip()
    return ""


def _follow(
    process: subprocess.Popen[bytes], deadline: float, cancelled: Callable[[], bool]
) -> tuple[Ended, tuple[bytearray, bytearray]]:
    """Read both pipes as they fill, so that neither can block the child, until it ends or must end."""
    texts = (bytearray(), bytearray())
    with selectors.DefaultSelector() as selector:
        for stream, text, limit in zip(
            (process.stdout, process.stderr), texts, (_MAXIMUM_OUTPUT, _MAXIMUM_MESSAGES), strict=True
        ):
            assert stream is not None  # noqa: S101 - both are pipes
            os.set_blocking(stream.fileno(), False)
            selector.register(stream, selectors.EVENT_READ, (text, limit))
        while True:
            over = process.poll() is not None
            for key, _ in selector.select(0 if over else _POLL_SECONDS):
                text, limit = key.data
                chunk = os.read(key.fd, _CHUNK)
                if not chunk:
                    selector.unregister(key.fileobj)
                text += chunk[: limit - len(text)]
                over = False  # there may be more of it
            if over or (not selector.get_map() and _ended(process)):
                return Ended.BY_ITSELF, texts
            if cancelled():
                return Ended.CANCELLED, texts
            if time.monotonic() > deadline:
                return Ended.TIMED_OUT, texts


def _ended(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(_POLL_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True
