"""What `doctor` looks at in a cluster: permissions, ConfigMaps, workloads, and what their pod templates lack."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from airflow_package_manager import __version__
from airflow_package_manager.adapters.kubernetes import permissions, pod_json, pod_template
from airflow_package_manager.adapters.kubernetes.api import Api
from airflow_package_manager.adapters.kubernetes.configmap_store import ConfigMapStore
from airflow_package_manager.adapters.kubernetes.failures import Request
from airflow_package_manager.adapters.kubernetes.kinds import Kind, Object
from airflow_package_manager.adapters.kubernetes.preflight_job import SITE_VARIABLE
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
VOLUMES = "volumes-mounted"
IMAGES = "package-manager-in-images"
_VALUES = "'airflow-package-manager kubernetes values --dry-run' prints"
_ADD = f"Add to your values what {_VALUES}."
_MISSING = "No module named"
_OURS = "airflow_package_manager"


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
            VOLUMES: self.volumes,
            IMAGES: self.images,
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
        if found.current is not None and found.usable_lock() is None:
            return Check(
                CONFIG_MAPS,
                CheckStatus.FAILED,
                f"{locks} says that revision {found.current} is current, and its lock is missing or torn: pods that"
                " start now start without packages.",
                "Run 'airflow-package-manager doctor --repair': it writes the lock back from the database.",
            )
        if found.manager is not None:
            return Check(
                CONFIG_MAPS,
                CheckStatus.WARNING,
                f"{found.manager} writes the ConfigMap {text} too, and may take a change back.",
                f"Leave {text} out of what {found.manager} applies; {locks} is nobody else's.",
            )
        if found.current is None:
            return Check(CONFIG_MAPS, CheckStatus.OK, f"{text} can be read; {locks} comes with the first change.")
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
        """Whether the API server would take a stamp of each component, and the check before it, admission included."""
        names = self._rollout.components()
        if not names:
            return Check(RESTARTS, CheckStatus.OK, "Nothing: a stamp would be taken.")
        for name in names:
            self._rollout.check_restart(name)
        self._rollout.check_preflight()
        return Check(RESTARTS, CheckStatus.OK, f"{', '.join(names)}: a stamp would be taken, and the check before it.")

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

    def volumes(self) -> Check:
        """Whether each template mounts the locks, the sites, and what its activation variable names."""
        there = self._workloads()
        locks = self._store.names[1]
        wrong = [
            f"{name}: {lack}" for name, one in there.items() for lack in pod_template.lacks(one, self._installer, locks)
        ]
        if wrong:
            return Check(
                VOLUMES,
                CheckStatus.FAILED,
                "; ".join(wrong) + ".",
                f"Correct the named volumes and mounts: {_VALUES} those that fit together (volumes, volumeMounts, env"
                " and the init container). Until then these pods start without what was added.",
            )
        unknown = {name: why for name, one in there.items() if (why := pod_template.unknown(one, self._installer))}
        if unknown:
            return Check(
                VOLUMES,
                CheckStatus.UNKNOWN,
                "Not looked at: " + "; ".join(f"{name}: {why}" for name, why in unknown.items()) + ".",
                "Nothing to do where the pods report what they installed (check components-current).",
            )
        fine = [name for name, one in there.items() if one.has_container(self._installer)]
        if not fine:
            return Check(VOLUMES, CheckStatus.UNKNOWN, f"No component has an init container {self._installer}.", _ADD)
        return Check(VOLUMES, CheckStatus.OK, f"{', '.join(fine)}: locks, sites and the active link are mounted.")

    def images(self) -> Check:
        """Whether the image of each component has our wheel, as its pods say, and in the same version as here."""
        missing, other, silent, fine = [], [], [], []
        for name, one in self._workloads().items():
            init = pod_template.installer_of(one, self._installer)
            if init is None:
                continue  # the check of the init containers names it
            image, main = init.get("image"), pod_template.main_of(one)
            if main.get("image") != image:
                other.append(
                    f"{name}: its init container runs the image {image},"
                    f" its container {main['name']} runs {main.get('image')}"
                )
            said = [_said(pod, self._installer) for pod in self._rollout.pods(name)]
            versions = sorted({version for version, _ in said if version})
            without = next((pod for _, pod in said if pod), None)
            if without is not None:
                missing.append(f"{name}: the image {image} has no airflow-package-manager (pod {without})")
            elif versions and versions != [__version__]:
                other.append(
                    f"{name}: its pods have airflow-package-manager {' and '.join(versions)},"
                    f" this process has {__version__}"
                )
            elif not versions or not all(version for version, _ in said):
                silent.append(name)
            else:
                fine.append(name)
        return _image_check(missing, other, silent, fine)

    def _lacks(self, workload: Workload) -> str:
        if not workload.has_container(self._installer):
            return f"no init container {self._installer}"
        main = pod_template.main_of(workload)
        if all(row.get("name") != SITE_VARIABLE for row in main.get("env") or ()):
            return f"no variable {SITE_VARIABLE} in its container {workload.main}"
        return ""

    def _workloads(self) -> dict[str, Workload]:
        return {name: self._rollout.workload(name) for name in self._rollout.components()}


def _said(pod: Object, installer: str) -> tuple[str | None, str | None]:
    """Return the version that a pod's installer reported, and the pod's name where Python did not find it at all."""
    report = pod_json.report_of(pod, installer)
    if report is not None:
        return report.package_manager, None
    row = pod_json.container(pod, installer, "initContainerStatuses")
    message = str((pod_json.ended(row) or {}).get("message") or "")
    return None, str(pod["metadata"]["name"]) if _MISSING in message and _OURS in message else None


def _image_check(missing: list[str], other: list[str], silent: list[str], fine: list[str]) -> Check:
    if missing:
        return Check(
            IMAGES,
            CheckStatus.FAILED,
            "; ".join([*missing, *other]) + ".",
            "Build Airflow's image with our wheel (deploy/Dockerfile), and name it for the components and for their"
            " init containers.",
        )
    if other:
        return Check(
            IMAGES,
            CheckStatus.WARNING,
            "; ".join(other) + ".",
            "Give every component and its init container the same image: locks are made for it.",
        )
    if silent or not fine:
        return Check(
            IMAGES,
            CheckStatus.UNKNOWN,
            f"Not every pod has said which version it has: {', '.join(silent)}."
            if silent
            else "No component has an init container that could say it.",
            "Nothing to do where no replica is wanted; else the check components-current says how its pods stand."
            if silent
            else _ADD,
        )
    return Check(IMAGES, CheckStatus.OK, f"{', '.join(fine)}: airflow-package-manager {__version__}.")


def _answered(name: str, check: Callable[[], Check]) -> Callable[[], Check]:
    def answer() -> Check:
        try:
            return check()
        except PackageManagerError as error:
            return Check(name, CheckStatus.FAILED, error.detail, error.next_action)

    return answer
