"""The chart's workloads with our values and more: what a policy has to tell apart is all there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import yaml  # type: ignore[import-untyped]

from airflow_package_manager.adapters.kubernetes.manifests import Installation, manifest
from testenv.cluster import Client, Refused
from tests.cluster import official_chart
from tests.cluster.official_chart import IMAGE

Object = dict[str, Any]
STAMP = "airflow-package-manager/revision"
GROOMER = "registry.example.com/groomer:1"
LOGS = {"name": "logs", "mountPath": "/opt/airflow/logs"}
"""Which the main container does not mount."""


def template(name: str) -> Object:
    """Return the chart's pod template of a component with our values, and with more that a policy must tell apart."""
    made = official_chart.template(official_chart.component(name))
    spec = made["spec"]
    main, *sidecars = spec["containers"]
    env = [
        {"name": "AIRFLOW__CORE__X", "value": "1"},
        {"name": "AIRFLOW_PACKAGE_MANAGER_SITE", "value": "/opt/package-manager/active"},
    ]
    mounts = [
        {"name": "config", "mountPath": "/opt/airflow/airflow.cfg", "subPath": "airflow.cfg", "readOnly": True},
        {"name": "package-manager", "mountPath": "/opt/package-manager", "readOnly": True},
    ]
    return {
        "metadata": {
            **made["metadata"],
            "annotations": {"checksum/config": "abc", "cluster-autoscaler.kubernetes.io/safe-to-evict": "true"},
        },
        "spec": {
            **spec,
            "securityContext": {"runAsUser": 50000, "fsGroup": 0},
            "nodeSelector": {"disk": "fast"},
            "tolerations": [{"key": "dedicated", "operator": "Exists"}],
            "imagePullSecrets": [{"name": "registry"}],
            "affinity": {"nodeAffinity": {}, "podAntiAffinity": {}},
            "initContainers": [*spec["initContainers"], installer()],
            "containers": [
                {
                    **main,
                    "args": ["bash", "-c", f"exec airflow {name}"],
                    "env": env,
                    "envFrom": [{"secretRef": {"name": "connections"}}],
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                    "volumeMounts": mounts,
                    "resources": {"limits": {"memory": "2Gi"}},
                },
                *({**one, "image": GROOMER, "volumeMounts": [LOGS]} for one in sidecars),
            ],
            "volumes": [
                {"name": "config", "configMap": {"name": "airflow-config"}},
                {"name": "locks", "configMap": {"name": "airflow-config-pypi-locks", "optional": True}},
                {"name": "package-manager", "emptyDir": {}},
                {"name": "logs", "persistentVolumeClaim": {"claimName": "logs"}},
            ],
        },
    }


def installer() -> Object:
    """Return our init container."""
    command = ["python", "-m", "airflow_package_manager.installer", "--locks", "/etc/package-manager/locks"]
    command += ["--directory", "/opt/package-manager", "--stamp=$(PACKAGE_MANAGER_STAMP)"]
    command += ["--active", "/opt/package-manager/active", "--report", "/dev/termination-log"]
    field = {"fieldRef": {"fieldPath": f"metadata.annotations['{STAMP}']"}}
    return {
        "name": "package-manager",
        "image": IMAGE,
        "command": command,
        "env": [{"name": "PACKAGE_MANAGER_STAMP", "valueFrom": field}],
        "volumeMounts": [
            {"name": "locks", "mountPath": "/etc/package-manager/locks", "readOnly": True},
            {"name": "package-manager", "mountPath": "/opt/package-manager"},
        ],
    }


def workload(kind: str, namespace: str, name: str, **spec: object) -> Object:
    """Return a component's workload of the chart with our values, of whichever kind; it wants no pods."""
    one = official_chart.workload(official_chart.component(name, kind), namespace, replicas=0)
    kept = {key: value for key, value in one["spec"].items() if key != "volumeClaimTemplates"}
    return {**one, "spec": {**kept, "template": template(name), **spec}}


