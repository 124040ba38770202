"""Requirements in one ConfigMap, locks and `current` in a second: a tool that applies the first one would tear them.

Every write is one patch of our own keys on condition of the object's resourceVersion, or one creation. Two objects
cannot change together, so one write changes either the text or locks and `current`. Uses `get`, `patch` and `create`
on ConfigMaps (`permissions`).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from airflow_package_manager.adapters.kubernetes import owners, permissions
from airflow_package_manager.adapters.kubernetes.api import FIELD_MANAGER
from airflow_package_manager.adapters.kubernetes.failures import Absent, AlreadyThere, Conflict, Invalid
from airflow_package_manager.adapters.kubernetes.kinds import CONFIG_MAP, Kind, Object
from airflow_package_manager.domain.plan import StoreSnapshot
from airflow_package_manager.errors import StoreConflict, StoreUnavailable
from airflow_package_manager.ports import StoreChanges
from airflow_package_manager.refusals import StoreTooLarge

TEXT = "requirements.txt"
CURRENT = "current"
LOCKS = "-locks"
"""Behind the name of the first ConfigMap stands the name of the second."""
MAXIMUM_BYTES = 1_048_576
"""Sum of the values of one ConfigMap, by the API server's own rule."""
LOCK_KEY = re.compile(r"lock\.([1-9][0-9]{0,8})", re.ASCII)
_CURRENT = re.compile(r"([1-9][0-9]{0,8})\n?", re.ASCII)
_ABSENT = "-"


class Objects(Protocol):
    """The methods of `api.Api` that the ConfigMaps need."""

    def get(self, kind: Kind, namespace: str, name: str) -> Object:
        """Return one object."""
        ...

    def create(self, kind: Kind, namespace: str, body: Object, *, dry_run: bool = False) -> Object:
        """Create an object."""
        ...

    def patch(
        self, kind: Kind, namespace: str, name: str, body: Object | Sequence[Object], *, dry_run: bool = False
    ) -> Object:
        """Change an object."""
        ...

    def apply(
        self, kind: Kind, namespace: str, name: str, body: Object, *, dry_run: bool = True, manager: str
    ) -> Object:
        """Apply without force."""
        ...

    def delete(
        self, kind: Kind, namespace: str, name: str, *, uid: str | None = None, propagation: str | None = None
    ) -> None:
        """Delete an object."""
        ...

    def allowed(self, kind: Kind, namespace: str, verb: str, name: str = "") -> bool:
        """Tell whether our account may do this."""
        ...


@dataclass(frozen=True)
class _Pair:
    """Both objects as read; None for one that is absent."""

    text: Object | None
    locks: Object | None

    @property
    def version(self) -> str:
        """Both resourceVersions."""
        return f"{_version(self.text)}/{_version(self.locks)}"


