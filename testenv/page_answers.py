"""Builds answers of the wire for the page's gallery: the real models, so that no scenario can drift from the API."""
# ruff: noqa: ANN401 - a scenario overrides any field of a model; pydantic checks the value

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from airflow_package_manager.domain.executors import SchedulerStop, on_tasks
from airflow_package_manager.web import operation_schemas as ops
from airflow_package_manager.web import schemas

NOW = datetime.now(tz=timezone.utc).replace(microsecond=0)
COMPONENTS = ["scheduler", "triggerer", "dag-processor", "api-server"]
ADMIN = schemas.Who(auth_manager="simple", id="1", name="admin")


def sha(text: str) -> str:
    """Return a digest that looks like one."""
    return hashlib.sha256(text.encode()).hexdigest()


def session(*permissions: str) -> schemas.Session:
    """Return who looks; all permissions when none is named."""
    held = permissions or ("read", "plan", "apply")
    return schemas.Session(
        principal=ADMIN,
        permissions=[f"package_manager:{one}" for one in held],
        airflow_version="3.3.2",
        plugin_version="0.1.0",
        token_lifetime=3600,
        target="local",
        place="/opt/airflow/package_manager",
        components=COMPONENTS,
        python="cp312",
        platform="linux_x86_64",
        csrf=None,
    )


def package(
    name: str,
    *,
    requested: str | None = None,
    locked: str | None = None,
    image: str | None = None,
    required_by: Sequence[str] = (),
    summary: str = "",
    badges: Sequence[str] = (),
    installed: Sequence[schemas.InstalledIn] | None = None,
) -> schemas.Package:
    """Return one row; what components have follows from lock and image unless it is given."""
    version = locked or image
    source: Any = "site" if locked else "image" if image else "absent"
    marks = list(badges)
    if not marks:
        if requested:
            marks.append("direct")
        elif locked:
            marks.append("transitive")
        if image and not locked:
            marks.append("image")
        if image and locked:
            marks.append("shadows-image")
    cells = installed
    if cells is None:
        cells = [schemas.InstalledIn(component=one, version=version, source=source) for one in COMPONENTS]
    return schemas.Package(
        name=name,
        summary=summary,
        requested=requested,
        locked=locked,
        image=image,
        installed=list(cells),
        badges=marks,
        required_by=list(required_by),
    )


def cells(**versions: str | None) -> list[schemas.InstalledIn]:
    """Return cells that differ: `unknown` and `absent` are words, the rest are versions."""
    found: list[schemas.InstalledIn] = []
    for component in COMPONENTS:
        value = versions.get(component.replace("-", "_"))
        source: Any = value if value in {"unknown", "absent"} else "site"
        found.append(
            schemas.InstalledIn(component=component, version=value if source == "site" else None, source=source)
        )
    return found


def packages(rows: Iterable[schemas.Package], **over: Any) -> schemas.Packages:
    """Return an inventory."""
    values: dict[str, Any] = {
        "packages": list(rows),
        "kept_lines": [],
        "components": COMPONENTS,
        "revision": 7,
        "edited_by_hand": False,
        "requirements_digest": sha("text"),
    }
    return schemas.Packages(**{**values, **over})


def release(version: str, days: int, **over: Any) -> schemas.Release:
    """Return one release that is so many days old."""
    values: dict[str, Any] = {
        "version": version,
        "yanked": None,
        "requires_python": ">=3.10",
        "uploaded_at": (NOW - timedelta(days=days)).isoformat(),
        "has_wheel": True,
        "size": 11_400_000 + days * 1000,
    }
    return schemas.Release(**{**values, **over})


def problem(code: str, title: str, status: int, detail: str, next_action: str, **context: Any) -> ops.Problem:
    """Return a problem body."""
    return ops.Problem(
        type=f"urn:airflow-package-manager:{code}",
        title=title,
        status=status,
        detail=detail,
        code=code,
        next_action=next_action,
        **context,
    )


def change(name: str, effect: Any, before: str | None, after: str | None, **over: Any) -> ops.PackageChange:
    """Return what happens to one distribution."""
    values: dict[str, Any] = {
        "direct": False,
        "image_version": None,
        "shadows": False,
        "required_by": [],
        "summary": "",
        "size": 420_000 if after else None,
    }
    return ops.PackageChange(name=name, effect=effect, before=before, after=after, **{**values, **over})


