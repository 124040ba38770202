"""The commands with which an administrator takes everything back, for `kubernetes uninstall --dry-run`. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence

from airflow_package_manager.adapters.kubernetes import manifests
from airflow_package_manager.adapters.kubernetes.kinds import Kind
from airflow_package_manager.adapters.kubernetes.manifests import Installation
from airflow_package_manager.adapters.kubernetes.stamping import ANNOTATION, Workload, stamp_of

_CLUSTER_WIDE = ("validatingadmissionpolicybinding", "validatingadmissionpolicy")
_ROLLOUT_TIMEOUT = "30m"


def commands(installation: Installation, found: Sequence[Workload] | None, *, requirements: bool) -> str:
    """Return the commands, in an order in which no pod starts without what it needs before it has to.

    `found` are the workloads as they are; None: nobody looked, and each may carry a stamp.
    """
    namespace = f"--namespace {installation.namespace}"
    text, locks = installation.config_maps
    return "\n".join(
        [
            "# 'airflow-package-manager kubernetes uninstall --yes', where Airflow runs, removes stamps and locks,",
            "# and refuses while a change is being applied. By hand: see first that none is (history).",
            *_stamps_and_locks(_stamped(installation, found), locks, namespace),
            *(
                [
                    "# Requirements, as asked: keep a copy of what people wrote.",
                    f"kubectl delete configmap {text} {namespace} --ignore-not-found",
                ]
                if requirements
                else [f"# {text} holds the requirements that people wrote; it stays (but with --requirements)."]
            ),
            "# Take init container, volumes, environment and image out of the chart's values; 'helm upgrade'. Then:",
            f"kubectl delete rolebinding,role {manifests.NAME} {namespace} --ignore-not-found",
            *(
                f"kubectl delete {kind} {' '.join(manifests.policy_names(installation))} --ignore-not-found"
                for kind in _CLUSTER_WIDE
            ),
        ]
    )


def _stamped(installation: Installation, found: Sequence[Workload] | None) -> list[tuple[Kind, str, int | None]]:
    """Return kind, name and stamp of what has one; without a look the stamp is not known."""
    if found is None:
        return [(kind, name, None) for kind, names in installation.workloads.items() for name in names]
    wanted = {(kind, name) for kind, names in installation.workloads.items() for name in names}
    seen = [(one.kind, one.name, stamp_of(one.template)) for one in found if (one.kind, one.name) in wanted]
    unseen = wanted - {(kind, name) for kind, name, _ in seen}
    return [
        *(row for row in seen if row[2] is not None),
        *((kind, name, None) for kind, name in sorted(unseen, key=str)),
    ]


def _stamps_and_locks(stamped: Sequence[tuple[Kind, str, int | None]], locks: str, namespace: str) -> list[str]:
    """Return one command of many lines: what fails ends it, and each remark stands before it.

    Shells differ in what they take for a remark between two lines that belong together.
    """
    nothing = json.dumps({"spec": {"template": {"metadata": {"annotations": {ANNOTATION: None}}}}})
    chained, carried = [], []
    for kind, name, stamp in stamped:
        carried += [] if stamp is None else [f"{name} {stamp}"]
        chained += [
            f"kubectl patch {kind.name.lower()} {name} {namespace} --type merge --patch '{nothing}' &&",
            f"kubectl rollout status {kind.name.lower()}/{name} {namespace} --timeout {_ROLLOUT_TIMEOUT} &&",
        ]
    remarks = [
        "# Stamps, one component after another: each restarts on the current lock before the next one does. Then the",
        "# locks: pods that start after that start on their image alone. It ends where a component does not come back:",
        "# mend what its pods say, and run all of it again.",
    ]
    if not chained:
        remarks = [
            "# Stamps: no workload carries one.",
            "# Locks: pods that start after this start on their image alone.",
        ]
    return [
        *remarks,
        *([f"# Stamps that are there: {', '.join(carried)}."] if carried else []),
        *chained,
        f"kubectl delete configmap {locks} {namespace} --ignore-not-found",
    ]