class ConfigMapStore:
    """Implements `ports.RequirementStore`.

    Beside the port's errors it raises `ClusterUnavailable`, `ClusterForbidden` and `AdmissionRefused`.
    """

    def __init__(self, api: Objects, *, namespace: str, name: str) -> None:
        """Take namespace and name of the ConfigMap with the text; both ConfigMaps are created when first written."""
        self._api = api
        self._namespace = namespace
        self._text_name = name
        self._locks_name = name + LOCKS

    @property
    def names(self) -> tuple[str, str]:
        """The names of both ConfigMaps, for who asks for permissions."""
        return self._text_name, self._locks_name

    def read(self) -> StoreSnapshot:
        """Return what is there; what is absent, torn or lost is empty."""
        return self._snapshot(self._read())

    def check_write(self) -> None:
        """Ask for every permission that a write may need."""
        permissions.require(self._api, self._namespace, permissions.of_store(self.names))

    def write(self, changes: StoreChanges, expected_version: str) -> StoreSnapshot:
        """Write the text, or locks and `current`."""
        of_locks = bool(changes.put_locks or changes.delete_locks or changes.current is not None)
        if changes.text is not None and of_locks:
            raise ValueError("one write changes either the text, or locks and current")
        found = self._read()
        if found.version != expected_version:
            raise StoreConflict("The requirements or locks were changed by somebody else at the same moment.")
        if changes.text is not None:
            self._snapshot(found)  # a ConfigMap that cannot be trusted is not written either
            found = _Pair(self._write_text(found.text, changes.text), found.locks)
        elif of_locks:
            found = _Pair(found.text, self._put(self._locks_name, found.locks, {"data": _lock_keys(changes)}))
        return self._snapshot(found)

    def _read(self) -> _Pair:
        return _Pair(self._get(self._text_name), self._get(self._locks_name))

    def _get(self, name: str) -> Object | None:
        try:
            return self._api.get(CONFIG_MAP, self._namespace, name)
        except Absent:
            return None

    def _snapshot(self, found: _Pair) -> StoreSnapshot:
        data: Mapping[str, str] = (found.locks or {}).get("data") or {}
        locks = {int(match[1]): text for key, text in data.items() if (match := LOCK_KEY.fullmatch(key))}
        manager = None if found.text is None else owners.manager(found.text, TEXT)
        return StoreSnapshot(
            self._text(found.text), MappingProxyType(locks), self._current(data), found.version, manager
        )

    def _text(self, found: Object | None) -> str:
        data, binary = _values(found)
        if TEXT in data:
            return data[TEXT]
        if TEXT in binary:
            return base64.b64decode(binary[TEXT]).decode("utf-8", "surrogateescape")
        others = sorted({*data, *binary})
        if others:
            raise StoreUnavailable(
                f"The ConfigMap {self._text_name} in namespace {self._namespace} has no key {TEXT}, only: "
                f"{', '.join(others)[:300]}.",
                next_action=f"Name the right ConfigMap in config_map, or add the key: kubectl -n {self._namespace}"
                f' patch configmap {self._text_name} --type merge -p \'{{"data":{{"{TEXT}":""}}}}\'.',
                keys=others[:20],
            )
        return ""

    def _current(self, data: Mapping[str, str]) -> int | None:
        if CURRENT not in data:
            return None
        match = _CURRENT.fullmatch(data[CURRENT])
        if match is None:
            raise StoreUnavailable(
                f"The key {CURRENT} of ConfigMap {self._locks_name} in namespace {self._namespace} is no revision.",
                next_action=f"Remove the key: kubectl -n {self._namespace} patch configmap {self._locks_name} --type"
                f" merge -p '{{\"data\":{{\"{CURRENT}\":null}}}}'; 'airflow-package-manager doctor --repair' writes it"
                " back.",
            )
        return int(match[1])

    def _write_text(self, found: Object | None, text: str) -> Object:
        data, binary = _values(found)
        body: Object
        try:
            text.encode()
        except UnicodeEncodeError:  # bytes that were no UTF-8 when read: JSON could not carry them
            body = {"binaryData": {TEXT: base64.b64encode(text.encode("utf-8", "surrogateescape")).decode()}}
            body["data"] = {TEXT: None} if TEXT in data else {}
        else:
            body = {"data": {TEXT: text}, "binaryData": {TEXT: None} if TEXT in binary else {}}
        if found is not None and FIELD_MANAGER not in owners.field_managers(found, TEXT):
            seen = [owners.manager(found, TEXT)]
            seen += owners.probe(self._api, self._namespace, self._text_name, TEXT, text)
            owner = next((name for name in seen if name), None)
            if owner is not None:
                body["metadata"] = {"annotations": {owners.RECORD: owner}}
        return self._put(self._text_name, found, body)

    def _put(self, name: str, found: Object | None, body: Object) -> Object:
        """Create the object, or patch our keys of it on condition that it is as it was found."""
        self._require_room(name, found, body)
        if found is not None and found.get("immutable") is True:
            raise self._immutable(name)
        try:
            if found is None:
                return self._api.create(CONFIG_MAP, self._namespace, _new(name, body))
            version = found["metadata"]["resourceVersion"]
            metadata = {**body.get("metadata", {}), "resourceVersion": version}
            return self._api.patch(CONFIG_MAP, self._namespace, name, {**body, "metadata": metadata})
        except (AlreadyThere, Conflict) as error:
            raise StoreConflict(f"The ConfigMap {name} was changed by somebody else at the same moment.") from error
        except Absent as error:
            if error.plural != "namespaces":
                raise StoreConflict(f"The ConfigMap {name} was deleted by somebody else meanwhile.") from error
            raise StoreUnavailable(
                f"The namespace {self._namespace} does not exist.",
                next_action=f"Correct namespace in [package_manager], or create it: kubectl create namespace"
                f" {self._namespace}.",
                namespace=self._namespace,
            ) from error
        except Invalid as error:
            raise self._refused(name, str(error)) from error

    def _require_room(self, name: str, found: Object | None, body: Object) -> None:
        data, binary = _values(found)
        texts = {**data, **body.get("data", {})}
        blobs = {**binary, **body.get("binaryData", {})}
        size = sum(len(text.encode()) for text in texts.values() if text is not None)
        size += sum(len(base64.b64decode(blob)) for blob in blobs.values() if blob is not None)
        if size > MAXIMUM_BYTES:
            raise StoreTooLarge(f"The ConfigMap {name} would hold {size} bytes of {MAXIMUM_BYTES}.", size=size)

    def _refused(self, name: str, message: str) -> StoreUnavailable | StoreTooLarge:
        if "Too long" in message:
            return StoreTooLarge(f"The API server refuses the ConfigMap {name} for its size: {message}")
        if "immutable" in message:
            return self._immutable(name)
        return StoreUnavailable(f"The API server does not accept the ConfigMap {name}: {message}")

    def _immutable(self, name: str) -> StoreUnavailable:
        return StoreUnavailable(
            f"The ConfigMap {name} in namespace {self._namespace} is immutable.",
            next_action=f"Save it, delete it, and create it without 'immutable': kubectl -n {self._namespace} get"
            f" configmap {name} -o yaml.",
        )


def _version(found: Object | None) -> str:
    return _ABSENT if found is None else str(found["metadata"]["resourceVersion"])


def _values(found: Object | None) -> tuple[Mapping[str, str], Mapping[str, str]]:
    held = found or {}
    return held.get("data") or {}, held.get("binaryData") or {}


def _lock_keys(changes: StoreChanges) -> dict[str, str | None]:
    keys: dict[str, str | None] = {f"lock.{revision}": None for revision in sorted(changes.delete_locks)}
    keys |= {f"lock.{revision}": text for revision, text in changes.put_locks.items()}
    if changes.current is not None:
        keys[CURRENT] = str(changes.current)
    return keys


def _new(name: str, body: Object) -> Object:
    """Return the object to create: a null, which removes in a patch, has no place in it."""
    labels = {"app.kubernetes.io/name": FIELD_MANAGER, "app.kubernetes.io/managed-by": FIELD_MANAGER}
    parts = {
        part: {key: value for key, value in body.get(part, {}).items() if value is not None}
        for part in ("data", "binaryData")
    }
    return {"metadata": {"name": name, "labels": labels}, **parts}
