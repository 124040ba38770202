"""API objects as real servers give them, with the parts that a test changes."""

from __future__ import annotations

import copy
from typing import Any

from airflow_package_manager.adapters.kubernetes.kinds import DEPLOYMENT, STATEFUL_SET
from airflow_package_manager.adapters.kubernetes.pods import Limits, Wanted
from airflow_package_manager.adapters.kubernetes.stamping import ANNOTATION, Workload
from airflow_package_manager.domain import report as reports
from airflow_package_manager.domain.report import InstallReport

Object = dict[str, Any]
NOW = 1_764_081_000.0  # 2025-11-25T14:30:00Z
DIGEST = "d" * 64


def at(seconds: float) -> str:
    """Return a time, so many seconds before now, as the API writes it."""
    minutes, rest = divmod(int(30 * 60 - seconds), 60)
    return f"2025-11-25T14:{minutes:02}:{rest:02}Z" if minutes >= 0 else "2025-11-25T13:00:00Z"


def template(*, stamp: int | None = None, installer: bool = True, **spec: Any) -> Object:  # noqa: ANN401 - JSON
    container = {
        "name": "scheduler",
        "image": "apache/airflow:3.3.2",
        "args": ["bash", "-c", "exec airflow scheduler"],
        "env": [{"name": "AIRFLOW__CORE__FERNET_KEY", "valueFrom": {"secretKeyRef": {"name": "f", "key": "k"}}}],
        "imagePullPolicy": "IfNotPresent",
        "livenessProbe": {"exec": {"command": ["airflow", "jobs", "check"]}, "periodSeconds": 60},
        "resources": {"limits": {"memory": "2Gi"}},
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "volumeMounts": [
            {"name": "config", "mountPath": "/opt/airflow/airflow.cfg", "subPath": "airflow.cfg", "readOnly": True},
            {"name": "logs", "mountPath": "/opt/airflow/logs"},
            {"name": "package-manager", "mountPath": "/opt/package-manager", "readOnly": True},
        ],
    }
    first = {
        "name": "package-manager",
        "image": "apache/airflow:3.3.2",
        "command": ["python", "-m", "airflow_package_manager.installer", "--locks", "/etc/package-manager/locks"],
        "args": ["--directory", "/opt/package-manager", "--stamp=$(S)", "--active", "/opt/package-manager/active"],
        "volumeMounts": [
            {"name": "package-manager", "mountPath": "/opt/package-manager"},
            {"name": "locks", "mountPath": "/etc/package-manager/locks", "readOnly": True},
        ],
    }
    annotations = {"checksum/airflow-config": "abc", "cluster-autoscaler.kubernetes.io/safe-to-evict": "true"}
    return {
        "metadata": {
            "creationTimestamp": None,
            "labels": {"tier": "airflow", "component": "scheduler", "release": "airflow"},
            "annotations": {**annotations, **({} if stamp is None else {ANNOTATION: str(stamp)})},
        },
        "spec": {
            "initContainers": [
                {"name": "wait-for-airflow-migrations", "image": "apache/airflow:3.3.2"},
                *([first] if installer else []),
            ],
            "containers": [container, {"name": "scheduler-log-groomer", "image": "apache/airflow:3.3.2"}],
            "serviceAccountName": "airflow-scheduler",
            "securityContext": {"runAsUser": 50000, "fsGroup": 0},
            "restartPolicy": "Always",
            "terminationGracePeriodSeconds": 10,
            "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
            "volumes": [
                {"name": "config", "configMap": {"name": "airflow-config"}},
                {"name": "logs", "persistentVolumeClaim": {"claimName": "logs"}},
                {"name": "package-manager", "emptyDir": {}},
                {"name": "locks", "configMap": {"name": "airflow-config-pypi-locks", "optional": True}},
                {"name": "unused", "secret": {"secretName": "s"}},
            ],
            **spec,
        },
    }


def deployment(*, replicas: int = 1, stamp: int | None = 5, pod: Object | None = None, **spec: Any) -> Workload:  # noqa: ANN401 - JSON
    made = _workload("airflow-scheduler", replicas, pod or template(stamp=stamp), spec)
    made["metadata"]["annotations"] = {"deployment.kubernetes.io/revision": "7"}
    made["status"]["updatedReplicas"] = replicas
    return Workload(DEPLOYMENT, made)


