"""What a wheel says of itself, read from the wheel and kept by its hash: its answer can never change."""

from __future__ import annotations

import configparser
import hashlib
import json
import os
import re
import tempfile
import zipfile
import zlib
from email.parser import HeaderParser
from pathlib import Path
from typing import BinaryIO, cast

from airflow_package_manager.adapters.index_http import IndexClient, RemoteFile
from airflow_package_manager.adapters.wheelhouse import LocalFile, Wheelhouse
from airflow_package_manager.domain.resolution import WheelMetadata
from airflow_package_manager.installer.gate import INERT

_MAXIMUM_WHOLE = 512 * 1024 * 1024
"""Bytes of a wheel from an index that knows no ranges."""
_MAXIMUM_MEMBER = 4 * 1024 * 1024
_FIELDS = ("headers", "requires", "entry_points", "summary", "at_start")

_IN_ROOT = re.compile(r"\A[^/]+\.data/(?:purelib|platlib|data)/")
_AT_START = re.compile(r"[^/]*\.pth|(?:site|user)customize(?:[./].*)?", re.IGNORECASE)


class WheelReader:
    """Reads METADATA and entry points."""

    def __init__(self, client: IndexClient | Wheelhouse, directory: Path) -> None:
        """Take where wheels are read from, and the directory that keeps answers; it is made when first needed."""
        self._client = client
        self._directory = directory

    def kept(self, sha256: str) -> WheelMetadata | None:
        """Return what is known already of the wheel with this hash."""
        try:
            values = json.loads((self._directory / f"{sha256}.json").read_text(encoding="utf-8"))
            headers, requires, entry_points, summary, at_start = (values[field] for field in _FIELDS)
        except (OSError, ValueError, KeyError, TypeError):
            return None  # not kept, or torn: it is read again
        return WheelMetadata(
            str(headers),
            tuple(map(str, requires)),
            tuple(map(str, entry_points)),
            str(summary),
            tuple(map(str, at_start)),
        )

    def read(self, url: str, sha256: str) -> WheelMetadata:
        """Return what the wheel at `url` says; raises `IndexRefused`, `IndexUnavailable`, `ValueError`."""
        with self._client.file(url, limit=_MAXIMUM_WHOLE) as remote:
            try:
                found = _read(remote)
            except (zipfile.BadZipFile, KeyError, NotImplementedError, RuntimeError, EOFError, zlib.error) as error:
                raise ValueError(f"{url.rpartition('/')[2]} is not a readable wheel") from error
            whole = remote.held_whole()
        if whole is not None and hashlib.sha256(whole).hexdigest() != sha256:
            raise ValueError(f"{url.rpartition('/')[2]} is not the file that the index lists")
        self._keep(sha256, found)
        return found

    def sha256(self, url: str) -> str:
        """Return the SHA-256 of the file at `url`, for an index that does not say; raises as `IndexClient.get`."""
        with self._client.file(url, limit=_MAXIMUM_WHOLE) as remote:
            return hashlib.sha256(remote.whole()).hexdigest()

    def _keep(self, sha256: str, found: WheelMetadata) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        values = {field: getattr(found, field) for field in _FIELDS}
        handle, name = tempfile.mkstemp(dir=self._directory)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(values, stream)
        Path(name).replace(self._directory / f"{sha256}.json")


def _read(remote: RemoteFile | LocalFile) -> WheelMetadata:
    with zipfile.ZipFile(cast("BinaryIO", remote)) as archive:
        root = next(
            (
                name.partition("/")[0]
                for name in archive.namelist()
                if name.count("/") == 1 and name.endswith(".dist-info/METADATA")
            ),
            None,
        )
        if root is None:
            raise KeyError("METADATA")
        text = _member(archive, f"{root}/METADATA")
        entry_points = f"{root}/entry_points.txt"
        groups = _groups(_member(archive, entry_points)) if entry_points in archive.namelist() else ()
        at_start = _at_start(archive.namelist(), root.partition("-")[0])
    headers = text.replace("\r\n", "\n").partition("\n\n")[0] + "\n"
    message = HeaderParser().parsestr(headers)
    requires = tuple(message.get_all("Requires-Dist", ()))
    return WheelMetadata(headers, requires, groups, message.get("Summary", ""), at_start)


def _at_start(names: list[str], project: str) -> tuple[str, ...]:
    """Return what the installer's gate refuses at the root of a site, which some parts of `*.data` reach too."""
    paths = (_IN_ROOT.sub("", name, count=1) for name in names)
    return tuple(sorted({path for path in paths if _AT_START.fullmatch(path) and INERT.get(path) != project}))


def _member(archive: zipfile.ZipFile, name: str) -> str:
    with archive.open(name) as stream:
        body = stream.read(_MAXIMUM_MEMBER + 1)
    if len(body) > _MAXIMUM_MEMBER:
        raise ValueError(f"{name} is larger than {_MAXIMUM_MEMBER} bytes")
    return body.decode("utf-8", "replace")


def _groups(text: str) -> tuple[str, ...]:
    parser = configparser.ConfigParser(interpolation=None, strict=False, delimiters=("=",))
    try:
        parser.read_string(text)
    except configparser.Error as error:
        raise ValueError("entry_points.txt cannot be read") from error
    return tuple(sorted(parser.sections()))
