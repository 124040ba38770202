"""What a person should know before applying; a warning stops nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from packaging.version import Version

from airflow_package_manager.domain.plan import Effect, PackageChange, PlanWarning
from airflow_package_manager.domain.requirements import RequirementsFile
from airflow_package_manager.domain.resolution import ResolvedDistribution
from airflow_package_manager.domain.rollout import ComponentStatus


def plan_warnings(
    *,
    proposed: RequirementsFile,
    edited: bool,
    manager: str | None,
    package_changes: Sequence[PackageChange],
    distributions: Mapping[str, ResolvedDistribution],
    components: Sequence[str],
    statuses: Mapping[str, ComponentStatus],
    running_tasks: int | None,
    lock_unreadable: bool,
    web_servers_left_out: Sequence[str],
) -> tuple[PlanWarning, ...]:
    """Return the warnings, those of packages first."""
    return (
        *_of_packages(package_changes, distributions),
        *_of_text(proposed, edited=edited, manager=manager, lock_unreadable=lock_unreadable),
        *_of_components(components, statuses, running_tasks, web_servers_left_out=web_servers_left_out),
    )


def _of_packages(
    package_changes: Sequence[PackageChange], distributions: Mapping[str, ResolvedDistribution]
) -> Iterator[PlanWarning]:
    for change in package_changes:
        known = distributions.get(change.name)
        if known is not None and known.yanked is not None:
            reason = f": {known.yanked}" if known.yanked else ""
            yield PlanWarning("yanked", f"{change.name} {known.version} was withdrawn by its authors{reason}.")
        if known is not None and Version(known.version).is_prerelease:
            yield PlanWarning("pre-release", f"{change.name} {known.version} is a pre-release.")
        if known is not None and known.at_start:
            yield PlanWarning(
                "runs-at-start",
                f"{change.name} {known.version} brings {', '.join(known.at_start[:3])}, which Python would run at every"
                " start; the check before the rollout will refuse it. It can only be part of the image.",
            )
        if change.effect is Effect.DOWNGRADED:
            yield PlanWarning("downgrade", f"{change.name} goes back from {change.before} to {change.after}.")
        if known is not None and (known.requires is None or known.entry_points is None):
            yield PlanWarning(
                "metadata-unknown",
                f"The index does not say what {change.name} {known.version} requires or brings to Airflow.",
            )


def _of_text(
    proposed: RequirementsFile, *, edited: bool, manager: str | None, lock_unreadable: bool
) -> Iterator[PlanWarning]:
    if manager is not None:
        yield PlanWarning(
            "gitops-owner",
            f"requirements.txt is also written by {manager}, which may take the change back: then this operation goes"
            " back too. Change it at its source, or tell that tool to leave this text alone.",
        )
    if edited:
        yield PlanWarning(
            "edited-by-hand",
            "requirements.txt was edited outside of the package manager since the last applied change; what was"
            " edited is part of this plan.",
        )
    if lock_unreadable:
        yield PlanWarning("lock-unreadable", "The current lock is damaged or missing; all of it is made anew.")
    kept = proposed.kept_lines()
    if kept:
        numbers = ", ".join(str(line.number) for line in kept)
        yield PlanWarning(
            "own-lines-kept",
            f"Line {numbers} of the file (options, references, addresses, or text that is no requirement) stays as it"
            " is and is not used here; an image that runs 'pip install -r' on this file would use it.",
        )


def _of_components(
    components: Sequence[str],
    statuses: Mapping[str, ComponentStatus],
    running_tasks: int | None,
    *,
    web_servers_left_out: Sequence[str],
) -> Iterator[PlanWarning]:
    unknown = [
        name
        for name, status in statuses.items()
        if not status.instances or any(instance.image is None for instance in status.instances)
    ]
    if unknown and components:
        yield PlanWarning(
            "image-unknown",
            f"{', '.join(sorted(unknown))}: not known which packages the image has; the check before the rollout will"
            " tell for the component that it runs in.",
        )
    down = [f"{name} ({statuses[name].down})" for name in components if name in statuses and statuses[name].down]
    if down:
        yield PlanWarning(
            "goes-down",
            "Nothing of this runs while it restarts, and until it has gone back if the change fails:"
            f" {', '.join(down)}.",
        )
    if running_tasks and components:
        tasks = "1 task runs" if running_tasks == 1 else f"{running_tasks} tasks run"
        yield PlanWarning("running-tasks", f"{tasks} now; the restarts may meet them.")
    for name in web_servers_left_out:
        yield PlanWarning(
            "api-server-not-restarted",
            f"Airflow plugins or providers come, go or change, and {name} is not among the components that"
            " restart: its pages and connection forms stay as they are until it is restarted.",
        )
