"""What makes a directory a complete site: a marker, written last, with a digest over the RECORDs.

`holds` answers in milliseconds whether a site is whole and as it was installed; `changed_files` reads every file.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from pathlib import Path

from airflow_package_manager.installer.image import MARKER

_MAXIMUM_BYTES = 4096


def write(site: Path, lock_digest: str, image: str) -> None:
    """Mark the site as complete; the last act before it gets its name. `image`: whose gate it passed."""
    content = {"format": 1, "lock": lock_digest, "image": image, "records": _records_digest(site)}
    fresh = site / f"{MARKER}.{os.getpid()}"
    with fresh.open("w", encoding="ascii") as stream:
        json.dump(content, stream)
        stream.flush()
        os.fsync(stream.fileno())
    fresh.replace(site / MARKER)


def holds(site: Path, lock_digest: str, image: str | None = None) -> bool:
    """Tell whether the site is complete, of this lock, and its RECORDs are those of the installation.

    With `image` (a fingerprint), also whether it passed the gate of that image. A link instead of the directory or of
    a file that counts is a no.
    """
    try:
        if not stat.S_ISDIR(os.lstat(site).st_mode):
            return False
        marker = json.loads(_read(site / MARKER, _MAXIMUM_BYTES))
        if not isinstance(marker, dict) or marker.get("format") != 1 or marker.get("lock") != lock_digest:
            return False
        if image is not None and marker.get("image") != image:
            return False
        return bool(marker.get("records") == _records_digest(site))
    except (OSError, ValueError):
        return False


def changed_files(site: Path) -> tuple[str, ...]:
    """Return the files, by path within the site, that are missing or differ from their RECORD; reads them all."""
    import base64  # noqa: PLC0415 - only who reads everything pays for it

    changed = []
    for record in _records(site):
        for path, digest in recorded(_read(site / record).decode("utf-8", "replace")):
            if not digest.startswith("sha256="):
                continue
            try:
                actual = hashlib.sha256(_read(site / path)).digest()
            except OSError:
                changed.append(path)
                continue
            if base64.urlsafe_b64encode(actual).rstrip(b"=").decode() != digest.removeprefix("sha256="):
                changed.append(path)
    return tuple(sorted(changed))


def recorded(text: str) -> list[tuple[str, str]]:
    """Return path and digest of every row of a RECORD; a row that is none is skipped."""
    rows = []
    for line in text.splitlines():
        parts = line.rsplit(",", 2)
        if len(parts) == 3:  # noqa: PLR2004 - path, digest, size
            path = parts[0]
            if path.startswith('"') and path.endswith('"'):
                path = path[1:-1].replace('""', '"')
            rows.append((path, parts[1]))
    return rows


def _records(site: Path) -> list[str]:
    return sorted(f"{name}/RECORD" for name in os.listdir(site) if name.endswith(".dist-info"))  # noqa: PTH208 - speed


def _records_digest(site: Path) -> str:
    digest = hashlib.sha256()
    for name in _records(site):
        content = _read(site / name)
        digest.update(f"{name}\n{len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def _read(path: Path, limit: int = -1) -> bytes:
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(handle, "rb") as stream:
        return stream.read(limit)
