"""A workload as read, and what is written into its pod template: the stamp, and nothing else. Pure."""

from __future__ import annotations

import copy
import hashlib
import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from airflow_package_manager.adapters.kubernetes.kinds import DEPLOYMENT, STATEFUL_SET, Kind, Object
from airflow_package_manager.domain.rollout import Stamp
from airflow_package_manager.refusals import UnsupportedWorkload

ANNOTATION = "airflow-package-manager/revision"
"""The stamp, in the pod template; absent is absent, never empty."""
REPLICA_SET_REVISION = "deployment.kubernetes.io/revision"
"""By which a Deployment and its newest ReplicaSet name each other."""
_POINTER = "/spec/template/metadata/annotations"
_KEY_POINTER = f"{_POINTER}/{ANNOTATION.replace('~', '~0').replace('/', '~1')}"
_STAMP = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)


@dataclass(frozen=True)
class Workload:
    """A Deployment or StatefulSet of one component."""

    kind: Kind
    object: Object

    @property
    def name(self) -> str:
        """Return its name."""
        return str(self.object["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """Return where it is."""
        return str(self.object["metadata"].get("namespace", ""))

    @property
    def uid(self) -> str:
        """Return its uid: another one of the same name has another."""
        return str(self.object["metadata"]["uid"])

    @property
    def generation(self) -> int:
        """Return the number of its specification; grows with every change of it, and with nothing else."""
        return int(self.object["metadata"].get("generation", 0))

    @property
    def version(self) -> str:
        """Return what a restart is conditional on: it never comes back to what it was."""
        return f"{self.uid}/{self.generation}"

    @property
    def template(self) -> Object:
        """Return its pod template."""
        found: Object = self.object["spec"]["template"]
        return found

    @property
    def status(self) -> Object:
        """Return what its controller says."""
        found: Object = self.object.get("status") or {}
        return found

    @property
    def is_observed(self) -> bool:
        """Tell whether its controller has taken notice of the present specification."""
        return int(self.status.get("observedGeneration", 0)) >= self.generation

    @property
    def replicas(self) -> int:
        """Return how many instances are wanted."""
        wanted = self.object["spec"].get("replicas")
        return 1 if wanted is None else int(wanted)

    @property
    def grace(self) -> float:
        """Return the seconds that one of its pods may take to stop."""
        found = self.template["spec"].get("terminationGracePeriodSeconds")
        return 30.0 if found is None else float(found)

    @property
    def main(self) -> str:
        """Return the name of the container that is the component: the first one."""
        return str(self.template["spec"]["containers"][0]["name"])

    @property
    def selector(self) -> str:
        """Return the label selector of its pods; a pod that matches is not yet one of its own."""
        return selector_text(self.object["spec"].get("selector") or {})

    def has_container(self, installer: str) -> bool:
        """Tell whether its pods have this init container."""
        return any(one.get("name") == installer for one in self.template["spec"].get("initContainers") or ())

    def goes_down(self) -> str | None:
        """Return why a rolling update stops all of its pods before a new one runs, None where one of them goes on."""
        count = self.replicas
        if self.kind == STATEFUL_SET:
            return "the only pod of a StatefulSet stops before the next one starts" if count == 1 else None
        strategy = self.object["spec"].get("strategy") or {}
        if count and strategy.get("type") == "Recreate":
            return "the strategy Recreate stops all pods first"
        rolling = strategy.get("rollingUpdate") or {}
        surge = _share(rolling.get("maxSurge", "25%"), count, up=True)
        unavailable = _share(rolling.get("maxUnavailable", "25%"), count, up=False)
        if not surge and not unavailable:  # the API server refuses two zeros; two shares may still come to nothing
            unavailable = 1
        if 0 < count <= unavailable:
            return f"maxSurge {surge} and maxUnavailable {unavailable} stop {'it' if count == 1 else 'all'} first"
        return None

    def stamp(self) -> Stamp:
        """Return its stamp; raises `UnsupportedWorkload` for an annotation that no package manager wrote."""
        text = _annotations(self.template).get(ANNOTATION)
        if text is not None and not _STAMP.fullmatch(str(text)):
            raise UnsupportedWorkload(
                f"{self.kind.name} {self.name} carries the annotation {ANNOTATION}: {str(text)[:50]!r}, which is no"
                " revision.",
                next_action=f"Remove it: {by_hand(self, self.namespace, None)}",
                workload=self.name,
            )
        return Stamp(None if text is None else int(text), self.version, template_digest(self.template))


def stamp_of(annotated: Object) -> int | None:
    """Return the stamp that a pod or ReplicaSet template carries, None without a readable one."""
    text = _annotations(annotated).get(ANNOTATION)
    return int(text) if text is not None and _STAMP.fullmatch(str(text)) else None


def template_digest(template: Object) -> str:
    """Return the SHA-256 of a pod template as canonical JSON, without our stamp.

    Annotations that are empty without it are the same as none; so is a field of the metadata that is null.
    """
    bare = copy.deepcopy(template)
    metadata = bare.get("metadata") or {}
    annotations = {key: value for key, value in _annotations(template).items() if key != ANNOTATION}
    kept = {key: value for key, value in {**metadata, "annotations": annotations}.items() if value not in (None, {})}
    bare["metadata"] = kept
    return hashlib.sha256(json.dumps(bare, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def stamp_patch(workload: Workload, revision: int | None) -> list[Object]:
    """Return the JSON patch that stamps exactly this specification of exactly this object.

    The server evaluates its tests together with the change, so nothing can come in between.
    """
    tests: list[Object] = [
        {"op": "test", "path": "/metadata/uid", "value": workload.uid},
        {"op": "test", "path": "/metadata/generation", "value": workload.generation},
    ]
    annotations = _annotations(workload.template)
    if revision is not None:
        whole = {"op": "add", "path": _POINTER, "value": {ANNOTATION: str(revision)}}
        return [*tests, {"op": "add", "path": _KEY_POINTER, "value": str(revision)} if annotations else whole]
    if ANNOTATION not in annotations:
        return tests
    return [*tests, {"op": "remove", "path": _POINTER if len(annotations) == 1 else _KEY_POINTER}]


def by_hand(workload: Workload, namespace: str, stamp: int | None, stuck: Sequence[str] = ()) -> str:
    """Return the `kubectl` command that gives a workload this stamp, and removes pods that stand in its way."""
    value = None if stamp is None else str(stamp)
    patch = {"spec": {"template": {"metadata": {"annotations": {ANNOTATION: value}}}}}
    where = _where(namespace)
    shown = json.dumps(patch, separators=(",", ":"))
    command = f"kubectl{where} patch {workload.kind.resource} {workload.name} --type merge --patch '{shown}'"
    return command + (f" && kubectl{where} delete pod {' '.join(stuck)}" if stuck else "")


def require_supported(workload: Workload) -> None:
    """Raise `UnsupportedWorkload` when a stamp would not lead to a rolling update that ends by itself."""
    spec, named = workload.object["spec"], f"{workload.kind.name} {workload.name}"
    owner = controller_of(workload.object)
    if owner is not None and owner.get("kind") == "Rollout":
        raise run_by(named, "Rollout", str(owner.get("name", "")))
    if workload.kind == DEPLOYMENT and spec.get("paused"):
        where = _where(workload.namespace)
        raise _unsupported(
            workload, f"{named} is paused.", f"Resume it: kubectl{where} rollout resume deployment {workload.name}"
        )
    update = spec.get("updateStrategy") or {}
    if workload.kind == STATEFUL_SET and update.get("type") == "OnDelete":
        raise _unsupported(
            workload,
            f"{named} has the update strategy OnDelete: nobody replaces its pods.",
            "Set spec.updateStrategy.type to RollingUpdate.",
        )
    if workload.kind == STATEFUL_SET and (update.get("rollingUpdate") or {}).get("partition"):
        raise _unsupported(
            workload,
            f"{named} has a partition: only some of its pods are updated.",
            "Set spec.updateStrategy.rollingUpdate.partition to 0.",
        )


def controller_of(found: Object) -> Object | None:
    """Return the owner reference of the controller that manages an object, None where nobody does."""
    owners = found["metadata"].get("ownerReferences") or ()
    return next((owner for owner in owners if owner.get("controller")), None)


def run_by(named: str, kind: str, name: str) -> UnsupportedWorkload:
    """Return the refusal of what a kind runs that we cannot restart."""
    return UnsupportedWorkload(
        f"{named} is run by {kind} {name}, which cannot be restarted safely from here.",
        next_action="Only Deployments and StatefulSets are supported: run the component as one of them, or leave it"
        " out of the setting 'components' and restart it by hand.",
        kind=kind,
        workload=name,
    )


def selector_text(selector: Object) -> str:
    """Return a LabelSelector as the API takes it in a query."""
    parts = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for row in selector.get("matchExpressions") or ():
        key, values = row["key"], ",".join(row.get("values") or ())
        words = {
            "In": f"{key} in ({values})",
            "NotIn": f"{key} notin ({values})",
            "Exists": key,
            "DoesNotExist": f"!{key}",
        }
        parts.append(words[row["operator"]])
    return ",".join(parts)


def _where(namespace: str) -> str:
    return f" --namespace {shlex.quote(namespace)}" if namespace else ""


def _share(number: int | str, count: int, *, up: bool) -> int:
    """Return a number of pods, or a percentage of them, as the controller rounds it."""
    text = str(number)
    if not text.endswith("%"):
        return int(text)
    of_hundred = int(text[:-1]) * count
    return -(-of_hundred // 100) if up else of_hundred // 100


def _annotations(annotated: Object) -> Object:
    found: Object = (annotated.get("metadata") or {}).get("annotations") or {}
    return found


def _unsupported(workload: Workload, detail: str, next_action: str) -> UnsupportedWorkload:
    return UnsupportedWorkload(detail, next_action=next_action, workload=workload.name, kind=workload.kind.name)
