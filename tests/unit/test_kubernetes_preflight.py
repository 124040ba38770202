from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_package_manager.adapters.kubernetes import pod_json, preflight_job, preflight_verdict
from airflow_package_manager.adapters.kubernetes.pods import Limits
from airflow_package_manager.adapters.kubernetes.preflight_job import Options
from airflow_package_manager.adapters.kubernetes.stamping import ANNOTATION
from airflow_package_manager.domain import report as reports
from airflow_package_manager.domain.rollout import PreflightStatus, Status
from airflow_package_manager.installer import preflight_record
from airflow_package_manager.installer.preflight_record import PreflightRecord
from tests.unit.kubernetes_json import NOW, Object, at, deployment, ended, pod, report, stateful_set, template, waiting

TMP = "/tmp"  # noqa: S108 - a pod's own
OPTIONS = Options(timeout=20, install_timeout=30, labels={"egress": "index", "app.kubernetes.io/component": "mine"})
JOB: Object = {"metadata": {"name": "j", "uid": "job-1"}, "spec": {}, "status": {}}


def made(**more: Any) -> Object:  # noqa: ANN401 - a workload's parts
    return preflight_job.make(deployment(**more), 6, ("demo", "other"), OPTIONS)


def parts(job: Object) -> tuple[Object, Object, Object]:
    spec = job["spec"]["template"]["spec"]
    return spec, spec["initContainers"][0], spec["containers"][0]


