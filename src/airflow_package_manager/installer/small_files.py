"""How small files are replaced and read: atomically, and never through a link, a device or a surprise of size."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def replace_file(path: Path, content: bytes, temporary: Path) -> None:
    """Replace the file: written beside it in `temporary` (same file system), fsync, rename, fsync of its directory.

    Keeps the permissions of the file that it replaces. Raises `OSError`; nothing is left in `temporary` then.
    """
    import tempfile  # noqa: PLC0415 - readers, the installer with everything present above all, save its cost

    path.parent.mkdir(parents=True, exist_ok=True)
    temporary.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=temporary)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fchmod(stream.fileno(), _mode(path))
            os.fsync(stream.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def _mode(path: Path) -> int:
    try:
        return stat.S_IMODE(path.lstat().st_mode) if path.is_file() and not path.is_symlink() else 0o644
    except FileNotFoundError:
        return 0o644


def read_bounded(path: Path | str, limit: int, owners: frozenset[int] | None = None) -> bytes | None:
    """Return the content of a regular file, None when there is none.

    Links and devices are never followed or waited for. Raises `OSError`, and `ValueError` for what is no regular
    file, is larger than `limit` bytes, or has an owner outside `owners` or more than its owner's write permission.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as stream:
        found = os.fstat(stream.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise ValueError(f"{path} is not a regular file")
        if owners is not None and (found.st_uid not in owners or found.st_mode & stat.S_IWOTH):
            raise ValueError(f"{path} has an owner or permissions that are not to be trusted")
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise ValueError(f"{path} is larger than {limit} bytes")
    return content


def sync_directory(path: Path) -> None:
    """Make renames in the directory survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
