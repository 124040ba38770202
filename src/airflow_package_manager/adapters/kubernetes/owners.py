"""Who else writes a ConfigMap's key: read from the object, and asked from the server before our first write.

Our own write moves the ownership of the key to us, so whoever was seen before is recorded in an annotation, and the
marks that tools leave on the whole object (labels, annotations) are read as well. Pure, but for `probe`.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping
from typing import Any, Protocol

from airflow_package_manager.adapters.kubernetes.api import FIELD_MANAGER
from airflow_package_manager.adapters.kubernetes.failures import Conflict, Invalid
from airflow_package_manager.adapters.kubernetes.kinds import CONFIG_MAP, Kind, Object

RECORD = "airflow-package-manager/owner"
"""The annotation that keeps who owned the key before our first write; remove it when that owner is gone."""
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_APPLIED = "kubectl-client-side-apply"
_HAND = re.compile(r"kubectl-(?!client-side-apply)[a-z]+(-[a-z]+)*")
"""A person at a keyboard: edit, create, patch, replace. Who applies a file will apply it again."""
_LABELS: tuple[tuple[str, str], ...] = (
    ("argocd.argoproj.io/instance", "argocd-controller"),
    ("kustomize.toolkit.fluxcd.io/name", "kustomize-controller"),
    ("helm.toolkit.fluxcd.io/name", "helm-controller"),
)
_ANNOTATIONS: tuple[tuple[str, str], ...] = (
    ("argocd.argoproj.io/tracking-id", "argocd-controller"),
    ("meta.helm.sh/release-name", "helm"),
)


class Applies(Protocol):
    """The method of `api.Api` that the probe needs."""

    def apply(
        self, kind: Kind, namespace: str, name: str, body: Object, *, dry_run: bool = True, manager: str
    ) -> Object:
        """Apply without force."""
        ...


def manager(config_map: Object, key: str) -> str | None:
    """Return the tool that owns the key or the whole object and will write it again; None for nobody, us, or a hand."""
    metadata = config_map.get("metadata", {})
    annotations: Mapping[str, str] = metadata.get("annotations") or {}
    labels: Mapping[str, str] = metadata.get("labels") or {}
    found = [name for name in field_managers(config_map, key) if _is_tool(name)]
    found += [tool for label, tool in _LABELS if label in labels]
    found += [tool for annotation, tool in _ANNOTATIONS if annotation in annotations]
    if key in _applied_keys(annotations.get(_LAST_APPLIED, "")):
        found.append(_APPLIED)
    found.append(annotations.get(RECORD, ""))
    return next((name for name in found if name), None)


def field_managers(config_map: Object, key: str) -> tuple[str, ...]:
    """Return the field managers that own the key of `data` or `binaryData`, the latest writer last."""
    owned = []
    for entry in config_map.get("metadata", {}).get("managedFields") or ():
        fields = entry.get("fieldsV1") or {}
        if any(f"f:{key}" in (fields.get(part) or {}) for part in ("f:data", "f:binaryData")):
            owned.append(str(entry.get("manager", "")))
    return tuple(dict.fromkeys(owned))


def probe(api: Applies, namespace: str, name: str, key: str, text: str) -> tuple[str, ...]:
    """Return the tools that the API server names as owners when we would set the key to another text; changes nothing.

    A dry run of server-side apply without force: it goes through permissions and admission like the write that follows.
    """
    try:
        api.apply(CONFIG_MAP, namespace, name, {"data": {key: text}}, dry_run=True, manager=FIELD_MANAGER)
    except Conflict as error:
        return tuple(owner for owner in error.owners if _is_tool(owner))
    except Invalid:
        return ()  # what is wrong with the text the write itself says
    return ()


def _is_tool(name: str) -> bool:
    return name not in {"", FIELD_MANAGER} and _HAND.fullmatch(name) is None


def _applied_keys(applied: str) -> frozenset[str]:
    """Return the keys of `data` that somebody keeps in a file and applies."""
    with contextlib.suppress(ValueError, AttributeError):
        read: Any = json.loads(applied)
        return frozenset(read.get("data") or {})
    return frozenset()
