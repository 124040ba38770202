"""The page's gallery on a cluster: the words of these worlds are those of `adapters/kubernetes`."""
# ruff: noqa: ANN401 - a scenario overrides any field of a model; pydantic checks the value

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from airflow_package_manager.adapters.kubernetes.kinds import DEPLOYMENT, STATEFUL_SET, Kind
from airflow_package_manager.adapters.kubernetes.stamping import Workload, by_hand
from airflow_package_manager.web import operation_schemas as ops
from airflow_package_manager.web import schemas
from testenv.page_answers import NOW, check, event, operation, problem, progress, session, sha
from testenv.page_stories import the_plan

Frame = tuple[ops.Operation, list[ops.Event]]
NAMES = ["scheduler", "worker", "triggerer", "dag-processor", "api-server"]
ROUTE = ("scheduler", "worker", "triggerer")
PLACE = "ConfigMap airflow-config-pypi in namespace data-orchestration"
_NEW: dict[str, Any] = {"stamp": 8, "lock_digest": sha("new lock")}
_ABI = "pyarrow 21.0.0 has no wheel for this Python and platform (cp312, linux_x86_64); no file of the lock fits."


def who() -> schemas.Session:
    """Return the session of an administrator on a cluster."""
    return session().model_copy(update={"target": "kubernetes", "place": PLACE, "components": NAMES})


def pod(name: str, *, age: float = 5 * 3600, node: str | None = "pool-a-6f7d", **over: Any) -> schemas.Instance:
    """Return a pod that is so many seconds old."""
    values: dict[str, Any] = {
        "name": name,
        "status": "Current",
        "message": "ready",
        "stamp": 7,
        "lock_digest": sha("lock"),
        "started_at": NOW - timedelta(seconds=age),
        "reported_at": NOW,
        "restarts": 0,
        "alive": True,
        "install_outcome": "installed",
        "install_code": None,
        "install_cause": None,
        "node": node,
        "reason": None,
    }
    return schemas.Instance(**{**values, **over})


def failed_install(name: str, **over: Any) -> schemas.Instance:
    """Return a pod whose installer said no."""
    said = {"install_outcome": "failed", "install_code": "no-wheel", "install_cause": _ABI}
    values: dict[str, Any] = {
        "status": "Failed",
        "message": _ABI,
        "reason": "Error",
        "lock_digest": None,
        "stamp": 8,
        "age": 21.0,
    }
    return pod(name, **{**values, **said, **over})


def component(name: str, *pods: schemas.Instance, status: str = "Current", **over: Any) -> schemas.Component:
    """Return a component with these pods."""
    current = sum(one.status == "Current" for one in pods)
    values: dict[str, Any] = {
        "message": f"{current} of {len(pods)} current",
        "stamp": 7,
        "infrastructure": False,
        "unverified": None,
    }
    return schemas.Component(name=name, status=status, instances=list(pods), **{**values, **over})


def usual() -> list[schemas.Component]:
    """Return five components that are well."""
    return [
        component("scheduler", pod("airflow-scheduler-7c9f4d6b58-x2xkp")),
        component("worker", *(pod(f"airflow-worker-{number}", node=f"pool-b-{number}c41") for number in range(3))),
        component("triggerer", pod("airflow-triggerer-0")),
        component("dag-processor", pod("airflow-dag-processor-5d8b9c7f44-q8v6n", restarts=2)),
        component("api-server", pod("airflow-api-server-66b7c5d8f9-lm2zs", node="pool-b-0c41")),
    ]


def seen(*changed: schemas.Component) -> schemas.Components:
    """Return the usual components with some of them changed."""
    by_name = {one.name: one for one in changed}
    return schemas.Components(components=[by_name.get(one.name, one) for one in usual()], revision=7)


def updated_scheduler() -> schemas.Component:
    """Return the first component of the rollout, which is over it."""
    return component("scheduler", pod("airflow-scheduler-58d6cbb9f7-4k7mq", age=95, **_NEW), stamp=8)


def rolling_out() -> schemas.Components:
    """Return workers in the middle of a rolling update: pods of two revisions."""
    pods = [
        pod("airflow-worker-2", age=64, node="pool-b-2c41", **_NEW),
        pod("airflow-worker-1", age=9, status="InProgress", message="installing", stamp=8, lock_digest=None),
        pod("airflow-worker-0", node="pool-b-0c41", status="InProgress", message="to be replaced"),
    ]
    message = "1 of 3 current; installing"
    return seen(updated_scheduler(), component("worker", *pods, status="InProgress", stamp=8, message=message))


