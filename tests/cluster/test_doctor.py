"""`doctor` on a real API server: what a template lacks is named for its component, and what the images have."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from airflow_package_manager import __version__, settings, targets
from airflow_package_manager.adapters.kubernetes.kinds import DEPLOYMENT
from airflow_package_manager.adapters.kubernetes.manifests import Installation, manifest
from airflow_package_manager.domain import report
from airflow_package_manager.domain.inventory import Check, CheckStatus
from airflow_package_manager.domain.report import InstallReport
from testenv.cluster import Client, Cluster, script
from tests.cluster import chart_like, official_chart
from tests.cluster.chart_like import policies
from tests.cluster.official_chart import Object
from tests.cluster.preparing import eventually

VOLUMES, IMAGES, RESTARTS = "volumes-mounted", "package-manager-in-images", "restarts-allowed"
SITE = "AIRFLOW_PACKAGE_MANAGER_SITE"
Change = Callable[[Object], object]


@dataclass(frozen=True)
class Doctor:
    """The checks of one namespace."""

    cluster: Cluster
    namespace: str
    home: Path

    def __call__(self, name: str, kubeconfig: Path | None = None) -> Check:
        prefix = settings.ENVIRONMENT_PREFIX
        given = {
            "AIRFLOW_HOME": str(self.home),
            f"{prefix}KUBECONFIG": str(kubeconfig or self.cluster.kubeconfig),
            f"{prefix}NAMESPACE": self.namespace,
        }
        target = targets.choose(settings.load(given), lambda: 0.0, given)
        try:
            return target.checks[name]()
        finally:
            target.close()

    def put(self, change: Change = lambda _: None, component: str = "scheduler") -> None:
        """Make a component whose pod specification was changed."""
        body = chart_like.workload("Deployment", self.namespace, component)
        change(body["spec"]["template"]["spec"])
        self.cluster.admin.create(body)


@pytest.fixture
def doctor(cluster: Cluster, namespace: str, tmp_path: Path) -> Doctor:
    return Doctor(cluster, namespace, tmp_path)


# --- volumes -----------------------------------------------------------------------------------------------------


def init(spec: Object) -> Object:
    found: Object = spec["initContainers"][-1]
    return found


def main(spec: Object) -> Object:
    found: Object = spec["containers"][0]
    return found


def volume(spec: Object, name: str) -> Object:
    return next(one for one in spec["volumes"] if one["name"] == name)


def mount(container: Object, name: str) -> Object:
    return next(one for one in container["volumeMounts"] if one["name"] == name)


def without(container: Object, name: str) -> None:
    container["volumeMounts"] = [one for one in container["volumeMounts"] if one["name"] != name]


def site(spec: Object, value: str) -> None:
    main(spec)["env"] = [{"name": SITE, "value": value}]


def option(spec: Object, name: str, value: str) -> None:
    command = init(spec)["command"]
    command[command.index(name) + 1] = value


def test_a_template_with_our_values_lacks_nothing(doctor: Doctor) -> None:
    for component in ("scheduler", "worker", "api-server"):
        doctor.put(component=component)
    found = doctor(VOLUMES)
    assert found == Check(
        VOLUMES, CheckStatus.OK, "scheduler, worker, api-server: locks, sites and the active link are mounted."
    )


def _on_a_claim(spec: Object) -> None:
    """The sites on a volume for all pods, the link in the pod's own: as deploy/kubernetes/README.md says."""
    spec["volumes"].append({"name": "sites", "persistentVolumeClaim": {"claimName": "sites"}})
    init(spec)["volumeMounts"].append({"name": "sites", "mountPath": "/sites"})
    main(spec)["volumeMounts"].append({"name": "sites", "mountPath": "/sites", "readOnly": True})
    option(spec, "--directory", "/sites")


def _elsewhere_in_main(spec: Object) -> None:
    mount(main(spec), "package-manager")["mountPath"] = "/packages"
    site(spec, "/packages/active")


