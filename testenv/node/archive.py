"""Writes an image archive as `docker save` does: one layer, made of directories, links and small files."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Layer:
    """What is in the image; paths are relative to its root."""

    directories: Mapping[str, int] = field(default_factory=dict)
    """Path → mode."""
    links: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    """Path → content; every file may be executed."""

    def archive(self) -> bytes:
        """Return the layer as a tar archive; the same content always gives the same bytes."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            for path, mode in sorted(self.directories.items()):
                tar.addfile(_entry(path, tarfile.DIRTYPE, mode))
            for path, target in sorted(self.links.items()):
                link = _entry(path, tarfile.SYMTYPE, 0o777)
                link.linkname = target
                tar.addfile(link)
            for path, content in sorted(self.files.items()):
                entry = _entry(path, tarfile.REGTYPE, 0o755)
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
        return buffer.getvalue()


def write(path: Path, tag: str, layer: Layer, settings: Mapping[str, object]) -> Path:
    """Write the image; `settings` are those of the image's `config` (Entrypoint, Env, User, …). Returns the path."""
    content = layer.archive()
    machine = platform.machine()
    configuration = {
        "architecture": _ARCHITECTURES.get(machine, machine),
        "os": "linux",
        "config": dict(settings),
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(content).hexdigest()}"]},
        "history": [{"created_by": "testenv"}],
    }
    manifest = [{"Config": "config.json", "RepoTags": [tag], "Layers": ["layer.tar"]}]
    members = {
        "layer.tar": content,
        "config.json": json.dumps(configuration, sort_keys=True).encode(),
        "manifest.json": json.dumps(manifest).encode(),
    }
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            entry = _entry(name, tarfile.REGTYPE, 0o644)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return path


def _entry(path: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(path)
    entry.type = kind
    entry.mode = mode
    return entry