def draining() -> schemas.Components:
    """Return workers of a Deployment: the new ones are there, the old ones finish their tasks."""
    new = [pod(f"airflow-worker-64f5b8c9d-{tail}", age=70, **_NEW) for tail in ("8k2vd", "jx7qt")]
    old = [
        pod(f"airflow-worker-7f9c6d5b8-{tail}", status="Terminating", message="draining", node="pool-b-1c41")
        for tail in ("c4n9w", "zt5hm")
    ]
    message = "2 of 2 current, 2 draining"
    return seen(updated_scheduler(), component("worker", *new, *old, stamp=8, message=message))


def stuck() -> schemas.Components:
    """Return ordered workers, one of which waits for ever behind its installer."""
    pods = [
        failed_install("airflow-worker-2", node="pool-b-2c41", reason="CrashLoopBackOff", age=48),
        pod("airflow-worker-1", node="pool-b-1c41"),
        pod("airflow-worker-0", node="pool-b-0c41"),
    ]
    return seen(updated_scheduler(), component("worker", *pods, status="Failed", message=_ABI))


def no_image() -> schemas.Components:
    """Return a component whose image cannot be fetched."""
    message = (
        'scheduler cannot start: Back-off pulling image "registry.example.com/data/airflow:3.3.2-7": ErrImagePull:'
        " failed to authorize: 401 Unauthorized"
    )
    new: dict[str, Any] = {"stamp": 8, "lock_digest": None, "install_outcome": None, "age": 33.0, "node": "pool-c-9e02"}
    broken = pod(
        "airflow-scheduler-58d6cbb9f7-4k7mq", status="Failed", message=message, reason="ImagePullBackOff", **new
    )
    old = pod("airflow-scheduler-7c9f4d6b58-x2xkp", status="InProgress", message="to be replaced")
    return seen(component("scheduler", broken, old, status="Failed", message=message, stamp=8, infrastructure=True))


def at_rest() -> schemas.Components:
    """Return a cluster at rest with everything that can be unusual there."""
    nobody = "no replica is wanted, so nothing was tried"
    silent = "its pods do not report what they installed"
    plain: dict[str, Any] = {"lock_digest": None, "install_outcome": None}
    room = "no node takes it: 0/4 nodes are available: 4 Insufficient memory."
    waiting = pod(
        "airflow-triggerer-0", status="Failed", message=room, reason="Unschedulable", node=None, age=260, **plain
    )
    lost = pod("airflow-dag-processor-5d8b9c7f44-q8v6n", status="Unknown", alive=False, reason="NodeStatusUnknown")
    lost.message, lost.reported_at = "its node no longer reports", NOW - timedelta(minutes=3)
    return seen(
        component("worker", message=nobody, unverified=nobody),
        component("triggerer", waiting, status="Failed", message=room, infrastructure=True),
        component("dag-processor", lost, status="Unknown", message=lost.message),
        component("api-server", pod("airflow-api-server-66b7c5d8f9-lm2zs", stamp=None, **plain), unverified=silent),
    )


def many(count: int = 240) -> schemas.Components:
    """Return a large fleet in the middle of its rollout."""
    pods = [
        pod(f"airflow-worker-{number}", age=90 + number, node=f"pool-b-{number % 37}", **_NEW)
        for number in range(count)
    ]
    pods[17] = pods[17].model_copy(update={"status": "InProgress", "message": "ready, and watched for 12 s more"})
    pods[93] = failed_install("airflow-worker-93", node="pool-b-19")
    return seen(
        updated_scheduler(),
        component("worker", *pods, status="InProgress", stamp=8, message=f"{count - 2} of {count} current"),
    )


def _at(state: str, step: str, stages: tuple[Any, ...], **over: Any) -> ops.Operation:
    going = state in {"ROLLING_OUT", "VERIFYING"}
    values: dict[str, Any] = {
        "step": step,
        "plan": the_plan(components=list(ROUTE), longest_seconds=8_640, usual_seconds=210),
        "components": progress(*zip(ROUTE, stages, strict=True)),
        "actions": ["cancel"] if going else [],
    }
    return operation(state, **{**values, **over})


def _told(*more: ops.Event) -> list[ops.Event]:
    return [
        event(1, "operation.accepted", "The plan was accepted: add polars>=1.9, update pandas==2.3.1."),
        event(2, "preflight.passed", "The check before the rollout passed."),
        event(3, "component.restarting", "scheduler was told to restart on revision 8."),
        event(4, "component.current", "scheduler is current (heartbeat)."),
        event(5, "component.restarting", "worker was told to restart on revision 8."),
        *more,
    ]


