"""The throw-away check as a Job made from a component's pod template, and what became of it. Pure.

Nothing may take the pod for the component: it carries labels of its own (with the component's a Service would send it
traffic, a PodDisruptionBudget would count it, and with ``pod-template-hash`` a ReplicaSet would adopt and delete it).
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from airflow_package_manager.adapters.kubernetes.kinds import JOB, Object
from airflow_package_manager.adapters.kubernetes.stamping import ANNOTATION, Workload

NAME = "airflow-package-manager-preflight"
CHECK = "check"
"""Name of the container whose end is the verdict."""
LABELS: Mapping[str, str] = {
    "app.kubernetes.io/name": "airflow-package-manager",
    "app.kubernetes.io/component": "preflight",
    "app.kubernetes.io/managed-by": "airflow-package-manager",
}
LOCKS_PATH = "/etc/package-manager/locks"
SITE_FOLDER = "/opt/package-manager"
SITE_VARIABLE = "AIRFLOW_PACKAGE_MANAGER_SITE"
RECORD = "/dev/termination-log"
OPTION_LOCKS, OPTION_ACTIVE = "--locks", "--active"
STAMP_VARIABLE = "PACKAGE_MANAGER_STAMP"
INSTALLER_COMMAND = (
    *("python", "-m", "airflow_package_manager.installer", OPTION_LOCKS, LOCKS_PATH),
    *("--directory", SITE_FOLDER, f"--stamp=$({STAMP_VARIABLE})", "--wait", "120"),
    *(OPTION_ACTIVE, f"{SITE_FOLDER}/active", "--report", RECORD),
)
"""Of the installer that a template without one gets for the check; the policy that we ship lets no other through."""
_KEPT_SPEC = (
    *("serviceAccountName", "serviceAccount", "automountServiceAccountToken", "imagePullSecrets", "securityContext"),
    *("nodeSelector", "tolerations", "runtimeClassName", "dnsPolicy", "dnsConfig", "hostAliases", "hostNetwork"),
    *("hostUsers", "enableServiceLinks", "schedulerName", "os"),
)
"""What decides whether the packages work; affinity to pods, spread and priority do not."""
_DROPPED_CONTAINER = (
    *("command", "args", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle", "ports", "stdin", "tty"),
    *("terminationMessagePath", "terminationMessagePolicy"),
)
_DROPPED_ANNOTATIONS = ("checksum/", "kubectl.kubernetes.io/", "deployment.kubernetes.io/")
_GRACE_SECONDS = 5
_KEPT_SECONDS = 600
"""How long a Job that ended stays when no driver comes back."""


@dataclass(frozen=True)
class Options:
    """How the check is made."""

    timeout: float = 120.0
    """Seconds that the check itself may take."""
    install_timeout: float = 600.0
    """Seconds that the installation before it may take."""
    margin: float = 60.0
    """Seconds for all else: a node, the image, the start of both containers."""
    installer: str = "package-manager"
    """Name of the init container that installs."""
    config_map: str = "airflow-config-pypi-locks"
    """The ConfigMap of the locks, for a template without an installer."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Further ones, for example those that a NetworkPolicy lets out."""
    component: str = "scheduler"
    """From whose template it is made, where the target has it."""

    @property
    def deadline(self) -> int:
        """Return the seconds after which the cluster ends it."""
        return int(self.timeout + self.install_timeout + self.margin)


def name(revision: int) -> str:
    """Return the name of a revision's Job: always the same one, so that a second creation meets the first."""
    return f"{NAME}-{revision}"


def make(workload: Workload, revision: int, directs: Sequence[str], options: Options) -> Object:
    """Return the Job of a revision, made from the workload's template."""
    template, spec = workload.template, workload.template["spec"]
    installer = copy.deepcopy(
        next((one for one in spec.get("initContainers") or () if one.get("name") == options.installer), None)
    )
    main = copy.deepcopy(spec["containers"][0])
    given = (row.get("value") for row in main.get("env") or () if row.get("name") == SITE_VARIABLE)
    site = next(given, None)
    extra: list[Object] = []
    if installer is None:
        installer, extra = _own_installer(main, options)
        site = None  # whatever made it was not asked
        main["volumeMounts"] = _beside_our_own(main)
    check = _check(main, installer, _command(site, installer, revision, directs, options))
    volumes = _volumes(workload, [installer, check], extra)
    annotations = {
        key: value
        for key, value in ((template.get("metadata") or {}).get("annotations") or {}).items()
        if not key.startswith(_DROPPED_ANNOTATIONS)
    }
    labels = {**options.labels, **LABELS}
    made = {
        "metadata": {"labels": labels, "annotations": {**annotations, ANNOTATION: str(revision)}},
        "spec": {
            **{key: spec[key] for key in _KEPT_SPEC if key in spec},
            **_node_affinity(spec),
            "initContainers": [installer],
            "containers": [check],
            "volumes": volumes,
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": _GRACE_SECONDS,
        },
    }
    return {
        "apiVersion": JOB.api_version,
        "kind": JOB.name,
        "metadata": {
            "name": name(revision),
            "labels": labels,
            "annotations": {ANNOTATION: str(revision)},
            "ownerReferences": [_owner(workload)],
        },
        "spec": {
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "activeDeadlineSeconds": options.deadline,
            "ttlSecondsAfterFinished": _KEPT_SECONDS,
            "template": made,
        },
    }


