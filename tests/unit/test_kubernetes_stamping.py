from __future__ import annotations

import copy
import shlex

import pytest

from airflow_package_manager.adapters.kubernetes import stamping
from airflow_package_manager.adapters.kubernetes.kinds import DEPLOYMENT
from airflow_package_manager.adapters.kubernetes.stamping import ANNOTATION, Workload, template_digest
from airflow_package_manager.refusals import UnsupportedWorkload
from tests.unit.kubernetes_json import Object, deployment, stateful_set, template

KEY = "/spec/template/metadata/annotations/airflow-package-manager~1revision"


def without_annotations() -> Object:
    found = template()
    del found["metadata"]["annotations"]
    return found


def patched(workload: Workload, revision: int | None) -> Object:
    """Do what the API server does with the operations that we use."""
    found = copy.deepcopy(workload.object)
    for operation in stamping.stamp_patch(workload, revision):
        parts = [part.replace("~1", "/") for part in operation["path"].split("/")[1:]]
        place = found
        for part in parts[:-1]:
            place = place[part]
        if operation["op"] == "test":
            assert place[parts[-1]] == operation["value"]
        elif operation["op"] == "add":
            place[parts[-1]] = operation["value"]
        else:
            del place[parts[-1]]
    return found


@pytest.mark.parametrize("pod", [template(), template(stamp=4), without_annotations()])
def test_stamp_and_back_leave_the_template_as_it_was(pod: Object) -> None:
    workload = deployment(pod=pod)
    before = workload.stamp()
    stamped = Workload(DEPLOYMENT, patched(workload, 5))
    assert stamped.stamp().revision == 5
    assert stamped.stamp().template == before.template
    assert patched(stamped, before.revision) == workload.object
    assert Workload(DEPLOYMENT, patched(stamped, None)).stamp().revision is None


def test_a_patch_holds_for_one_object_and_one_specification_only() -> None:
    patch = stamping.stamp_patch(deployment(stamp=4), 5)
    assert patch == [
        {"op": "test", "path": "/metadata/uid", "value": "workload-1"},
        {"op": "test", "path": "/metadata/generation", "value": 3},
        {"op": "add", "path": KEY, "value": "5"},
    ]
    assert deployment().stamp().version == "workload-1/3"
    assert {step["op"] for step in stamping.stamp_patch(deployment(stamp=None), None)} == {"test"}


def test_the_digest_of_a_template_knows_everything_but_our_stamp() -> None:
    before = template_digest(template())
    assert template_digest(template(stamp=7)) == before
    assert template_digest(without_annotations()) == template_digest(
        {**without_annotations(), "metadata": {**without_annotations()["metadata"], "annotations": {ANNOTATION: "7"}}}
    )
    changed = template()
    changed["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"] = "2026-01-01T00:00:00Z"
    assert template_digest(changed) != before
    other = template()
    other["spec"]["containers"][0]["image"] = "apache/airflow:3.4.0"
    assert template_digest(other) != before
    turned = dict(reversed(template().items()))
    assert template_digest(turned) == before


@pytest.mark.parametrize("text", ["", "five", "05", "1e9", "-3", "12345678901"])
def test_a_stamp_of_another_hand_that_is_no_revision_is_refused_with_the_way_out(text: str) -> None:
    workload = deployment()
    workload.template["metadata"]["annotations"][ANNOTATION] = text
    with pytest.raises(UnsupportedWorkload) as caught:
        workload.stamp()
    assert "kubectl --namespace n patch deployments.apps airflow-scheduler" in caught.value.next_action


@pytest.mark.parametrize(
    ("workload", "words", "way_out"),
    [
        (deployment(paused=True), "is paused", "kubectl --namespace n rollout resume deployment airflow-scheduler"),
        (stateful_set(updateStrategy={"type": "OnDelete"}), "OnDelete", "RollingUpdate"),
        (stateful_set(updateStrategy={"rollingUpdate": {"partition": 1}}), "partition", "to 0"),
    ],
)
def test_what_no_stamp_restarts_is_refused_by_name(workload: Workload, words: str, way_out: str) -> None:
    with pytest.raises(UnsupportedWorkload) as caught:
        stamping.require_supported(workload)
    assert words in caught.value.detail
    assert "airflow-scheduler" in caught.value.detail
    assert way_out in caught.value.next_action


def test_what_a_rollout_owns_is_refused_and_what_an_operator_owns_is_not() -> None:
    owned = deployment()
    owned.object["metadata"]["ownerReferences"] = [{"kind": "Rollout", "name": "r", "uid": "u", "controller": True}]
    with pytest.raises(UnsupportedWorkload, match="Rollout r"):
        stamping.require_supported(owned)
    owned.object["metadata"]["ownerReferences"][0]["kind"] = "AirflowCluster"
    stamping.require_supported(owned)
    stamping.require_supported(
        stateful_set(updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"partition": 0}})
    )


def test_the_command_of_a_person_is_one_that_a_shell_reads_as_meant() -> None:
    command = stamping.by_hand(deployment(), "data-orchestration", None)
    assert shlex.split(command) == [
        *("kubectl", "--namespace", "data-orchestration", "patch", "deployments.apps", "airflow-scheduler"),
        *("--type", "merge", "--patch"),
        '{"spec":{"template":{"metadata":{"annotations":{"airflow-package-manager/revision":null}}}}}',
    ]
    assert stamping.by_hand(stateful_set(), "n", 5, ("w-1",)).endswith(
        '"airflow-package-manager/revision":"5"}}}}}\' && kubectl --namespace n delete pod w-1'
    )


def test_a_selector_is_written_as_a_query_takes_it() -> None:
    selector = {
        "matchLabels": {"component": "worker", "app": "airflow"},
        "matchExpressions": [
            {"key": "tier", "operator": "In", "values": ["a", "b"]},
            {"key": "x", "operator": "NotIn", "values": ["c"]},
            {"key": "y", "operator": "Exists"},
            {"key": "z", "operator": "DoesNotExist"},
        ],
    }
    assert stamping.selector_text(selector) == "app=airflow,component=worker,tier in (a,b),x notin (c),y,!z"


def _rolling(surge: int | str, unavailable: int | str) -> Object:
    return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}


@pytest.mark.parametrize(
    ("strategy", "replicas", "down"),
    [
        ({"type": "Recreate"}, 3, True),
        ({"type": "Recreate"}, 0, False),
        (_rolling(0, 1), 1, True),
        (_rolling(0, 1), 2, False),
        (_rolling(1, 1), 1, True),
        (_rolling(1, 0), 1, False),
        (_rolling("100%", "50%"), 1, False),
        (_rolling("100%", "50%"), 2, False),
        (_rolling("25%", "100%"), 4, True),
        (_rolling("0%", "25%"), 1, True),
        ({}, 1, False),
    ],
)
def test_a_deployment_that_stops_all_pods_first_says_so(strategy: Object, replicas: int, *, down: bool) -> None:
    found = deployment(replicas=replicas, strategy=strategy)
    assert (found.goes_down() is not None) is down


@pytest.mark.parametrize(("replicas", "down"), [(0, False), (1, True), (2, False)])
def test_a_stateful_set_of_one_goes_down(replicas: int, *, down: bool) -> None:
    assert (stateful_set(replicas=replicas).goes_down() is not None) is down
