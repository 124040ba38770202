"""Admission webhooks that somebody installs in the middle: one that denies a restart, and one that nobody can ask."""

from __future__ import annotations

from collections.abc import Mapping

from testenv.cluster import REVISION, Refused
from tests.cluster.preparing import eventually
from tests.cluster.trial import Trial
from tests.cluster.workloads import Object
from tests.contract.kubernetes_refusals import denying

NAME = "stamps.example.test"
SAID = "no restarts today"
_COLLECTION = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"


def denies(one: Trial) -> None:
    """From now on a webhook denies each change of a StatefulSet of this namespace."""
    url, authority = one.clean.enter_context(denying({"code": 403, "message": SAID}))
    _install(one, {"url": url, "caBundle": authority})


def cannot_be_asked(one: Trial) -> None:
    """From now on a webhook must be asked that does not answer."""
    _install(one, {"url": "https://127.0.0.1:1/"})


def _install(one: Trial, client: Mapping[str, str]) -> None:
    """Install it and wait until it holds; it goes with the trial."""
    name = f"stamps-{one.namespace}"
    rule = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["statefulsets"]}
    hook = {
        "name": NAME,
        "clientConfig": dict(client),
        "rules": [rule],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": one.namespace}},
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 5,
    }
    one.admin.create(
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": name},
            "webhooks": [hook],
        }
    )
    one.clean.callback(one.admin.delete, f"{_COLLECTION}/{name}")
    body: Object = {"spec": {"template": {"metadata": {"annotations": {REVISION: "9"}}}}}

    def holds() -> bool:
        try:
            one.admin.request("PATCH", one.path("worker"), body, dryRun="All")
        except Refused:
            return True
        return False

    eventually(holds, "the webhook")
