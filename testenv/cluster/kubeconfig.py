"""Kubeconfig files: written for the accounts of our control plane, read from a cluster that is somebody else's."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]


@dataclass(frozen=True)
class Access:
    """Where an API server is, and who one is there."""

    url: str
    authority: Path | None
    """Certificates that are trusted; None means those of the machine."""
    token: str = ""
    certificate: Path | None = None
    key: Path | None = None
    namespace: str = "default"

    def write(self, path: Path) -> Path:
        """Write a kubeconfig with this one context; returns its path. It holds a secret: only its owner may read it."""
        user: dict[str, str] = {"token": self.token} if self.token else {}
        if self.certificate and self.key:
            user |= {"client-certificate": str(self.certificate), "client-key": str(self.key)}
        trusted = {"certificate-authority": str(self.authority)} if self.authority else {}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "testenv", "cluster": {"server": self.url, **trusted}}],
            "users": [{"name": "testenv", "user": user}],
            "contexts": [
                {"name": "testenv", "context": {"cluster": "testenv", "user": "testenv", "namespace": self.namespace}}
            ],
            "current-context": "testenv",
        }
        path.touch(mode=0o600)
        path.write_text(json.dumps(content, indent=1))  # JSON is YAML
        return path

    @classmethod
    def read(cls, path: Path, secrets: Path | None = None) -> Access:
        """Return the current context of a file; embedded certificates and keys are written into `secrets`."""
        content = yaml.safe_load(path.read_text())
        context = _named(content, "context", content["current-context"])
        cluster, user = _named(content, "cluster", context["cluster"]), _named(content, "user", context["user"])
        return cls(
            url=cluster["server"],
            authority=_file(path, cluster, "certificate-authority", secrets),
            token=user.get("token", ""),
            certificate=_file(path, user, "client-certificate", secrets),
            key=_file(path, user, "client-key", secrets),
            namespace=context.get("namespace", "default"),
        )


def _named(content: dict[str, Any], kind: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(entry[kind] for entry in content[f"{kind}s"] if entry["name"] == name)
    return found


def _file(kubeconfig: Path, entry: dict[str, Any], field: str, secrets: Path | None) -> Path | None:
    if name := entry.get(field):
        return kubeconfig.parent / str(name)
    embedded = entry.get(f"{field}-data")
    if not embedded:
        return None
    if secrets is None:
        raise ValueError(f"{kubeconfig} holds {field}-data, and no directory was given to write it to")
    path = secrets / f"{field}.pem"
    path.touch(mode=0o600)
    path.write_bytes(base64.b64decode(embedded))
    return path
