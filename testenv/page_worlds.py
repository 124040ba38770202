"""The worlds of the page's gallery: scripted servers that answer the whole API."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from airflow_package_manager.web import operation_schemas as ops
from airflow_package_manager.web import requests, schemas
from testenv import page_clusters as clusters
from testenv import page_inventories as inventories
from testenv import page_stories as stories
from testenv.page_answers import package, packages, problem, session, sha

Answer = tuple[int, BaseModel]
DOWN_SECONDS = 5.0
UNKNOWN_PROJECT = {"suggestions": ["pandas", "pandas-gbq"]}


@dataclass
class World:
    """One scripted server; `answer` returns None when it hangs up."""

    rows: list[schemas.Package] = field(default_factory=inventories.usual)
    inventory: dict[str, Any] = field(default_factory=dict)
    text: str = inventories.TEXT
    who: schemas.Session = field(default_factory=session)
    closed: ops.Problem | None = None
    broken: str | None = None
    cluster: schemas.Components | None = None
    """What the target sees, whatever the operation says; None: its own story."""
    manager: str | None = None
    """Who else writes the requirements."""
    frames: list[stories.Frame] = field(default_factory=list)
    after_plan: list[stories.Frame] = field(default_factory=lambda: stories.planning(endless=False))
    after_apply: list[stories.Frame] = field(default_factory=stories.applying)
    refusals: dict[str, ops.Problem] = field(default_factory=dict)
    """What a POST is refused with, by the end of its address."""
    quiet: bool = False
    """Nothing was ever done here."""
    down: bool = False
    """The server hangs up now."""
    falls_at: int | None = None
    """It hangs up from this frame on, for `DOWN_SECONDS` or for ever."""
    stays_down: bool = False
    looks: int = 0
    fell: float | None = None
    """Monotonic seconds: when it began to hang up."""
    posts: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def answer(self, method: str, path: str, query: dict[str, str], body: bytes) -> Answer | None:
        """Return status and answer of one request."""
        if self.down:
            return None
        if self.closed is not None:
            return self.closed.status, self.closed
        if method == "POST":
            return self._post(path, json.loads(body))
        return self._get(path, query)

    def _operation(self) -> ops.Operation | None:
        return self.frames[min(self.looks, len(self.frames) - 1)][0] if self.frames else None

    def _get(self, path: str, query: dict[str, str]) -> Answer | None:
        operation = self._operation()
        running = operation is not None and operation.accepted_at is not None and operation.ended_at is None
        if path.startswith("operations/") and operation is not None:
            return self._look(path, query)
        if path.startswith("packages/"):
            return self._package(path.removeprefix("packages/"))
        if path.startswith("revisions/"):
            return self._revision(int(path.removeprefix("revisions/")), query)
        simple: dict[str, Callable[[], BaseModel]] = {
            "session": lambda: self.who,
            "packages": lambda: packages(self.rows, **self.inventory),
            "requirements": self._requirements,
            "components": lambda: self._components(operation),
            "health": lambda: (
                clusters.health()
                if self.who.target == "kubernetes"
                else inventories.health(bad=self.broken is not None)
            ),
            "revisions": lambda: ops.Revisions(revisions=[]) if self.quiet else inventories.revisions(),
            "events": lambda: ops.Audit(events=[] if self.quiet else inventories.audit(), next=None),
            "operations": lambda: self._history(operation if running else None),
        }
        if path in simple:
            return 200, simple[path]()
        return 404, problem("not-found", "There is no such thing", 404, f"No {path}.", "Check the address.")

    def _components(self, operation: ops.Operation | None) -> schemas.Components:
        if self.cluster is not None:
            return self.cluster
        if operation and operation.components:
            return stories.rollout_components(operation)
        return inventories.components(self.broken)

    def _look(self, path: str, query: dict[str, str]) -> Answer | None:
        if self.falls_at is not None and self.looks >= self.falls_at:
            self.fell = self.fell or time.monotonic()
            if self.stays_down or time.monotonic() < self.fell + DOWN_SECONDS:
                return None
        operation, events = self.frames[min(self.looks, len(self.frames) - 1)]
        if not path.endswith("/events"):
            return 200, operation
        self.looks += 1
        after = int(query.get("after", "0"))
        new = [one for one in events if (one.sequence or 0) > after]
        return 200, ops.Events(events=new, state=operation.state, step=operation.step)

    def _package(self, name: str) -> Answer:
        row = next((one for one in self.rows if one.name == name), None)
        if name == "pandsa" or (row is None and name.startswith("no-")):
            detail = f"No index knows {name}."
            return 404, problem(
                "unknown-project",
                "The package index does not know this project",
                404,
                detail,
                "Check the spelling, or add the index that has it to extra_index_urls.",
                project=name,
                **UNKNOWN_PROJECT,
            )
        unreachable = self.broken is not None
        return 200, schemas.PackageDetail(
            package=row or package(name, summary="A library that the index has", badges=["unknown"], installed=[]),
            requires=["numpy>=1.26", "python-dateutil>=2.8.2"],
            releases=[] if unreachable else inventories.releases(),
            index=None if unreachable else "packages.example.com",
            index_problem="packages.example.com does not answer: connection refused." if unreachable else None,
        )

    def _requirements(self) -> schemas.Requirements:
        return schemas.Requirements(
            text=self.text,
            digest=sha(self.text),
            edited_by_hand=bool(self.inventory.get("edited_by_hand")),
            manager=self.manager,
            kept_lines=self.inventory.get("kept_lines", []),
        )

    def _revision(self, number: int, query: dict[str, str]) -> Answer:
        found = next(one for one in inventories.revisions().revisions if one.revision == number)
        told = stories.the_plan()
        difference = told.difference if "diff" in query else None
        return 200, ops.RevisionDetail(revision=found, text=self.text, lock=told.lock, difference=difference)

    def _history(self, active: ops.Operation | None) -> ops.Operations:
        if self.quiet:
            return ops.Operations(operations=[], next=None, active=None)
        rows = [
            stories.applying()[-1][0],
            stories.ended("ROLLED_BACK")[0][0],
            stories.refused(),
            stories.planned(label="expired"),
            stories.ended("FAILED")[0][0],
        ]
        return ops.Operations(operations=rows, next=None, active=active.id if active else None)

    def _post(self, path: str, body: dict[str, Any]) -> Answer:
        self.posts.append((path, body))
        refusal = self.refusals.get(path.rsplit("/", 1)[-1])
        if refusal is not None:
            return refusal.status, refusal
        self.looks = 0
        if path == "operations":
            asked = requests.OperationRequest.model_validate(body)
            request = asked.model_dump(exclude_none=True, exclude_defaults=True)
            self.frames = [
                (one.model_copy(update={"request": request, "id": f"{len(self.posts):032x}"}), events)
                for one, events in self.after_plan
            ]
            operation = self.frames[0][0]
            made = ops.OperationCreated(operation=operation, token="t" * 43, expires_at=operation.expires_at)
            return 202, made
        if path.endswith("/apply"):
            requests.ApplyRequest.model_validate(body)
            self.frames = self.after_apply
        else:
            requests.CancelRequest.model_validate(body)
            dropped = self._operation() or stories.planned()
            self.frames = [(dropped.model_copy(update={"state": "CANCELLED", "actions": []}), [])]
        return 202, self.frames[0][0]
