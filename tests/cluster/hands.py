"""Other hands: what somebody else does to a namespace in the middle of an operation."""

from __future__ import annotations

import copy
import itertools
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from airflow_package_manager.adapters.kubernetes.connection import Answer, Lost
from airflow_package_manager.adapters.kubernetes.kinds import DEPLOYMENT, STATEFUL_SET
from airflow_package_manager.adapters.kubernetes.manifests import Installation
from airflow_package_manager.adapters.kubernetes.permissions import rules
from testenv.cluster import REVISION, Client, Cluster, Refused
from tests.cluster.line import is_change
from tests.cluster.preparing import ADMIN, LOCK_MAP, TEXT_MAP, eventually
from tests.cluster.trial import Trial
from tests.cluster.workloads import Object, job, revision_of, template

Hand = Callable[[Trial], object]
ACCOUNT = "airflow-api-server"
_SECRET = "short-lived"
_POLICIES = "/apis/admissionregistration.k8s.io/v1/"


# --- requirements ------------------------------------------------------------------------------------------------


def edits_the_text(one: Trial) -> None:
    body = {"data": {"requirements.txt": "# theirs\n"}}
    one.admin.request("PATCH", one.inside(f"configmaps/{TEXT_MAP}"), body, fieldManager="kubectl-edit")


def syncs_the_text(one: Trial) -> None:
    """A controller applies again what is in its repository."""
    base, _ = one.prepared.texts
    metadata = {"name": TEXT_MAP, "namespace": one.namespace}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"requirements.txt": base}}
    one.admin.apply(body, manager="argocd-controller")


def deletes_the_text(one: Trial) -> None:
    one.admin.delete(one.inside(f"configmaps/{TEXT_MAP}"))


def deletes_the_locks(one: Trial) -> None:
    one.admin.delete(one.inside(f"configmaps/{LOCK_MAP}"))


def seals_the_text(one: Trial) -> None:
    one.admin.request("PATCH", one.inside(f"configmaps/{TEXT_MAP}"), {"immutable": True})


# --- the worker --------------------------------------------------------------------------------------------------


def _patch(one: Trial, body: object) -> None:
    one.admin.request("PATCH", one.path("worker"), body)


def _annotate(one: Trial, key: str, value: str | None) -> None:
    _patch(one, {"spec": {"template": {"metadata": {"annotations": {key: value}}}}})


def scales_up(one: Trial) -> None:
    _patch(one, {"spec": {"replicas": 3}})


def sees_the_deadline_pass(one: Trial) -> None:
    """The controller gives the new ReplicaSet up as late, and goes on with it all the same."""

    def late(found: Object) -> Object | None:
        rows = (found.get("status") or {}).get("conditions") or ()
        return next((row for row in rows if row["type"] == "Progressing" and row["status"] == "False"), None)

    found = late(one.admin.until(one.path("worker"), late))
    one.seen.append(str((found or {}).get("reason")))


def scales_to_zero(one: Trial) -> None:
    _patch(one, {"spec": {"replicas": 0}})


def pauses(one: Trial) -> None:
    _patch(one, {"spec": {"paused": True}})


def restarts(one: Trial) -> None:
    _annotate(one, "kubectl.kubernetes.io/restartedAt", "now")


def upgrades(one: Trial) -> None:
    """As `helm upgrade` with another image: a merge that leaves our stamp where it is."""
    image = [{"name": "main", "image": "airflow:next"}]
    metadata = {"name": "worker", "namespace": one.namespace}
    body = {"metadata": metadata, "spec": {"template": {"spec": {"containers": image}}}}
    kind = one.works["worker"].kind
    one.admin.apply({"apiVersion": "apps/v1", "kind": kind, **body}, manager="helm")


def replaces(one: Trial) -> None:
    """As `kubectl replace` and `helm upgrade --force`: the stamp is gone."""
    found = one.admin.get(one.path("worker"))
    found["spec"]["template"]["metadata"]["annotations"].pop(REVISION, None)
    del found["metadata"]["resourceVersion"]
    one.admin.request("PUT", one.path("worker"), found)


def stamps_another(one: Trial) -> None:
    _annotate(one, REVISION, "7")


def deletes_the_worker(one: Trial) -> None:
    one.admin.delete(one.path("worker"))


def makes_the_worker_anew(one: Trial) -> None:
    found = one.admin.get(one.path("worker"))
    one.admin.delete(one.path("worker"), propagationPolicy="Background")
    found["spec"]["template"]["metadata"]["annotations"].pop(REVISION, None)
    metadata = {key: found["metadata"][key] for key in ("name", "namespace", "labels")}
    fresh = {"apiVersion": "apps/v1", "kind": found["kind"], "metadata": metadata, "spec": found["spec"]}

    def made() -> bool:
        try:
            one.admin.create(fresh)
        except Refused:  # the old one is still leaving
            return False
        return True

    eventually(made, "the new worker")


# --- pods --------------------------------------------------------------------------------------------------------


def kills_a_pod_that_waits(one: Trial) -> None:
    """Delete worker-0, which was not replaced yet, once worker-1 has failed; say on what it came back."""
    before = one.pods()["worker-0"]
    eventually(lambda: one.pods().get("worker-1", before) != before, "the new worker-1")
    one.admin.delete(one.inside("pods/worker-0"))
    eventually(lambda: one.pods().get("worker-0", before) != before, "worker-0")
    found = one.admin.get(one.inside("pods/worker-0"))
    one.seen.append(f"worker-0 came back on {revision_of(found)}")


