"""What was asked, put beside what is there: the first value of every plan."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from airflow_package_manager.domain import change_sets
from airflow_package_manager.domain import lock as locks
from airflow_package_manager.domain.operation import Operation
from airflow_package_manager.domain.plan import ChangeSet, Plan, StoreSnapshot
from airflow_package_manager.domain.requirements import RequirementsFile
from airflow_package_manager.domain.resolution import (
    Image,
    InstalledDistribution,
    Resolution,
    ResolutionRequest,
    ResolvedDistribution,
)


@dataclass(frozen=True)
class Question:
    """A change set against one reading of the store and one image."""

    change_set: ChangeSet
    snapshot: StoreSnapshot
    image: Image
    proposed: str
    """The whole text that is asked for."""
    file: RequirementsFile
    """The proposed text, parsed."""
    restored: Plan | None
    """Of the revision that is asked for, when one is."""

    @classmethod
    def of(cls, change_set: ChangeSet, snapshot: StoreSnapshot, image: Image, restored: Operation | None) -> Question:
        """Return the question; `restored` is the operation of the revision that the change set names.

        Raises what an edit raises (`AlreadyRequired`, `RequirementNotFound`, `AmbiguousRequirement`), and `NotFound`
        for a revision that never became current.
        """
        plan = None if restored is None else change_sets.restorable(restored)
        proposed = change_sets.proposed_text(change_set, snapshot.text, plan.proposed_text if plan else None)
        return cls(change_set, snapshot, image, proposed, RequirementsFile.parse(proposed), plan)

    @property
    def file_now(self) -> RequirementsFile:
        """The text that the store holds, parsed."""
        return RequirementsFile.parse(self.snapshot.text)

    def for_the_resolver(self, protected: frozenset[str]) -> ResolutionRequest:
        """Return what a resolver is asked; `protected` are the image's distributions that may not move."""
        return ResolutionRequest(
            requirements=tuple(entry.requirement for entry in self.file.entries),
            image=self.image,
            current=self.snapshot.usable_lock(),
            protected=protected,
            hashes={entry.name: entry.hashes for entry in self.file.entries if entry.hashes},
            requirements_digest=locks.text_digest(self.proposed),
        )

    def stored_resolution(self, site: Callable[[str], Mapping[str, InstalledDistribution]]) -> Resolution | None:
        """Return the lock of the restored revision when it was made for this image.

        `site` gives what is still installed for a lock digest; what it does not hold stays unknown.
        """
        if self.restored is None or self.restored.lock.image != self.image.fingerprint():
            return None
        lock = dataclasses.replace(self.restored.lock, revision=None, requirements=locks.text_digest(self.proposed))
        distributions = {
            name: ResolvedDistribution(name, found.version, found.requires, found.entry_points, summary=found.summary)
            for name, found in site(lock.digest()).items()
        }
        return Resolution(lock=lock, distributions=distributions, seconds={})
