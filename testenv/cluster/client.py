"""The little that tests need of the Kubernetes API beside what they test: JSON over HTTPS, standard library only."""

from __future__ import annotations

import http
import http.client
import json
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testenv.cluster.kubeconfig import Access

Object = dict[str, Any]
"""One API object as JSON."""
_SECONDS = 60.0
_TICK = 0.1
_COLLECTIONS = {
    "ConfigMap": "configmaps",
    "Deployment": "deployments",
    "Job": "jobs",
    "Namespace": "namespaces",
    "Node": "nodes",
    "Pod": "pods",
    "PodDisruptionBudget": "poddisruptionbudgets",
    "ResourceQuota": "resourcequotas",
    "Role": "roles",
    "RoleBinding": "rolebindings",
    "Secret": "secrets",
    "Service": "services",
    "ServiceAccount": "serviceaccounts",
    "StatefulSet": "statefulsets",
    "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": "validatingadmissionpolicybindings",
    "ValidatingWebhookConfiguration": "validatingwebhookconfigurations",
}


class Refused(Exception):
    """The API server answered with an error status."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"{status}: {body}")
        self.status = status
        self.body = body


@dataclass(frozen=True)
class Client:
    """Somebody who talks to the API server; errors are `Refused`, or `OSError` when it does not answer."""

    access: Access

    @classmethod
    def of(cls, kubeconfig: Path) -> Client:
        """Return who this file describes."""
        return cls(Access.read(kubeconfig))

    def request(self, method: str, path: str, body: object = None, *, content_type: str = "", **query: str) -> Any:  # noqa: ANN401 - JSON
        """Send one request; a PATCH is a merge patch, or a JSON patch when the body is a list."""
        data = None if body is None else json.dumps(body).encode()
        with self._open(method, path, query, data, content_type or _content_type(method, body)) as response:
            text = response.read().decode()
        return json.loads(text) if text.startswith(("{", "[")) else text

    def watch(self, path: str, seconds: float, *, since: str, **query: str) -> Iterator[Object]:
        """Yield what happens in a collection after resource version `since`, for some seconds: type and object."""
        asked = {"watch": "true", "timeoutSeconds": str(max(1, round(seconds))), "resourceVersion": since, **query}
        with self._open("GET", path, asked, None, "") as response:
            for line in response:
                yield json.loads(line)

    def get(self, path: str, **query: str) -> Any:  # noqa: ANN401 - JSON
        """Return what is at this path."""
        return self.request("GET", path, **query)

    def items(self, path: str, **query: str) -> list[Object]:
        """Return the objects of a collection."""
        found: list[Object] = self.get(path, **query)["items"]
        return found

    def create(self, body: Mapping[str, Any]) -> Object:
        """Create the object in its collection."""
        made: Object = self.request("POST", path_of(body, collection=True), dict(body))
        return made

    def apply(self, body: Mapping[str, Any], *, manager: str = "testenv") -> Object:
        """Create the object, or make it so, by server-side apply."""
        query = {"fieldManager": manager, "force": "true"}
        path = path_of(body)
        made: Object = self.request("PATCH", path, dict(body), content_type="application/apply-patch+yaml", **query)
        return made

    def delete(self, path: str, **query: str) -> None:
        """Delete what is at this path; what is absent is fine."""
        try:
            self.request("DELETE", path, **query)
        except Refused as refused:
            if refused.status != http.HTTPStatus.NOT_FOUND:
                raise

    def until(self, path: str, condition: Callable[[Any], object], seconds: float = _SECONDS) -> Any:  # noqa: ANN401 - JSON
        """Return what is at this path as soon as the condition holds; raises `TimeoutError` that shows it otherwise."""
        deadline = time.monotonic() + seconds
        while True:
            found = self.get(path)
            if condition(found):
                return found
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {seconds} s: {path} is {json.dumps(found)[:6000]}")
            time.sleep(_TICK)

    def until_refused(self, path: str, seconds: float = _SECONDS) -> Refused:
        """Return the refusal as soon as reading this path is refused; raises `TimeoutError` when it stays allowed."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                self.get(path)
            except Refused as refused:
                return refused
            time.sleep(_TICK)
        raise TimeoutError(f"{path} is still readable after {seconds} s")

    def _open(
        self, method: str, path: str, query: Mapping[str, str], data: bytes | None, content_type: str
    ) -> http.client.HTTPResponse:
        address = f"{self.access.url}{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
        headers = {"Accept": "application/json", "Content-Type": content_type}
        if self.access.token:
            headers["Authorization"] = f"Bearer {self.access.token}"
        request = urllib.request.Request(address, data, headers, method=method)  # noqa: S310 - a server of the tests
        try:
            response: http.client.HTTPResponse = self._opener().open(request, timeout=_SECONDS)
        except urllib.error.HTTPError as error:
            with error:
                raise Refused(error.code, error.read().decode(errors="replace")) from None
        return response

    def _opener(self) -> urllib.request.OpenerDirector:
        # A proxy of the environment is for the world outside, not for a server on loopback.
        handlers = [urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self._context())]
        return urllib.request.build_opener(*handlers)

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.access.authority) if self.access.authority else None)
        if self.access.certificate and self.access.key:
            context.load_cert_chain(self.access.certificate, self.access.key)
        return context


def path_of(body: Mapping[str, Any], *, collection: bool = False) -> str:
    """Return where an object is, or the collection that it belongs to; knows the kinds that tests make."""
    version, metadata = body["apiVersion"], body["metadata"]
    parts = [f"/apis/{version}" if "/" in version else f"/api/{version}"]
    if namespace := metadata.get("namespace"):
        parts += ["namespaces", namespace]
    parts.append(_COLLECTIONS[body["kind"]])
    return "/".join(parts if collection else [*parts, metadata["name"]])


def _content_type(method: str, body: object) -> str:
    if method != "PATCH":
        return "application/json"
    return "application/json-patch+json" if isinstance(body, list) else "application/merge-patch+json"
