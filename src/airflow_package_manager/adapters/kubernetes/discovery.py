"""What of an Airflow is in a cluster, for who fills manifests in. Looks and changes nothing.

What cannot be looked at, and what is not as the package manager needs it, becomes a sentence; nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from airflow_package_manager.adapters.kubernetes import workloads
from airflow_package_manager.adapters.kubernetes.failures import Absent
from airflow_package_manager.adapters.kubernetes.kinds import CONFIG_MAP, DEPLOYMENT, STATEFUL_SET, Object
from airflow_package_manager.adapters.kubernetes.stamping import Workload
from airflow_package_manager.adapters.kubernetes.workloads import Lookups, Reference
from airflow_package_manager.domain.components import WEB_SERVERS, WORKER
from airflow_package_manager.errors import ClusterForbidden
from airflow_package_manager.refusals import NoComponents, UnsupportedWorkload

Answer = TypeVar("Answer")
_KINDS = (DEPLOYMENT, STATEFUL_SET)


@dataclass(frozen=True)
class Wish:
    """Where to look, and for what; `…_named`: a person said so, and nothing else is looked at instead."""

    namespace: str
    namespace_named: bool
    chart: str
    chart_named: bool
    release: str
    """Empty: whichever is there, when it is one alone."""
    workloads: tuple[tuple[str, str], ...]
    """Component → ``Kind/name`` or a label selector, as the setting says."""
    installer: str
    """Name of the init container that installs."""
    config_map: str


@dataclass(frozen=True)
class Part:
    """One component that is there."""

    component: str
    workload: Workload
    installs: bool
    """Its pods have our init container."""

    @property
    def account(self) -> str:
        """Return the service account of its pods."""
        return str(self.workload.template["spec"].get("serviceAccountName") or "default")

    @property
    def has_token(self) -> bool:
        """Tell whether its pods may have a token of their account: they do unless the template says otherwise."""
        spec = self.workload.template["spec"]
        projected = (
            source
            for volume in spec.get("volumes") or ()
            for source in (volume.get("projected") or {}).get("sources") or ()
        )
        return spec.get("automountServiceAccountToken") is not False or any(
            "serviceAccountToken" in source for source in projected
        )


@dataclass(frozen=True)
class Findings:
    """What is there."""

    namespace: str
    chart: str
    release: str
    """Empty where nothing tells it."""
    parts: tuple[Part, ...]
    config_map: bool | None
    """Whether the ConfigMap of the requirements is there; None where nobody can tell."""
    notes: tuple[str, ...]
    """What could not be looked at, and what is to be done."""

    @property
    def web(self) -> Part | None:
        """Return the component that runs the package manager."""
        return _web(self.parts)

    def sharing(self, account: str) -> tuple[str, ...]:
        """Return the components beside the web server whose pods run under an account."""
        web = self.web
        return tuple(part.component for part in self.parts if part is not web and part.account == account)


class Discovery:
    """One look at one cluster; lets `ClusterUnavailable` and `InvalidSetting` through."""

    def __init__(self, api: Lookups, wish: Wish) -> None:
        """Take the API server and what is looked for."""
        self._api = api
        self._wish = wish
        self._notes: list[str] = []

    def look(self) -> Findings:
        """Return what is there."""
        wish = self._wish
        namespace, chart = wish.namespace, wish.chart
        parts: tuple[Part, ...] = ()
        release = wish.release
        found = self._permitted(lambda: self._in(namespace), None)
        if found is not None and not found[2] and not wish.namespace_named:
            nowhere: tuple[str, ...] = ()
            elsewhere = self._permitted(self._elsewhere, nowhere)
            if len(elsewhere) == 1:
                self._notes.append(
                    f"Namespace {namespace} has no Airflow, {elsewhere[0]} has: it is taken. Set namespace ="
                    f" {elsewhere[0]} in [package_manager] too (the values of 'kubernetes values' do)."
                )
                namespace = elsewhere[0]
                found = self._permitted(lambda: self._in(namespace), None)
            elif elsewhere:
                self._notes.append(
                    f"Namespace {namespace} has no Airflow, these have: {', '.join(elsewhere)}. Name one with"
                    " --namespace."
                )
        if found is not None:
            chart, release, parts = found
            if parts:
                self._judge(parts)
            elif not self._notes:
                self._notes.append(f"No workload of Airflow was found in namespace {namespace}.")
        there = self._permitted(lambda: self._has_config_map(namespace), None)
        return Findings(namespace, chart, release, parts, there, tuple(dict.fromkeys(self._notes)))

    def _in(self, namespace: str) -> tuple[str, str, tuple[Part, ...]]:
        """Return chart, release and components of a namespace."""
        wish = self._wish
        others = (
            () if wish.chart_named else tuple(name for name in workloads.PRESETS if name not in {wish.chart, "none"})
        )
        for chart in (wish.chart, *others):
            releases = self._releases(namespace, chart)
            if not wish.release and len(releases) > 1:
                self._notes.append(
                    f"Namespace {namespace} has the releases {', '.join(releases)}. Name one with --release; until then"
                    " no workload is known."
                )
                return chart, "", ()
            release = wish.release or next(iter(releases), "")
            parts = self._parts(namespace, workloads.references(wish.workloads, chart, release))
            if parts:
                if chart != wish.chart:
                    self._notes.append(
                        f"The workloads carry the labels of the chart {chart!r}: set chart = {chart} in"
                        " [package_manager] too."
                    )
                return chart, release, parts
        return wish.chart, wish.release, ()

    def _releases(self, namespace: str, chart: str) -> tuple[str, ...]:
        """Return the Helm releases whose workloads carry the chart's labels, sorted."""
        label = workloads.release_label(chart)
        selectors = {one.selector for one in workloads.preset(chart).values()}
        found = (self._labels(namespace, selector, label) for selector in sorted(selectors))
        return tuple(sorted({release for some in found for release in some if release}))

    def _labels(self, namespace: str, selector: str, label: str) -> Iterable[str]:
        for kind in _KINDS:
            for one in self._api.list(kind, namespace, selector=selector, trim=_marks).items:
                yield str((one["metadata"].get("labels") or {}).get(label, ""))

    def _parts(self, namespace: str, references: Mapping[str, Reference]) -> tuple[Part, ...]:
        parts = []
        for component, reference in references.items():
            try:
                found = workloads.find(self._api, namespace, component, reference, named=reference.configured)
            except NoComponents as error:
                if reference.configured:
                    self._notes.append(f"{error.detail} {error.next_action}")
            except UnsupportedWorkload as error:
                self._notes.append(f"{error.detail} {error.next_action}")
            else:
                parts.append(Part(component, found, found.has_container(self._wish.installer)))
        return tuple(parts)

    def _elsewhere(self) -> tuple[str, ...]:
        """Return the namespaces that hold a scheduler of a chart that we know, sorted."""
        charts = (self._wish.chart,) if self._wish.chart_named else tuple(workloads.PRESETS)
        presets = (workloads.preset(chart, self._wish.release) for chart in charts)
        selectors = {preset["scheduler"].selector for preset in presets if "scheduler" in preset}
        found = {
            str(one["metadata"].get("namespace", ""))
            for selector in selectors
            for kind in _KINDS
            for one in self._api.list(kind, "", selector=selector, trim=_marks).items
        }
        return tuple(sorted(found - {""}))

    def _has_config_map(self, namespace: str) -> bool:
        try:
            self._api.get(CONFIG_MAP, namespace, self._wish.config_map)
        except Absent:
            return False
        return True

    def _judge(self, parts: tuple[Part, ...]) -> None:
        """Say what is there and not as it should be."""
        web = _web(parts)
        if web is None:
            self._notes.append(
                "Neither an api-server nor a webserver was found, and one of them runs the package manager: name its"
                " service account with --account."
            )
        else:
            self._judge_account(web, parts)
        lacking = [part.component for part in parts if not part.installs]
        if lacking:
            changes = any(part.component == WORKER and part.workload.kind == STATEFUL_SET for part in parts)
            self._notes.append(
                f"No init container {self._wish.installer} yet: {', '.join(lacking)}. Add what 'kubernetes values'"
                " prints to the chart's values"
                + (
                    ", then print these manifests again: with them the worker becomes a Deployment, and what is filled"
                    " in here is its StatefulSet."
                    if changes
                    else "."
                )
            )

    def _judge_account(self, web: Part, parts: tuple[Part, ...]) -> None:
        sharing = [part.component for part in parts if part is not web and part.account == web.account]
        if sharing:
            self._notes.append(
                f"{', '.join(sharing)} and {web.component} run under one service account, {web.account}: whoever runs"
                f" code there (the tasks of a DAG do, in workers) gets the package manager's permissions too. Give the"
                f" {web.component} an account of its own, then print the manifests again: until then the policies are"
                " left out, because they would deny these all other Jobs, ConfigMaps and deletions of pods (the"
                " KubernetesExecutor deletes those of its tasks)."
            )
        if not web.has_token:
            self._notes.append(
                f"The pods of {web.component} get no token of their account (automountServiceAccountToken is false):"
                " the package manager cannot ask the cluster. Let them have it."
            )

    def _permitted(self, ask: Callable[[], Answer], otherwise: Answer) -> Answer:
        try:
            return ask()
        except ClusterForbidden as error:
            asked = f"{error.context['verb']} {error.context['resource']}"
            where = error.context["namespace"]
            place = f"namespace {where}" if where else "all namespaces"
            self._notes.append(f"Not looked at, because this account may not {asked} in {place}.")
            return otherwise


def _web(parts: Iterable[Part]) -> Part | None:
    by_name = {part.component: part for part in parts}
    return next((by_name[name] for name in WEB_SERVERS if name in by_name), None)


def _marks(found: Object) -> Object:
    metadata = found["metadata"]
    return {"metadata": {key: metadata[key] for key in ("name", "namespace", "labels") if key in metadata}}
