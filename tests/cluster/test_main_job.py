"""The main job on a real API server: plan, apply, every component's pods replaced, or all as it was before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_package_manager.domain import report
from airflow_package_manager.domain.inventory import CheckStatus
from airflow_package_manager.domain.operation import State
from airflow_package_manager.domain.plan import Action, Change, ChangeSet
from airflow_package_manager.domain.report import InstallReport
from airflow_package_manager.refusals import ImageDiffers
from testenv.cluster import Cluster, script
from testenv.package_index import PackageIndexServer
from tests.cluster.house import ADMIN, KINDS, TEXT_MAP, House, house

ADD = ChangeSet(changes=(Change(Action.ADD, "good-package"),))


@pytest.fixture
def airflow_house(
    cluster: Cluster, namespace: str, tmp_path: Path, package_index: PackageIndexServer
) -> Iterator[House]:
    with house(cluster, namespace, tmp_path, package_index.url) as built:
        yield built


def test_a_package_is_added_and_every_component_restarts(airflow_house: House) -> None:
    operation, token = airflow_house.planned(ADD)
    assert operation.plan is not None
    assert operation.plan.components == ("scheduler", "worker", "triggerer", "dag-processor")
    down = [warning.message for warning in operation.plan.warnings if warning.code == "goes-down"]
    assert len(down) == 1
    assert down[0].endswith(": triggerer (the only pod of a StatefulSet stops before the next one starts).")
    for name in KINDS:
        airflow_house.script(name, 1, operation.plan.lock)
    before = airflow_house.settled()

    ended = airflow_house.applied(operation, token)

    assert ended.state is State.SUCCEEDED, ended.problem
    assert airflow_house.config_map()["data"] == {"requirements.txt": "good-package\n"}
    locks = airflow_house.config_map(f"{TEXT_MAP}-locks")["data"]
    assert set(locks) == {"current", "lock.1"}
    assert locks["current"] == "1"
    assert "good-package==2.0" in locks["lock.1"]
    assert airflow_house.stamps() == dict.fromkeys(operation.plan.components, 1) | {"api-server": None}
    for name in operation.plan.components:
        assert not set(before[name].values()) & set(airflow_house.pods(name).values())
    assert airflow_house.pods("api-server") == before["api-server"]
    jobs = f"/apis/batch/v1/namespaces/{airflow_house.namespace}/jobs"
    airflow_house.cluster.admin.until(jobs, lambda found: not found["items"])
    repaired(airflow_house, locks)


def repaired(airflow_house: House, locks: dict[str, str]) -> None:
    """Lose the locks, then tear one: `doctor` says so, and repairs from the database without touching a pod."""
    admin, path = airflow_house.cluster.admin, f"/api/v1/namespaces/{airflow_house.namespace}/configmaps"
    before, stamps = airflow_house.settled(), airflow_house.stamps()
    torn = {"data": {"lock.1": locks["lock.1"][:60]}}
    for lose in (
        lambda: admin.delete(f"{path}/{TEXT_MAP}-locks"),
        lambda: admin.request("PATCH", f"{path}/{TEXT_MAP}-locks", torn),
        lambda: admin.request("PATCH", f"{path}/{TEXT_MAP}-locks", {"data": {"current": None}}),
    ):
        lose()
        checks = {check.name: check for check in airflow_house.app.checks()}
        assert checks["locks-as-recorded"].status is CheckStatus.FAILED
        assert "doctor --repair" in checks["locks-as-recorded"].next_action
        airflow_house.app.manager.repair(ADMIN)
        assert airflow_house.config_map(f"{TEXT_MAP}-locks")["data"] == locks
        checks = {check.name: check for check in airflow_house.app.checks()}
        assert checks["locks-as-recorded"].status is CheckStatus.OK
    recorded, _ = airflow_house.app.manager.audit(ADMIN)
    assert [event.kind for event in recorded[:3]] == ["locks.repaired"] * 3
    assert (airflow_house.settled(), airflow_house.stamps()) == (before, stamps)


def test_an_installation_that_fails_in_pods_is_rolled_back(airflow_house: House) -> None:
    operation, token = airflow_house.planned(ADD)
    assert operation.plan is not None
    for name in KINDS:
        airflow_house.script(name, 1, operation.plan.lock)
    refused = InstallReport(report.FAILED, 1, code="no-wheel", cause="The index has no such wheel any more.")
    airflow_house.script("worker", 1, operation.plan.lock, "fail-install", report=report.dump(refused), exit="1")
    before = airflow_house.settled()

    ended = airflow_house.applied(operation, token)

    assert ended.state is State.ROLLED_BACK, ended.problem
    assert ended.problem is not None
    assert "no such wheel" in str(ended.problem["detail"])
    assert airflow_house.config_map()["data"] == {"requirements.txt": ""}
    assert airflow_house.config_map(f"{TEXT_MAP}-locks").get("data", {}) == {}
    assert airflow_house.stamps() == dict.fromkeys(KINDS)
    for name in ("triggerer", "dag-processor", "api-server"):
        assert airflow_house.pods(name) == before[name]
    assert airflow_house.pods("worker")["worker-0"] == before["worker"]["worker-0"]


def test_components_with_different_images_are_refused_because_one_check_stands_for_all(airflow_house: House) -> None:
    said = InstallReport(report.NO_SITE, image="b" * 64)
    annotations = script(None, report=report.dump(said))
    body = {"spec": {"template": {"metadata": {"annotations": annotations}}}}
    airflow_house.cluster.admin.request("PATCH", airflow_house.path("triggerer"), body)
    airflow_house.settled()
    with pytest.raises(ImageDiffers, match="triggerer: another Airflow environment"):
        airflow_house.planned(ADD)


def test_an_image_upgraded_between_plan_and_apply_is_refused_before_anything_is_written(airflow_house: House) -> None:
    operation, token = airflow_house.planned(ADD)
    annotations = script(None, report=report.dump(InstallReport(report.NO_SITE, image="b" * 64)))
    body = {"spec": {"template": {"metadata": {"annotations": annotations}}}}
    airflow_house.cluster.admin.request("PATCH", airflow_house.path("dag-processor"), body)
    before = airflow_house.settled()

    ended = airflow_house.applied(operation, token)

    assert (ended.state, (ended.problem or {})["code"]) == (State.FAILED, "image-differs")
    assert airflow_house.settled() == before
    assert airflow_house.stamps() == dict.fromkeys(KINDS)
    found = airflow_house.cluster.admin.items(f"/api/v1/namespaces/{airflow_house.namespace}/configmaps")
    assert not [one["metadata"]["name"] for one in found if one["metadata"]["name"].startswith(TEXT_MAP)]
