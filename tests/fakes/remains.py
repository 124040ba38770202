"""What a target keeps beside its stamps, in memory."""

from __future__ import annotations

from airflow_package_manager.domain.removal import Remnant


class FakeRemains:
    """Locks and a text that are there until they are removed."""

    def __init__(self) -> None:
        self.there = ["locks", "text"]

    def find(self, *, text: bool) -> tuple[Remnant, ...]:
        return tuple(Remnant(f"the {name}", name, "1") for name in self.there if text or name != "text")

    def remove(self, remnant: Remnant) -> str:
        self.there.remove(remnant.name)
        return remnant.what
