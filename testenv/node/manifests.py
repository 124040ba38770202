"""The workloads of an Airflow, in the shape and with the labels of the official chart, and what they need around them.

What is ours in a pod is what `deploy/kubernetes/values-official.yaml` puts there: the init container, its two
volumes, and one variable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_package_manager.adapters.kubernetes import permissions
from airflow_package_manager.adapters.kubernetes.kinds import DEPLOYMENT, STATEFUL_SET
from testenv.node import airflow_image

Object = dict[str, Any]
RELEASE = "airflow"
CONFIG_MAP = "airflow-config-pypi"
STAMP = "airflow-package-manager/revision"
ENVIRONMENT_SECRET = "airflow-environment"  # noqa: S105  a name
INSTALLER = "package-manager"
SITE = "/opt/package-manager"
LOCKS = "/etc/package-manager/locks"
ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
_TOKEN_SECONDS = 3600


@dataclass(frozen=True)
class Component:
    """One workload."""

    name: str
    """As the chart's label says it."""
    arguments: str
    """Of `airflow`."""
    kind: str
    grace: int
    """Seconds between SIGTERM and SIGKILL."""
    probe: Sequence[str] = ()
    replicas: int = 1
    strategy: Mapping[str, Any] | None = None

    @property
    def workload(self) -> str:
        """Return the name of its workload."""
        return f"{RELEASE}-{self.name}"

    @property
    def collection(self) -> str:
        """Return the last part of the path of its kind in the API."""
        return f"{self.kind.lower()}s"


def _job(kind: str) -> tuple[str, ...]:
    return ("python", f"{airflow_image.PROBES}/fresh_job.py", kind)


COMPONENTS = (
    Component("scheduler", "scheduler --skip-serve-logs", "Deployment", 10, _job("SchedulerJob")),
    Component(
        "worker",
        'celery worker --skip-serve-logs --celery-hostname "celery@$POD_NAME"',
        "StatefulSet",
        60,
        ("python", f"{airflow_image.PROBES}/worker_answers.py"),
        replicas=2,
    ),
    Component("triggerer", "triggerer --skip-serve-logs", "StatefulSet", 30, _job("TriggererJob")),
    Component(
        "dag-processor",
        "dag-processor",
        "Deployment",
        30,
        _job("DagProcessorJob"),
        strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "100%", "maxUnavailable": "50%"}},
    ),
    # The pods share the network of the node: a second api-server could not have the port of the first.
    Component(
        "api-server",
        "api-server --workers 1",
        "Deployment",
        30,
        strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
    ),
)


@dataclass(frozen=True)
class Places:
    """Directories of the node that pods see, and the ports on loopback."""

    environment: Path
    """The virtual environment of the image."""
    dags: Path
    logs: Path
    users: Path
    api_port: int
    cluster_port: int


def secret(namespace: str, environment: Mapping[str, str]) -> Object:
    """Return the Secret from which each container has its environment."""
    metadata = {"name": ENVIRONMENT_SECRET, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": dict(environment)}


def accounts(namespace: str) -> list[Object]:
    """Return a service account for each component, and the Role for that of the api-server: what we ship, no more."""
    store = (CONFIG_MAP, f"{CONFIG_MAP}-locks")
    workloads = {
        kind: [component.workload for component in COMPONENTS if component.kind == kind.name]
        for kind in (DEPLOYMENT, STATEFUL_SET)
    }
    group = "rbac.authorization.k8s.io"
    metadata = {"name": "airflow-package-manager", "namespace": namespace}
    api_server = {"kind": "ServiceAccount", "name": f"{RELEASE}-api-server", "namespace": namespace}
    return [
        *(
            {
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": {"name": component.workload, "namespace": namespace},
            }
            for component in COMPONENTS
        ),
        {
            "apiVersion": f"{group}/v1",
            "kind": "Role",
            "metadata": metadata,
            "rules": permissions.rules(store, workloads),
        },
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": metadata["name"]},
            "subjects": [api_server],
        },
    ]


def workload(component: Component, namespace: str, places: Places) -> Object:
    """Return the Deployment or StatefulSet of one component."""
    labels = {"tier": "airflow", "component": component.name, "release": RELEASE}
    spec: Object = {
        "replicas": component.replicas,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": _pod(component, places)},
    }
    if component.kind == "StatefulSet":
        spec["serviceName"] = component.workload
    if component.strategy:
        spec["strategy"] = dict(component.strategy)
    metadata = {
        "name": component.workload,
        "namespace": namespace,
        "labels": {**labels, "chart": "airflow-1.22.0", "heritage": "Helm"},
    }
    return {"apiVersion": "apps/v1", "kind": component.kind, "metadata": metadata, "spec": spec}


