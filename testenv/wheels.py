"""Builds tiny wheels in memory, byte for byte the same each time, and the one sdist that nobody may build."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_DATE = (2026, 1, 2, 3, 4, 6)


@dataclass(frozen=True)
class IndexFile:
    """One file that an index offers."""

    name: str
    """Of the project, as its metadata spells it."""
    version: str
    filename: str
    content: bytes
    metadata: str
    """What its METADATA (or PKG-INFO) says."""
    requires_python: str | None = None
    yanked: str | None = None
    """The reason, possibly empty; None when it was not yanked."""
    uploaded_at: str = "2026-01-02T03:04:05.000000Z"
    entry_points: tuple[str, ...] = ()
    """Groups."""

    @property
    def project(self) -> str:
        """Return the normalised name."""
        return re.sub(r"[-_.]+", "-", self.name).lower()

    @property
    def sha256(self) -> str:
        """Return the SHA-256 of the content, 64 hex digits."""
        return hashlib.sha256(self.content).hexdigest()


def wheel(
    name: str,
    version: str,
    *,
    requires: Sequence[str] = (),
    files: Mapping[str, str] | None = None,
    entry_points: Mapping[str, Mapping[str, str]] | None = None,
    tag: str = "py3-none-any",
    requires_python: str | None = None,
    summary: str = "",
    yanked: str | None = None,
    extras: Mapping[str, Sequence[str]] | None = None,
) -> IndexFile:
    """Return a wheel.

    `files` maps paths inside the site to text; left out, the wheel holds one importable module named after the
    project, with `VERSION`. `entry_points` maps group → name → object reference. `extras` maps extra → requirements.
    """
    module = re.sub(r"[-.]+", "_", name).lower()
    if files is None:
        files = {f"{module}.py": f'"""The package {name}."""\n\nVERSION = "{version}"\n'}
    escaped = re.sub(r"[-_.]+", "_", name)
    info = f"{escaped}-{version}.dist-info"
    metadata = _metadata(name, version, requires, requires_python, summary=summary, extras=extras)
    contents = dict(files)
    contents[f"{info}/METADATA"] = metadata
    pure = "true" if tag.endswith("any") else "false"
    contents[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nGenerator: testenv\nRoot-Is-Purelib: {pure}\nTag: {tag}\n"
    if entry_points:
        contents[f"{info}/entry_points.txt"] = "".join(
            f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in names.items()) + "\n"
            for group, names in entry_points.items()
        )
    contents[f"{info}/RECORD"] = _record(contents, f"{info}/RECORD")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, text in contents.items():
            archive.writestr(zipfile.ZipInfo(path, _DATE), text)
    return IndexFile(
        name,
        version,
        f"{escaped}-{version}-{tag}.whl",
        buffer.getvalue(),
        metadata,
        requires_python,
        yanked,
        entry_points=tuple(entry_points or ()),
    )


def sdist(name: str, version: str, *, marker: str = "/nonexistent/built") -> IndexFile:
    """Return a source distribution whose `setup.py`, should anybody ever run it, writes the file `marker`."""
    root = f"{re.sub(r'[-_.]+', '_', name).lower()}-{version}"
    metadata = _metadata(name, version, (), None)
    contents = {
        f"{root}/PKG-INFO": metadata,
        f"{root}/setup.py": f"open({marker!r}, 'w').close()\nfrom setuptools import setup\nsetup(name={name!r})\n",
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for path, text in contents.items():
            member = tarfile.TarInfo(path)
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return IndexFile(name, version, f"{root}.tar.gz", buffer.getvalue(), metadata)


def _metadata(
    name: str,
    version: str,
    requires: Sequence[str],
    requires_python: str | None,
    *,
    summary: str = "",
    extras: Mapping[str, Sequence[str]] | None = None,
) -> str:
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Summary: {summary}"] if summary else []
    lines += [f"Requires-Python: {requires_python}"] if requires_python else []
    lines += [f"Requires-Dist: {requirement}" for requirement in requires]
    for extra, requirements in (extras or {}).items():
        lines.append(f"Provides-Extra: {extra}")
        lines += [f'Requires-Dist: {requirement}; extra == "{extra}"' for requirement in requirements]
    return "\n".join(lines) + "\n"


def _record(contents: Mapping[str, str], own_path: str) -> str:
    buffer = io.StringIO()
    rows = csv.writer(buffer, lineterminator="\n")
    for path, text in contents.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        rows.writerow((path, f"sha256={digest}", len(text.encode())))
    rows.writerow((own_path, "", ""))
    return buffer.getvalue()