POLICIES = ("policy-restart-only.yaml", "policy-preflight.yaml", "policy-own-objects.yaml")


@contextmanager
def watched_parameters(admin: Client) -> Iterator[None]:
    """Keep a policy that does nothing, so that the API server goes on watching what policies take as parameters.

    Kubernetes 1.34 stops that watch with the last policy of a kind of parameter, and never starts it again: a policy
    that is applied later knows the workloads of then (measured).
    """
    names = {f"test-watches-{kind.lower()}": kind for kind in ("Deployment", "StatefulSet")}
    for name, parameter in names.items():
        rule = {"apiGroups": ["example.com"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["none"]}
        spec = {
            "paramKind": {"apiVersion": "apps/v1", "kind": parameter},
            "matchConstraints": {"resourceRules": [rule]},
            "validations": [{"expression": "true"}],
        }
        group = "admissionregistration.k8s.io/v1"
        admin.apply(
            {"apiVersion": group, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name}, "spec": spec}
        )
        binding = {
            "policyName": name,
            "paramRef": {"name": "none", "namespace": "default", "parameterNotFoundAction": "Allow"},
            "validationActions": ["Audit"],
        }
        kind = "ValidatingAdmissionPolicyBinding"
        admin.apply({"apiVersion": group, "kind": kind, "metadata": {"name": name}, "spec": binding})
    try:
        yield
    finally:
        for name in names:
            for plural in ("validatingadmissionpolicybindings", "validatingadmissionpolicies"):
                admin.delete(f"/apis/admissionregistration.k8s.io/v1/{plural}/{name}")


@contextmanager
def policies(admin: Client, installation: Installation, abuses: Sequence[Callable[[], object]]) -> Iterator[None]:
    """Apply the policies, wait until each of the abuses is denied by one, and take them away at the end."""
    made = [one for name in POLICIES for one in yaml.safe_load_all(manifest(name, installation))]
    paths = {"ValidatingAdmissionPolicy": "validatingadmissionpolicies"}
    try:
        for one in made:
            admin.create(one)
        deadline = time.monotonic() + 60
        for abuse in abuses:
            while not _denied(abuse):
                assert time.monotonic() < deadline, "a policy does not take effect"
                time.sleep(0.2)
        yield
    finally:
        for one in made:
            plural = paths.get(one["kind"], "validatingadmissionpolicybindings")
            admin.delete(f"/apis/admissionregistration.k8s.io/v1/{plural}/{one['metadata']['name']}")


def _denied(abuse: Callable[[], object]) -> bool:
    try:
        abuse()
    except Refused as refused:
        # A new policy does not know its parameters for a moment, and denies everything.
        return "ValidatingAdmissionPolicy" in refused.body and "no params found" not in refused.body
    return False


@contextmanager
def no_stamps(admin: Client, namespace: str) -> Iterator[str]:
    """Let a policy deny stamps of the namespace's Deployments, soon; yield its name."""
    name, group = f"no-stamps-{namespace}", "admissionregistration.k8s.io/v1"
    rule = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["deployments"]}
    expression = f"!('{STAMP}' in object.spec.template.metadata.?annotations.orValue({{}}))"
    selector = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    policy = {"matchConstraints": {"resourceRules": [rule]}, "validations": [{"expression": expression}]}
    binding = {"policyName": name, "validationActions": ["Deny"], "matchResources": {"namespaceSelector": selector}}
    kind = "ValidatingAdmissionPolicy"
    try:
        admin.create({"apiVersion": group, "kind": kind, "metadata": {"name": name}, "spec": policy})
        admin.create({"apiVersion": group, "kind": f"{kind}Binding", "metadata": {"name": name}, "spec": binding})
        yield name
    finally:
        for plural in ("validatingadmissionpolicybindings", "validatingadmissionpolicies"):
            admin.delete(f"/apis/{group}/{plural}/{name}")