def _pod(component: Component, places: Places) -> Object:
    volumes, mounts = airflow_image.mounts(places.environment)
    for name, source, target in (
        ("dags", places.dags, "dags"),
        ("logs", places.logs, "logs"),
        ("users", places.users, "users"),
    ):
        volumes.append({"name": name, "hostPath": {"path": str(source), "type": "Directory"}})
        mounts.append({"name": name, "mountPath": f"{airflow_image.HOME}/{target}", "readOnly": name == "dags"})
    volumes.append({"name": "package-manager", "emptyDir": {}})
    locks = {"name": f"{CONFIG_MAP}-locks", "optional": True}
    volumes.append({"name": "package-manager-locks", "configMap": locks})
    main: Object = {
        "name": component.name,
        "image": airflow_image.TAG,
        "imagePullPolicy": "Never",
        "args": ["bash", "-c", f"exec airflow {component.arguments}"],
        "envFrom": [{"secretRef": {"name": ENVIRONMENT_SECRET}}],
        "env": [
            _field("POD_NAME", "metadata.name"),
            {"name": "AIRFLOW_PACKAGE_MANAGER_SITE", "value": f"{SITE}/active"},
        ],
        "volumeMounts": [*mounts, {"name": "package-manager", "mountPath": SITE, "readOnly": True}],
        "startupProbe": _startup(component, places),
    }
    if component.name == "worker":  # only the parent hears SIGTERM, so that running tasks finish
        main["env"].append({"name": "DUMB_INIT_SETSID", "value": "0"})
    if component.name == "api-server":
        main["env"] += [
            {"name": "KUBERNETES_SERVICE_HOST", "value": "127.0.0.1"},
            {"name": "KUBERNETES_SERVICE_PORT", "value": str(places.cluster_port)},
        ]
        main["readinessProbe"] = {"httpGet": _version(places), "periodSeconds": 5, "timeoutSeconds": 10}
        volumes.append({"name": "account", "projected": {"sources": _account()}})
        main["volumeMounts"].append({"name": "account", "mountPath": ACCOUNT, "readOnly": True})
    return {
        "hostNetwork": True,
        "serviceAccountName": component.workload,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {"runAsUser": airflow_image.USER, "runAsGroup": 0, "fsGroup": 0},
        "terminationGracePeriodSeconds": component.grace,
        "initContainers": [_installer(mounts)],
        "containers": [main],
        "volumes": volumes,
    }


def _installer(mounts: Sequence[Object]) -> Object:
    """Return our init container: it installs the lock of the revision that the pod template is stamped with."""
    command = ["python", "-m", "airflow_package_manager.installer", "--locks", LOCKS, "--directory", SITE]
    command += ["--stamp=$(PACKAGE_MANAGER_STAMP)", "--wait", "120", "--active", f"{SITE}/active"]
    return {
        "name": INSTALLER,
        "image": airflow_image.TAG,
        "imagePullPolicy": "Never",
        "command": [*command, "--report", "/dev/termination-log"],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "envFrom": [{"secretRef": {"name": ENVIRONMENT_SECRET}}],
        "env": [_field("PACKAGE_MANAGER_STAMP", f"metadata.annotations['{STAMP}']")],
        "volumeMounts": [
            *(mount for mount in mounts if mount["name"].startswith("image-")),
            {"name": "package-manager", "mountPath": SITE},
            {"name": "package-manager-locks", "mountPath": LOCKS, "readOnly": True},
        ],
    }


def _startup(component: Component, places: Places) -> Object:
    """Return a probe that lasts until the component has shown that it works: a pod that dies at once is never Ready."""
    action: Object = {"exec": {"command": list(component.probe)}} if component.probe else {"httpGet": _version(places)}
    return {**action, "periodSeconds": 2, "timeoutSeconds": 20, "failureThreshold": 120}


def _version(places: Places) -> Object:
    return {"host": "127.0.0.1", "port": places.api_port, "path": "/api/v2/version"}


def _field(name: str, path: str) -> Object:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def _account() -> list[Object]:
    return [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": _TOKEN_SECONDS}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
    ]