def plan(before: str, after: str, changes: Sequence[ops.PackageChange], **over: Any) -> ops.Plan:
    """Return a plan from one text to another."""
    diff = "".join(
        difflib.unified_diff(before.splitlines(keepends=True), after.splitlines(keepends=True), "now", "planned")
    )
    pins = [f"{one.name}=={one.after} --hash=sha256:{sha(one.name)}" for one in changes if one.after]
    lock = "# airflow-package-manager lock, format 1\n# python: cp312\n" + "".join(f"{pin}\n" for pin in sorted(pins))
    values: dict[str, Any] = {
        "digest": sha(after),
        "base_digest": sha(before),
        "changes": [],
        "package_changes": list(changes),
        "base_text": before,
        "proposed_text": after,
        "difference": diff,
        "lock": lock,
        "lock_digest": sha(lock),
        "lock_changes": True,
        "components": ["scheduler", "triggerer", "dag-processor"],
        "warnings": [],
        "acknowledgements": [],
        "longest_seconds": 540,
        "usual_seconds": 40,
        "adopted": False,
        "tasks": list(on_tasks(["LocalExecutor"], ["scheduler"], SchedulerStop.HANDOVER)),
    }
    return ops.Plan(**{**values, **over})


def operation(state: str, **over: Any) -> ops.Operation:
    """Return one attempt."""
    ended = state in {"SUCCEEDED", "ROLLED_BACK", "FAILED", "CANCELLED", "REFUSED"}
    accepted = state not in {"PLANNING", "PLANNED", "REFUSED"}
    values: dict[str, Any] = {
        "id": "0f3c" * 8,
        "state": state,
        "label": None,
        "owner": ADMIN,
        "summary": "add polars>=1.9, update pandas==2.3.1",
        "request": {
            "changes": [
                {"action": "add", "requirement": "polars>=1.9"},
                {"action": "update", "requirement": "pandas==2.3.1"},
            ]
        },
        "created_at": NOW - timedelta(seconds=75),
        "updated_at": NOW,
        "expires_at": NOW + timedelta(minutes=58),
        "accepted_at": NOW - timedelta(seconds=48) if accepted else None,
        "ended_at": NOW if ended else None,
        "revision": 8 if accepted else None,
        "cancel_requested": False,
        "step": "",
        "problem": None,
        "plan": None,
        "components": [],
        "actions": [],
    }
    return ops.Operation(**{**values, **over})


def progress(*stages: tuple[str, Any], verified: str | None = "heartbeat") -> list[ops.ComponentProgress]:
    """Return how far each component is."""
    return [
        ops.ComponentProgress(
            name=name,
            stage=stage,
            previous_stamp=7,
            verified=verified if stage == "done" else None,
            unverified=None,
        )
        for name, stage in stages
    ]


def instance(component: str, number: int = 1, **over: Any) -> schemas.Instance:
    """Return one process."""
    values: dict[str, Any] = {
        "name": f"airflow-1-{4710 + number}",
        "status": "Current",
        "message": "running on the wanted packages",
        "stamp": 7,
        "lock_digest": sha("lock"),
        "started_at": NOW - timedelta(hours=5, minutes=number),
        "reported_at": NOW - timedelta(seconds=2),
        "restarts": 0,
        "alive": True,
        "install_outcome": "installed",
        "install_code": None,
        "install_cause": None,
        "node": None,
        "reason": None,
    }
    _ = component
    return schemas.Instance(**{**values, **over})


def component(name: str, status: str = "Current", **over: Any) -> schemas.Component:
    """Return one component with one instance of the same status."""
    number = COMPONENTS.index(name) + 1 if name in COMPONENTS else 9
    values: dict[str, Any] = {
        "message": "1 of 1 current" if status == "Current" else "",
        "stamp": 7,
        "infrastructure": False,
        "unverified": None,
        "instances": [instance(name, number, status=status)],
    }
    return schemas.Component(name=name, status=status, **{**values, **over})


def event(sequence: int, kind: str, message: str, **over: Any) -> ops.Event:
    """Return one line of the record."""
    values: dict[str, Any] = {
        "id": 1000 + sequence,
        "sequence": sequence,
        "at": NOW - timedelta(seconds=60 - 4 * sequence),
        "principal": None,
        "address": None,
        "operation": "0f3c" * 8,
        "state": None,
        "component": None,
        "details": {},
    }
    return ops.Event(kind=kind, message=message, **{**values, **over})


def revision(number: int, summary: str, days: int, *, current: bool = False) -> ops.Revision:
    """Return one accepted text."""
    return ops.Revision(
        revision=number,
        operation=f"{number:032x}",
        owner=ADMIN,
        summary=summary,
        at=NOW - timedelta(days=days, hours=number),
        current=current,
    )


def check(name: str, status: Any, cause: str, next_action: str = "") -> schemas.Check:
    """Return one check."""
    return schemas.Check(name=name, status=status, cause=cause, next_action=next_action)
