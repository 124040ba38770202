"""Small Deployments that run Python in the node's image: without an Airflow, for what the kubelet alone shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from testenv.node import airflow_image, manifests
from tests.cluster import workloads

if TYPE_CHECKING:
    from pathlib import Path

    from testenv.node.airflow import NodeWithImage

Object = dict[str, Any]
MAIN = "main"


def deployment(
    on: NodeWithImage,
    namespace: str,
    name: str,
    arguments: Sequence[str],
    *,
    environ: Mapping[str, str],
    volumes: Mapping[str, tuple[str, Object]] | None = None,
    installs: bool = True,
    **container: object,
) -> Object:
    """Return a Deployment of one replica, whose new pod comes before the old one goes.

    `volumes` are name → where it is mounted and what it is. With `installs`, the pod has our init container as the
    values that we ship have it. `container` are further fields of the main container.
    """
    pod_volumes, mounts = airflow_image.mounts(on.environment)
    env = [{"name": key, "value": value} for key, value in environ.items()]
    spec: Object = {"hostNetwork": True, "automountServiceAccountToken": False, "terminationGracePeriodSeconds": 5}
    spec["initContainers"] = []
    extra: list[Object] = []
    if installs:
        values = manifests.values(namespace, on.version)
        (ours,) = values["scheduler"]["extraInitContainers"]
        # Without its request for a quarter of a core: beside an Airflow's pods, two cores have no room for that.
        asks = {"requests": {"cpu": "10m"}, "limits": ours["resources"]["limits"]}
        spec["initContainers"] = [
            {**ours, "resources": asks, "env": [*ours["env"], *env], "volumeMounts": [*mounts, *ours["volumeMounts"]]},
        ]
        pod_volumes += values["volumes"]
        extra += values["volumeMounts"]
        env += values["env"]
    for volume, (path, source) in (volumes or {}).items():
        pod_volumes.append({"name": volume, **source})
        extra.append({"name": volume, "mountPath": path})
    spec["volumes"] = pod_volumes
    spec["containers"] = [
        {
            "name": MAIN,
            "image": on.version.image,
            "args": [*arguments],
            "env": env,
            "volumeMounts": [*mounts, *extra],
            "terminationMessagePolicy": "FallbackToLogsOnError",
            **container,
        }
    ]
    template = workloads.template(name, None, {}, **spec)
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    return workloads.deployment(namespace, name, template, strategy=rolling)


def printed(on: NodeWithImage, namespace: str, pod: Object) -> str:
    """Return what the main container of a pod printed."""
    return on.node.container_logs(namespace, pod["metadata"]["name"], MAIN)


def the_pod(on: NodeWithImage, namespace: str, name: str) -> Object:
    """Return the one pod of a Deployment that stays."""
    (pod,) = (
        pod
        for pod in workloads.pods(on.node.cluster.admin, namespace, name)
        if "deletionTimestamp" not in pod["metadata"]
    )
    return pod


def path(namespace: str, name: str) -> str:
    """Return where a Deployment is in the API."""
    return f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}"


def settings(on: NodeWithImage, home: Path, namespace: str, index: str, component: str, **more: str) -> dict[str, str]:
    """Return the settings of an application that restarts one such component, patient beside a whole Airflow."""
    from tests.cluster.preparing import environment

    patient = dict.fromkeys(("install_timeout", "preflight_timeout", "ready_timeout"), "300")
    return environment(home, namespace, on.node.cluster.kubeconfig, index, [component], **{**patient, **more})
