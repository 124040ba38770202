"""The admission policies that we ship, on a real API server: what we do is allowed, each abuse of a list is denied.

The account may do everything by RBAC, so that whatever is denied here is denied by a policy.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from airflow_package_manager.adapters.kubernetes import preflight_job
from airflow_package_manager.adapters.kubernetes.kinds import DEPLOYMENT, STATEFUL_SET
from airflow_package_manager.adapters.kubernetes.manifests import Installation, manifest
from airflow_package_manager.adapters.kubernetes.preflight_job import Options
from airflow_package_manager.adapters.kubernetes.stamping import Workload
from testenv.cluster import Client, Cluster, Refused
from tests.cluster import official_chart
from tests.cluster.chart_like import GROOMER, STAMP, Object, policies, workload
from tests.cluster.official_chart import IMAGE
from tests.cluster.preparing import eventually

ACCOUNT = "airflow-api-server"
INSTALLER = Options().installer
Change = Callable[[Object], object]


@dataclass(frozen=True)
class House:
    """A namespace with workloads, the policies, and our account."""

    namespace: str
    admin: Client
    ours: Client

    def path(self, plural: str, name: str = "", group: str = "apis/apps/v1") -> str:
        return f"/{group}/namespaces/{self.namespace}/{plural}" + (f"/{name}" if name else "")

    def patch(self, name: str, body: object, plural: str = "deployments") -> object:
        return self.ours.request("PATCH", self.path(plural, name), body, dryRun="All")

    def job(self, change: Change = lambda _: None, *, installs: bool = True) -> Object:
        """Return our Job for the scheduler; without `installs` for one whose template has no installer of ours."""
        found = self.admin.get(self.path("deployments", "airflow-scheduler"))
        if not installs:
            inits = found["spec"]["template"]["spec"]["initContainers"]
            found["spec"]["template"]["spec"]["initContainers"] = [one for one in inits if one["name"] != INSTALLER]
        made = preflight_job.make(Workload(DEPLOYMENT, found), 7, ["pandas"], Options())
        made["metadata"]["namespace"] = self.namespace
        change(made)
        return made

    def try_job(self, job: Object) -> object:
        return self.ours.request("POST", self.path("jobs", group="apis/batch/v1"), job, dryRun="All")


def denied(refused: Refused, says: str) -> None:
    """Check that a policy of ours answered, and with these words."""
    assert refused.status in {403, 422}, refused.body
    assert "ValidatingAdmissionPolicy 'airflow-package-manager-" in refused.body
    assert says in refused.body


@pytest.fixture(scope="module")
def house(policed_cluster: Cluster) -> Iterator[House]:
    cluster = policed_cluster
    with cluster.namespace() as namespace:
        everything = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
        ours = Client.of(cluster.account(namespace, ACCOUNT, everything))
        admin = cluster.admin
        claim = {
            "metadata": {"name": "data"},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        }
        admin.create(workload("Deployment", namespace, "scheduler"))
        admin.create(workload("Deployment", namespace, "api-server"))
        admin.create(workload("StatefulSet", namespace, "worker", serviceName="worker", volumeClaimTemplates=[claim]))
        installation = Installation(
            namespace=namespace,
            account=ACCOUNT,
            workloads={DEPLOYMENT: ("airflow-scheduler",), STATEFUL_SET: ("airflow-worker",)},
        )
        found = House(namespace, admin, ours)
        bad_job = found.job(lambda job: job["spec"].update(backoffLimit=1))
        path = found.path("configmaps", group="api/v1")
        abuses: list[Callable[[], object]] = [
            lambda: found.patch("airflow-scheduler", {"spec": {"replicas": 3}}),
            lambda: found.try_job(bad_job),
            lambda: ours.request("POST", path, _map(found, "other"), dryRun="All"),
        ]
        with policies(admin, installation, abuses):
            yield found


def stamp(value: object) -> Object:
    return {"spec": {"template": {"metadata": {"annotations": {STAMP: value}}}}}


# --- restart only ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("plural", "name"), [("deployments", "airflow-scheduler"), ("statefulsets", "airflow-worker")])
def test_stamping_is_allowed(house: House, plural: str, name: str) -> None:
    path = house.path(plural, name)
    for value in ("5", "5", "6", None, "1", None):
        house.ours.request("PATCH", path, stamp(value), fieldManager="airflow-package-manager")
        found = house.admin.get(path)["spec"]["template"]["metadata"]["annotations"].get(STAMP)
        assert found == value
    found = house.admin.get(path)
    pointer = "/spec/template/metadata/annotations/airflow-package-manager~1revision"
    guarded = [
        {"op": "test", "path": "/metadata/uid", "value": found["metadata"]["uid"]},
        {"op": "test", "path": "/metadata/generation", "value": found["metadata"]["generation"]},
        {"op": "add", "path": pointer, "value": "9"},
    ]
    house.ours.request("PATCH", path, guarded, dryRun="All")
    house.ours.request("PATCH", path, guarded)
    house.ours.request("PATCH", path, [{"op": "remove", "path": pointer}])


ABUSES_OF_A_RESTART: dict[str, tuple[object, str]] = {
    "a stamp that is no number": (stamp("latest"), "must be a revision"),
    "an empty stamp": (stamp(""), "must be a revision"),
    "a stamp of zero": (stamp("0"), "must be a revision"),
    "a stamp in two lines": (stamp("1\n2"), "must be a revision"),
    "another annotation": (
        {"spec": {"template": {"metadata": {"annotations": {"sidecar.istio.io/inject": "true"}}}}},
        "only the template annotation",
    ),
    "an annotation less": (
        {"spec": {"template": {"metadata": {"annotations": {"checksum/config": None}}}}},
        "only the template annotation",
    ),
    "an annotation changed": (
        {"spec": {"template": {"metadata": {"annotations": {"checksum/config": "x"}}}}},
        "only the template annotation",
    ),
    "kubectl rollout restart": (
        {"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "now"}}}}},
        "only the template annotation",
    ),
    "an image": (
        [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "evil"}],
        "pod template may not be changed",
    ),
    "an image of an init container": (
        [{"op": "replace", "path": "/spec/template/spec/initContainers/1/image", "value": "evil"}],
        "pod template may not be changed",
    ),
    "a command": (
        [{"op": "add", "path": "/spec/template/spec/containers/0/command", "value": ["sh"]}],
        "pod template may not be changed",
    ),
    "an environment variable": (
        [{"op": "replace", "path": "/spec/template/spec/containers/0/env/0/value", "value": "2"}],
        "pod template may not be changed",
    ),
    "a container more": (
        [{"op": "add", "path": "/spec/template/spec/containers/-", "value": {"name": "x", "image": "y"}}],
        "pod template may not be changed",
    ),
    "an account": (
        {"spec": {"template": {"spec": {"serviceAccountName": "admin"}}}},
        "pod template may not be changed",
    ),
    "the host's network": ({"spec": {"template": {"spec": {"hostNetwork": True}}}}, "pod template may not be changed"),
    "a volume": (
        [{"op": "add", "path": "/spec/template/spec/volumes/-", "value": {"name": "x", "hostPath": {"path": "/"}}}],
        "pod template may not be changed",
    ),
    "a label of the pods": (
        {"spec": {"template": {"metadata": {"labels": {"more": "x"}}}}},
        "pod template may not be changed",
    ),
    "replicas": ({"spec": {"replicas": 2}}, "spec may not be changed"),
    "revisionHistoryLimit": ({"spec": {"revisionHistoryLimit": 0}}, "spec may not be changed"),
    "minReadySeconds": ({"spec": {"minReadySeconds": 5}}, "spec may not be changed"),
    "a label of the workload": ({"metadata": {"labels": {"more": "x"}}}, "metadata may not be changed"),
    "an annotation of the workload": ({"metadata": {"annotations": {"more": "x"}}}, "metadata may not be changed"),
    "a finalizer": ({"metadata": {"finalizers": ["example.com/x"]}}, "metadata may not be changed"),
    "a stamp and an image in one": (
        [
            {
                "op": "add",
                "path": "/spec/template/metadata/annotations/airflow-package-manager~1revision",
                "value": "5",
            },
            {"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "evil"},
        ],
        "pod template may not be changed",
    ),
}


@pytest.mark.parametrize(("plural", "name"), [("deployments", "airflow-scheduler"), ("statefulsets", "airflow-worker")])
@pytest.mark.parametrize("abuse", ABUSES_OF_A_RESTART)
def test_everything_else_is_denied(house: House, plural: str, name: str, abuse: str) -> None:
    body, says = ABUSES_OF_A_RESTART[abuse]
    with pytest.raises(Refused) as refused:
        house.patch(name, body, plural)
    denied(refused.value, says)


@pytest.mark.parametrize(
    ("plural", "name", "spec"),
    [
        ("deployments", "airflow-scheduler", {"paused": True}),
        ("deployments", "airflow-scheduler", {"progressDeadlineSeconds": 5}),
        ("deployments", "airflow-scheduler", {"strategy": {"type": "Recreate", "rollingUpdate": None}}),
        ("statefulsets", "airflow-worker", {"updateStrategy": {"type": "OnDelete", "rollingUpdate": None}}),
        ("statefulsets", "airflow-worker", {"persistentVolumeClaimRetentionPolicy": {"whenScaled": "Delete"}}),
        ("statefulsets", "airflow-worker", {"ordinals": {"start": 5}}),
    ],
)
def test_fields_of_one_kind_are_denied_too(house: House, plural: str, name: str, spec: Object) -> None:
    with pytest.raises(Refused) as refused:
        house.patch(name, {"spec": spec}, plural)
    denied(refused.value, "spec may not be changed")


def test_workloads_may_not_be_made_or_deleted(house: House) -> None:
    fresh = workload("Deployment", house.namespace, "statsd")
    with pytest.raises(Refused) as refused:
        house.ours.request("POST", house.path("deployments"), fresh, dryRun="All")
    denied(refused.value, "not created or deleted")
    with pytest.raises(Refused) as refused:
        house.ours.request("DELETE", house.path("deployments", "airflow-scheduler"), dryRun="All")
    denied(refused.value, "not created or deleted")


def test_other_accounts_are_left_alone(house: House) -> None:
    path = house.path("deployments", "airflow-scheduler")
    house.admin.request("PATCH", path, {"spec": {"minReadySeconds": 3}}, dryRun="All")
    house.admin.request(
        "POST", house.path("deployments"), workload("Deployment", house.namespace, "statsd"), dryRun="All"
    )


def test_the_policy_knows_every_field_of_a_workload(house: House) -> None:
    text = manifest("policy-restart-only.yaml", Installation())
    document = house.admin.get("/openapi/v3/apis/apps/v1")
    schemas = document["components"]["schemas"]
    for kind in ("Deployment", "StatefulSet"):
        for field in schemas[f"io.k8s.api.apps.v1.{kind}Spec"]["properties"]:
            assert field == "template" or f"object.spec.?{field} == oldObject.spec.?{field}" in text, field
    server_owned = {
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "generation",
        "managedFields",
    }
    server_owned |= {"resourceVersion", "selfLink", "uid", "annotations"}
    for field in schemas["io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"]["properties"]:
        assert field in server_owned or f"object.spec.template.metadata.?{field} ==" in text, field


# --- preflight ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("installs", [True, False])
def test_the_check_that_we_make_is_allowed(house: House, *, installs: bool) -> None:
    """Without our init container in the template too: then the check has one of its own, and its locks."""
    job = house.job(installs=installs)
    template = house.admin.get(house.path("deployments", "airflow-scheduler"))["spec"]["template"]["spec"]
    assert (_init(job) in template["initContainers"]) is installs
    house.try_job(job)


def test_the_check_of_a_template_that_has_users_of_its_own_is_allowed(house: House) -> None:
    path = house.path("deployments", "airflow-scheduler")

    def template_has(users: object) -> None:
        """Say so in the template, and wait until the policy has heard of it."""
        house.admin.request("PATCH", path, {"spec": {"template": {"spec": {"hostUsers": users}}}})
        other = house.job(lambda job: _pod(job).update(hostUsers=True))
        eventually(lambda: _is_denied(house, other) and not _is_denied(house, house.job()), "the template")

    try:
        template_has(users=False)
        assert _pod(house.job())["hostUsers"] is False
    finally:
        template_has(users=None)


def _is_denied(house: House, job: Object) -> bool:
    try:
        house.try_job(job)
    except Refused as refused:
        denied(refused, "no more access to its node")
        return True
    return False


@pytest.mark.parametrize(
    "options",
    [
        Options(labels={"network": "airflow"}),
        Options(timeout=3600, install_timeout=7200),
        Options(component="dag-processor"),
    ],
)
def test_its_settings_are_allowed(house: House, options: Options) -> None:
    found = house.admin.get(house.path("deployments", "airflow-scheduler"))
    job = preflight_job.make(Workload(DEPLOYMENT, found), 999_999_999, ["a"] * 100, options)
    job["metadata"]["namespace"] = house.namespace
    house.try_job(job)


def test_the_check_runs_and_is_deleted(house: House) -> None:
    path = house.path("jobs", group="apis/batch/v1")
    made = house.ours.request("POST", path, house.job())
    house.ours.request("DELETE", f"{path}/{made['metadata']['name']}", {"propagationPolicy": "Background"})


def _pod(job: Object) -> Object:
    found: Object = job["spec"]["template"]["spec"]
    return found


def _check(job: Object) -> Object:
    found: Object = _pod(job)["containers"][0]
    return found


def _init(job: Object) -> Object:
    found: Object = _pod(job)["initContainers"][0]
    return found


def _meta(job: Object) -> Object:
    found: Object = job["spec"]["template"]["metadata"]
    return found


def _mounted(container: Object, name: str) -> Object:
    return next(one for one in container["volumeMounts"] if one["name"] == name)


def _near(key: str, value: str) -> Object:
    term = {"matchExpressions": [{"key": key, "operator": "In", "values": [value]}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}}


def _mount(name: str, path: str, volume: Object | None = None) -> Change:
    def change(job: Object) -> None:
        if volume is not None:
            _pod(job)["volumes"].append({"name": name, **volume})
        _check(job)["volumeMounts"].append({"name": name, "mountPath": path})

    return change


ABUSES_OF_A_CHECK: dict[str, tuple[Change, str]] = {
    "a foreign image": (lambda job: _check(job).update(image="evil"), "one of the template's"),
    "a sidecar's image with the main environment": (
        lambda job: _check(job).update(image=GROOMER),
        "one of the template's",
    ),
    "an environment variable": (
        lambda job: _check(job)["env"].append({"name": "PYTHONSTARTUP", "value": "/x"}),
        "one of the template's",
    ),
    "a secret as environment": (
        lambda job: _check(job).update(envFrom=[{"secretRef": {"name": "other"}}]),
        "one of the template's",
    ),
    "privileges": (lambda job: _check(job).update(securityContext={"privileged": True}), "one of the template's"),
    "a second container": (
        lambda job: _pod(job)["containers"].append({"name": "more", "image": IMAGE}),
        "one of the template's",
    ),
    "a shell": (lambda job: _check(job).update(command=["bash", "-c", "id"]), "runs our check and nothing else"),
    "another module": (
        lambda job: _check(job)["command"].__setitem__(2, "http.server"),
        "runs our check and nothing else",
    ),
    "a script": (
        lambda job: _check(job).update(
            command=["python", "-c", "airflow_package_manager.installer.preflight_check", "x"]
        ),
        "runs our check and nothing else",
    ),
    "arguments beside": (lambda job: _check(job).update(args=["x"]), "runs our check and nothing else"),
    "a hook": (
        lambda job: _check(job).update(lifecycle={"postStart": {"exec": {"command": ["sh"]}}}),
        "runs our check and nothing else",
    ),
    "a port of the node": (
        lambda job: _check(job).update(ports=[{"containerPort": 8080, "hostPort": 80}]),
        "runs our check and nothing else",
    ),
    "a probe": (
        lambda job: _check(job).update(livenessProbe={"exec": {"command": ["sh"]}}),
        "runs our check and nothing else",
    ),
    "another init container": (
        lambda job: _pod(job)["initContainers"].append({"name": "x", "image": IMAGE, "command": ["sh"]}),
        "those of the template, unchanged",
    ),
    "a changed init container": (lambda job: _init(job).update(command=["sh"]), "those of the template, unchanged"),
    "a changed init environment": (
        lambda job: _init(job)["env"].append({"name": "UV_INDEX", "value": "x"}),
        "those of the template, unchanged",
    ),
    "another account": (lambda job: _pod(job).update(serviceAccountName="default"), "under the account"),
    "another user": (lambda job: _pod(job)["securityContext"].update(runAsUser=0), "under the account"),
    "another pull secret": (lambda job: _pod(job).update(imagePullSecrets=[{"name": "x"}]), "under the account"),
    "the host's network": (lambda job: _pod(job).update(hostNetwork=True), "no more access to its node"),
    "the host's processes": (lambda job: _pod(job).update(hostPID=True), "no more access to its node"),
    "the host's memory": (lambda job: _pod(job).update(hostIPC=True), "no more access to its node"),
    "a node": (lambda job: _pod(job).update(nodeName="control-plane"), "no more access to its node"),
    "other tolerations": (
        lambda job: _pod(job).update(tolerations=[{"operator": "Exists"}]),
        "no more access to its node",
    ),
    "no node selector": (lambda job: _pod(job).pop("nodeSelector"), "no more access to its node"),
    "another affinity": (
        lambda job: _pod(job).update(affinity=_near("kubernetes.io/hostname", "control-plane")),
        "no more access to its node",
    ),
    "an affinity to pods": (
        lambda job: _pod(job)["affinity"].update(podAffinity={}),
        "no more access to its node",
    ),
    "other users of the host": (lambda job: _pod(job).update(hostUsers=True), "no more access to its node"),
    "another node selector": (lambda job: _pod(job).update(nodeSelector={"role": "control"}), "no more access"),
    "another directory to start in": (lambda job: _check(job).update(workingDir="/x"), "one of the template's"),
    "another host for a name": (
        lambda job: _pod(job).update(hostAliases=[{"ip": "10.0.0.1", "hostnames": ["packages.example.com"]}]),
        "names of the network",
    ),
    "another name server": (
        lambda job: _pod(job).update(dnsPolicy="None", dnsConfig={"nameservers": ["10.0.0.1"]}),
        "names of the network",
    ),
    "a secret volume": (_mount("s", "/s", {"secret": {"secretName": "x"}}), "volumes of the template"),
    "the host's files": (_mount("h", "/h", {"hostPath": {"path": "/"}}), "volumes of the template"),
    "another ConfigMap": (_mount("c", "/c", {"configMap": {"name": "x"}}), "volumes of the template"),
    "a claim of somebody": (
        _mount("p", "/p", {"persistentVolumeClaim": {"claimName": "x"}}),
        "volumes of the template",
    ),
    "a token": (
        _mount("t", "/t", {"projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}),
        "volumes of the template",
    ),
    "the locks in another place": (
        _mount("l", "/usr/lib/python3", {"configMap": {"name": "airflow-config-pypi-locks"}}),
        "mounts the template's volumes where",
    ),
    "chosen keys of the locks": (
        _mount(
            "l",
            "/l",
            {"configMap": {"name": "airflow-config-pypi-locks", "items": [{"key": "current", "path": "x.py"}]}},
        ),
        "volumes of the template",
    ),
    "a read-only volume that is written": (
        lambda job: _mounted(_check(job), "config").update(readOnly=False),
        "mounts the template's volumes where",
    ),
    "a volume that another container writes": (
        _mount("logs", "/opt/airflow/logs", {"persistentVolumeClaim": {"claimName": "logs"}}),
        "mounts the template's volumes where",
    ),
    "a volume of the template in another place": (
        _mount("config", "/usr/lib/python3"),
        "mounts the template's volumes where",
    ),
    "a component's labels": (
        lambda job: _meta(job)["labels"].update(**official_chart.labels("scheduler")),
        "labels of its own",
    ),
    "one label of a component": (lambda job: _meta(job)["labels"].update(component="x"), "labels of its own"),
    "a label by which a ReplicaSet adopts": (
        lambda job: _meta(job)["labels"].update({"pod-template-hash": "x"}),
        "labels of its own",
    ),
    "no labels of ours": (
        lambda job: _meta(job)["labels"].update({"app.kubernetes.io/component": "x"}),
        "labels of its own",
    ),
    "an annotation that injects": (
        lambda job: _meta(job)["annotations"].update({"sidecar.istio.io/inject": "true"}),
        "annotations of the template",
    ),
    "a stamp that is no number": (
        lambda job: _meta(job)["annotations"].update({STAMP: "x"}),
        "annotations of the template",
    ),
    "no stamp": (lambda job: _meta(job)["annotations"].pop(STAMP), "annotations of the template"),
    "restarts": (lambda job: _pod(job).update(restartPolicy="OnFailure"), "runs once"),
    "a finalizer": (lambda job: _meta(job).update(finalizers=["example.com/x"]), "runs once"),
    "a finalizer of the Job": (lambda job: job["metadata"].update(finalizers=["example.com/x"]), "runs once"),
    "failures that do not count": (
        lambda job: job["spec"].update(
            podFailurePolicy={
                "rules": [{"action": "Ignore", "onExitCodes": {"operator": "NotIn", "values": [0]}}],
            }
        ),
        "runs once",
    ),
    "a success before its end": (
        lambda job: job["spec"].update(completionMode="Indexed", successPolicy={"rules": [{"succeededCount": 1}]}),
        "runs once",
    ),
    "retries for each index": (
        lambda job: job["spec"].update(completionMode="Indexed", backoffLimitPerIndex=9),
        "runs once",
    ),
    "another controller": (lambda job: job["spec"].update(managedBy="example.com/x"), "runs once"),
    "a Job that waits": (lambda job: job["spec"].update(suspend=True), "runs once"),
    "an end that takes hours": (lambda job: _pod(job).update(terminationGracePeriodSeconds=9999), "runs once"),
    "retries": (lambda job: job["spec"].update(backoffLimit=1), "runs once"),
    "many at once": (lambda job: job["spec"].update(parallelism=50, completions=50), "runs once"),
    "no deadline": (lambda job: job["spec"].pop("activeDeadlineSeconds"), "runs once"),
    "a deadline of days": (lambda job: job["spec"].update(activeDeadlineSeconds=999_999), "runs once"),
    "never thrown away": (lambda job: job["spec"].pop("ttlSecondsAfterFinished"), "runs once"),
}


ABUSES_OF_AN_INSTALLER: dict[str, tuple[Change, str]] = {
    "a foreign image": (lambda job: _init(job).update(image="evil"), "in one's place"),
    "a shell": (lambda job: _init(job).update(command=["bash", "-c", "id"]), "in one's place"),
    "another directory to install into": (
        lambda job: _init(job)["command"].__setitem__(_init(job)["command"].index("--directory") + 1, "/opt/airflow"),
        "in one's place",
    ),
    "an option more": (lambda job: _init(job)["command"].append("--x"), "in one's place"),
    "two of them": (
        lambda job: _pod(job)["initContainers"].append({**_init(job), "name": "again"}),
        "in one's place",
    ),
    "an environment variable": (
        lambda job: _init(job)["env"].append({"name": "PYTHONSTARTUP", "value": "/x"}),
        "in one's place",
    ),
    "a secret as its stamp": (
        lambda job: _init(job)["env"][-1].update(valueFrom={"secretKeyRef": {"name": "s", "key": "k"}}),
        "in one's place",
    ),
    "a secret as environment": (
        lambda job: _init(job).update(envFrom=[{"secretRef": {"name": "other"}}]),
        "in one's place",
    ),
    "privileges": (lambda job: _init(job).update(securityContext={"privileged": True}), "in one's place"),
    "another directory to start in": (lambda job: _init(job).update(workingDir="/x"), "in one's place"),
    "arguments beside": (lambda job: _init(job).update(args=["x"]), "nothing else"),
    "a port of the node": (
        lambda job: _init(job).update(ports=[{"containerPort": 8080, "hostPort": 80}]),
        "nothing else",
    ),
    "a sidecar": (lambda job: _init(job).update(restartPolicy="Always"), "nothing else"),
    "locks that it writes": (
        lambda job: _mounted(_init(job), f"{preflight_job.NAME}-locks").update(readOnly=False),
        "mounts the template's volumes where",
    ),
    "a read-only volume that it writes": (
        lambda job: _mounted(_init(job), "config").update(readOnly=False),
        "mounts the template's volumes where",
    ),
    "another ConfigMap as locks": (
        lambda job: next(v for v in _pod(job)["volumes"] if v["name"] == f"{preflight_job.NAME}-locks").update(
            configMap={"name": "airflow-config-pypi"}
        ),
        "volumes of the template",
    ),
}
ABUSES = [
    *((True, abuse, *row) for abuse, row in ABUSES_OF_A_CHECK.items()),
    *((False, abuse, *row) for abuse, row in ABUSES_OF_AN_INSTALLER.items()),
]


@pytest.mark.parametrize(
    ("installs", "change", "says"),
    [(installs, change, says) for installs, _, change, says in ABUSES],
    ids=[f"{'check' if installs else 'installer'}: {abuse}" for installs, abuse, _, _ in ABUSES],
)
def test_any_other_job_is_denied(house: House, change: Change, says: str, *, installs: bool) -> None:
    before = house.job(installs=installs)
    job = copy.deepcopy(before)
    change(job)
    assert job != before
    with pytest.raises(Refused) as refused:
        house.try_job(job)
    denied(refused.value, says)


HARMLESS_IN_A_JOB = {
    "podReplacementPolicy": "there is no second pod",
    "selector": "the API server makes it, because manualSelector is false",
}
HARMLESS_IN_A_POD = {
    "activeDeadlineSeconds": "it can only end sooner",
    "enableServiceLinks": "names and addresses of Services, which DNS has too",
    "os": "the image says what it is",
    "overhead": "the API server takes that of the runtime class and refuses another",
    "preemptionPolicy": "the API server takes that of the priority class and refuses another",
    "priority": "the API server takes that of the priority class and refuses another",
    "readinessGates": "nothing waits until it is ready",
    "resources": "quotas and limits of the namespace bound them",
    "schedulingGates": "it waits until its deadline",
    "setHostnameAsFQDN": "how it calls itself",
    "topologySpreadConstraints": "they only narrow where it may run",
}
HARMLESS_IN_A_CONTAINER = {
    "imagePullPolicy": "the image is the template's",
    "name": "nothing is found by it but our verdict",
    "resizePolicy": "nobody resizes it",
    "resources": "quotas and limits of the namespace bound them",
    "stdin": "nobody may attach",
    "stdinOnce": "nobody may attach",
    "terminationMessagePath": "an empty file of its own",
    "terminationMessagePolicy": "where its last words are taken from",
    "tty": "nobody may attach",
}


@pytest.mark.parametrize(
    ("schema", "prefix", "harmless"),
    [
        ("batch.v1.JobSpec", "object.spec", HARMLESS_IN_A_JOB),
        ("core.v1.PodSpec", "variables.pod", HARMLESS_IN_A_POD),
        ("core.v1.Container", "c", HARMLESS_IN_A_CONTAINER),
    ],
)
def test_the_policy_knows_every_field_of_a_check(
    house: House, schema: str, prefix: str, harmless: dict[str, str]
) -> None:
    text = manifest("policy-preflight.yaml", Installation())
    schemas = house.admin.get("/openapi/v3/apis/batch/v1")["components"]["schemas"]
    fields = schemas[f"io.k8s.api.{schema}"]["properties"]
    named = {field for field in fields if re.search(rf"\b{re.escape(prefix)}\.\??{field}\b", text)}
    assert set(fields) - named == set(harmless)


# --- own objects -------------------------------------------------------------------------------------------------


def _map(house: House, name: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": house.namespace}}


def test_only_our_config_maps_may_be_made(house: House) -> None:
    path = house.path("configmaps", group="api/v1")
    for name in ("airflow-config-pypi", "airflow-config-pypi-locks"):
        house.ours.request("POST", path, _map(house, name), dryRun="All")
    with pytest.raises(Refused) as refused:
        house.ours.request("POST", path, _map(house, "airflow-config"), dryRun="All")
    denied(refused.value, "only the ConfigMaps of the package manager")


def test_only_pods_of_our_stateful_sets_may_be_deleted(house: House) -> None:
    house.admin.create(workload("StatefulSet", house.namespace, "redis", serviceName="redis", replicas=1))
    one: Object = {"spec": {"replicas": 1}}
    house.admin.request("PATCH", house.path("statefulsets", "airflow-worker"), one)
    house.admin.request("PATCH", house.path("deployments", "airflow-api-server"), one)
    path = house.path("pods", group="api/v1")
    task = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "task", "namespace": house.namespace}}
    house.admin.create({**task, "spec": {"containers": [{"name": "main", "image": IMAGE}]}})
    house.admin.until(path, lambda found: len(found["items"]) == 4)
    allowed = set()
    for pod in house.admin.items(path):
        name = pod["metadata"]["name"]
        try:
            house.ours.request(
                "DELETE", f"{path}/{name}", {"preconditions": {"uid": pod["metadata"]["uid"]}}, dryRun="All"
            )
            allowed.add(name)
        except Refused as refused:
            denied(refused, "only pods of the StatefulSets")
    assert allowed == {"airflow-worker-0"}


def test_only_our_jobs_may_be_deleted(house: House) -> None:
    path = house.path("jobs", group="apis/batch/v1")
    job = house.job(lambda job: job["metadata"].update(name="airflow-run-migrations", labels={"release": "r"}))
    house.admin.create(job)
    with pytest.raises(Refused) as refused:
        house.ours.request("DELETE", f"{path}/airflow-run-migrations", dryRun="All")
    denied(refused.value, "only Jobs of the package manager")