def removes_the_stuck_pod(one: Trial) -> None:
    one.admin.delete(one.inside("pods/worker-1"), gracePeriodSeconds="0")


# --- people and rules --------------------------------------------------------------------------------------------


def cancels(one: Trial) -> None:
    with one.application() as (app, _):
        app.manager.cancel(ADMIN, one.prepared.operation.id)


def sets_a_quota(one: Trial) -> None:
    metadata = {"name": "few", "namespace": one.namespace}
    body = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": {"pods": "1"}}}
    one.admin.create(body)
    one.admin.until(one.inside("resourcequotas/few"), lambda found: (found.get("status") or {}).get("used"))
    time.sleep(0.5)


def lifts_the_quota(one: Trial) -> None:
    one.admin.delete(one.inside("resourcequotas/few"))


def forbids_stamps(one: Trial) -> None:
    """Apply a policy by which no StatefulSet of this namespace may be stamped anew, and wait until it holds."""
    rule = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["statefulsets"]}
    key = f"'{REVISION}'"
    stamp = f"object.spec.template.metadata.?annotations.orValue({{}})[?{key}].orValue('')"
    body: Object = {"spec": {"template": {"metadata": {"annotations": {REVISION: "9"}}}}}
    _forbids(
        one,
        rule,
        {"expression": f"{stamp} in ['', '1']", "message": "no restarts today"},
        lambda: one.admin.request("PATCH", one.path("worker"), body, dryRun="All"),
    )


def forbids_checks(one: Trial) -> None:
    """Apply a policy by which no Job may be made in this namespace, and wait until it holds."""
    rule = {"apiGroups": ["batch"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["jobs"]}
    body = job(one.namespace, "any", template("any", None, {}, restart="Never"))
    _forbids(
        one,
        rule,
        {"expression": "false", "message": "no Jobs today"},
        lambda: one.admin.request("POST", one.inside("jobs", "apis/batch/v1"), body, dryRun="All"),
    )


def _forbids(one: Trial, rule: Object, validation: Object, denied: Callable[[], object]) -> None:
    metadata = {"name": f"test-forbids-{one.namespace}"}
    one.admin.create(
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicy",
            "metadata": metadata,
            "spec": {
                "matchConstraints": {"resourceRules": [rule]},
                "validations": [validation],
            },
        }
    )
    here = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": one.namespace}}}
    one.admin.create(
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": metadata,
            "spec": {"policyName": metadata["name"], "validationActions": ["Deny"], "matchResources": here},
        }
    )

    def holds() -> bool:
        try:
            denied()
        except Refused:
            return True
        return False

    one.clean.callback(lifts_the_policy, one)
    eventually(holds, "the policy")


def lifts_the_policy(one: Trial) -> None:
    for plural in ("validatingadmissionpolicybindings", "validatingadmissionpolicies"):
        one.admin.delete(f"{_POLICIES}{plural}/test-forbids-{one.namespace}")


# --- the way to the API server -----------------------------------------------------------------------------------


def account(cluster: Cluster, one: Installation, *, secret: str = "") -> Path:
    """Return the kubeconfig of our account with the rules that we ship."""
    return cluster.account(one.namespace, ACCOUNT, rules(one.config_maps, one.workloads), secret=secret)


def short_lived_account(cluster: Cluster, namespace: str) -> Path:
    workloads = {DEPLOYMENT: ("scheduler",), STATEFUL_SET: ("worker", "triggerer")}
    made = account(cluster, Installation(namespace=namespace, workloads=workloads), secret=_SECRET)
    return Path(shutil.copy(made, made.with_suffix(".mine")))


def ends_our_token(one: Trial) -> None:
    """Let the token end, and put another one where the first was, as a kubelet does."""
    old = Client.of(one.kubeconfig)
    one.admin.delete(one.inside(f"secrets/{_SECRET}"))
    old.until_refused(one.inside("pods"))
    workloads = {DEPLOYMENT: ("scheduler",), STATEFUL_SET: ("worker", "triggerer")}
    fresh = account(one.cluster, Installation(namespace=one.namespace, workloads=workloads))
    shutil.copy(fresh, one.kubeconfig)
    one.seen.append("the token ended")


def restarts_the_api_server(one: Trial) -> None:
    one.cluster.restart_apiserver(at_once=True)


class Cuts:
    """Breaks the connection at every seventh answer to a look, and at every fifth piece of a watch."""

    def __init__(self) -> None:
        self._looks, self._pieces = itertools.count(1), itertools.count(1)

    def __call__(self, moment: str) -> Answer | None:
        looked = moment.startswith(("after get ", "after list ")) and next(self._looks) % 7 == 0
        if looked or (moment.startswith("before piece ") and next(self._pieces) % 5 == 0):
            raise Lost("cut", sent=True)
        return None


def conflicts(moment: str) -> Answer | None:
    """Answer every other change of the same name with a conflict, beginning with the first."""
    when, _, name = moment.partition(" ")
    number = name.rpartition(" ")[2]
    odd = int(number) % 2 == 1 if number.isdigit() else True
    if when != "before" or not is_change(name) or not odd:
        return None
    status = {"kind": "Status", "status": "Failure", "reason": "Conflict", "code": 409, "message": "try again"}
    return Answer(409, {}, json.dumps(copy.deepcopy(status)).encode())
