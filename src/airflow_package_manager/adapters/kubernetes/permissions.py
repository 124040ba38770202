"""What our account may need: the one table from which the Role that we ship, the checks and the documentation come.

Verb, resource, names, why. `create`, `list` and `watch` cannot be limited by name in RBAC. There is no `update`
(every write is a patch on a condition), no `secrets`, no `pods/log`, no `pods/exec`, no `controllerrevisions` (a
StatefulSet's status names the new one), and no `leases`: the lease of an operation is in Airflow's database.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from airflow_package_manager.adapters.kubernetes.failures import Request
from airflow_package_manager.adapters.kubernetes.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    EVENT,
    JOB,
    POD,
    REPLICA_SET,
    STATEFUL_SET,
    Kind,
    Object,
)
from airflow_package_manager.errors import ClusterForbidden

STORE = "store"
WORKLOADS = "workloads"
ANY = ""


@dataclass(frozen=True)
class Permission:
    """One row: what may be done to one kind."""

    kind: Kind
    verbs: tuple[str, ...]
    names: str
    """Which objects: `STORE` (both ConfigMaps), `WORKLOADS` (of the components), or `ANY`."""
    why: str


PERMISSIONS: tuple[Permission, ...] = (
    Permission(CONFIG_MAP, ("create",), ANY, "the two ConfigMaps are created when they are absent"),
    Permission(CONFIG_MAP, ("get", "patch"), STORE, "requirements, locks and the current revision"),
    Permission(DEPLOYMENT, ("get", "list"), ANY, "finding the workload of each component, and its status"),
    Permission(DEPLOYMENT, ("patch",), WORKLOADS, "the stamp in the pod template, which is the restart"),
    Permission(STATEFUL_SET, ("get", "list"), ANY, "finding the workload of each component, and its status"),
    Permission(STATEFUL_SET, ("patch",), WORKLOADS, "the stamp in the pod template, which is the restart"),
    Permission(REPLICA_SET, ("list",), ANY, "which pods of a Deployment are of the new revision"),
    Permission(POD, ("list", "watch"), ANY, "the verdict: each instance's installer, restarts and readiness"),
    Permission(POD, ("delete",), ANY, "a pod of a StatefulSet that is stuck on the failed revision, in a rollback"),
    Permission(JOB, ("create", "get", "delete"), ANY, "the check before the rollout, in a Job that is thrown away"),
    Permission(EVENT, ("list",), ANY, "why a pod does not come: quota, admission, scheduling"),
)


@dataclass(frozen=True)
class Need:
    """One question for the API server: may we do this?"""

    kind: Kind
    verb: str
    name: str
    """Empty: any object of the namespace."""
    why: str


def needs(store: Sequence[str], workloads: Mapping[Kind, Sequence[str]]) -> Iterator[Need]:
    """Yield everything that an operation or its rollback may need, one object and verb at a time.

    `store` are the names of both ConfigMaps, `workloads` those of the components by kind; a kind that no component
    has needs no patch.
    """
    for row in PERMISSIONS:
        for name in _names(row, store, workloads):
            for verb in row.verbs:
                yield Need(row.kind, verb, name, row.why)


def of_store(store: Sequence[str]) -> Iterator[Need]:
    """Yield what keeping requirements and locks may need."""
    return (need for need in needs(store, {}) if need.kind == CONFIG_MAP)


def of_target(workloads: Mapping[Kind, Sequence[str]]) -> Iterator[Need]:
    """Yield what restarting these workloads, and bringing them back, may need."""
    return (need for need in needs((), workloads) if need.kind != CONFIG_MAP)


class Asks(Protocol):
    """The method of `api.Api` that asking needs."""

    def allowed(self, kind: Kind, namespace: str, verb: str, name: str = "") -> bool:
        """Tell whether our account may do this."""
        ...


def require(api: Asks, namespace: str, wanted: Iterable[Need]) -> None:
    """Raise `ClusterForbidden` for the first that our account may not do, with the rule that its Role lacks."""
    for need in wanted:
        if api.allowed(need.kind, namespace, need.verb, need.name):
            continue
        request = Request(need.verb, need.kind, namespace, need.name)
        raise ClusterForbidden(
            f"This account may not {request}, which is needed for: {need.why}. The Role lacks:\n{request.rule()}",
            verb=need.verb,
            resource=need.kind.resource,
            name=need.name,
            namespace=namespace,
            rule=request.rule(),
        )


def rules(store: Sequence[str], workloads: Mapping[Kind, Sequence[str]]) -> list[Object]:
    """Return the rules of the Role: the whole table, with the names filled in."""
    found: list[Object] = []
    for row in PERMISSIONS:
        names = _names(row, store, workloads)
        if not names:
            continue
        rule: Object = {"apiGroups": [row.kind.group], "resources": [row.kind.plural], "verbs": list(row.verbs)}
        if row.names != ANY:
            rule["resourceNames"] = list(names)
        found.append(rule)
    return found


def _names(row: Permission, store: Sequence[str], workloads: Mapping[Kind, Sequence[str]]) -> Sequence[str]:
    if row.names == STORE:
        return store
    if row.names == WORKLOADS:
        return workloads.get(row.kind, ())
    return ("",)
