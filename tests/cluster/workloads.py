"""Small workloads as tests create them: an init container `package-manager`, a main container, scripted annotations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from testenv.cluster import REVISION, Client

Object = dict[str, Any]
INSTALLER = "package-manager"
SITE = [{"name": "AIRFLOW_PACKAGE_MANAGER_SITE", "value": "/opt/package-manager/active"}]
"""What a main container must have so that it uses what was installed."""


def template(
    name: str, stamp: int | None, script: Mapping[str, str], *, restart: str = "Always", **spec: object
) -> Object:
    """Return a pod template whose pods carry the label app=name; `spec` overrides fields of the pod."""
    stamped = {} if stamp is None else {REVISION: str(stamp)}
    return {
        "metadata": {"labels": {"app": name}, "annotations": {**script, **stamped}},
        "spec": {
            "initContainers": [{"name": INSTALLER, "image": "airflow:test"}],
            "containers": [{"name": "main", "image": "airflow:test", "env": SITE}],
            "restartPolicy": restart,
            "terminationGracePeriodSeconds": 10,
            **spec,
        },
    }


def deployment(namespace: str, name: str, pod: Object, *, replicas: int = 1, **spec: object) -> Object:
    return _workload("Deployment", namespace, name, pod, replicas=replicas, **spec)


def stateful_set(namespace: str, name: str, pod: Object, *, replicas: int = 1, **spec: object) -> Object:
    return _workload("StatefulSet", namespace, name, pod, replicas=replicas, serviceName=name, **spec)


def job(namespace: str, name: str, pod: Object, **spec: object) -> Object:
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"backoffLimit": 0, "template": pod, **spec},
    }


def _workload(kind: str, namespace: str, name: str, pod: Object, **spec: object) -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": {"selector": {"matchLabels": {"app": name}}, "template": pod, **spec},
    }


def stamp(client: Client, path: str, revision: int | None) -> Object:
    """Stamp a workload as a rollout does: only the annotation of its pod template changes."""
    value = None if revision is None else str(revision)
    patched: Object = client.request(
        "PATCH", path, {"spec": {"template": {"metadata": {"annotations": {REVISION: value}}}}}
    )
    return patched


def pods(client: Client, namespace: str, name: str) -> list[Object]:
    return client.items(f"/api/v1/namespaces/{namespace}/pods", labelSelector=f"app={name}")


def revision_of(pod: Object) -> str | None:
    found: str | None = pod["metadata"].get("annotations", {}).get(REVISION)
    return found


def uids(found: list[Object]) -> set[str]:
    return {pod["metadata"]["uid"] for pod in found}


def rolled_out(workload: Object) -> bool:
    """Say whether a Deployment or StatefulSet has all its replicas, ready and of its present template."""
    status, spec = workload.get("status", {}), workload["spec"]
    if status.get("observedGeneration") != workload["metadata"]["generation"]:
        return False
    counts = {status.get(name, 0) for name in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")}
    return counts == {spec["replicas"]}


def is_ready(pod: Object) -> bool:
    return any(entry["type"] == "Ready" and entry["status"] == "True" for entry in pod["status"].get("conditions", []))


def container(pod: Object, name: str) -> Object:
    """Return the status of one container, {} before there is one."""
    status = pod.get("status", {})
    both = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
    return next((entry for entry in both if entry["name"] == name), {})