def stateful_set(*, replicas: int = 1, stamp: int | None = 5, pod: Object | None = None, **spec: Any) -> Workload:  # noqa: ANN401 - JSON
    made = _workload("airflow-scheduler", replicas, pod or template(stamp=stamp), spec)
    made["status"] |= {"updateRevision": "airflow-scheduler-new", "currentRevision": "airflow-scheduler-old"}
    return Workload(STATEFUL_SET, made)


def _workload(name: str, replicas: int, pod: Object, spec: Object) -> Object:
    return {
        "metadata": {"name": name, "namespace": "n", "uid": "workload-1", "generation": 3},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"tier": "airflow", "component": "scheduler", "release": "airflow"}},
            "template": pod,
            **spec,
        },
        "status": {"observedGeneration": 3, "replicas": replicas, "readyReplicas": replicas},
    }


def replica_set(uid: str, *, revision: str, stamp: int | None, owner: str = "workload-1") -> Object:
    annotations = {} if stamp is None else {ANNOTATION: str(stamp)}
    return {
        "metadata": {
            "name": f"airflow-scheduler-{uid}",
            "uid": uid,
            "annotations": {"deployment.kubernetes.io/revision": revision},
            "ownerReferences": [{"kind": "Deployment", "uid": owner, "name": "airflow-scheduler", "controller": True}],
        },
        "spec": {"template": {"metadata": {"annotations": annotations}}},
    }


def report(outcome: str = reports.INSTALLED, digest: str | None = DIGEST, **more: Any) -> str:  # noqa: ANN401 - any field
    return reports.dump(InstallReport(outcome, 5, digest, **more))


def pod(
    name: str = "airflow-scheduler-1",
    *,
    owner: str = "new",
    ready: float | None = 60,
    init: Object | None = None,
    main: Object | None = None,
    hash_: str = "airflow-scheduler-new",
    stamp: int | None = 5,
    conditions: list[Object] | None = None,
    **metadata: Any,  # noqa: ANN401 - JSON
) -> Object:
    """Return a pod that has been ready for so many seconds (None: not ready)."""
    word = "False" if ready is None else "True"
    done = {"terminated": {"exitCode": 0, "reason": "Completed", "message": report(), "startedAt": at(90)}}
    running = {"running": {"startedAt": at(61 if ready is None else ready + 1)}}
    return {
        "metadata": {
            "name": name,
            "namespace": "n",
            "uid": f"uid-{name}",
            "creationTimestamp": at(100),
            "labels": {"component": "scheduler", "pod-template-hash": owner, "controller-revision-hash": hash_},
            "annotations": {} if stamp is None else {ANNOTATION: str(stamp)},
            "ownerReferences": [{"kind": "ReplicaSet", "name": "x", "uid": owner, "controller": True}],
            **metadata,
        },
        "spec": {
            "nodeName": "node-1",
            "containers": [
                {"name": "scheduler", "args": ["--token", "a secret"], "env": [{"name": "S", "value": "s"}]}
            ],
        },
        "status": {
            "phase": "Running",
            "startTime": at(99),
            "conditions": [
                {"type": "PodScheduled", "status": "True", "lastTransitionTime": at(100)},
                {"type": "Ready", "status": word, "lastTransitionTime": at(61 if ready is None else ready)},
            ]
            if conditions is None
            else conditions,
            "initContainerStatuses": [
                {"name": "wait-for-airflow-migrations", "ready": True, "restartCount": 0, "state": copy.deepcopy(done)},
                {"name": "package-manager", "ready": True, "restartCount": 0, "state": done, **(init or {})},
            ],
            "containerStatuses": [
                {"name": "scheduler", "ready": ready is not None, "restartCount": 0, "state": running, **(main or {})},
                {"name": "scheduler-log-groomer", "ready": True, "restartCount": 0, "state": running},
            ],
        },
    }


def wanted(digest: str | None = DIGEST, *, installer: str | None = "package-manager", **limits: float) -> Wanted:
    return Wanted(digest, "scheduler", installer, NOW, Limits(**limits))


def ended(code: int, *, reason: str = "Error", message: str = "", **more: Any) -> Object:  # noqa: ANN401 - JSON
    return {"terminated": {"exitCode": code, "reason": reason, "message": message, "finishedAt": at(2), **more}}


def waiting(reason: str, message: str = "") -> Object:
    return {"waiting": {"reason": reason, "message": message}}