def test_the_name_is_always_the_same_and_the_job_ends_by_itself() -> None:
    job = made()
    assert job["metadata"]["name"] == preflight_job.name(6) == "airflow-package-manager-preflight-6"
    spec = job["spec"]
    assert (spec["backoffLimit"], spec["activeDeadlineSeconds"], spec["ttlSecondsAfterFinished"]) == (0, 110, 600)
    (owner,) = job["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["controller"]) == ("Deployment", "workload-1", False)


def test_nothing_takes_its_pod_for_the_component() -> None:
    labels = made()["spec"]["template"]["metadata"]["labels"]
    assert labels == {
        "egress": "index",
        "app.kubernetes.io/name": "airflow-package-manager",
        "app.kubernetes.io/component": "preflight",
        "app.kubernetes.io/managed-by": "airflow-package-manager",
    }


def test_it_runs_on_the_revision_with_the_components_own_environment() -> None:
    job = made()
    spec, installer, check = parts(job)
    annotations = job["spec"]["template"]["metadata"]["annotations"]
    assert annotations == {ANNOTATION: "6", "cluster-autoscaler.kubernetes.io/safe-to-evict": "true"}
    assert installer == template()["spec"]["initContainers"][1], "the installer is as in the component"
    assert check["env"] == template()["spec"]["containers"][0]["env"]
    assert check["command"] == [
        *("python", "-m", "airflow_package_manager.installer.preflight_check"),
        *("--site", "/opt/package-manager/active", "--locks", "/etc/package-manager/locks"),
        *("--revision", "6", "--record", "/dev/termination-log", "--timeout", "20"),
        *("--direct", "demo", "--direct", "other"),
    ]
    assert [len(spec[name]) for name in ("initContainers", "containers")] == [1, 1]
    assert spec["restartPolicy"] == "Never"
    assert spec["serviceAccountName"] == "airflow-scheduler"
    assert spec["securityContext"] == {"runAsUser": 50000, "fsGroup": 0}
    assert "affinity" not in spec
    assert "hostUsers" not in spec
    assert not {"args", "livenessProbe", "ports", "lifecycle"} & check.keys()


def test_it_is_as_far_from_its_node_as_the_component() -> None:
    kept: dict[str, Any] = {"hostUsers": False, "nodeSelector": {"disk": "fast"}, "runtimeClassName": "gvisor"}
    spec, _, _ = parts(made(pod=template(**kept)))
    assert {key: spec.get(key) for key in kept} == kept


def test_it_reads_the_locks_and_may_write_nowhere_but_in_tmp() -> None:
    spec, _, check = parts(made())
    mounts = {mount["mountPath"]: mount for mount in check["volumeMounts"]}
    assert mounts["/etc/package-manager/locks"]["readOnly"]
    assert mounts["/opt/package-manager"]["readOnly"]
    assert mounts[TMP]["name"] == "airflow-package-manager-preflight-tmp"
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    assert "unused" not in volumes
    assert volumes["logs"] == {"name": "logs", "emptyDir": {}}, "a claim may be in use"
    assert set(volumes) == {mount["name"] for one in spec["initContainers"] + [check] for mount in one["volumeMounts"]}


def test_a_shared_volume_of_the_site_stays_what_it_is() -> None:
    shared = template()
    claim = {"name": "package-manager", "persistentVolumeClaim": {"claimName": "sites"}}
    shared["spec"]["volumes"][2] = claim
    assert claim in parts(made(pod=shared))[0]["volumes"]


def test_claims_of_a_stateful_set_become_empty_directories() -> None:
    pod_template = template()
    del pod_template["spec"]["volumes"][1]
    workload = stateful_set(pod=pod_template, volumeClaimTemplates=[{"metadata": {"name": "logs"}, "spec": {}}])
    spec = preflight_job.make(workload, 6, (), OPTIONS)["spec"]["template"]["spec"]
    assert {"name": "logs", "emptyDir": {}} in spec["volumes"]


def test_a_component_without_our_installer_gets_one_for_the_check() -> None:
    spec, installer, check = parts(made(pod=template(installer=False)))
    assert installer["name"] == "package-manager"
    assert installer["image"] == "apache/airflow:3.3.2"
    assert installer["command"][:3] == ["python", "-m", "airflow_package_manager.installer"]
    assert "--stamp=$(PACKAGE_MANAGER_STAMP)" in installer["command"]
    (stamp,) = (row for row in installer["env"] if row["name"] == "PACKAGE_MANAGER_STAMP")
    assert stamp["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.annotations['airflow-package-manager/revision']"
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    locks = volumes["airflow-package-manager-preflight-locks"]
    assert locks["configMap"] == {"name": "airflow-config-pypi-locks", "optional": True}
    site = check["command"][check["command"].index("--site") + 1]
    assert any(site.startswith(mount["mountPath"]) for mount in check["volumeMounts"])


def test_the_checks_own_installer_takes_the_place_of_what_is_mounted_where_it_works() -> None:
    """As in a template with our values but for the init container."""
    made_by_values = template(installer=False)
    main = made_by_values["spec"]["containers"][0]
    main["env"].append({"name": "AIRFLOW_PACKAGE_MANAGER_SITE", "value": "/srv/active"})
    main["volumeMounts"].append({"name": "locks", "mountPath": "/etc/package-manager/locks/", "readOnly": True})
    _, installer, check = parts(made(pod=made_by_values))
    for one in (installer, check):
        mounts = {mount["mountPath"].rstrip("/"): mount["name"] for mount in one["volumeMounts"]}
        assert len(mounts) == len(one["volumeMounts"])
        assert mounts["/opt/package-manager"] == "airflow-package-manager-preflight-site"
        assert mounts["/etc/package-manager/locks"] == "airflow-package-manager-preflight-locks"
    assert check["command"][check["command"].index("--site") + 1] == "/opt/package-manager/active"


def test_making_it_does_not_touch_the_workload() -> None:
    workload = deployment()
    before = json.dumps(workload.object)
    preflight_job.make(workload, 6, (), OPTIONS)
    assert json.dumps(workload.object) == before


# --- its verdict -------------------------------------------------------------------------------------------------


ADDRESS = " postgresql://airflow:s3cret@db"


def record(status: str, code: str | None = None, said: str = "") -> str:
    """Return a record of which each text ends with what is said."""
    return preflight_record.termination_message(
        PreflightRecord(status, f"its message{said}", 1, 2.0, code, (f"a warning{said}",), f"its output{said}")
    )


def check_pod(main: Object | None = None, init: Object | None = None, **more: Any) -> Object:  # noqa: ANN401 - JSON
    made = pod("p", owner="job-1", ready=None, init=init, main={"name": "check", **(main or {})}, **more)
    made["status"]["containerStatuses"] = made["status"]["containerStatuses"][:1]
    return made


def verdict(*found: Object, job: Object = JOB, refusal: tuple[str, float] | None = None) -> PreflightStatus:
    trimmed = [pod_json.trim(one) for one in found]
    return preflight_verdict.verdict(
        job, trimmed, installer="package-manager", now=NOW, limits=Limits(), refusal=refusal
    )


def test_only_a_written_record_passes() -> None:
    passed = verdict(check_pod({"state": ended(0, reason="Completed", message=record("passed"))}))
    assert (passed.status, passed.message, passed.warnings) == (Status.CURRENT, "its message", ("a warning",))
    for state in (
        ended(0, reason="Completed"),
        ended(0, message="all is well"),
        ended(0, message=record("running")),
        ended(1, message=record("passed")),
        ended(137, reason="OOMKilled", message=record("running")),
    ):
        found = verdict(check_pod({"state": state}))
        assert (found.status, found.code, found.infrastructure) == (Status.FAILED, "check-lost", False)


def test_a_check_that_failed_says_what_it_found() -> None:
    found = verdict(check_pod({"state": ended(1, message=record("failed", "import-failed"))}))
    assert found == PreflightStatus(Status.FAILED, "its message", ("a warning",), "import-failed", "its output")


def test_a_check_that_was_stopped_is_no_packages_fault() -> None:
    assert verdict(check_pod({"state": ended(1, message=record("failed", "check-lost"))})).infrastructure


def test_a_sidecar_that_runs_on_changes_nothing() -> None:
    found = check_pod({"state": ended(0, message=record("passed"))})
    found["status"]["containerStatuses"].append({"name": "istio-proxy", "ready": True, "state": {"running": {}}})
    assert verdict(found).status is Status.CURRENT


def test_an_installer_that_refused_is_the_verdict() -> None:
    refused = report(reports.FAILED, code="no-wheel", cause="No wheel.", tail="uv says no")
    found = verdict(check_pod(init={"ready": False, "state": ended(1, message=refused)}))
    assert found == PreflightStatus(Status.FAILED, "No wheel.", code="no-wheel", detail="uv says no")
    silent = verdict(check_pod(init={"ready": False, "state": ended(1, message="No module named x")}))
    assert silent.message == "package-manager ended with status 1: No module named x"


@pytest.mark.parametrize(
    "found",
    [
        check_pod({"state": ended(1, message=f"x {ADDRESS} y")}),
        check_pod({"state": ended(1, message=record("failed", "import-failed", ADDRESS))}),
        check_pod({"state": ended(0, message=record("passed", None, ADDRESS))}),
        check_pod(init={"ready": False, "state": ended(1, message=ADDRESS)}),
        check_pod(init={"state": ended(1, message=report(reports.FAILED, code="gate", cause=ADDRESS, tail=ADDRESS))}),
        check_pod(init={"ready": False, "state": waiting("ImagePullBackOff", ADDRESS)}),
        check_pod(conditions=[{"type": "PodScheduled", "status": "False", "message": ADDRESS}]),
    ],
)
def test_what_was_said_is_shown_without_credentials(found: Object) -> None:
    shown = str(verdict(found))
    assert "postgresql://****@db" in shown
    assert "s3cret" not in shown


@pytest.mark.parametrize(
    "found",
    [
        check_pod(init={"ready": False, "state": waiting("ImagePullBackOff")}),
        check_pod(conditions=[{"type": "PodScheduled", "status": "False", "lastTransitionTime": at(200)}]),
    ],
)
def test_trouble_of_the_cluster_is_told_apart(found: Object) -> None:
    answer = verdict(found)
    assert (answer.status, answer.infrastructure) == (Status.FAILED, True)


@pytest.mark.parametrize(("since", "status"), [(5, Status.IN_PROGRESS), (31, Status.FAILED)])
def test_a_quota_is_trouble_of_the_cluster(since: int, status: Status) -> None:
    answer = verdict(refusal=("exceeded quota: few", NOW - since))
    assert (answer.status, answer.infrastructure) == (status, True)
    assert "exceeded quota" in answer.message


def test_a_check_on_its_way_is_in_progress() -> None:
    assert verdict().message == "the check waits for its pod"
    assert (
        verdict(check_pod(init={"ready": False, "state": {"running": {}}}, main={"state": {}})).message == "installing"
    )
    assert verdict(check_pod()).message == "importing"
    assert verdict({**check_pod(), "metadata": {**check_pod()["metadata"], "ownerReferences": []}}).status is (
        Status.IN_PROGRESS
    ), "a pod of somebody else"


@pytest.mark.parametrize(
    ("reason", "code", "infrastructure"),
    [("DeadlineExceeded", "check-timeout", False), ("BackoffLimitExceeded", "check-lost", True)],
)
def test_a_job_that_the_cluster_ended_is_failed(reason: str, code: str, *, infrastructure: bool) -> None:
    job = {**JOB, "status": {"conditions": [{"type": "Failed", "status": "True", "reason": reason}]}}
    evicted = {**check_pod(), "status": {"phase": "Failed", "reason": "Evicted", "message": "low on memory"}}
    stopped = check_pod({"state": ended(1, message=record("failed", "check-lost"))}, deletionTimestamp=at(1))
    for pods in ((), (evicted,), (stopped,), (check_pod(deletionTimestamp=at(1)),)):
        found = verdict(*pods, job=job)
        assert (found.status, found.code, found.infrastructure) == (Status.FAILED, code, infrastructure)
    assert "low on memory" in verdict(evicted, job=job).message
    assert verdict(evicted).status is verdict(check_pod(deletionTimestamp=at(1))).status is Status.IN_PROGRESS
    passed = check_pod({"state": ended(0, message=record("passed"))}, deletionTimestamp=at(1))
    assert verdict(passed, job=job).status is Status.CURRENT, "it was done in time"
    killed = verdict(check_pod({"state": ended(137, reason="OOMKilled")}), job=job)
    assert killed.infrastructure is False
    assert killed.code == code, "who ran out of memory did not run out of time"
