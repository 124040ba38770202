"""A running cluster as tests see it: namespaces, accounts, and an API server that may go away."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from testenv.cluster.client import Client

TOKEN_SECONDS = 3600
SECONDS_TO_FOLLOW = 240
NODE = "kwok-0"
"""The fake node."""


class Control(Protocol):
    """Who owns the servers."""

    def stop_apiserver(self, *, at_once: bool) -> None:
        """Stop it; harmless when it is stopped."""

    def start_apiserver(self) -> None:
        """Start it again on the same address with the same data, and wait until it is ready."""

    def log_end(self) -> str:
        """Return the ends of all logs."""


class NotOurs(RuntimeError):
    """The cluster is somebody else's: its servers are not stopped by a test."""


@dataclass(frozen=True)
class Cluster:
    """A real API server, with controllers, a scheduler and a fake node."""

    kubeconfig: Path
    """Of an administrator."""
    url: str
    token: str
    """The administrator's; "" where a certificate is used."""
    authority: Path | None
    home: Path
    """A directory that is removed with the cluster."""
    admin: Client
    control: Control | None = None

    @contextmanager
    def namespace(self, labels: Mapping[str, str] | None = None) -> Iterator[str]:
        """Make a namespace of a new name; it is deleted at the end, which nobody waits for."""
        name = f"test-{secrets.token_hex(5)}"
        metadata = {"name": name, "labels": dict(labels or {})}
        self.admin.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        try:
            yield name
        finally:
            self.admin.delete(f"/api/v1/namespaces/{name}")
            # Pods that were told never to end would hold it for ever.
            self.admin.delete(f"/api/v1/namespaces/{name}/pods", gracePeriodSeconds="0")

    def account(
        self,
        namespace: str,
        name: str,
        rules: Sequence[Mapping[str, Any]] = (),
        *,
        secret: str = "",
    ) -> Path:
        """Return the kubeconfig of a service account that may do what the rules (of a Role) say, and nothing else.

        Calling it again replaces the rules and makes another token. With `secret`, a Secret of that name is made, and
        the token ends about 10 seconds after somebody deletes it.
        """
        self._may(namespace, name, rules)
        bound: dict[str, Any] = {}
        if secret:
            body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": secret, "namespace": namespace}}
            made = self.admin.apply(body)
            bound = {"boundObjectRef": {"apiVersion": "v1", "kind": "Secret", "name": secret}}
            bound["boundObjectRef"]["uid"] = made["metadata"]["uid"]
        answer = self.admin.request(
            "POST",
            f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token",
            {
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "TokenRequest",
                "spec": {"expirationSeconds": TOKEN_SECONDS, **bound},
            },
        )
        access = replace(
            self.admin.access, token=answer["status"]["token"], certificate=None, key=None, namespace=namespace
        )
        return access.write(self.home / f"{namespace}.{name}.{secrets.token_hex(3)}.kubeconfig")

    def stop_apiserver(self, *, at_once: bool = False) -> None:
        """Stop the API server, politely or `at_once` as by a crash; raises `NotOurs` on somebody else's cluster."""
        self._owner().stop_apiserver(at_once=at_once)

    def start_apiserver(self) -> None:
        """Start it again, on the same address with the same data; returns when it is ready and all follow it again.

        Controllers, scheduler and KWOK lost their watches and come back after pauses that grow: a pod that runs tells.
        """
        self._owner().start_apiserver()
        if not has_fake_node(self.admin):
            return
        with self.namespace() as namespace:
            labels = {"app": "probe"}
            pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "airflow:test"}]}}
            probe = {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": "probe", "namespace": namespace},
                "spec": {"selector": {"matchLabels": labels}, "template": pod},
            }
            self.admin.create(probe)
            self.admin.until(
                f"/apis/apps/v1/namespaces/{namespace}/deployments/probe",
                lambda found: found.get("status", {}).get("readyReplicas") == 1,
                SECONDS_TO_FOLLOW,
            )

    def restart_apiserver(self, *, at_once: bool = False) -> None:
        """Stop the API server and start it again."""
        self.stop_apiserver(at_once=at_once)
        self.start_apiserver()

    def log_end(self) -> str:
        """Return the ends of the servers' logs."""
        return "" if self.control is None else self.control.log_end()

    def _owner(self) -> Control:
        if self.control is None:
            raise NotOurs("USE_EXISTING_CLUSTER is set: this test stops the API server, which is not ours.")
        return self.control

    def _may(self, namespace: str, name: str, rules: Sequence[Mapping[str, Any]]) -> None:
        metadata = {"name": name, "namespace": namespace}
        group = "rbac.authorization.k8s.io"
        self.admin.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
        role = {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": metadata}
        self.admin.apply({**role, "rules": [dict(rule) for rule in rules]})
        self.admin.apply(
            {
                "apiVersion": f"{group}/v1",
                "kind": "RoleBinding",
                "metadata": metadata,
                "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
                "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
            }
        )


def add_fake_node(admin: Client, name: str = NODE) -> None:
    """Add a node whose pods KWOK plays."""
    admin.apply(
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "annotations": {"kwok.x-k8s.io/node": "fake"}, "labels": {"type": "kwok"}},
        }
    )
    # Admission taints every new node; the controller that would lift it is not among ours.
    admin.request("PATCH", f"/api/v1/nodes/{name}", {"spec": {"taints": None}})


def has_fake_node(admin: Client, name: str = NODE) -> bool:
    """Tell whether the node is there already."""
    return any(node["metadata"]["name"] == name for node in admin.items("/api/v1/nodes"))


def node_is_ready(admin: Client, name: str = NODE) -> bool:
    """Say whether its kubelet, or who plays it, says that it is."""
    conditions = admin.get(f"/api/v1/nodes/{name}").get("status", {}).get("conditions", [])
    return any(entry["type"] == "Ready" and entry["status"] == "True" for entry in conditions)
