"""What an answer that is no success means: HTTP status and Status body become one of our errors.

Pure. An admission policy, a webhook and a missing permission may all come as 403 or 422; they are told apart by the
sentence of the API server, of which each alternative stands in the tests as a real server said it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_package_manager.adapters.kubernetes.kinds import Kind, Object
from airflow_package_manager.errors import AdmissionRefused, ClusterForbidden, ClusterUnavailable
from airflow_package_manager.redaction import without_credentials

_MESSAGE_CHARACTERS = 1000
_ACCOUNT = re.compile(r'is forbidden: User "(?P<user>[^"]*)" cannot ')
_POLICY = re.compile(
    r"(?P<kind>ValidatingAdmissionPolicy|MutatingAdmissionPolicy|policy) '(?P<name>[^']*)' with binding '[^']*'"
    r" denied request: ?(?P<message>.*)",
    re.DOTALL,
)
_WEBHOOK = re.compile(r'(?P<kind>admission webhook) "(?P<name>[^"]*)" denied the request:? ?(?P<message>.*)', re.DOTALL)
_QUOTA = re.compile(r"is forbidden: (?P<message>(?:exceeded|failed) quota: (?P<name>[^,:]*).*)", re.DOTALL)
_POD_SECURITY = re.compile(r'is forbidden: (?P<message>violates PodSecurity "(?P<name>[^"]*)".*)', re.DOTALL)
_OTHER_ADMISSION = re.compile(r"is forbidden: (?P<message>.*)", re.DOTALL)
_UNREACHABLE_WEBHOOK = re.compile(r'failed calling webhook "(?P<name>[^"]*)"')
_OWNER = re.compile(r'conflict with "(?P<owner>[^"]*)"')
_UNAUTHENTICATED, _FORBIDDEN, _NOT_FOUND, _CONFLICT, _GONE, _INVALID = 401, 403, 404, 409, 410, 422
_BAD_REQUEST, _SERVER_ERROR = 400, 500
_ANONYMOUS = 'User "system:anonymous" cannot '


class Absent(Exception):
    """There is no such object."""

    def __init__(self, detail: str, *, plural: str = "", name: str = "") -> None:
        """Take what is absent: it may be the namespace, where an object was to be created in it."""
        super().__init__(detail)
        self.plural = plural
        self.name = name


class AlreadyThere(Exception):
    """An object of this name exists."""


class Conflict(Exception):
    """A precondition (uid, resourceVersion) no longer holds, or another manager owns a field."""

    def __init__(self, detail: str, owners: tuple[str, ...] = ()) -> None:
        """Take the field managers that own what was to be applied, each once, in the server's order."""
        super().__init__(detail)
        self.owners = owners


class Gone(Exception):
    """This resourceVersion or continue token is too old: list anew."""


class Invalid(Exception):
    """The server cannot accept the object or the patch: a failed JSON patch test too."""


@dataclass(frozen=True)
class Request:
    """What was asked, for the sentence and the missing rule."""

    verb: str
    """As RBAC names it: get, list, watch, create, patch, delete."""
    kind: Kind
    namespace: str
    name: str = ""

    def __str__(self) -> str:
        """Return it for people, for example ``patch deployments.apps "airflow-worker" in namespace "x"``."""
        named = f' "{self.name}"' if self.name else ""
        return f'{self.verb} {self.kind.resource}{named} in namespace "{self.namespace}"'

    def rule(self) -> str:
        """Return the rule of a Role that permits it, as YAML to paste below ``rules:``."""
        lines = [f'- apiGroups: ["{self.kind.group}"]', f'  resources: ["{self.kind.plural}"]']
        if self.name and self.verb not in {"create", "list", "watch"}:  # RBAC cannot limit these by name
            lines.append(f'  resourceNames: ["{self.name}"]')
        return "\n".join([*lines, f'  verbs: ["{self.verb}"]'])


