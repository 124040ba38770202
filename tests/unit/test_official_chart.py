"""What we assume of the official chart, held against the facts in `tests/cluster/official-chart.yaml`."""

from __future__ import annotations

import pytest
import yaml  # type: ignore[import-untyped]

from airflow_package_manager.adapters.kubernetes import pod_template, preflight_job, stamping, workloads
from airflow_package_manager.adapters.kubernetes.kinds import DEPLOYMENT, STATEFUL_SET
from airflow_package_manager.adapters.kubernetes.manifests import Installation, chart_workloads, manifest
from airflow_package_manager.adapters.kubernetes.preflight_job import Options
from airflow_package_manager.adapters.kubernetes.stamping import ANNOTATION, Workload
from airflow_package_manager.domain.components import COMPONENTS
from tests.cluster import chart_like, official_chart
from tests.cluster.official_chart import INSTALLATIONS, Component

KINDS = {kind.name: kind for kind in (DEPLOYMENT, STATEFUL_SET)}
ALL = [
    pytest.param(one, id=f"{major}-{executor}-{one.name}")
    for major, executor in INSTALLATIONS
    for one in official_chart.components(major, executor).values()
]


def seen(one: Component, **fields: object) -> Workload:
    """Return the workload as an API server would give it."""
    made = official_chart.workload(one, "n")
    made["metadata"] |= {"uid": "u", "generation": 1}
    made["spec"] |= fields
    return Workload(KINDS[one.kind], made)


def selects(selector: str, labels: dict[str, str]) -> bool:
    return all(labels.get(key) == value for key, value in (pair.split("=") for pair in selector.split(",")))


# --- presets and selectors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("major", "executor"), INSTALLATIONS)
@pytest.mark.parametrize("release", ["", "airflow", "another"])
def test_the_preset_finds_each_component_and_nothing_else(major: int, executor: str, release: str) -> None:
    there = {**official_chart.components(major, executor), **official_chart.others(executor)}
    found = {
        component: [name for name in there if selects(reference.selector, official_chart.labels(name))]
        for component, reference in workloads.preset("official", release).items()
    }
    wanted = {} if release == "another" else {name: [name] for name in official_chart.components(major, executor)}
    assert {component: names for component, names in found.items() if names} == wanted


def test_every_component_of_the_chart_has_its_place_in_the_order_of_restarts() -> None:
    assert set(official_chart.FACTS["components"]) <= set(COMPONENTS)
    assert set(workloads.preset("official")) == set(official_chart.FACTS["components"])


def test_the_release_is_read_where_the_chart_writes_it() -> None:
    assert official_chart.labels("worker", "blue")[workloads.release_label("official")] == "blue"


@pytest.mark.parametrize(("major", "web_server"), [(3, "api-server"), (2, "webserver")])
def test_workloads_are_those_of_the_chart_with_our_values(major: int, web_server: str) -> None:
    ours = official_chart.components(major, "CeleryExecutor")
    ours["worker"] = official_chart.component("worker", "Deployment")  # workers.persistence.enabled: false
    names = {
        kind: {official_chart.called(one.name) for one in ours.values() if one.kind == kind.name}
        for kind in KINDS.values()
    }
    made = chart_workloads(web_server=web_server)
    assert {kind: set(found) for kind, found in made.items()} == names


def test_manifests_are_filled_in_for_the_chart_by_default() -> None:
    made = Installation()
    assert made.workloads == chart_workloads()
    assert made.account == official_chart.called("api-server")
    assert made.template == (DEPLOYMENT, official_chart.called("scheduler"))


# --- stamping ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("one", ALL)
def test_every_component_can_be_stamped_and_gets_its_template_back(one: Component) -> None:
    found = seen(one)
    stamping.require_supported(found)
    assert found.stamp().revision is None
    assert found.main == one.name
    *tests, change = stamping.stamp_patch(found, 7)
    assert [row["op"] for row in tests] == ["test", "test"]
    assert change["value"] == {ANNOTATION: "7"}, "the chart's template has no annotations by itself"
    before = found.stamp().template
    found.template["metadata"]["annotations"] = {ANNOTATION: "7"}
    assert found.stamp().template == before
    assert found.stamp().revision == 7


@pytest.mark.parametrize("one", ALL)
def test_one_replica_goes_down_where_it_is_a_stateful_set_alone(one: Component) -> None:
    goes = seen(one).goes_down()
    assert (goes is None) == (one.kind == "Deployment"), goes
    assert seen(one, replicas=2).goes_down() is None


@pytest.mark.parametrize("one", ALL)
def test_its_grace_is_what_a_plan_counts_with(one: Component) -> None:
    default = official_chart.FACTS["defaults"]["pod"]["terminationGracePeriodSeconds"]
    assert seen(one).grace == (default if one.grace is None else one.grace)


# --- the check before a rollout ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("major", "executor"), INSTALLATIONS)
def test_the_check_is_none_of_the_charts_pods(major: int, executor: str) -> None:
    there = official_chart.components(major, executor)
    for one in there.values():
        job = preflight_job.make(seen(one), 7, ["pandas"], Options())
        pod = job["spec"]["template"]
        every = [official_chart.labels(name) for name in (*there, *official_chart.others(executor))]
        assert not any(labels.items() <= pod["metadata"]["labels"].items() for labels in every), one.name
        assert not {"tier", "component", "release"} & set(pod["metadata"]["labels"]), one.name


@pytest.mark.parametrize("one", ALL)
def test_the_check_has_no_probe_no_sidecar_and_no_claim(one: Component) -> None:
    spec = preflight_job.make(seen(one), 7, ["pandas"], Options())["spec"]["template"]["spec"]
    (check,) = spec["containers"]
    assert not {key for key in check if key.endswith("Probe")}
    assert [init["name"] for init in spec["initContainers"]] == ["package-manager"], "the database is not waited for"
    assert all("persistentVolumeClaim" not in volume for volume in spec["volumes"])
    assert spec["serviceAccountName"] == official_chart.called(one.name)
    assert spec["terminationGracePeriodSeconds"] == 5


def test_the_chart_with_our_values_keeps_the_charts_own_parts() -> None:
    for name in official_chart.FACTS["components"]:
        one = official_chart.component(name)
        bare, ours = official_chart.template(one)["spec"], chart_like.template(name)["spec"]
        assert ours["containers"][0] == {**ours["containers"][0], **bare["containers"][0]}
        init = [one["name"] for one in ours["initContainers"]]
        assert init == [*official_chart.FACTS["init_containers"], "package-manager"]


@pytest.mark.parametrize("key", ["scheduler", "triggerer", "dagProcessor", "apiServer", "workers"])
def test_what_doctor_looks_for_is_what_our_values_bring(key: str) -> None:
    values = yaml.safe_load(manifest("values-official.yaml", Installation()))
    found = seen(official_chart.component("scheduler"))
    spec = found.template["spec"]
    spec["initContainers"] += values[key]["extraInitContainers"]
    spec["volumes"] = values["volumes"]
    spec["containers"][0] |= {"env": values["env"], "volumeMounts": values["volumeMounts"]}
    assert pod_template.unknown(found, "package-manager") is None
    assert pod_template.lacks(found, "package-manager", Installation().config_maps[1]) == ()
