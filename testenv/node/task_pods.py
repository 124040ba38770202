"""What the KubernetesExecutor needs beside the components, as the official chart gives it: template, Role, settings.

The template of a task pod has our init container and volumes from the values that we ship (`workers`), where the chart
puts them.
"""

from __future__ import annotations

import yaml  # type: ignore[import-untyped]

from testenv.node import manifests
from testenv.node.components import RELEASE
from testenv.node.manifests import Object, Places
from testenv.node.versions import Version

MAIN = "base"
"""The container of a task, by the executor's own name for it."""
_RULES = (
    ("", ("pods",), ("create", "list", "get", "patch", "watch", "delete")),
    ("", ("pods/log",), ("get",)),
    ("", ("pods/exec",), ("create", "get")),
    ("", ("events",), ("list",)),
)
"""What the chart lets the scheduler and the workers do: group, resources, verbs."""


def variables(version: Version) -> dict[str, str]:
    """Return the executor's settings, which one that is not configured does not read."""
    repository, _, tag = version.image.rpartition(":")
    return {
        "AIRFLOW__KUBERNETES_EXECUTOR__NAMESPACE": manifests.NAMESPACE,
        "AIRFLOW__KUBERNETES_EXECUTOR__POD_TEMPLATE_FILE": manifests.POD_TEMPLATE,
        "AIRFLOW__KUBERNETES_EXECUTOR__WORKER_CONTAINER_REPOSITORY": repository,
        "AIRFLOW__KUBERNETES_EXECUTOR__WORKER_CONTAINER_TAG": tag,
    }


def config_map(namespace: str, places: Places) -> Object:
    """Return the ConfigMap with the template of a task pod."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": manifests.CONFIG, "namespace": namespace},
        "data": {manifests.POD_TEMPLATE_KEY: yaml.safe_dump(template(namespace, places))},
    }


def template(namespace: str, places: Places) -> Object:
    """Return the template of a task pod; the executor adds its name, labels, image and command.

    One thing is not as in the chart, which may set `[core] executor` to LocalExecutor there: with several executors a
    task pod must know them all, or its Airflow refuses the DAG that names one of them (seen).
    """
    spec = manifests.pod(MAIN, "workers", namespace, places)
    (main,) = spec["containers"]
    main["lifecycle"] = manifests.values(namespace, places.version)["workers"]["containerLifecycleHooks"]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "placeholder-name",
            "labels": {"tier": "airflow", "component": "worker", "release": RELEASE},
        },
        "spec": {
            **spec,
            "restartPolicy": "Never",
            "serviceAccountName": f"{RELEASE}-worker",
            "terminationGracePeriodSeconds": 60,
        },
    }


def launching(namespace: str) -> list[Object]:
    """Return the Role by which task pods are made, and who has it."""
    group, name = "rbac.authorization.k8s.io", f"{RELEASE}-pod-launcher-role"
    metadata = {"name": name, "namespace": namespace}
    rules = [{"apiGroups": [one], "resources": [*what], "verbs": [*verbs]} for one, what, verbs in _RULES]
    accounts = [
        {"kind": "ServiceAccount", "name": f"{RELEASE}-{component}", "namespace": namespace}
        for component in ("scheduler", "worker")
    ]
    return [
        {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": metadata, "rules": rules},
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": {**metadata, "name": f"{name}binding"},
            "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
            "subjects": accounts,
        },
    ]
