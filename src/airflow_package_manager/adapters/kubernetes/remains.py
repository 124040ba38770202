"""The two ConfigMaps when the package manager goes: our keys out of them, the object too where nothing else is in it.

The Role that we ship lets nobody delete a ConfigMap: with it the object stays, empty, and an administrator deletes it.
"""

from __future__ import annotations

from airflow_package_manager.adapters.kubernetes.configmap_store import CURRENT, LOCK_KEY, TEXT, Objects
from airflow_package_manager.adapters.kubernetes.failures import Absent, Conflict, Invalid
from airflow_package_manager.adapters.kubernetes.kinds import CONFIG_MAP, Object
from airflow_package_manager.domain.removal import Remnant
from airflow_package_manager.errors import StoreConflict, StoreUnavailable


class ConfigMapRemains:
    """Implements `ports.Remains`.

    Beside the port's errors it raises `ClusterUnavailable`, `ClusterForbidden` and `AdmissionRefused`.
    """

    def __init__(self, api: Objects, *, namespace: str, names: tuple[str, str]) -> None:
        """Take the names of the ConfigMaps: of the text, and of the locks."""
        self._api = api
        self._namespace = namespace
        self._text, self._locks = names

    def find(self, *, text: bool) -> tuple[Remnant, ...]:
        """Return the locks, then the text; without what is empty already and may not be deleted."""
        names = (self._locks, self._text) if text else (self._locks,)
        found = ((name, self._get(name)) for name in names)
        return tuple(
            Remnant(f"ConfigMap {name} ({_holds(one)})", name, str(one["metadata"]["resourceVersion"]))
            for name, one in found
            if one is not None and (_ours(one) or self._may_go(name, one))
        )

    def remove(self, remnant: Remnant) -> str:
        """Delete the object, or take our keys out of it on condition that it is as it was found."""
        name = remnant.name
        found = self._get(name)
        if found is None:
            return f"{remnant.what}, which somebody else deleted meanwhile"
        if str(found["metadata"]["resourceVersion"]) != remnant.version:
            raise StoreConflict(f"The ConfigMap {name} was changed by somebody else at the same moment.")
        try:
            if self._may_go(name, found):
                self._api.delete(CONFIG_MAP, self._namespace, name, uid=str(found["metadata"]["uid"]))
                return remnant.what
            nothing = {part: dict.fromkeys(keys) for part, keys in _ours(found).items()}
            body = {"metadata": {"resourceVersion": remnant.version}, **nothing}
            self._api.patch(CONFIG_MAP, self._namespace, name, body)
        except Conflict as error:
            raise StoreConflict(f"The ConfigMap {name} was changed by somebody else at the same moment.") from error
        except (Absent, Invalid) as error:
            raise StoreUnavailable(
                f"Our keys cannot be taken out of the ConfigMap {name}: {error}",
                next_action=f"Delete it: {self._by_hand(name)}",
            ) from error
        if _others(found):
            return f"our keys of {remnant.what}; it stays, because it holds {', '.join(_others(found))[:200]} too"
        return (
            f"all keys of {remnant.what}; the empty object stays, because this account may not delete it"
            f" ({self._by_hand(name)})"
        )

    def _get(self, name: str) -> Object | None:
        try:
            return self._api.get(CONFIG_MAP, self._namespace, name)
        except Absent:
            return None

    def _may_go(self, name: str, found: Object) -> bool:
        """Tell whether the whole object can go: nothing of others is in it, and this account may."""
        return not _others(found) and self._api.allowed(CONFIG_MAP, self._namespace, "delete", name)

    def _by_hand(self, name: str) -> str:
        return f"kubectl delete configmap {name} --namespace {self._namespace}"


def _ours(found: Object) -> dict[str, list[str]]:
    """Return our keys by the part of the object that holds them."""
    parts = {part: sorted(key for key in found.get(part) or {} if _is_ours(key)) for part in ("data", "binaryData")}
    return {part: keys for part, keys in parts.items() if keys}


def _others(found: Object) -> list[str]:
    keys = {*(found.get("data") or {}), *(found.get("binaryData") or {})}
    return sorted(key for key in keys if not _is_ours(key))


def _is_ours(key: str) -> bool:
    return key in {TEXT, CURRENT} or LOCK_KEY.fullmatch(key) is not None


def _holds(found: Object) -> str:
    return ", ".join(key for keys in _ours(found).values() for key in keys) or "empty"
