"""What is there now: the workload of each component, its ReplicaSets, its pods, and why a pod may not be created.

Pods come from one watch per component, so that looking often costs as much with three pods as with a thousand.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from airflow_package_manager.adapters.kubernetes import pod_json, status, workloads
from airflow_package_manager.adapters.kubernetes.api import Api
from airflow_package_manager.adapters.kubernetes.failures import Absent
from airflow_package_manager.adapters.kubernetes.kinds import DEPLOYMENT, EVENT, POD, REPLICA_SET, Kind, Object
from airflow_package_manager.adapters.kubernetes.mirror import Mirror, Rhythm
from airflow_package_manager.adapters.kubernetes.stamping import Workload, controller_of
from airflow_package_manager.adapters.kubernetes.status import Refusal, Sight
from airflow_package_manager.adapters.kubernetes.workloads import Reference
from airflow_package_manager.refusals import NoComponents

_FOUND_SECONDS = 30.0
"""For so long the name of a component's workload is taken for known; what it says is asked each time."""
_REFUSAL_SECONDS = 300.0
"""A controller that is refused tries again after ever longer pauses."""
_REFUSALS_ASKED_SECONDS = 5.0


@dataclass
class _Known:
    """What is remembered of one component."""

    kind: Kind
    name: str
    until: float
    mirror: Mirror | None = None
    selector: str = ""
    generation: str = ""
    """Of the workload to which the next two belong."""
    replica_sets: Mapping[str, Object] | None = None
    new: str | None = None
    lacking: float | None = None
    """Since when (Unix seconds) a StatefulSet was seen without all of its pods."""


