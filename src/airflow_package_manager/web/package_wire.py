"""Domain values of packages → wire models, as `wire` does for all else."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import lru_cache
from typing import Any

from airflow_package_manager.domain import inventory
from airflow_package_manager.web import schemas


def package(row: inventory.PackageRow) -> schemas.Package:
    """Return one row of the inventory."""
    return schemas.Package.model_validate(_package(row))


def _package(row: inventory.PackageRow) -> dict[str, Any]:
    """Return its values: a whole inventory is checked by pydantic at once, which costs a third of row by row."""
    return {
        "name": row.name,
        "summary": row.summary,
        "requested": row.requested,
        "locked": row.locked,
        "image": row.image,
        "installed": [
            {"component": cell.component, "version": cell.version, "source": cell.source.value}
            for cell in row.installed
        ],
        "badges": [badge.value for badge in row.badges],
        "required_by": list(row.required_by),
    }


def filtered(found: inventory.Inventory, *, scope: str = "all", query: str = "") -> inventory.Inventory:
    """Return the inventory with the rows that a scope and a part of a text leave.

    `scope` is all, requested, locked, image, or managed (requested or locked).
    """
    part = query.strip().casefold()
    columns = {"managed": ("requested", "locked"), "all": ("name",)}.get(scope, (scope,))
    rows = tuple(
        row
        for row in found.rows
        if any(getattr(row, column) is not None for column in columns)
        and (part in row.name.casefold() or part in row.summary.casefold())
    )
    return replace(found, rows=rows)


@lru_cache(maxsize=4)
def packages(found: inventory.Inventory, *, scope: str = "all", query: str = "") -> schemas.Packages:
    """Return the inventory, or the rows of it that `filtered` leaves.

    Remembered for an inventory that is asked for again: the page polls, and 700 rows cost more than all else.
    """
    found = filtered(found, scope=scope, query=query)
    return schemas.Packages.model_validate(
        {
            "packages": [_package(row) for row in found.rows],
            "kept_lines": [kept_line(line) for line in found.kept_lines],
            "components": list(found.components),
            "revision": found.revision,
            "edited_by_hand": found.edited_by_hand,
            "requirements_digest": found.requirements_digest,
        }
    )


def kept_line(line: inventory.KeptLine) -> schemas.KeptLine:
    """Return a line that is shown and never used."""
    return schemas.KeptLine(number=line.number, kind=line.kind.value, text=line.text)


def package_detail(found: inventory.PackageDetail) -> schemas.PackageDetail:
    """Return one project with its releases."""
    project = found.project
    return schemas.PackageDetail(
        package=package(found.row),
        requires=list(found.requires),
        releases=[schemas.Release(**asdict(release)) for release in project.releases] if project else [],
        index=project.index if project else None,
        index_problem=found.index_problem,
    )


def requirements(found: inventory.Requirements) -> schemas.Requirements:
    """Return the file."""
    return schemas.Requirements(
        text=found.text,
        digest=found.digest,
        edited_by_hand=found.edited_by_hand,
        manager=found.manager,
        kept_lines=[kept_line(line) for line in found.kept_lines],
    )
