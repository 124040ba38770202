"""What an instance says of itself: one JSON line of the installer, one small file of the supervisor.

Standard library only. Reading is as strict as writing: a report that is not a small object of ours is no report
(`Unknown`), never a guess.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass

TYPE_CHECKING = False  # importing typing would cost each start of a component 4 ms
if TYPE_CHECKING:
    from typing import Any, TypeVar

MAXIMUM_BYTES = 4096
"""Kubernetes' bound of a termination message; one machine keeps to it too."""

INSTALLED = "installed"
"""The site was made now."""
PRESENT = "present"
"""The site was there already, complete and untampered."""
EMPTY = "empty"
"""The lock has no pins: the site is an empty directory."""
NO_SITE = "no-site"
"""There is no lock that can be used (first start, or `code` says what went wrong): the image alone runs."""
IMAGE_CHANGED = "image-changed"
"""Installed, though the image is not the one the lock was made for."""
FAILED = "failed"
"""No site; `code` and `cause` say why."""

EXIT_OK = 0
EXIT_FINAL = 1
"""Trying again changes nothing: conflict, no wheel, hash mismatch, gate, bad lock, other Python or platform."""
EXIT_RETRYABLE = 75
"""EX_TEMPFAIL: the lock is not there yet, or the index cannot be reached."""

_UNSAID = frozenset({"package_manager"})
"""Fields that a report of an earlier version lacks."""
_SHORT = 60
"""Characters below which a text is not shortened any more."""
_LARGEST_NUMBER = 1e15
"""No count, revision or time of ours is larger; NaN and infinity are not smaller."""

STARTING = "starting"
READY = "ready"
FELL_BACK = "fell-back"
"""The child failed on the wanted site and runs again on the last good one."""
STOPPING = "stopping"
STOPPED = "stopped"


@dataclass(frozen=True)
class InstallReport:
    """The installer's answer for one lock."""

    outcome: str
    """One of INSTALLED, PRESENT, EMPTY, NO_SITE, IMAGE_CHANGED, FAILED."""
    revision: int | None = None
    lock_digest: str | None = None
    packages: int = 0
    """Number of pins."""
    seconds: float = 0.0
    code: str | None = None
    """When FAILED: lock-missing, lock-invalid, stamp-invalid, gate, hash-mismatch, no-wheel, index-unavailable,
    index-refused, install-timeout, wrong-platform, image-differs, disk, uv-missing, stopped, install-failed. When
    NO_SITE although there should be one: lock-missing, lock-invalid, wrong-platform, gate."""
    cause: str | None = None
    """One sentence for people."""
    tail: str | None = None
    """The redacted end of uv's own message."""
    retryable: bool = False
    image: str | None = None
    """Fingerprint of the image, where it was looked at."""
    package_manager: str | None = None
    """Version of this package manager in the image; an earlier one may not say it."""

    @property
    def exit_status(self) -> int:
        """Return the installer's exit status."""
        if self.outcome != FAILED:
            return EXIT_OK
        return EXIT_RETRYABLE if self.retryable else EXIT_FINAL


@dataclass(frozen=True)
class InstanceReport:
    """What a supervisor writes about its one child, every few seconds."""

    component: str
    host: str
    pid: int
    """Of the supervisor."""
    child_pid: int | None
    state: str
    """One of STARTING, READY, FELL_BACK, STOPPING, STOPPED."""
    stamp: int | None
    """The revision it acts on: the stamp as last read."""
    lock_digest: str | None
    """Of the site that the running child uses; None without a site."""
    image: str
    """Fingerprint of the image."""
    python: str
    platform: str
    started_at: float
    """Unix seconds: when the child was started."""
    beat_at: float
    """Unix seconds: when this report was written."""
    restarts: int = 0
    """Starts of the child by this supervisor, the first not counted."""
    message: str = ""
    """For people: what it is doing, or why it fell back."""
    failed_digest: str | None = None
    """The lock digest on which the child failed, while FELL_BACK."""
    install: InstallReport | None = None


if TYPE_CHECKING:
    Report = TypeVar("Report", InstallReport, InstanceReport)


def dump(report: InstallReport | InstanceReport) -> str:
    """Return one JSON line of at most `MAXIMUM_BYTES` bytes, without its newline; long texts are shortened to fit.

    Raises `ValueError` for what no shortening makes fit, and for a time that is no finite number.
    """
    while True:
        line = json.dumps(dataclasses.asdict(report), ensure_ascii=True, allow_nan=False, separators=(",", ":"))
        if len(line) <= MAXIMUM_BYTES:
            return line
        report = _shorter(report)


def _shorter(report: InstallReport | InstanceReport) -> InstallReport | InstanceReport:
    """Return the report with the longest of its texts halved; uv's message keeps its end, the others their start."""
    install = report if isinstance(report, InstallReport) else report.install
    message = report.message if isinstance(report, InstanceReport) else ""
    cause, tail = (install.cause or "", install.tail or "") if install is not None else ("", "")
    longest = max(message, cause, tail, key=len)
    if len(longest) <= _SHORT:
        raise ValueError(f"a report is at most {MAXIMUM_BYTES} bytes")
    if isinstance(report, InstanceReport) and longest is message:
        return dataclasses.replace(report, message=message[: len(message) // 2])
    if install is None:
        raise AssertionError("a cause or a tail belongs to an installer")
    if longest is cause:
        install = dataclasses.replace(install, cause=cause[: len(cause) // 2])
    else:
        install = dataclasses.replace(install, tail=tail[-(len(tail) // 2) :])
    return install if isinstance(report, InstallReport) else dataclasses.replace(report, install=install)


def load_install(line: str) -> InstallReport | None:
    """Return the installer's report, or None when the text is not one."""
    return _load(line, InstallReport)


def load_instance(line: str) -> InstanceReport | None:
    """Return the supervisor's report, or None when the text is not one."""
    return _load(line, InstanceReport)


_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "str | None": (str, type(None)),
    "int": (int,),
    "int | None": (int, type(None)),
    "float": (int, float),
    "bool": (bool,),
}


def _load(line: str, wanted: type[Report]) -> Report | None:
    if len(line.encode("utf-8", "surrogatepass")) > MAXIMUM_BYTES:
        return None
    try:
        values: Any = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return _from(values, wanted)


def _from(values: object, wanted: type[Report]) -> Report | None:
    fields = {field.name: str(field.type) for field in dataclasses.fields(wanted)}
    if not isinstance(values, dict) or not set(fields) - _UNSAID <= set(values) <= set(fields):
        return None
    checked: dict[str, Any] = {}
    for name, kind in fields.items():
        value = values.get(name)
        if kind == "InstallReport | None":
            if value is not None:
                value = _from(value, InstallReport)
                if value is None:
                    return None
        elif not _fits(value, kind):
            return None
        checked[name] = value
    return wanted(**checked)


def _fits(value: object, kind: str) -> bool:
    if not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "bool"):
        return False
    return not isinstance(value, int | float) or abs(value) < _LARGEST_NUMBER