def restarting(step: str) -> list[Frame]:
    """Return the rollout while workers restart."""
    return [(_at("ROLLING_OUT", step, ("done", "restarting", "waiting")), _told())]


def going_back() -> list[Frame]:
    """Return the rollback after a worker's installer failed."""
    reason = problem(
        "component-failed",
        "A component does not run with the change",
        500,
        f"worker: {_ABI}",
        "Read what the component reports; choose another version, or another package.",
    )
    step = "waiting for worker: 2 of 3 current"
    told = _told(event(6, "operation.rolling-back", f"Going back: worker: {_ABI}"))
    return [(_at("ROLLING_BACK", step, ("done", "restarting", "waiting"), problem=reason), told)]


def infrastructure() -> list[Frame]:
    """Return the rollback of a change that the cluster could not run."""
    reason = problem(
        "infrastructure",
        "The cluster could not run it",
        500,
        'scheduler: scheduler cannot start: Back-off pulling image "registry.example.com/data/airflow:3.3.2-7":'
        " ErrImagePull: failed to authorize: 401 Unauthorized",
        "No package is at fault: mend what is named (image, quota, admission, room on the nodes), then plan again.",
    )
    told = _told()[:3]
    return [(_at("ROLLING_BACK", "taking scheduler back", ("restarting", "waiting", "waiting"), problem=reason), told)]


def failed() -> list[Frame]:
    """Return a rollback that could not end, with what a person types."""
    commands = [
        _command(STATEFUL_SET, "airflow-worker", 7, "airflow-worker-2"),
        _command(DEPLOYMENT, "airflow-scheduler", None),
    ]
    reason = problem(
        "rollback-incomplete",
        "Not everything could be brought back",
        500,
        f"These components were told to go back and are not ready: worker ({_ABI})",
        "'airflow-package-manager status' shows how each named component stands, and its own log why; start it again.",
        components=["worker", "scheduler"],
        commands=commands,
        because={"code": "component-failed", "title": "A component does not run with the change", "detail": _ABI},
    )
    return [(_at("FAILED", "", ("done", "restarting", "waiting"), problem=reason), _told())]


def not_verified() -> list[Frame]:
    """Return a success of which nobody knows anything for one component."""
    stages = progress(*zip(ROUTE, ("done",) * 3, strict=True))
    nobody = "no replica is wanted, so nothing was tried"
    stages[1] = stages[1].model_copy(update={"verified": "not verified", "unverified": nobody})
    over = event(9, "operation.succeeded", "Done: revision 8 is current.")
    return [(_at("SUCCEEDED", "", ("done",) * 3, components=stages), _told(over))]


def gitops_plan() -> ops.Operation:
    """Return a plan for a text that another tool applies too."""
    warning = ops.PlanWarning(
        code="gitops-owner",
        message="requirements.txt is also written by argocd-controller, which may take the change back: then this"
        " operation goes back too. Change it at its source, or tell that tool to leave this text alone.",
    )
    told = the_plan(components=list(ROUTE), warnings=[warning], longest_seconds=8_640, usual_seconds=210)
    return operation("PLANNED", plan=told, actions=["apply", "cancel"])


def health() -> schemas.Health:
    """Return the checks of a cluster that lacks a right."""
    rule = (
        '- apiGroups: ["apps"]\n  resources: ["statefulsets"]\n  resourceNames: ["airflow-worker"]\n  verbs: ["patch"]'
    )
    return schemas.Health(
        checks=[
            check("uv-found", "ok", "uv 0.13.9 at /home/airflow/.local/bin/uv."),
            check(
                "permissions",
                "failed",
                "This account may not patch StatefulSet airflow-worker in namespace data-orchestration.",
                f"Add to its Role:\n{rule}",
            ),
            check(
                "config-maps",
                "warning",
                "argocd-controller writes the ConfigMap airflow-config-pypi too, and may take a change back.",
                "Leave airflow-config-pypi out of what argocd-controller applies; airflow-config-pypi-locks is nobody"
                " else's.",
            ),
            check("components-current", "ok", f"{', '.join(NAMES)}: all current."),
        ]
    )


def _command(kind: Kind, name: str, stamp: int | None, *stuck_pods: str) -> str:
    bare = json.loads(json.dumps({"metadata": {"name": name}, "spec": {"template": {}}}))
    return by_hand(Workload(kind, bare), "data-orchestration", stamp, stuck_pods)
