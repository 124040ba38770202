from __future__ import annotations

from pathlib import Path

import pytest

from airflow_package_manager import targets
from airflow_package_manager.domain.executors import SchedulerStop
from airflow_package_manager.settings import load


def _chosen(tmp_path: Path, **values: str) -> targets.Target:
    environ = {f"AIRFLOW__PACKAGE_MANAGER__{name.upper()}": value for name, value in values.items()}
    return targets.choose(load({"AIRFLOW_HOME": str(tmp_path), **environ}), lambda: 0.0, {})


def test_people_read_where_requirements_are_kept(tmp_path: Path) -> None:
    assert _chosen(tmp_path, target="local").place == str(tmp_path / "package_manager")
    assert (
        _chosen(tmp_path, target="kubernetes").place == "ConfigMap airflow-config-pypi in namespace data-orchestration"
    )
    named = _chosen(tmp_path, target="kubernetes", namespace="team", config_map="wishes")
    assert named.place == "ConfigMap wishes in namespace team"


@pytest.mark.parametrize(("target", "patience", "planned"), [("local", 35, 25), ("kubernetes", 30, 30)])
def test_pods_install_each_for_themselves_and_tell_how_long_they_stop(
    target: str, patience: int, planned: int, tmp_path: Path
) -> None:
    found = _chosen(tmp_path, target=target, install_timeout="10", stop_timeout="5", ready_timeout="20")
    assert (found.patience, found.seconds_per_instance) == (patience, planned)


@pytest.mark.parametrize(
    ("target", "setting", "stop"),
    [
        ("local", "handover", SchedulerStop.HANDOVER),
        ("local", "drain", SchedulerStop.DRAIN),
        ("kubernetes", "handover", SchedulerStop.POD),
        ("kubernetes", "drain", SchedulerStop.POD),
    ],
)
def test_a_scheduler_in_a_pod_stops_as_its_pod_does_whatever_is_set_for_one_machine(
    target: str, setting: str, stop: SchedulerStop, tmp_path: Path
) -> None:
    assert _chosen(tmp_path, target=target, scheduler_restart=setting).scheduler_stop is stop
