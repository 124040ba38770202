from __future__ import annotations

import pytest

from airflow_package_manager.domain.executors import SchedulerStop, on_tasks

ALL = ("scheduler", "worker", "triggerer", "dag-processor")


@pytest.mark.parametrize(
    ("executor", "stop", "said"),
    [
        ("LocalExecutor", SchedulerStop.HANDOVER, "go on with the packages they began with, while a new scheduler"),
        ("LocalExecutor", SchedulerStop.DRAIN, "have stop_timeout to end"),
        ("SequentialExecutor", SchedulerStop.POD, "the grace period of its pod"),
        ("CeleryExecutor", SchedulerStop.HANDOVER, "takes no new task, and lets those that run end"),
        ("CeleryExecutor", SchedulerStop.DRAIN, "within its stop_timeout"),
        ("CeleryExecutor", SchedulerStop.POD, "within its grace period"),
        ("KubernetesExecutor", SchedulerStop.POD, "which no restart touches"),
        ("MyExecutor", SchedulerStop.POD, "is not known here"),
    ],
)
def test_each_executor_has_its_sentence(executor: str, stop: SchedulerStop, said: str) -> None:
    (sentence,) = on_tasks([executor], ALL, stop)
    assert sentence.startswith(f"{executor}: ")
    assert said in sentence
    assert sentence.endswith(".")


def test_who_is_not_concerned_says_nothing() -> None:
    assert on_tasks(["LocalExecutor", "CeleryExecutor"], ["triggerer"], SchedulerStop.POD) == ()
    assert on_tasks(["KubernetesExecutor", "MyExecutor"], [], SchedulerStop.POD) == ()
    assert on_tasks(["LocalExecutor", "CeleryExecutor"], ["worker"], SchedulerStop.POD)[0].startswith("Celery")
