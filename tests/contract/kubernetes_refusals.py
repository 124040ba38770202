"""Everything that a real API server may answer instead of success, provoked one by one.

`python -m tests.contract.kubernetes_refusals` writes the answers down for the unit tests of `failures`.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from airflow_package_manager.adapters.kubernetes.connection import Answer, Connection
from airflow_package_manager.adapters.kubernetes.failures import (
    Absent,
    AlreadyThere,
    Conflict,
    Gone,
    Invalid,
    Request,
)
from airflow_package_manager.adapters.kubernetes.kinds import CONFIG_MAP, DEPLOYMENT, JOB, POD, Kind, Object
from airflow_package_manager.errors import AdmissionRefused, ClusterForbidden, ClusterUnavailable

if TYPE_CHECKING:
    from testenv.cluster import Cluster

RECORDED = Path(__file__).parents[1] / "data" / "kubernetes_answers.json"
NO_UID = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True)
class Expected:
    """What `failures.failure` makes of an answer."""

    error: type[Exception]
    says: str = ""
    """Part of its sentence."""
    context: Mapping[str, object] | None = None
    """Part of what it carries as data or attributes."""


EXPECTED: dict[str, Expected] = {
    "no permission on one object": Expected(
        ClusterForbidden, "may not get", {"verb": "get", "resource": "configmaps", "name": "one"}
    ),
    "no permission on a list": Expected(ClusterForbidden, "may not list", {"verb": "list", "resource": "pods"}),
    "no permission to change": Expected(
        ClusterForbidden, 'resourceNames: ["airflow-worker"]', {"verb": "patch", "resource": "deployments.apps"}
    ),
    "unknown token": Expected(ClusterUnavailable, "(401)", {"reason": "unauthenticated"}),
    "no token": Expected(ClusterUnavailable, "(403)", {"reason": "unauthenticated"}),
    "no such object": Expected(Absent, "", {"plural": "configmaps", "name": "nothing"}),
    "no such namespace": Expected(Absent, "", {"plural": "namespaces", "name": "no-such-namespace"}),
    "no such kind": Expected(ClusterUnavailable, "404"),
    "there already": Expected(AlreadyThere),
    "another version": Expected(Conflict),
    "another uid in a patch": Expected(Invalid),
    "another uid in a deletion": Expected(Conflict),
    "another manager's field": Expected(Conflict, "", {"owners": ("argocd-controller",)}),
    "a failed test": Expected(Invalid),
    "a test of what is not there": Expected(Invalid),
    "an invalid object": Expected(Invalid),
    "a bad name": Expected(Invalid),
    "too long": Expected(Invalid, "Too long"),
    "immutable": Expected(Invalid, "immutable"),
    "no JSON": Expected(Invalid),
    "too old": Expected(Gone),
    "a policy": Expected(
        AdmissionRefused,
        "no restarts on Fridays",
        {"kind": "ValidatingAdmissionPolicy", "policy": "invalid", "message": "no restarts on Fridays"},
    ),
    "a policy that forbids": Expected(
        AdmissionRefused, "not yours", {"kind": "ValidatingAdmissionPolicy", "policy": "forbidden"}
    ),
    "a policy that cannot be evaluated": Expected(
        AdmissionRefused, "", {"kind": "ValidatingAdmissionPolicy", "policy": "broken"}
    ),
    "a webhook": Expected(
        AdmissionRefused,
        "not today",
        {"kind": "admission webhook", "policy": "deny.example.test", "message": "not today"},
    ),
    "a webhook with a status of its own": Expected(
        AdmissionRefused, "not today", {"kind": "admission webhook", "policy": "deny.example.test"}
    ),
    "a webhook without a word": Expected(
        AdmissionRefused, "without explanation", {"kind": "admission webhook", "policy": "deny.example.test"}
    ),
    "a webhook that is not there": Expected(ClusterUnavailable, "gone.example.test", {"webhook": "gone.example.test"}),
    "a quota": Expected(AdmissionRefused, "exceeded quota", {"kind": "ResourceQuota", "policy": "small"}),
    "pod security": Expected(AdmissionRefused, "violates PodSecurity", {"kind": "PodSecurity"}),
    "a namespace that ends": Expected(AdmissionRefused, "terminated", {"kind": "admission control"}),
}


class Scene:
    """A namespace and the ways to ask in it."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.admin = Connection(kubeconfig=str(cluster.kubeconfig))
        self.nobody = Connection(kubeconfig=str(cluster.account(namespace, "nobody", [])))

    def ask(
        self,
        method: str,
        verb: str,
        kind: Kind,
        name: str = "",
        body: object = None,
        *,
        content: str = "application/json",
        connection: Connection | None = None,
        raw: bytes | None = None,
        namespace: str | None = None,
        manager: str = "",
        dry_run: bool = False,
    ) -> tuple[Request, Answer]:
        query = {**({"fieldManager": manager} if manager else {}), **({"dryRun": "All"} if dry_run else {})}
        inside = self.namespace if namespace is None else namespace
        address = kind.path(inside, "" if method == "POST" else name) + (f"?{urlencode(query)}" if query else "")
        answer = (connection or self.admin).send(
            method,
            address,
            headers={"Content-Type": content},
            body=raw if raw is not None else None if body is None else json.dumps(body).encode(),
            read=20,
        )
        return Request(verb, kind, inside, name), answer

    def make(
        self, kind: Kind, name: str, body: Mapping[str, Any] | None = None, *, dry_run: bool = False
    ) -> tuple[Request, Answer]:
        named = {"apiVersion": kind.api_version, "kind": kind.name, "metadata": {"name": name}}
        return self.ask("POST", "create", kind, name, {**named, **(body or {})}, dry_run=dry_run)

    def patch(
        self, kind: Kind, name: str, body: object, *, connection: Connection | None = None
    ) -> tuple[Request, Answer]:
        content = "application/json-patch+json" if isinstance(body, list) else "application/merge-patch+json"
        return self.ask("PATCH", "patch", kind, name, body, content=content, connection=connection)

    def without_token(self, token: str | None) -> Connection:
        """Return the connection of somebody with another token, or none."""
        read = json.loads(self.cluster.kubeconfig.read_text())
        read["users"][0]["user"] = {} if token is None else {"token": token}
        file = Path(tempfile.mkdtemp(dir=self.cluster.home)) / "kubeconfig"
        file.write_text(json.dumps(read))
        return Connection(kubeconfig=str(file))


