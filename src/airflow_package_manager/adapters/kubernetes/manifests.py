"""What an administrator applies once: Role, admission policies, network policy, and values for the chart.

The one source of `deploy/kubernetes/` (written by `make docs`) and of `airflow-package-manager kubernetes install`.
Placeholders stand in angle brackets; every value that fills one is a Kubernetes name, so nothing needs quoting.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files

from airflow_package_manager.adapters.kubernetes import permissions, preflight_job
from airflow_package_manager.adapters.kubernetes.kinds import DEPLOYMENT, STATEFUL_SET, Kind
from airflow_package_manager.domain.components import DAG_PROCESSOR, SCHEDULER, TRIGGERER, WEB_SERVERS, WORKER

FILES = ("role.yaml", "policy-restart-only.yaml", "policy-preflight.yaml", "policy-own-objects.yaml")
"""What `kubernetes install` prints, in the order of applying."""
FURTHER = ("network-policy.yaml", "values-official.yaml")
"""What people adapt by hand."""
NAME = "airflow-package-manager"
POLICIES = ("restart-only", "preflight", "own-objects")
"""How the cluster-wide names of the policies end."""
IMAGES: Mapping[str, str] = {
    "api-server": "airflow-package-manager:3.3.2",
    "webserver": "airflow-package-manager:2.11.2",
}
"""Web server → what an image of ours is called where nobody says another name."""
_VALUES_OF: Mapping[str, str] = {"api-server": "apiServer", "webserver": "webserver"}
"""Web server → its section of the chart's values; of a key that it does not know a chart may make an error."""
_PLACEHOLDER = re.compile(r"<([a-z-]+)>")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", re.ASCII)
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:-]{0,399}:[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", re.ASCII)


def chart_workloads(release: str = "airflow", web_server: str = WEB_SERVERS[0]) -> Mapping[Kind, Sequence[str]]:
    """Return what the official chart with our values runs, by kind; Airflow 2's scheduler parses DAG files itself."""
    parses = (DAG_PROCESSOR,) if web_server == WEB_SERVERS[0] else ()
    return {
        DEPLOYMENT: tuple(f"{release}-{name}" for name in (SCHEDULER, WORKER, *parses, web_server)),
        STATEFUL_SET: (f"{release}-{TRIGGERER}",),
    }


@dataclass(frozen=True)
class Installation:
    """One Airflow in one namespace; by default the official chart, release ``airflow``."""

    namespace: str = "data-orchestration"
    account: str = "airflow-api-server"
    """The service account of the component that runs the package manager."""
    account_namespace: str = ""
    """Empty: `namespace`."""
    config_map: str = "airflow-config-pypi"
    workloads: Mapping[Kind, Sequence[str]] = field(default_factory=chart_workloads)
    """Names of the components' workloads by kind."""
    template: tuple[Kind, str] = (DEPLOYMENT, "airflow-scheduler")
    """The workload from whose pod template the check before a rollout is made."""
    image: str = IMAGES[WEB_SERVERS[0]]
    """Airflow's image with our wheel in it."""
    web_server: str = WEB_SERVERS[0]
    """Which one the chart runs: it has a section of values for each."""

    def __post_init__(self) -> None:
        """Raise `ValueError` for what cannot be a name of Kubernetes."""
        names = [self.namespace, self.account, self.account_namespace or "x", self.config_map, self.template[1]]
        names += [name for some in self.workloads.values() for name in some]
        for name in names:
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} is not a name of Kubernetes")
        if not _IMAGE.fullmatch(self.image):
            raise ValueError(f"{self.image!r} is not an image with its tag")
        if self.web_server not in _VALUES_OF:
            raise ValueError(f"{self.web_server!r} is not a web server of Airflow")

    @property
    def config_maps(self) -> tuple[str, str]:
        """Return the names of both ConfigMaps."""
        return self.config_map, f"{self.config_map}-locks"


def manifest(name: str, installation: Installation) -> str:
    """Return one file of `FILES` or `FURTHER`, filled in."""
    text = (files(__package__) / "templates" / name).read_text(encoding="utf-8")
    values = _values(installation)
    return _PLACEHOLDER.sub(lambda match: values[match[1]], text)


def manifests(installation: Installation, *, policies: bool = True) -> str:
    """Return all of `FILES` as one stream of documents for `kubectl apply`; or those that are no policies."""
    return "---\n".join(manifest(name, installation) for name in FILES if policies or not name.startswith("policy-"))


def policy_names(installation: Installation) -> tuple[str, ...]:
    """Return the cluster-wide names of the policies, and of their bindings."""
    return tuple(f"{NAME}-{installation.namespace}-{part}" for part in POLICIES)


def _values(installation: Installation) -> dict[str, str]:
    namespace = installation.account_namespace or installation.namespace
    repository, _, tag = installation.image.rpartition(":")
    return {
        "namespace": installation.namespace,
        "account": installation.account,
        "account-namespace": namespace,
        "user": f"system:serviceaccount:{namespace}:{installation.account}",
        "policy": f"{NAME}-{installation.namespace}",
        "rules": _rules(installation),
        "config-map": installation.config_map,
        "locks": installation.config_maps[1],
        "config-maps": _list(installation.config_maps),
        "stateful-sets": _list(installation.workloads.get(STATEFUL_SET, ())),
        "locks-path": preflight_job.LOCKS_PATH,
        "installer-command": _list(preflight_job.INSTALLER_COMMAND),
        "stamp-variable": preflight_job.STAMP_VARIABLE,
        "template-kind": installation.template[0].name,
        "template-name": installation.template[1],
        "image": installation.image,
        "image-repository": repository,
        "image-tag": tag,
        "web-server-values": _VALUES_OF[installation.web_server],
    }


def _rules(installation: Installation) -> str:
    """Return the rules of the Role, each below the reason that the table of permissions gives."""
    lines = []
    rules = iter(permissions.rules(installation.config_maps, installation.workloads))
    for row in permissions.PERMISSIONS:
        if row.names == permissions.WORKLOADS and not installation.workloads.get(row.kind):
            continue
        parts = [f"{key}: {json.dumps(value)}" for key, value in next(rules).items()]
        lines += [f"  # {row.why}", "  - {" + ", ".join(parts) + "}"]
    return "\n".join(lines)


def _list(names: Sequence[str]) -> str:
    return "[" + ", ".join(f"'{name}'" for name in names) + "]"