class Sightings:
    """Looks; changes nothing. Safe to share between threads."""

    def __init__(
        self,
        api: Api,
        *,
        namespace: str,
        references: Mapping[str, Reference],
        named: tuple[str, ...],
        clock: Callable[[], float],
        rhythm: Rhythm,
    ) -> None:
        """Take where to look for what; `named` are components that a person counts on."""
        self._api = api
        self._namespace = namespace
        self._references = references
        self._named = named
        self._clock = clock
        self._rhythm = rhythm
        self._guard = threading.Lock()
        self._known: dict[str, _Known] = {}
        self._refusals: dict[str, tuple[float, Refusal | None]] = {}

    def components(self) -> tuple[str, ...]:
        """Return the components that are there; raises `NoComponents`, `UnsupportedWorkload`."""
        there, missing = [], []
        for component in self._named or tuple(self._references):
            try:
                self.workload(component)
            except NoComponents as error:
                if component in self._named or self._references[component].configured:
                    missing.append((component, error))
            else:
                there.append(component)
        if missing:
            names = [component for component, _ in missing]
            raise NoComponents(
                " ".join(error.detail for _, error in missing), next_action=missing[0][1].next_action, components=names
            )
        return tuple(there)

    def workload(self, component: str) -> Workload:
        """Return the component's workload as it is now; raises `NoComponents`, `UnsupportedWorkload`."""
        known = self._known.get(component)
        if known is not None and self._clock() < known.until:
            try:
                return Workload(known.kind, self._api.get(known.kind, self._namespace, known.name))
            except Absent:
                pass  # replaced by another, or gone: it is looked for anew
        reference = workloads.referred(self._references, component)
        if reference is None:
            raise NoComponents(
                f"It is not known what runs {component} in namespace {self._namespace}.",
                next_action=f"Add {component}=Kind/name or {component}=labels to the setting 'workloads'.",
                components=[component],
            )
        counted_on = component in self._named or reference.configured
        found = workloads.find(self._api, self._namespace, component, reference, named=counted_on)
        with self._guard:
            fresh = self._known.setdefault(component, _Known(found.kind, found.name, 0.0))
            fresh.kind, fresh.name, fresh.until = found.kind, found.name, self._clock() + _FOUND_SECONDS
        return found

    def sight(self, component: str, *, certain: bool = False) -> tuple[Sight, float]:
        """Return the component's workload with its pods, and the seconds since the server was heard of the pods.

        `certain`: if that is too long ago to build on, they are listed anew.
        """
        workload = self.workload(component)
        mirror = self._mirror(component, workload)
        found = tuple(mirror.get(certain=certain).values())
        if workload.kind == DEPLOYMENT:
            replica_sets, new = self._replica_sets(component, workload)
            return status.sight_of_deployment(workload, replica_sets, new, found), mirror.age()
        seen = status.sight_of_stateful_set(workload, found)
        since = self._lacking(component, lacks=len(seen.own) < workload.replicas)
        if since is not None:
            refusal = status.holding(self._refused(workload.uid), seen.own, since)
            seen = status.sight_of_stateful_set(workload, found, refusal)
        return seen, mirror.age()

    def refusal(self, uid: str) -> tuple[str, float] | None:
        """Return why a controller may not create any pod of an object, and since when, as its latest event says."""
        return status.holding(self._refused(uid), (), 0.0)

    def _refused(self, uid: str) -> Refusal | None:
        asked, answer = self._refusals.get(uid, (float("-inf"), None))
        if self._clock() - asked < _REFUSALS_ASKED_SECONDS:
            return answer
        only = f"involvedObject.uid={uid},reason=FailedCreate"  # a namespace may have thousands of events
        events = self._api.list(EVENT, self._namespace, fields=only, trim=_told).items
        found = [Refusal(event["last"], event["first"], event["said"]) for event in events]
        latest = max(found, default=None, key=lambda one: one.last)
        answer = latest if latest is not None and self._clock() - latest.last < _REFUSAL_SECONDS else None
        self._refusals[uid] = (self._clock(), answer)
        return answer

    def _lacking(self, component: str, *, lacks: bool) -> float | None:
        with self._guard:
            known = self._known[component]
            known.lacking = (known.lacking or self._clock()) if lacks else None
            return known.lacking

    def pods_of(self, selector: str) -> tuple[Object, ...]:
        """Return the pods that carry these labels now, trimmed."""
        return self._api.list(POD, self._namespace, selector=selector, trim=pod_json.trim).items

    def close(self) -> None:
        """Let the watches end."""
        with self._guard:
            for known in self._known.values():
                if known.mirror is not None:
                    known.mirror.close()

    def _mirror(self, component: str, workload: Workload) -> Mirror:
        with self._guard:
            known = self._known[component]
            if known.mirror is None or known.selector != workload.selector:
                if known.mirror is not None:
                    known.mirror.close()
                known.selector = workload.selector
                known.mirror = Mirror(
                    self._api,
                    POD,
                    self._namespace,
                    selector=workload.selector,
                    trim=pod_json.trim,
                    rhythm=self._rhythm,
                )
            return known.mirror

    def _replica_sets(self, component: str, workload: Workload) -> tuple[Mapping[str, Object], str | None]:
        """Return the Deployment's own ReplicaSets by uid, and which of them has the present template.

        Asked once for each template: which one it is cannot change while the Deployment's specification does not.
        """
        known = self._known[component]
        if known.generation == workload.version and known.replica_sets is not None and known.new is not None:
            return known.replica_sets, known.new
        listing = self._api.list(REPLICA_SET, self._namespace, selector=workload.selector, trim=status.trim_replica_set)
        own = {
            str(one["metadata"]["uid"]): one
            for one in listing.items
            if (controller_of(one) or {}).get("uid") == workload.uid
        }
        new = status.new_replica_set(workload, own.values())
        with self._guard:
            known.generation, known.replica_sets, known.new = workload.version, own, new
        return own, new


def _told(event: Object) -> Object:
    """Return what an event says, and when first and last."""
    series = event.get("series") or {}
    first = pod_json.seconds(event.get("firstTimestamp") or event.get("eventTime")) or 0.0
    last = pod_json.seconds(event.get("lastTimestamp") or series.get("lastObservedTime")) or first
    return {"last": last, "first": first, "said": pod_json.said(event)}
