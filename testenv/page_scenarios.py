"""The scenarios of the page's gallery: one per state that a person can meet."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from airflow_package_manager.web import operation_schemas as ops
from airflow_package_manager.web import schemas
from testenv import page_clusters as clusters
from testenv import page_inventories as inventories
from testenv import page_stories as stories
from testenv.page_answers import problem, session
from testenv.page_worlds import World


def still(*frames: stories.Frame | ops.Operation) -> list[stories.Frame]:
    """Return frames without a story."""
    return [one if isinstance(one, tuple) else (one, []) for one in frames]


def _problem(status: int) -> ops.Problem:
    if status == HTTPStatus.UNAUTHORIZED:
        return problem(
            "not-authenticated",
            "You are not logged in",
            401,
            "Nobody is logged in.",
            "Log in to Airflow and try again.",
        )
    return problem(
        "forbidden",
        "You may not do this",
        403,
        "viewer lacks the permission package_manager:read.",
        "Ask an Airflow administrator: by default only the Admin role may use the package manager.",
    )


def _cluster(cluster: schemas.Components | None = None, **values: Any) -> World:  # noqa: ANN401 - any field of a world
    return World(who=clusters.who(), cluster=cluster or clusters.seen(), **values)


_OPERATION = "#/operations/" + "0f3c" * 8
_EDITED = {"edited_by_hand": True, "kept_lines": inventories.kept_lines()}
SCENARIOS: dict[str, tuple[str, Callable[[], World]]] = {
    "normal": ("", World),
    "empty": (
        "",
        lambda: World(
            rows=[r for r in inventories.usual() if r.image and not r.requested],
            text="",
            quiet=True,
            inventory={"revision": None},
        ),
    ),
    "many": ("", lambda: World(rows=inventories.many(500))),
    "strange": ("", lambda: World(rows=inventories.strange(), text=inventories.HOSTILE + "\n" + inventories.LONG)),
    "edited-by-hand": ("", lambda: World(inventory=_EDITED)),
    "may-only-read": ("", lambda: World(who=session("read"))),
    "server-away": ("", lambda: World(down=True)),
    "not-logged-in": ("", lambda: World(closed=_problem(401))),
    "forbidden": ("", lambda: World(closed=_problem(403))),
    "requirements": ("#/requirements", World),
    "requirements-crlf": ("#/requirements", lambda: World(text=inventories.TEXT.replace("\n", "\r\n"))),
    "requirements-kept": ("#/requirements", lambda: World(inventory=_EDITED)),
    "components": ("#/components", World),
    "components-bad": ("#/components", lambda: World(broken="scheduler")),
    "history": ("#/history", World),
    "history-empty": ("#/history", lambda: World(quiet=True)),
    "revision": ("#/revisions/6", World),
    "audit": ("#/audit", World),
    "audit-empty": ("#/audit", lambda: World(quiet=True)),
    "health": ("#/health", World),
    "health-bad": ("#/health", lambda: World(broken="scheduler")),
    "planning": (_OPERATION, lambda: World(frames=stories.planning(endless=True))),
    "planned": (_OPERATION, lambda: World(frames=still(stories.planned()))),
    "planned-text-only": (
        _OPERATION,
        lambda: World(
            frames=still(
                stories.planned().model_copy(
                    update={
                        "plan": stories.the_plan(lock_changes=False, package_changes=[], components=[], adopted=True)
                    }
                )
            )
        ),
    ),
    "planned-strange": (_OPERATION, lambda: World(frames=still(stories.strange_plan()))),
    "refused": (_OPERATION, lambda: World(frames=still(stories.refused()))),
    "refused-lines": (_OPERATION, lambda: World(frames=still(stories.lines_refused()))),
    "refused-version": (_OPERATION, lambda: World(frames=still(stories.version_refused()))),
    "refused-at-once": ("", lambda: World(refusals={"operations": stories.denied()})),
    "stale": ("", lambda: World(refusals={"apply": stories.stale()})),
    "planning-abandoned": (
        _OPERATION,
        lambda: World(frames=still(stories.planning(endless=True)[0][0].model_copy(update={"label": "abandoned"}))),
    ),
    "expired": (_OPERATION, lambda: World(frames=still(stories.planned(label="expired", actions=[])))),
    "cancelled": (
        _OPERATION,
        lambda: World(frames=still(stories.planned().model_copy(update={"state": "CANCELLED", "actions": []}))),
    ),
    "acknowledgement": (_OPERATION, lambda: World(frames=still(stories.acknowledgement()))),
    "applying": (_OPERATION, lambda: World(frames=stories.applying()[3:4])),
    "server-restarting": (_OPERATION, lambda: World(frames=stories.applying(), falls_at=4, stays_down=True)),
    "server-comes-back": (_OPERATION, lambda: World(frames=stories.applying(), falls_at=4)),
    "rolling-back": (_OPERATION, lambda: World(frames=stories.ended("ROLLING_BACK"))),
    "rolled-back": (_OPERATION, lambda: World(frames=stories.ended("ROLLED_BACK"))),
    "failed": (_OPERATION, lambda: World(frames=stories.ended("FAILED"))),
    "succeeded": (_OPERATION, lambda: World(frames=stories.applying()[-1:])),
    "cluster": ("#/components", _cluster),
    "cluster-unusual": ("#/components", lambda: _cluster(clusters.at_rest())),
    "cluster-many": ("#/components", lambda: _cluster(clusters.many())),
    "cluster-requirements": ("#/requirements", lambda: _cluster(manager="argocd-controller")),
    "cluster-health": ("#/health", _cluster),
    "cluster-planned": (_OPERATION, lambda: _cluster(frames=still(clusters.gitops_plan()))),
    "cluster-rolling-out": (
        _OPERATION,
        lambda: _cluster(
            clusters.rolling_out(), frames=clusters.restarting("waiting for worker: 1 of 3 current; installing")
        ),
    ),
    "cluster-draining": (
        _OPERATION,
        lambda: _cluster(clusters.draining(), frames=clusters.restarting("waiting for the heartbeat of worker")),
    ),
    "cluster-rolling-out-many": (
        _OPERATION,
        lambda: _cluster(clusters.many(), frames=clusters.restarting("waiting for worker: 238 of 240 current")),
    ),
    "cluster-stuck": (_OPERATION, lambda: _cluster(clusters.stuck(), frames=clusters.going_back())),
    "cluster-no-image": (_OPERATION, lambda: _cluster(clusters.no_image(), frames=clusters.infrastructure())),
    "cluster-failed": (_OPERATION, lambda: _cluster(clusters.stuck(), frames=clusters.failed())),
    "cluster-not-verified": (_OPERATION, lambda: _cluster(clusters.at_rest(), frames=clusters.not_verified())),
    "unknown-operation": (_OPERATION, World),
    "unknown-place": ("#/nowhere", World),
}
"""Name → where the page is opened, and the world behind it."""
