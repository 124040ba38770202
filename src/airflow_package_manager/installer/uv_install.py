"""Lets uv install exactly the pins of a lock into an empty directory, and says in our words why it could not.

First without the network: with a warm cache that is twice as quick, and an unattended restart works while the index
is down. Only what is missing is then fetched. Hashes make both the same.
"""

from __future__ import annotations

import os
import re
import sys
import time
from pathlib import Path

from airflow_package_manager import uv_command
from airflow_package_manager.domain.lock import Lock
from airflow_package_manager.errors import PackageManagerError
from airflow_package_manager.installer.failure import InstallFailure
from airflow_package_manager.settings import Settings
from airflow_package_manager.uv_command import Ended, Outcome

_TAIL = 2_000
_CAUSES: tuple[tuple[str, str, str, bool], ...] = (
    (
        "hash-mismatch",
        r"hash mismatch",
        "A file of the index is not the one that was planned (its hash differs).",
        False,
    ),
    ("disk", r"no space left|disk quota|read-only file system", "There is no space left for the packages.", False),
    ("index-refused", r"\b401\b|\b403\b|unauthorized|forbidden", "The package index refused access.", False),
    (
        "no-wheel",
        r"no usable wheels|no wheels with a matching|no compatible wheel|has no wheels|doesn't have a wheel",
        "A pinned version has no wheel for this Python and platform.",
        False,
    ),
    (
        "index-unavailable",
        r"failed to fetch|error sending request|connect error|connection|timed out|dns error|\b5\d\d\b",
        "The package index cannot be reached.",
        True,
    ),
    ("index-unavailable", r"failed to read `--find-links`", "The wheelhouse cannot be read.", True),
    (
        "no-wheel",
        r"was not found in the|there is no version of",
        "The package index, or the wheelhouse, has a pinned version no more.",
        False,
    ),
)


def uv_install(lock: Lock, *, target: Path, cache: Path, work: Path, settings: Settings, deadline: float) -> None:
    """Install the pins into `target`; `cache` lies on the same file system, `work` is a fresh directory.

    `deadline` is on the monotonic clock. Raises `InstallFailure`, `OSError`, `PackageManagerError`.
    """
    try:
        uv = uv_command.find_uv()
    except PackageManagerError as error:
        raise InstallFailure("uv-missing", f"{error.detail} {error.next_action}") from error
    access = uv_command.index_access(settings)
    pins = work / "pins.txt"
    lines = (f"{pin.name}=={pin.version}" + "".join(f" --hash=sha256:{one}" for one in pin.hashes) for pin in lock.pins)
    pins.write_text("\n".join(lines) + "\n", encoding="ascii")
    (work / "tmp").mkdir()
    arguments = ["pip", "install", "--no-deps", "--require-hashes", "--only-binary", ":all:", "--link-mode", "hardlink"]
    arguments += ["--python", sys.executable, "--target", str(target), "--requirements", str(pins)]
    if settings.compile_bytecode == "yes":
        arguments.append("--compile-bytecode")

    def run(*more: str) -> Outcome:
        return uv_command.run(
            uv,
            [*arguments, *more],
            directory=work,
            timeout=max(0.1, deadline - time.monotonic()),
            access=access,
            cache=cache,
            environ={**os.environ, "TMPDIR": str(work / "tmp")},
        )

    if not (cache.is_dir() and run("--offline").status == 0):
        outcome = run()
        if outcome.ended is Ended.TIMED_OUT:
            raise InstallFailure(
                "install-timeout", "Installing took too long and was stopped.", tail=_tail(outcome), retryable=True
            )
        if outcome.status != 0:
            raise _failure(outcome)
    (target / ".lock").unlink(missing_ok=True)  # uv's own, of no use to a site that never changes


def _failure(outcome: Outcome) -> InstallFailure:
    text = outcome.messages
    for code, pattern, cause, retryable in _CAUSES:
        if re.search(pattern, text, re.IGNORECASE):
            return InstallFailure(code, cause, tail=_tail(outcome), retryable=retryable)
    return InstallFailure("install-failed", "uv could not install the lock.", tail=_tail(outcome))


def _tail(outcome: Outcome) -> str | None:
    return outcome.messages.strip()[-_TAIL:] or None
