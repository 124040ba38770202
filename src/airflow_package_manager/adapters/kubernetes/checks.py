"""What `doctor` looks at in a cluster: permissions, ConfigMaps, workloads, and what their pod templates lack."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from airflow_package_manager.adapters.kubernetes import permissions
from airflow_package_manager.adapters.kubernetes.api import Api
from airflow_package_manager.adapters.kubernetes.configmap_store import ConfigMapStore
from airflow_package_manager.adapters.kubernetes.failures import Request
from airflow_package_manager.adapters.kubernetes.kinds import Kind, Object
from airflow_package_manager.adapters.kubernetes.rollout import KubernetesRollout
from airflow_package_manager.adapters.kubernetes.stamping import Workload
from airflow_package_manager.domain.inventory import Check, CheckStatus
from airflow_package_manager.domain.rollout import Status
from airflow_package_manager.errors import PackageManagerError

PERMISSIONS = "permissions"
CONFIG_MAPS = "config-maps"
COMPONENTS = "components-current"
RESTARTS = "restarts-allowed"
INSTALLERS = "installers-present"
_SITE = "AIRFLOW_PACKAGE_MANAGER_SITE"


class Checks:
    """Looks and changes nothing; a refusal of the cluster is the answer of the check that met it."""

    def __init__(
        self, api: Api, *, store: ConfigMapStore, rollout: KubernetesRollout, namespace: str, installer: str
    ) -> None:
        """Take what to look at; `installer` is the name of the init container that installs."""
        self._api = api
        self._store = store
        self._rollout = rollout
        self._namespace = namespace
        self._installer = installer

    def by_name(self) -> Mapping[str, Callable[[], Check]]:
        """Return all checks, in the order in which one would look."""
        own = {
            PERMISSIONS: self.permissions,
            CONFIG_MAPS: self.config_maps,
            COMPONENTS: self.components,
            RESTARTS: self.restarts,
            INSTALLERS: self.installers,
        }
        return {name: _answered(name, check) for name, check in own.items()}

    def permissions(self) -> Check:
        """Whether this account may do everything that an operation or its rollback may need."""
        names: dict[Kind, list[str]] = {}
        for workload in self._workloads().values():
            names.setdefault(workload.kind, []).append(workload.name)
        wanted = permissions.needs(self._store.names, names)
        asked = [Request(need.verb, need.kind, self._namespace, need.name) for need in wanted]
        missing = [one for one in asked if not self._api.allowed(one.kind, self._namespace, one.verb, one.name)]
        if missing:
            return Check(
                PERMISSIONS,
                CheckStatus.FAILED,
                f"This account may not {'; '.join(map(str, missing))}.",
                "Add to its Role:\n" + "\n".join(dict.fromkeys(one.rule() for one in missing)),
            )
        return Check(PERMISSIONS, CheckStatus.OK, f"All {len(asked)} permissions are there.")

    def config_maps(self) -> Check:
        """Whether the requirements can be read, and who else writes them."""
        found = self._store.read()
        text, locks = self._store.names
        if found.manager is not None:
            return Check(
                CONFIG_MAPS,
                CheckStatus.WARNING,
                f"{found.manager} writes the ConfigMap {text} too, and may take a change back.",
                f"Leave {text} out of what {found.manager} applies; {locks} is nobody else's.",
            )
        if found.current is None:
            return Check(CONFIG_MAPS, CheckStatus.OK, f"{text} can be read; {locks} comes with the first change.")
        if found.usable_lock() is None:
            return Check(
                CONFIG_MAPS,
                CheckStatus.FAILED,
                f"{locks} says that revision {found.current} is current, and its lock is missing or torn: pods that"
                " start now start without packages.",
                "Run 'airflow-package-manager doctor --repair': it writes the lock back from the database.",
            )
        return Check(CONFIG_MAPS, CheckStatus.OK, f"{text} and {locks} can be read; revision {found.current}.")

    def components(self) -> Check:
        """Whether each component is current on what it was told to use."""
        seen = {name: self._rollout.observe(name, None) for name in self._rollout.components()}
        if not seen:
            return Check(
                COMPONENTS,
                CheckStatus.FAILED,
                f"No workload of Airflow was found in namespace {self._namespace}.",
                "Set namespace, chart and release in [package_manager], or name the workloads.",
            )
        wrong = [f"{name}: {found.message}" for name, found in seen.items() if found.status is not Status.CURRENT]
        if wrong:
            return Check(COMPONENTS, CheckStatus.WARNING, "; ".join(wrong) + ".", "Look at the pods that are named.")
        unsure = [f"{name} ({found.unverified})" for name, found in seen.items() if found.unverified]
        if unsure:
            return Check(
                COMPONENTS,
                CheckStatus.WARNING,
                f"Not verified: {'; '.join(unsure)}.",
                "Nothing to do where this is meant so.",
            )
        return Check(COMPONENTS, CheckStatus.OK, f"{', '.join(seen)}: all current.")

    def restarts(self) -> Check:
        """Whether the API server would take a stamp of each component, admission included."""
        names = self._rollout.components()
        for name in names:
            self._rollout.check_restart(name)
        return Check(RESTARTS, CheckStatus.OK, f"{', '.join(names) or 'Nothing'}: a stamp would be taken.")

    def installers(self) -> Check:
        """Whether the pods of each component install their lock before they start, and use it."""
        lacking = {name: lacks for name, one in self._workloads().items() if (lacks := self._lacks(one))}
        if lacking:
            return Check(
                INSTALLERS,
                CheckStatus.WARNING,
                "; ".join(f"{name} has {lacks}" for name, lacks in lacking.items()) + ".",
                "Add the parts of deploy/kubernetes/values-official.yaml to your values. Until then these pods are"
                " restarted, and what they install is their own business and not verified.",
            )
        return Check(INSTALLERS, CheckStatus.OK, "Every component installs its lock before it starts.")

    def _lacks(self, workload: Workload) -> str:
        if not workload.has_container(self._installer):
            return f"no init container {self._installer}"
        main: Object = workload.template["spec"]["containers"][0]
        if all(row.get("name") != _SITE for row in main.get("env") or ()):
            return f"no variable {_SITE} in its container {workload.main}"
        return ""

    def _workloads(self) -> dict[str, Workload]:
        return {name: self._rollout.workload(name) for name in self._rollout.components()}


def _answered(name: str, check: Callable[[], Check]) -> Callable[[], Check]:
    def answer() -> Check:
        try:
            return check()
        except PackageManagerError as error:
            return Check(name, CheckStatus.FAILED, error.detail, error.next_action)

    return answer
