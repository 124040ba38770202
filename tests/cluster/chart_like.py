"""Workloads like those of a chart: what a policy has to tell apart is all there."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]
STAMP = "airflow-package-manager/revision"
IMAGE = "registry.example.com/airflow:1"


def template(name: str) -> Object:
    env = [
        {"name": "AIRFLOW__CORE__X", "value": "1"},
        {"name": "AIRFLOW_PACKAGE_MANAGER_SITE", "value": "/opt/pm/active"},
    ]
    mounts = [
        {"name": "config", "mountPath": "/opt/airflow/airflow.cfg", "subPath": "airflow.cfg", "readOnly": True},
        {"name": "package-manager", "mountPath": "/opt/package-manager", "readOnly": True},
    ]
    command = ["python", "-m", "airflow_package_manager.installer", "--locks", "/etc/package-manager/locks"]
    command += ["--directory", "/opt/package-manager", "--stamp=$(PACKAGE_MANAGER_STAMP)"]
    command += ["--active", "/opt/package-manager/active", "--report", "/dev/termination-log"]
    field = {"fieldRef": {"fieldPath": f"metadata.annotations['{STAMP}']"}}
    return {
        "metadata": {
            "labels": {"tier": "airflow", "component": name, "release": "r"},
            "annotations": {"checksum/config": "abc", "cluster-autoscaler.kubernetes.io/safe-to-evict": "true"},
        },
        "spec": {
            "serviceAccountName": f"airflow-{name}",
            "securityContext": {"runAsUser": 50000, "fsGroup": 0},
            "nodeSelector": {"disk": "fast"},
            "tolerations": [{"key": "dedicated", "operator": "Exists"}],
            "imagePullSecrets": [{"name": "registry"}],
            "initContainers": [
                {"name": "wait-for-airflow-migrations", "image": IMAGE, "args": ["airflow", "db", "check-migrations"]},
                {
                    "name": "package-manager",
                    "image": IMAGE,
                    "command": command,
                    "env": [{"name": "PACKAGE_MANAGER_STAMP", "valueFrom": field}],
                    "volumeMounts": [
                        {"name": "locks", "mountPath": "/etc/package-manager/locks", "readOnly": True},
                        {"name": "package-manager", "mountPath": "/opt/package-manager"},
                    ],
                },
            ],
            "containers": [
                {
                    "name": name,
                    "image": IMAGE,
                    "args": ["bash", "-c", f"exec airflow {name}"],
                    "env": env,
                    "envFrom": [{"secretRef": {"name": "connections"}}],
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                    "volumeMounts": mounts,
                    "livenessProbe": {"exec": {"command": ["true"]}},
                    "resources": {"limits": {"memory": "2Gi"}},
                },
                {"name": "log-groomer", "image": "registry.example.com/groomer:1"},
            ],
            "volumes": [
                {"name": "config", "configMap": {"name": "airflow-config"}},
                {"name": "locks", "configMap": {"name": "airflow-config-pypi-locks", "optional": True}},
                {"name": "package-manager", "emptyDir": {}},
                {"name": "logs", "persistentVolumeClaim": {"claimName": "logs"}},
            ],
        },
    }


def workload(kind: str, namespace: str, name: str, **spec: object) -> Object:
    labels = {"tier": "airflow", "component": name, "release": "r"}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": f"airflow-{name}", "namespace": namespace, "labels": labels},
        "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": template(name), **spec},
    }
