"""The workloads of the official chart on a real API server: what it fills in, and that each is found and stamped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_package_manager import settings, targets
from airflow_package_manager.adapters.kubernetes import preflight_job
from airflow_package_manager.adapters.kubernetes.kinds import DEPLOYMENT, JOB, STATEFUL_SET
from airflow_package_manager.adapters.kubernetes.preflight_job import Options
from airflow_package_manager.adapters.kubernetes.stamping import Workload
from testenv.cluster import Client, Cluster
from tests.cluster import official_chart
from tests.cluster.official_chart import FACTS, INSTALLATIONS, Component, Object

KINDS = {kind.name: kind for kind in (DEPLOYMENT, STATEFUL_SET)}


@pytest.fixture(params=INSTALLATIONS, ids=lambda one: f"{one[0]}-{one[1]}")
def there(cluster: Cluster, namespace: str, request: pytest.FixtureRequest) -> dict[str, Component]:
    """An installation, in the namespace; nobody wants pods."""
    major, executor = request.param
    found = official_chart.components(major, executor)
    for one in (*found.values(), *official_chart.others(executor).values()):
        cluster.admin.create(official_chart.workload(one, namespace, replicas=0))
    return found


@pytest.fixture
def target(cluster: Cluster, namespace: str, tmp_path: Path) -> Iterator[targets.Target]:
    prefix = settings.ENVIRONMENT_PREFIX
    given = {"AIRFLOW_HOME": str(tmp_path), f"{prefix}KUBECONFIG": str(cluster.kubeconfig)}
    given[f"{prefix}NAMESPACE"] = namespace
    found = targets.choose(settings.load(given), lambda: 0.0, given)
    yield found
    found.close()


def read(admin: Client, namespace: str, one: Component) -> Object:
    found: Object = admin.get(f"/apis/apps/v1/namespaces/{namespace}/{one.plural}/{official_chart.called(one.name)}")
    return found


def test_what_the_chart_leaves_out_is_what_the_facts_say(
    cluster: Cluster, namespace: str, there: dict[str, Component]
) -> None:
    for name, one in there.items():
        spec = read(cluster.admin, namespace, one)["spec"]
        wanted = {**FACTS["defaults"][one.kind]}
        if one.strategy:
            wanted["strategy"] = {"type": "RollingUpdate", **one.strategy}
        assert {key: spec[key] for key in wanted} == wanted, name
        grace = FACTS["defaults"]["pod"]["terminationGracePeriodSeconds"] if one.grace is None else one.grace
        assert spec["template"]["spec"]["terminationGracePeriodSeconds"] == grace


def test_every_component_is_found_and_gets_its_template_back(
    cluster: Cluster, namespace: str, there: dict[str, Component], target: targets.Target
) -> None:
    rollout = target.rollout
    assert set(rollout.components()) == set(there)
    for name, one in there.items():
        before = read(cluster.admin, namespace, one)["spec"]["template"]
        rollout.check_restart(name)
        assert read(cluster.admin, namespace, one)["spec"]["template"] == before
        rollout.restart(name, 7, rollout.stamp(name).version)
        assert rollout.stamp(name).revision == 7
        rollout.restore(name, None, rollout.stamp(name).version)
        assert read(cluster.admin, namespace, one)["spec"]["template"] == before, "absent is absent, never empty"


def test_the_api_server_takes_the_check_of_each(cluster: Cluster, namespace: str, there: dict[str, Component]) -> None:
    for one in there.values():
        model = Workload(KINDS[one.kind], read(cluster.admin, namespace, one))
        job = preflight_job.make(model, 7, ["pandas"], Options())
        made = cluster.admin.request("POST", JOB.path(namespace), job, dryRun="All")
        assert made["spec"]["template"]["spec"]["serviceAccountName"] == official_chart.called(one.name)