def _projected(spec: Object) -> None:
    there = {"configMap": {"name": "airflow-config-pypi-locks", "optional": True}}
    volume(spec, "locks").pop("configMap")
    volume(spec, "locks")["projected"] = {"sources": [there]}


def _on_a_claim_of_its_own(spec: Object) -> None:
    _on_a_claim(spec)
    without(main(spec), "sites")


@pytest.mark.parametrize("change", [_on_a_claim, _elsewhere_in_main, _projected], ids=lambda one: one.__name__)
def test_another_arrangement_that_works_lacks_nothing(doctor: Doctor, change: Change) -> None:
    doctor.put(change)
    found = doctor(VOLUMES)
    assert found.status is CheckStatus.OK, found


LACKS: dict[str, tuple[Change, str]] = {
    "no volume of the locks": (
        lambda spec: without(init(spec), "locks"),
        "its init container package-manager mounts no volume at /etc/package-manager/locks, where it looks for locks",
    ),
    "another ConfigMap": (
        lambda spec: volume(spec, "locks")["configMap"].update(name="airflow-config-pypi"),
        "its volume locks at /etc/package-manager/locks is the ConfigMap airflow-config-pypi, not the ConfigMap",
    ),
    "no ConfigMap at all": (
        lambda spec: (volume(spec, "locks").pop("configMap"), volume(spec, "locks").update(emptyDir={})),
        "is of the kind emptyDir, not the ConfigMap airflow-config-pypi-locks",
    ),
    "locks that must be there": (
        lambda spec: volume(spec, "locks")["configMap"].pop("optional"),
        "its volume locks is not optional: without the ConfigMap airflow-config-pypi-locks no pod starts",
    ),
    "chosen keys": (
        lambda spec: volume(spec, "locks")["configMap"].update(items=[{"key": "current", "path": "current"}]),
        "shows chosen keys of airflow-config-pypi-locks only",
    ),
    "a subPath": (
        lambda spec: mount(init(spec), "locks").update(subPath="current"),
        "mounts /etc/package-manager/locks with a subPath, where a new lock never shows",
    ),
    "no volume of the sites": (
        lambda spec: without(init(spec), "package-manager"),
        "installs into /opt/package-manager, where no volume is mounted: it is gone with that container",
    ),
    "a volume that cannot be written": (
        lambda spec: mount(init(spec), "package-manager").update(readOnly=True),
        "its init container package-manager cannot write to /opt/package-manager (volume package-manager)",
    ),
    "nothing mounted in the component": (
        lambda spec: without(main(spec), "package-manager"),
        f"its {SITE} names /opt/package-manager/active, and its container scheduler mounts no volume there",
    ),
    "a path that nothing is mounted at": (
        lambda spec: site(spec, "/opt/site/active"),
        f"its {SITE} names /opt/site/active, and its container scheduler mounts no volume there",
    ),
    "another volume": (
        lambda spec: mount(main(spec), "package-manager").update(name="logs"),
        "its container scheduler looks for /opt/package-manager/active on volume logs",
    ),
    "another link": (
        lambda spec: option(spec, "--active", "/opt/package-manager/other"),
        "makes the link /opt/package-manager/other on volume package-manager",
    ),
    "a link outside of every volume": (
        lambda spec: option(spec, "--active", "/tmp/active"),  # noqa: S108  a container's own
        "makes the link /tmp/active on no volume",
    ),
    "no link": (
        lambda spec: init(spec).update(command=[one for one in init(spec)["command"] if "active" not in one]),
        "its init container package-manager names no --active, so nothing makes /opt/package-manager/active",
    ),
    "activation switched off": (lambda spec: site(spec, "off"), f"its {SITE} is off"),
    "a claim that the component does not mount": (
        _on_a_claim_of_its_own,
        "does not mount volume sites at /sites, where the link /opt/package-manager/active leads",
    ),
}


