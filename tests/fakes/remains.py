"""What a target keeps beside its stamps, in memory."""

from __future__ import annotations

from airflow_package_manager.domain.removal import Remnant
from airflow_package_manager.errors import StoreConflict


class FakeRemains:
    """Locks and a text that are there until they are removed."""

    def __init__(self) -> None:
        self._versions = {"locks": 1, "text": 1}

    @property
    def there(self) -> list[str]:
        return list(self._versions)

    def edit(self, name: str) -> None:
        """Change it as somebody else does."""
        self._versions[name] += 1

    def find(self, *, text: bool) -> tuple[Remnant, ...]:
        found = ((name, version) for name, version in self._versions.items() if text or name != "text")
        return tuple(Remnant(f"the {name}", name, str(version)) for name, version in found)

    def remove(self, remnant: Remnant) -> str:
        if remnant.name not in self._versions:
            return f"{remnant.what}, which somebody else deleted meanwhile"
        if str(self._versions[remnant.name]) != remnant.version:
            raise StoreConflict(f"{remnant.what} was changed by somebody else at the same moment.")
        del self._versions[remnant.name]
        return remnant.what
