"""What Airflow's database would say, as the test wants it."""

from __future__ import annotations

from airflow_package_manager.domain.facts import Heartbeat, ImportFailure
from tests.fakes.faults import Faults


class FakeFacts:
    """Effects ``facts.heartbeats``, ``facts.import_errors``, ``facts.unparsed_files``,
    ``facts.running_tasks``.

    A component that is not in `beats` keeps no heartbeat at all.
    """

    def __init__(self, *, faults: Faults | None = None) -> None:
        self.faults = faults or Faults()
        self.beats: dict[str, tuple[Heartbeat, ...]] = {}
        self.failures: tuple[ImportFailure, ...] = ()
        self.parsed_at: dict[str, float] = {}
        """Of each DAG file, Unix seconds."""
        self.tasks = 0

    def heartbeats(self, component: str, instances: int) -> tuple[Heartbeat, ...] | None:
        assert instances > 0
        found = self.faults.around("facts.heartbeats", lambda: self.beats.get(component))
        return None if found is None else found[:instances]  # who answers first, as a broker's workers do

    def import_errors(self) -> tuple[ImportFailure, ...]:
        return self.faults.around("facts.import_errors", lambda: self.failures)

    def unparsed_files(self, since: float) -> int:
        return self.faults.around(
            "facts.unparsed_files", lambda: sum(parsed < since for parsed in self.parsed_at.values())
        )

    def running_tasks(self) -> int:
        return self.faults.around("facts.running_tasks", lambda: self.tasks)