def failure(status: int, body: bytes, request: Request) -> Exception:  # noqa: PLR0911  a table, one return a row
    """Return the error for a response that is no success."""
    answer = _status(body)
    message = _shown(str(answer.get("message") or ""))
    reason = str(answer.get("reason") or "")
    refused = _admission(message)
    if refused is not None:
        return refused
    if status == _UNAUTHENTICATED or _ANONYMOUS in message:
        return ClusterUnavailable(
            f"The API server does not accept our credentials ({status}) for: {request}.",
            next_action="Renew the token of the account or of the kubeconfig; in a pod it is renewed by itself.",
            reason="unauthenticated",
        )
    if not answer:  # somebody between us and the API server said it: nothing follows for the object
        return _unavailable(status, message, request)
    if status == _FORBIDDEN:
        return _forbidden(message, request)
    if status == _NOT_FOUND:
        details = _details(answer)
        return Absent(message, plural=str(details.get("kind", "")), name=str(details.get("name", request.name)))
    if status == _CONFLICT:
        return AlreadyThere(message) if reason == "AlreadyExists" else Conflict(message, owners(answer))
    if status == _GONE:
        return Gone(message)
    if status in {_INVALID, _BAD_REQUEST}:
        return Invalid(message)
    return _unavailable(status, message, request)


def retry_after(headers: Mapping[str, str], body: bytes) -> float | None:
    """Return the seconds after which the server wants to be asked again, where it says so."""
    given = headers.get("Retry-After") or _details(_status(body)).get("retryAfterSeconds")
    if given is None or not re.fullmatch(r"[0-9]{1,6}", str(given)):
        return None
    return float(str(given))


def watch_failure(event: Object, request: Request) -> Exception:
    """Return the error that an ERROR event of a watch carries."""
    return failure(int(event.get("code") or _SERVER_ERROR), json.dumps(event).encode(), request)


def owners(answer: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the field managers that a server-side apply met, each once."""
    causes = _details(answer).get("causes") or ()
    found = [
        match["owner"]
        for cause in causes
        if cause.get("reason") == "FieldManagerConflict"
        for match in [_OWNER.search(str(cause.get("message", "")))]
        if match is not None
    ]
    return tuple(dict.fromkeys(found))


def _admission(message: str) -> AdmissionRefused | None:
    """Return the refusal when a policy or webhook made it, whatever the status: a webhook chooses its own."""
    for pattern in (_POLICY, _WEBHOOK, _QUOTA, _POD_SECURITY):
        match = pattern.search(message)
        if match is None:
            continue
        kind = match.groupdict().get("kind") or ("ResourceQuota" if pattern is _QUOTA else "PodSecurity")
        name, said = match["name"].strip(), match["message"].strip() or "without explanation"
        return _refused(kind, name, said)
    return None


def _refused(kind: str, name: str, said: str) -> AdmissionRefused:
    named = f"{kind} '{name}'" if name else kind
    return AdmissionRefused(f"{named} refused it: {said}", kind=kind, policy=name, message=said)


def _forbidden(message: str, request: Request) -> Exception:
    account = _ACCOUNT.search(message)
    other = _OTHER_ADMISSION.search(message)
    if account is None and other is not None:
        return _refused("admission control", "", other["message"].strip())
    user = account["user"] if account is not None else "this account"
    rule = request.rule()
    return ClusterForbidden(
        f"{user} may not {request}. The Role lacks:\n{rule}",
        verb=request.verb,
        resource=request.kind.resource,
        name=request.name,
        namespace=request.namespace,
        account=user,
        rule=rule,
    )


def _unavailable(status: int, message: str, request: Request) -> ClusterUnavailable:
    webhook = _UNREACHABLE_WEBHOOK.search(message)
    if webhook is not None:
        return ClusterUnavailable(
            f"The admission webhook '{webhook['name']}' cannot be asked: {message}",
            next_action=f"Repair the webhook '{webhook['name']}', or wait until it is back.",
            webhook=webhook["name"],
            status=status,
        )
    return ClusterUnavailable(
        f"The API server answered {status} to: {request}." + (f" {message}" if message else ""), status=status
    )


def _status(body: bytes) -> Mapping[str, Any]:
    """Return the Status that a body is, empty for anything else (a proxy's page)."""
    try:
        answer = json.loads(body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) and answer.get("kind") == "Status" else {}


def _details(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    return answer.get("details") or {}


def _shown(message: str) -> str:
    """Return the message without credentials, at a length for people."""
    shown = without_credentials(message)
    return shown if len(shown) <= _MESSAGE_CHARACTERS else shown[:_MESSAGE_CHARACTERS] + "…"
