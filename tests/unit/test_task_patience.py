"""Running tasks outlive the longest absence of the api-server, whatever the task SDK's pauses happen to be."""

from __future__ import annotations

from pathlib import Path

import pytest
from airflow.configuration import conf
from hypothesis import given
from hypothesis import strategies as st
from tenacity import RetryCallState, Retrying, wait_random_exponential

from airflow_package_manager.checks import tasks
from airflow_package_manager.domain.inventory import CheckStatus
from airflow_package_manager.installer import task_patience
from airflow_package_manager.plugin.config import read
from airflow_package_manager.settings import Settings, load

REPOSITORY = Path(__file__).resolve().parents[2]
DEFAULTS = load({"AIRFLOW_HOME": "/nowhere"})


def _settings(ready: int, stop: int) -> Settings:
    prefix = "AIRFLOW__PACKAGE_MANAGER__"
    times = {f"{prefix}READY_TIMEOUT": str(ready), f"{prefix}STOP_TIMEOUT": str(stop)}
    return load({"AIRFLOW_HOME": "/nowhere", **times})


def _shortest_wait(wanted: dict[task_patience.Key, int]) -> float:
    """Return what tenacity waits in all before the last try, in the worst of 20 draws."""
    wait = wait_random_exponential(min=wanted[task_patience.WAIT_MIN], max=wanted[task_patience.WAIT_MAX])
    totals = []
    for _ in range(20):
        total = 0.0
        for attempt in range(1, wanted[task_patience.RETRIES]):
            state = RetryCallState(Retrying(), None, (), {})
            state.attempt_number = attempt
            total += wait(state)
        totals.append(total)
    return min(totals)


def test_the_sdk_waits_for_longer_than_a_supervisor_allows() -> None:
    absence = task_patience.longest_absence(DEFAULTS)
    assert absence >= DEFAULTS.stop_timeout + DEFAULTS.ready_timeout + 60
    assert _shortest_wait(dict(task_patience.wanted(DEFAULTS))) >= absence


@given(st.integers(10, 3600), st.integers(1, 86400))
def test_whatever_the_settings_are_no_value_falls_short(ready: int, stop: int) -> None:
    settings = _settings(ready, stop)
    wanted = task_patience.wanted(settings)
    assert (wanted[task_patience.RETRIES] - 1) * wanted[task_patience.WAIT_MIN] >= 2 * (ready + stop)
    assert task_patience.lacking(settings, wanted) == ()
    for key in (task_patience.RETRIES, task_patience.HEARTBEAT_TIMEOUT, task_patience.TOKEN_LIFE):
        assert key in task_patience.lacking(settings, {**wanted, key: 1})


def test_a_silence_of_the_usual_length_ends_no_task_and_expires_no_token() -> None:
    absence, wanted = task_patience.longest_absence(DEFAULTS), task_patience.wanted(DEFAULTS)
    assert wanted[task_patience.HEARTBEAT_TIMEOUT] > absence
    assert wanted[task_patience.TOKEN_LIFE] / 5 > absence


def test_doctor_compares_with_the_same_values() -> None:
    found = read().tasks
    assert found is not None
    lacking = tasks(DEFAULTS, found)
    assert lacking.status is CheckStatus.WARNING
    assert "may take 500 s" in lacking.cause
    assert lacking.next_action is not None
    for key, value in task_patience.wanted(DEFAULTS).items():
        if key != task_patience.FAILED_HEARTBEATS:  # Airflow's own is enough
            assert f"[{key[0]}] {key[1]} = {value}" in lacking.next_action
    assert tasks(DEFAULTS, task_patience.wanted(DEFAULTS)).status is CheckStatus.OK


@pytest.mark.parametrize(("page", "form"), [("docs/install.md", "{}={}"), ("deploy/docker-compose.yaml", '{}: "{}"')])
def test_what_people_copy_is_what_the_default_settings_need(page: str, form: str) -> None:
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    for key, value in task_patience.wanted(DEFAULTS).items():
        assert form.format(task_patience.variable(key), value) in text


def test_airflow_ships_what_is_taken_for_chosen_by_nobody() -> None:
    for (section, name), value in task_patience.SHIPPED.items():
        assert float(conf.get_default_value(section, name)) == value, name


@pytest.mark.parametrize(("text", "chosen"), [(None, False), ("5", False), ("5.0", False), ("6", True), ("${X}", True)])
def test_only_another_value_than_airflows_own_was_chosen(text: str | None, *, chosen: bool) -> None:
    assert task_patience.is_chosen(task_patience.RETRIES, text) is chosen