@pytest.mark.parametrize("lack", LACKS)
def test_each_lack_is_named_with_its_component(doctor: Doctor, lack: str) -> None:
    change, says = LACKS[lack]
    doctor.put(component="worker")
    doctor.put(change)
    found = doctor(VOLUMES)
    assert found.status is CheckStatus.FAILED, found
    assert found.cause.startswith("scheduler: "), found
    assert says in found.cause
    assert "worker" not in found.cause
    assert "kubernetes values --dry-run" in found.next_action


UNKNOWN: dict[str, tuple[Change, str]] = {
    "a shell": (
        lambda spec: init(spec).update(command=["bash", "-c", "python -m airflow_package_manager.installer"]),
        "does not start airflow_package_manager.installer by itself",
    ),
    "a variable as a path": (lambda spec: option(spec, "--directory", "$(SITES)"), "takes its paths from variables"),
    "a variable from elsewhere": (
        lambda spec: main(spec).update(
            env=[{"name": SITE, "valueFrom": {"configMapKeyRef": {"name": "x", "key": "site"}}}]
        ),
        f"its {SITE} comes from somewhere else than the template",
    ),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_what_cannot_be_told_is_unknown(doctor: Doctor, case: str) -> None:
    change, says = UNKNOWN[case]
    doctor.put(change)
    found = doctor(VOLUMES)
    assert found.status is CheckStatus.UNKNOWN, found
    assert says in found.cause


def test_without_an_init_container_the_other_check_speaks(doctor: Doctor) -> None:
    doctor.cluster.admin.create(
        official_chart.workload(official_chart.component("scheduler"), doctor.namespace, replicas=0)
    )
    assert doctor(VOLUMES).cause == "No component has an init container package-manager."
    for name in (VOLUMES, IMAGES):
        found = doctor(name)
        assert found.status is CheckStatus.UNKNOWN
        assert "kubernetes values --dry-run" in found.next_action
    assert "scheduler has no init container package-manager" in doctor("installers-present").cause


# --- permissions that no rule gives -------------------------------------------------------------------------------


def test_policies_that_were_made_for_another_template_are_found(
    doctor: Doctor, policed_cluster: Cluster, namespace: str
) -> None:
    """A stamp is allowed, the check is not: without this, a change would fail when its lock is staged."""
    admin = policed_cluster.admin
    for component in ("scheduler", "worker"):
        doctor.put(component=component)
    names = ("airflow-scheduler", "airflow-worker")
    kubeconfig = policed_cluster.account(
        namespace, "airflow-api-server", [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
    )
    ours = Client.of(kubeconfig)
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{names[0]}"
    abuses = [lambda: ours.request("PATCH", path, {"spec": {"replicas": 3}}, dryRun="All")]
    wrong, right = (
        Installation(namespace=namespace, workloads={DEPLOYMENT: names}, template=(DEPLOYMENT, name))
        for name in ("airflow-dag-processor", names[0])
    )
    with policies(admin, wrong, abuses):
        eventually(lambda: doctor(RESTARTS, kubeconfig).status is CheckStatus.FAILED, "the policy")
        found = doctor(RESTARTS, kubeconfig)
        assert f"airflow-package-manager-{namespace}-preflight" in found.cause
        assert "no params found" in found.cause
        assert found.next_action
    with policies(admin, right, abuses):
        eventually(lambda: doctor(RESTARTS, kubeconfig).status is CheckStatus.OK, "the policies that fit")
        said = "scheduler, worker: a stamp would be taken, and the check before it."
        assert doctor(RESTARTS, kubeconfig) == Check(RESTARTS, CheckStatus.OK, said)


# --- images ------------------------------------------------------------------------------------------------------


MISSING = (
    "/usr/local/bin/python: Error while finding module specification for 'airflow_package_manager.installer'"
    " (ModuleNotFoundError: No module named 'airflow_package_manager')"
)


def said(version: str | None) -> str:
    return report.dump(InstallReport(report.NO_SITE, package_manager=version))


def runs(
    doctor: Doctor, message: str, outcome: str = "ok", *, image: str = official_chart.IMAGE, of: str = "scheduler"
) -> None:
    """Make a component whose pod says this, and wait until it has."""
    body = official_chart.workload(official_chart.component(of, "Deployment"), doctor.namespace)
    template = body["spec"]["template"]
    template["metadata"]["annotations"] = script(None, outcome, report=message)
    template["spec"]["initContainers"] = [{"name": "package-manager", "image": image}]
    doctor.cluster.admin.create(body)
    pods = f"/api/v1/namespaces/{doctor.namespace}/pods"
    wanted, name = json.dumps(message), body["metadata"]["name"]

    def has_said(pod: Object) -> bool:
        return str(pod["metadata"]["name"]).startswith(f"{name}-") and wanted in json.dumps(pod.get("status"))

    eventually(lambda: any(map(has_said, doctor.cluster.admin.items(pods))), f"the word of {name}")


def test_pods_say_that_their_image_has_the_wheel(doctor: Doctor) -> None:
    runs(doctor, said(__version__))
    runs(doctor, said(__version__), of="api-server")
    assert doctor(IMAGES) == Check(
        IMAGES, CheckStatus.OK, f"scheduler, api-server: airflow-package-manager {__version__}."
    )


def test_an_image_without_the_wheel_is_named(doctor: Doctor) -> None:
    runs(doctor, MISSING, "fail-install")
    found = doctor(IMAGES)
    assert found.status is CheckStatus.FAILED
    says = f"scheduler: the image {official_chart.IMAGE} has no airflow-package-manager (pod airflow-scheduler-"
    assert says in found.cause
    assert "deploy/Dockerfile" in found.next_action


@pytest.mark.parametrize("version", ["0.0.9", "0.0.9a1"])
def test_another_version_is_named(doctor: Doctor, version: str) -> None:
    runs(doctor, said(version))
    found = doctor(IMAGES)
    assert found.status is CheckStatus.WARNING
    assert f"scheduler: its pods have airflow-package-manager {version}, this process has {__version__}" in found.cause


def test_another_image_than_the_components_own_is_named(doctor: Doctor) -> None:
    runs(doctor, said(__version__), image="registry.example.com/other:2")
    found = doctor(IMAGES)
    assert found.status is CheckStatus.WARNING
    assert (
        "scheduler: its init container runs the image registry.example.com/other:2,"
        f" its container scheduler runs {official_chart.IMAGE}"
    ) in found.cause


def test_pods_of_an_earlier_version_and_no_pods_are_unknown(doctor: Doctor) -> None:
    earlier = json.loads(said(None))
    del earlier["package_manager"]
    runs(doctor, json.dumps(earlier))
    doctor.put(component="worker")
    found = doctor(IMAGES)
    assert found.status is CheckStatus.UNKNOWN
    assert found.cause == "Not every pod has said which version it has: scheduler, worker."


def test_a_pod_that_said_nothing_yet_is_not_vouched_for_by_another(doctor: Doctor) -> None:
    body = official_chart.workload(official_chart.component("worker", "StatefulSet"), doctor.namespace, replicas=2)
    body["spec"].pop("volumeClaimTemplates", None)  # nothing here would bind them
    template, name = body["spec"]["template"], body["metadata"]["name"]
    hangs = script(None, "hangs", pod=f"{name}-1")
    template["metadata"]["annotations"] = script(None, report=said(__version__)) | hangs
    template["spec"]["initContainers"] = [{"name": "package-manager", "image": official_chart.IMAGE}]
    doctor.cluster.admin.create(body)
    pods = f"/api/v1/namespaces/{doctor.namespace}/pods"
    wanted = {f"{name}-0", f"{name}-1"}  # the second is made when the first is ready
    eventually(lambda: {pod["metadata"]["name"] for pod in doctor.cluster.admin.items(pods)} == wanted, "both pods")
    found = doctor(IMAGES)
    assert found.status is CheckStatus.UNKNOWN, found
    assert found.cause == "Not every pod has said which version it has: worker."


# --- permissions, ConfigMaps, restarts, components ---------------------------------------------------------------


def test_a_permission_that_the_role_lacks_is_named_with_its_rule(doctor: Doctor) -> None:
    doctor.put()
    shipped = Installation(
        namespace=doctor.namespace,
        workloads={DEPLOYMENT: ("airflow-scheduler",)},
        template=(DEPLOYMENT, "airflow-scheduler"),
    )
    role, _ = yaml.safe_load_all(manifest("role.yaml", shipped))
    jobs = [rule for rule in role["rules"] if rule["resources"] == ["jobs"] and "create" in rule["verbs"]]
    assert jobs
    lacks = doctor.cluster.account(doctor.namespace, "lacks", [rule for rule in role["rules"] if rule not in jobs])
    eventually(lambda: doctor("permissions", lacks).cause.startswith("This account may not create jobs"), "its Role")
    found = doctor("permissions", lacks)
    assert found.status is CheckStatus.FAILED
    rule = yaml.safe_load(found.next_action.partition("\n")[2])[0]
    assert (rule["apiGroups"], rule["resources"], rule["verbs"]) == (["batch"], ["jobs"], ["create"])
    whole = doctor.cluster.account(doctor.namespace, "whole", role["rules"])
    eventually(lambda: doctor("permissions", whole).status is CheckStatus.OK, "its Role")


def config_map(doctor: Doctor, name: str, **data: str) -> Object:
    metadata = {"name": name, "namespace": doctor.namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def test_a_tool_that_writes_the_requirements_too_is_named(doctor: Doctor) -> None:
    body = config_map(doctor, "airflow-config-pypi", **{"requirements.txt": "six\n"})
    doctor.cluster.admin.apply(body, manager="argocd-controller")
    found = doctor("config-maps")
    assert found.status is CheckStatus.WARNING
    assert found.cause.startswith("argocd-controller writes the ConfigMap airflow-config-pypi too")
    assert found.next_action.startswith("Leave airflow-config-pypi out of what argocd-controller applies")


@pytest.mark.parametrize("keys", [{}, {"lock.3": "# torn"}], ids=["lost", "torn"])
def test_a_current_lock_that_is_not_there_is_named(doctor: Doctor, keys: dict[str, str]) -> None:
    """Before whoever else writes the requirements: here the one who made them for the test."""
    doctor.cluster.admin.create(config_map(doctor, "airflow-config-pypi", **{"requirements.txt": "six\n"}))
    doctor.cluster.admin.create(config_map(doctor, "airflow-config-pypi-locks", current="3", **keys))
    found = doctor("config-maps")
    assert found.status is CheckStatus.FAILED
    assert "revision 3 is current, and its lock is missing or torn" in found.cause
    assert "doctor --repair" in found.next_action


def test_a_policy_that_denies_stamps_is_named(doctor: Doctor) -> None:
    doctor.put()
    with chart_like.no_stamps(doctor.cluster.admin, doctor.namespace) as policy:
        eventually(lambda: doctor("restarts-allowed").status is CheckStatus.FAILED, "the policy")
        found = doctor("restarts-allowed")
    assert f"ValidatingAdmissionPolicy '{policy}' refused it" in found.cause
    assert "named policy" in found.next_action


def test_a_component_that_crashes_is_named(doctor: Doctor) -> None:
    runs(doctor, said(__version__), "crash-at-start")
    eventually(lambda: "ended with status" in doctor("components-current").cause, "the crash")
    found = doctor("components-current")
    assert found.status is CheckStatus.WARNING
    assert found.cause.startswith("scheduler: scheduler ended with status 1")
    assert found.next_action


def test_a_namespace_without_airflow_is_named(doctor: Doctor) -> None:
    found = doctor("components-current")
    assert found.status is CheckStatus.FAILED
    assert found.cause == f"No workload of Airflow was found in namespace {doctor.namespace}."