def pod_selector(revision: int) -> str:
    """Return the label that the Job's controller gives its pods, on every version of Kubernetes."""
    return f"job-name={name(revision)}"


def _check(main: Object, installer: Object, command: Sequence[str]) -> Object:
    """Return the container that checks what the installer before it installed.

    It gets the component's own environment, because importing Airflow builds its database engine; and what the
    installer mounts, because it reads the lock there. Its file system may be read-only: /tmp is a volume.
    """
    kept = {key: value for key, value in main.items() if key not in _DROPPED_CONTAINER}
    mounts = list(kept.get("volumeMounts") or ())
    taken = {mount["mountPath"] for mount in mounts}
    mounts += [{**mount, "readOnly": True} for mount in _mounts(installer) if mount["mountPath"] not in taken]
    if not any(mount["mountPath"].rstrip("/") == "/tmp" for mount in mounts):  # noqa: S108  a pod's own volume
        mounts.append({"name": f"{NAME}-tmp", "mountPath": "/tmp"})  # noqa: S108
    return {
        **kept,
        "name": CHECK,
        "command": [*command],
        "volumeMounts": mounts,
        "terminationMessagePath": RECORD,
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def _command(
    site: str | None, installer: Object, revision: int, directs: Sequence[str], options: Options
) -> Sequence[str]:
    """Return the command line of the check; `site` is where the component looks for its site, when it is told."""
    return (
        *("python", "-m", "airflow_package_manager.installer.preflight_check"),
        *("--site", site or option(installer, OPTION_ACTIVE) or f"{SITE_FOLDER}/active"),
        *("--locks", option(installer, OPTION_LOCKS) or LOCKS_PATH),
        *("--revision", str(revision), "--record", RECORD, "--timeout", f"{options.timeout:g}"),
        *(word for project in directs for word in ("--direct", project)),
    )


def _own_installer(main: Object, options: Options) -> tuple[Object, list[Object]]:
    """Return an installer and its volumes, for a template whose component installs in a way of its own."""
    kept = {key: value for key, value in main.items() if key not in _DROPPED_CONTAINER}
    site, locks = f"{NAME}-site", f"{NAME}-locks"
    stamp = {
        "name": STAMP_VARIABLE,
        "valueFrom": {"fieldRef": {"fieldPath": f"metadata.annotations['{ANNOTATION}']"}},
    }
    installer = {
        **kept,
        "name": options.installer,
        "command": [*INSTALLER_COMMAND],
        "env": [*(kept.get("env") or ()), stamp],
        "volumeMounts": [
            *_beside_our_own(main),
            {"name": site, "mountPath": SITE_FOLDER},
            {"name": locks, "mountPath": LOCKS_PATH, "readOnly": True},
        ],
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    return installer, [
        {"name": site, "emptyDir": {}},
        {"name": locks, "configMap": {"name": options.config_map, "optional": True}},
    ]


def _beside_our_own(main: Object) -> list[Object]:
    """Return the mounts of a container that are not in the place of those of the check's own installer."""
    return [one for one in _mounts(main) if one["mountPath"].rstrip("/") not in {SITE_FOLDER, LOCKS_PATH}]


def _volumes(workload: Workload, used_by: Iterable[Object], extra: Iterable[Object]) -> list[Object]:
    """Return the volumes that are mounted; a claim becomes an empty directory, unless the site lies on it.

    A claim may be bound to one node or be in use by the component itself; a site that is shared is what is checked.
    """
    containers = list(used_by)
    used = {mount["name"] for one in containers for mount in _mounts(one)}
    written = {mount["name"] for mount in _mounts(containers[0]) if not mount.get("readOnly")}
    claims = [one["metadata"]["name"] for one in workload.object["spec"].get("volumeClaimTemplates") or ()]
    found = [*(workload.template["spec"].get("volumes") or ()), *({"name": name, "emptyDir": {}} for name in claims)]
    found += [*extra, {"name": f"{NAME}-tmp", "emptyDir": {}}]
    return [
        {"name": one["name"], "emptyDir": {}} if "persistentVolumeClaim" in one and one["name"] not in written else one
        for one in found
        if one["name"] in used
    ]


def _node_affinity(spec: Object) -> Object:
    found = (spec.get("affinity") or {}).get("nodeAffinity")
    return {} if found is None else {"affinity": {"nodeAffinity": found}}


def _owner(workload: Workload) -> Object:
    """Return who owns the Job without managing it: when the workload goes, it goes too."""
    return {
        "apiVersion": workload.kind.api_version,
        "kind": workload.kind.name,
        "name": workload.name,
        "uid": workload.uid,
        "controller": False,
        "blockOwnerDeletion": False,
    }


def _mounts(container: Object) -> list[Object]:
    return list(container.get("volumeMounts") or ())


def option(container: Object, wanted: str) -> str | None:
    """Return the value of an option in a container's command line, None where it is not given."""
    words = [str(word) for word in (*(container.get("command") or ()), *(container.get("args") or ()))]
    for index, word in enumerate(words):
        if word == wanted and index + 1 < len(words):
            return words[index + 1]
        if word.startswith(f"{wanted}="):
            return word.partition("=")[2]
    return None
