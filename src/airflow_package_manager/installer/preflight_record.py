"""The record of one preflight: a small JSON file, written atomically, that says how the check stands.

    {"status": "running" | "passed" | "failed", "code": null | str, "message": str, "warnings": [str, …],
     "detail": null | str, "pid": int, "started_at": float}

`running` is written before anything else is done, `passed` or `failed` once, at the end. A `running` record whose
`pid` (the checking process, leader of its own session) is gone means that the check was lost. `code`, when failed, is
the installer's (`domain.report.InstallReport.code`) or one of the codes below. `detail` is the redacted end of what
was printed.

In a pod the record is the termination message of the container: at most 4096 bytes, written into the file that the
kubelet made. There a record that still says `running` when the container has ended means that the check was lost.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from airflow_package_manager.redaction import without_credentials

RUNNING = "running"
PASSED = "passed"
FAILED = "failed"

AIRFLOW_BROKEN = "airflow-broken"
"""`import airflow` fails with the new site."""
REQUIREMENTS_BROKEN = "requirements-broken"
"""A distribution lacks, or has in a wrong version, what it requires."""
IMPORT_FAILED = "import-failed"
"""A package of a directly requested project cannot be imported."""
IMPORT_EXITED = "import-exited"
"""An import ended the process; only a written completion record counts."""
IMPORT_FORKED = "import-forked"
"""An import forked the process."""
CHECK_TIMEOUT = "check-timeout"
"""The check hung."""
SITE_MISSING = "site-missing"
"""There is no complete site of the lock that is to be checked."""
CHECK_LOST = "check-lost"
"""The check was stopped, or broke itself."""

MAXIMUM_BYTES = 64 * 1024
TERMINATION_BYTES = 4096
_MAXIMUM_TEXT = 8_000
_MAXIMUM_WARNINGS = 50
_LEAST_TEXT = 60


@dataclass(frozen=True)
class PreflightRecord:
    """How one preflight stands; the fields are those of the file."""

    status: str
    message: str
    pid: int
    started_at: float
    """Unix seconds."""
    code: str | None = None
    warnings: tuple[str, ...] = ()
    detail: str | None = None


def write(path: Path, record: PreflightRecord) -> None:
    """Write the record atomically; long texts are shortened. Raises `OSError`."""
    short = dataclasses.replace(
        record,
        message=record.message[:_MAXIMUM_TEXT],
        warnings=tuple(warning[:500] for warning in record.warnings[:_MAXIMUM_WARNINGS]),
        detail=record.detail[-_MAXIMUM_TEXT:] if record.detail else None,
    )
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as stream:
            json.dump(dataclasses.asdict(short), stream)
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(name).unlink()
        raise


def write_in_place(path: Path, record: PreflightRecord) -> None:
    """Write the record into a file that is mounted, shortened to a termination message. Raises `OSError`."""
    path.write_text(termination_message(record), encoding="ascii")


def termination_message(record: PreflightRecord) -> str:
    """Return the record in at most 4096 bytes: what was printed is shortened first, then warnings, then the message."""
    detail, message = record.detail or "", record.message
    warnings = tuple(warning[:500] for warning in record.warnings[:_MAXIMUM_WARNINGS])
    while True:
        short = dataclasses.replace(record, detail=detail or None, warnings=warnings, message=message)
        text = json.dumps(dataclasses.asdict(short), separators=(",", ":"))
        if len(text) <= TERMINATION_BYTES:
            return text
        if len(detail) > _LEAST_TEXT:
            detail = detail[-(len(detail) // 2) :]
        elif len(warnings) > 1:
            warnings = warnings[: len(warnings) // 2]
        elif len(message) > _LEAST_TEXT:
            message = message[: len(message) // 2]
        else:
            detail, warnings = "", ()


def read(path: Path) -> PreflightRecord | None:
    """Return the record, None when there is none; raises `ValueError` when the file is no record of ours."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ValueError(f"{path} is not a record: {error}") from error
    with os.fdopen(handle, "rb") as stream:
        content = stream.read(MAXIMUM_BYTES * 8)
    record = parse(content)
    if record is None:
        raise ValueError(f"{path} is not a record of a preflight")
    return record


def parse(text: str | bytes) -> PreflightRecord | None:
    """Return the record that the text holds, None when it holds none."""
    try:
        values = json.loads(text)
        record = PreflightRecord(**{**values, "warnings": tuple(values["warnings"])})
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return masked(record) if record.status in {RUNNING, PASSED, FAILED} and _well_typed(record) else None


def masked(record: PreflightRecord) -> PreflightRecord:
    """Return the record without credentials: what cannot be imported may name its database."""
    return dataclasses.replace(
        record,
        message=without_credentials(record.message),
        warnings=tuple(map(without_credentials, record.warnings)),
        detail=None if record.detail is None else without_credentials(record.detail),
    )


def _well_typed(record: PreflightRecord) -> bool:
    return (
        isinstance(record.message, str)
        and type(record.pid) is int
        and isinstance(record.started_at, (int, float))
        and (record.code is None or isinstance(record.code, str))
        and (record.detail is None or isinstance(record.detail, str))
        and all(isinstance(warning, str) for warning in record.warnings)
    )