def provoke(name: str, scene: Scene) -> tuple[Request, Answer]:
    """Return what the server answers in this case."""
    with contextlib.ExitStack() as last:
        return _CASES[name](scene, last)


def _pod(**more: object) -> Object:
    return {"spec": {"containers": [{"name": "main", "image": "localhost/none:1"}], **more}}


def _apply(scene: Scene, manager: str, value: str) -> tuple[Request, Answer]:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owned"}, "data": {"a": value}}
    content = "application/apply-patch+yaml"
    return scene.ask("PATCH", "patch", CONFIG_MAP, "owned", body, content=content, manager=manager)


def _twice(scene: Scene, _: contextlib.ExitStack) -> tuple[Request, Answer]:
    scene.make(CONFIG_MAP, "twice")
    return scene.make(CONFIG_MAP, "twice")


def _owned(scene: Scene, _: contextlib.ExitStack) -> tuple[Request, Answer]:
    _apply(scene, "argocd-controller", "1")
    return _apply(scene, "airflow-package-manager", "2")


def _on_one(body: object, **more: object) -> Callable[[Scene, contextlib.ExitStack], tuple[Request, Answer]]:
    def ask(scene: Scene, _: contextlib.ExitStack) -> tuple[Request, Answer]:
        scene.make(CONFIG_MAP, "one", {"data": {"a": "1"}, **more})
        return scene.patch(CONFIG_MAP, "one", body)

    return ask


def _deleted(scene: Scene, _: contextlib.ExitStack) -> tuple[Request, Answer]:
    scene.make(CONFIG_MAP, "one")
    return scene.ask("DELETE", "delete", CONFIG_MAP, "one", {"preconditions": {"uid": NO_UID}})


def _make_rule(scene: Scene, last: contextlib.ExitStack, group: str, kind: str, name: str, **content: object) -> None:
    """Make an object of the whole cluster, for as long as the case lasts."""
    from testenv.cluster.client import path_of

    body = {"apiVersion": group, "kind": kind, "metadata": {"name": name}, **content}
    scene.cluster.admin.create(body)
    last.callback(scene.cluster.admin.delete, path_of(body))


