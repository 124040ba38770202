"""The workloads of an Airflow, in the shape and with the labels of the official chart, and what they need around them.

What is ours in a pod, and what our account may do, is read from the files that we ship: `values-official.yaml`, the
Role, and the admission policies of `deploy/kubernetes/`, filled in for these workloads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from airflow_package_manager.adapters.kubernetes.kinds import DEPLOYMENT, STATEFUL_SET
from airflow_package_manager.adapters.kubernetes.manifests import Installation, manifest
from airflow_package_manager.adapters.kubernetes.manifests import manifests as shipped
from testenv.node import airflow_image
from testenv.node.components import RELEASE, Component
from testenv.node.versions import Version

Object = dict[str, Any]
NAMESPACE = "data-orchestration"
CONFIG_MAP = "airflow-config-pypi"
ENVIRONMENT_SECRET = "airflow-environment"  # noqa: S105  a name
INDEX_SECRET = "package-index"  # noqa: S105  a name
INSTALLER = "package-manager"
ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
CONFIG = f"{RELEASE}-config"
"""The chart's ConfigMap, which holds the template of task pods."""
POD_TEMPLATE_KEY = "pod_template_file.yaml"
POD_TEMPLATE = f"{airflow_image.HOME}/pod_templates/{POD_TEMPLATE_KEY}"
"""Where the chart mounts it into the scheduler."""
_TOKEN_SECONDS = 3600


@dataclass(frozen=True)
class Places:
    """What pods run: directories of the node that they see, and the ports on loopback."""

    version: Version
    environment: Path
    """The virtual environment of the image."""
    dags: Path
    logs: Path
    users: Path
    web_port: int
    cluster_port: int


def installation(namespace: str, version: Version) -> Installation:
    """Return what fills the files that we ship in for these workloads."""
    return Installation(
        namespace=namespace,
        account=version.web_server.workload,
        config_map=CONFIG_MAP,
        workloads={
            kind: tuple(component.workload for component in version.components if component.kind == kind.name)
            for kind in (DEPLOYMENT, STATEFUL_SET)
        },
        template=(DEPLOYMENT, f"{RELEASE}-scheduler"),
        image=version.image,
        web_server=version.web_server.name,
    )


def secrets(namespace: str, environment: Mapping[str, str]) -> list[Object]:
    """Return the Secrets from which Airflow's containers have their environment, and the installer its part of it."""
    index = {name: value for name, value in environment.items() if name.startswith(("AIRFLOW__PACKAGE_", "SSL_"))}
    return [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": namespace},
            "stringData": dict(content),
        }
        for name, content in ((ENVIRONMENT_SECRET, environment), (INDEX_SECRET, index))
    ]


def accounts(namespace: str, version: Version) -> list[Object]:
    """Return a service account for each component, and the Role and policies that we ship for the web server's."""
    made = [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": one.workload, "namespace": namespace}}
        for one in version.components
    ]
    return [*made, *filter(None, yaml.safe_load_all(shipped(installation(namespace, version))))]


def workload(component: Component, namespace: str, places: Places) -> Object:
    """Return the Deployment or StatefulSet of one component."""
    labels = {"tier": "airflow", "component": component.name, "release": RELEASE}
    spec: Object = {
        "replicas": component.replicas,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": _pod(component, namespace, places)},
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


def values(namespace: str, version: Version) -> Object:
    """Return the values for the official chart that we ship, filled in for these workloads."""
    found: Object = yaml.safe_load(manifest("values-official.yaml", installation(namespace, version)))
    return found


def pod(name: str, key: str, namespace: str, places: Places) -> Object:
    """Return what the pods of all components and of tasks have in common; `key` is of the values that we ship.

    Its one container is called `name`; it has no command yet.
    """
    shipped_values = values(namespace, places.version)
    image_volumes, image_mounts = airflow_image.mounts(places.environment)
    volumes = [*image_volumes, *shipped_values["volumes"]]
    mounts = [*image_mounts, *shipped_values["volumeMounts"]]
    for folder, source in (("dags", places.dags), ("logs", places.logs), ("users", places.users)):
        volumes.append({"name": folder, "hostPath": {"path": str(source), "type": "Directory"}})
        mounts.append({"name": folder, "mountPath": f"{airflow_image.HOME}/{folder}", "readOnly": folder == "dags"})
    return {
        "hostNetwork": True,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {"runAsUser": airflow_image.USER, "runAsGroup": 0, "fsGroup": 0},
        "initContainers": [installer(one, image_mounts) for one in shipped_values[key]["extraInitContainers"]],
        "containers": [
            {
                "name": name,
                "image": places.version.image,
                "envFrom": [{"secretRef": {"name": ENVIRONMENT_SECRET}}],
                "env": [
                    {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                    *shipped_values["env"],
                ],
                "volumeMounts": mounts,
            }
        ],
        "volumes": volumes,
    }


def _pod(component: Component, namespace: str, places: Places) -> Object:
    made = pod(component.name, component.values, namespace, places)
    (main,) = made["containers"]
    main["args"] = ["bash", "-c", f"exec airflow {component.arguments}"]
    main["startupProbe"] = _startup(component, places)
    if component.name == "worker":  # only the parent hears SIGTERM, so that running tasks finish
        main["env"].append({"name": "DUMB_INIT_SETSID", "value": "0"})
    if component.answers or component.name == "scheduler":  # the one drives, the other makes task pods
        main["env"] += [
            {"name": "KUBERNETES_SERVICE_HOST", "value": "127.0.0.1"},
            {"name": "KUBERNETES_SERVICE_PORT", "value": str(places.cluster_port)},
        ]
        made["volumes"].append({"name": "account", "projected": {"sources": _account()}})
        main["volumeMounts"].append({"name": "account", "mountPath": ACCOUNT, "readOnly": True})
    if component.answers:
        main["readinessProbe"] = {"httpGet": _asked(component, places), "periodSeconds": 5, "timeoutSeconds": 10}
    if component.name == "scheduler":
        made["volumes"].append({"name": "config", "configMap": {"name": CONFIG}})
        main["volumeMounts"].append(
            {"name": "config", "mountPath": POD_TEMPLATE, "subPath": POD_TEMPLATE_KEY, "readOnly": True}
        )
    return {
        **made,
        "serviceAccountName": component.workload,
        "terminationGracePeriodSeconds": component.grace,
    }


def installer(container: Mapping[str, Any], image_mounts: Sequence[Object]) -> Object:
    """Return our init container, with what makes this image and, as for a private index, where packages come from."""
    return {
        **container,
        "envFrom": [{"secretRef": {"name": INDEX_SECRET}}],
        "volumeMounts": [*image_mounts, *container["volumeMounts"]],
    }


def _startup(component: Component, places: Places) -> Object:
    """Return a probe that lasts until the component has shown that it works: a pod that dies at once is never Ready."""
    by_http = {"httpGet": _asked(component, places)}
    action: Object = by_http if component.answers else {"exec": {"command": list(component.probe)}}
    return {**action, "periodSeconds": 2, "timeoutSeconds": 20, "failureThreshold": 120}


def _asked(component: Component, places: Places) -> Object:
    return {"host": "127.0.0.1", "port": places.web_port, "path": component.answers}


def _account() -> list[Object]:
    return [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": _TOKEN_SECONDS}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
    ]