def _policy(name: str, **validation: str) -> Callable[[Scene, contextlib.ExitStack], tuple[Request, Answer]]:
    def ask(scene: Scene, last: contextlib.ExitStack) -> tuple[Request, Answer]:
        group = "admissionregistration.k8s.io/v1"
        rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
        only = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": scene.namespace}}}
        spec = {"failurePolicy": "Fail", "matchConstraints": {"resourceRules": [rule]}, "validations": [validation]}
        bound = {"policyName": name, "validationActions": ["Deny"], "matchResources": only}
        _make_rule(scene, last, group, "ValidatingAdmissionPolicy", name, spec=spec)
        _make_rule(scene, last, group, "ValidatingAdmissionPolicyBinding", name, spec=bound)
        return _once_refused(lambda: scene.make(CONFIG_MAP, f"try-{time.monotonic_ns()}"))

    return ask


def _webhook(
    name: str, status: Mapping[str, object] | None
) -> Callable[[Scene, contextlib.ExitStack], tuple[Request, Answer]]:
    def ask(scene: Scene, last: contextlib.ExitStack) -> tuple[Request, Answer]:
        url, authority = "https://127.0.0.1:1/", ""
        if status is not None:
            url, authority = last.enter_context(denying(status))
        client = {"url": url, **({"caBundle": authority} if authority else {})}
        hook = {
            "name": name,
            "clientConfig": client,
            "rules": [
                {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
            ],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": scene.namespace}},
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            "timeoutSeconds": 5,
        }
        group = "admissionregistration.k8s.io/v1"
        _make_rule(scene, last, group, "ValidatingWebhookConfiguration", name, webhooks=[hook])
        return _once_refused(lambda: scene.make(CONFIG_MAP, f"try-{time.monotonic_ns()}"))

    return ask


@contextlib.contextmanager
def denying(status: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Serve a webhook that denies with this status; yields its address and its authority in base64."""
    import base64

    from testenv.cluster import pki

    class Deny(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            response = {"uid": review["request"]["uid"], "allowed": False, **({"status": status} if status else {})}
            body = json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response})
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with tempfile.TemporaryDirectory() as directory:
        made = pki.make(Path(directory) / "pki")
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Deny)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(made.certificate, made.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"https://127.0.0.1:{server.server_port}/", base64.b64encode(made.authority.read_bytes()).decode()
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def _quota(scene: Scene, _: contextlib.ExitStack) -> tuple[Request, Answer]:
    path = f"/api/v1/namespaces/{scene.namespace}/resourcequotas"
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "small"},
        "spec": {"hard": {"pods": "0"}},
    }
    scene.cluster.admin.request("POST", path, quota)
    status = {"status": {"hard": {"pods": "0"}, "used": {"pods": "0"}}}  # the controller that counts may not run here
    scene.cluster.admin.request("PATCH", f"{path}/small/status", status)
    return _once_refused(lambda: scene.make(POD, "one", _pod(), dry_run=True))


def _pod_security(scene: Scene, _: contextlib.ExitStack) -> tuple[Request, Answer]:
    labels = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    scene.cluster.admin.request("PATCH", f"/api/v1/namespaces/{scene.namespace}", labels)
    return _once_refused(lambda: scene.make(POD, "one", _pod(), dry_run=True))


def _ending(scene: Scene, last: contextlib.ExitStack) -> tuple[Request, Answer]:
    name = f"{scene.namespace}-ends"
    admin = scene.cluster.admin
    admin.request("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    held = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "held", "finalizers": ["example.test/held"]}}
    admin.request("POST", f"/api/v1/namespaces/{name}/configmaps", held)
    path = f"/api/v1/namespaces/{name}/configmaps/held"
    last.callback(admin.request, "PATCH", path, {"metadata": {"finalizers": None}})
    admin.delete(f"/api/v1/namespaces/{name}")
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "late"}}
    return _once_refused(lambda: scene.ask("POST", "create", CONFIG_MAP, "late", body, namespace=name, dry_run=True))


def _once_refused(ask: Callable[[], tuple[Request, Answer]]) -> tuple[Request, Answer]:
    """Ask until the rule is in force: the server learns of it a moment after it was written."""
    end = time.monotonic() + 20
    while True:
        request, answer = ask()
        if answer.status >= 400:
            return request, answer
        if time.monotonic() > end:
            raise AssertionError("it was never refused")
        time.sleep(0.1)


_CASES: dict[str, Callable[[Scene, contextlib.ExitStack], tuple[Request, Answer]]] = {
    "no permission on one object": lambda scene, _: scene.ask("GET", "get", CONFIG_MAP, "one", connection=scene.nobody),
    "no permission on a list": lambda scene, _: scene.ask("GET", "list", POD, connection=scene.nobody),
    "no permission to change": lambda scene, _: scene.patch(DEPLOYMENT, "airflow-worker", {}, connection=scene.nobody),
    "unknown token": lambda scene, _: scene.ask("GET", "get", POD, "one", connection=scene.without_token("unknown")),
    "no token": lambda scene, _: scene.ask("GET", "get", POD, "one", connection=scene.without_token(None)),
    "no such object": lambda scene, _: scene.ask("GET", "get", CONFIG_MAP, "nothing"),
    "no such namespace": lambda scene, _: scene.ask(
        "POST",
        "create",
        CONFIG_MAP,
        "one",
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}},
        namespace="no-such-namespace",
    ),
    "no such kind": lambda scene, _: scene.ask("GET", "list", Kind("example.test", "v1", "things", "Thing")),
    "there already": _twice,
    "another version": _on_one({"metadata": {"resourceVersion": "1"}, "data": {"a": "2"}}),
    "another uid in a patch": _on_one({"metadata": {"uid": NO_UID}, "data": {"a": "2"}}),
    "another uid in a deletion": _deleted,
    "another manager's field": _owned,
    "a failed test": _on_one([{"op": "test", "path": "/data/a", "value": "5"}]),
    "a test of what is not there": _on_one([{"op": "test", "path": "/metadata/annotations/a", "value": "5"}]),
    "an invalid object": lambda scene, _: scene.make(JOB, "bad", {"spec": {"template": {"spec": {"containers": []}}}}),
    "a bad name": lambda scene, _: scene.make(CONFIG_MAP, "Not_A_Name"),
    "too long": lambda scene, _: scene.make(CONFIG_MAP, "long", {"data": {"a": "x" * 1_048_577}}),
    "immutable": _on_one({"data": {"a": "2"}}, immutable=True),
    "no JSON": lambda scene, _: scene.ask("POST", "create", CONFIG_MAP, "one", raw=b"{"),
    "too old": lambda scene, _: _too_old(scene),
    "a policy": _policy("invalid", expression="false", message="no restarts on Fridays"),
    "a policy that forbids": _policy("forbidden", expression="false", message="not yours", reason="Forbidden"),
    "a policy that cannot be evaluated": _policy("broken", expression="object.data['absent'] == 'x'"),
    "a webhook": _webhook("deny.example.test", {"code": 403, "message": "not today"}),
    "a webhook with a status of its own": _webhook("deny.example.test", {"code": 500, "message": "not today"}),
    "a webhook without a word": _webhook("deny.example.test", {}),
    "a webhook that is not there": _webhook("gone.example.test", None),
    "a quota": _quota,
    "pod security": _pod_security,
    "a namespace that ends": _ending,
}


def _too_old(scene: Scene) -> tuple[Request, Answer]:
    """Return the status of a watch from before the server's memory; it may be an event of the stream."""
    forget(scene.cluster)
    return Request("watch", CONFIG_MAP, scene.namespace), _watch_from_the_beginning(scene.admin, scene.namespace)


def forget(cluster: Cluster) -> None:
    """Let the server forget what was, if it still knows everything since it was started: a new one knows only now."""
    if _watch_from_the_beginning(Connection(kubeconfig=str(cluster.kubeconfig)), "default").status < 400:
        cluster.restart_apiserver(at_once=True)


def _watch_from_the_beginning(connection: Connection, namespace: str) -> Answer:
    query = urlencode({"watch": "true", "resourceVersion": "1", "timeoutSeconds": "1"})
    with connection.stream(f"{CONFIG_MAP.path(namespace)}?{query}", headers={}, read=10) as (answer, pieces):
        if answer.status != 200:
            return answer
        told = b"".join(pieces).split(b"\n")[0]
        event: Object = json.loads(told) if told else {"type": "none"}
        if event["type"] != "ERROR":
            return answer
        return Answer(event["object"]["code"], {}, json.dumps(event["object"]).encode())


def record(cluster: Cluster) -> None:
    """Write all answers down."""
    found: dict[str, object] = {}
    for name in EXPECTED:
        with cluster.namespace() as namespace:
            request, answer = provoke(name, Scene(cluster, namespace))
            text = answer.body.decode()
            try:
                body = json.loads(text.replace(namespace, "airflow"))
            except ValueError:
                body = text
            asked = {"verb": request.verb, "kind": request.kind.name, "name": request.name}
            found[name] = {**asked, "status": answer.status, "body": body}
    RECORDED.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    from testenv.cluster import control_plane

    with control_plane() as started:
        record(started)
