"""What running tasks need to outlive an api-server that restarts: Airflow's settings, worked out from ours.

A task talks to the api-server all the time, by Airflow's task SDK. Each request is tried `execution_api_retries` times,
with pauses of at least `execution_api_retry_wait_min`; each heartbeat is such a request, so one that failed has waited
for all of them. Meanwhile the scheduler ends tasks that have not been heard of for `task_instance_heartbeat_timeout`,
and the task's token, which the api-server renews in the last fifth of its life, must not expire.
"""

from __future__ import annotations

from collections.abc import Mapping

from airflow_package_manager.settings import Settings

Key = tuple[str, str]
"""Section and name in Airflow's configuration."""
RETRIES: Key = ("workers", "execution_api_retries")
WAIT_MIN: Key = ("workers", "execution_api_retry_wait_min")
WAIT_MAX: Key = ("workers", "execution_api_retry_wait_max")
FAILED_HEARTBEATS: Key = ("workers", "max_failed_heartbeats")
HEARTBEAT_TIMEOUT: Key = ("scheduler", "task_instance_heartbeat_timeout")
TOKEN_LIFE: Key = ("execution_api", "jwt_expiration_time")

SHIPPED: Mapping[Key, float] = {
    RETRIES: 5,
    WAIT_MIN: 1,
    WAIT_MAX: 90,
    FAILED_HEARTBEATS: 3,
    HEARTBEAT_TIMEOUT: 300,
    TOKEN_LIFE: 600,
}
"""Airflow's own values (3.1 to 3.3). It writes all of them into the `airflow.cfg` that it makes where there is none."""

END_PATIENCE = 5
"""Seconds that what a child leaves behind gets after SIGTERM, and again after SIGKILL."""
_WAIT = 5
"""Seconds. The same least and longest pause: tenacity draws between 0 and the longest, so little else is certain."""
_MARGIN = 30
"""Seconds, for a heartbeat that was due just before, and the pause that was running when the api-server came back."""
_RENEWED_IN_THE_LAST = 5
"""The api-server renews a token in the last fifth of its life: one that was not renewed lives that long at least."""
_LONGEST_SILENCE = 3600
"""Seconds. Past it a dead task would go unnoticed for too long; a component that takes an hour is no restart."""


def longest_absence(settings: Settings) -> int:
    """Return for how many seconds a supervisor may leave the api-server away: to the new site, and back from it."""
    return 2 * (settings.stop_timeout + 2 * END_PATIENCE + settings.ready_timeout)


def wanted(settings: Settings) -> Mapping[Key, int]:
    """Return the settings by which tasks outlive the longest absence."""
    absence = longest_absence(settings)
    heard_of = min(absence + _MARGIN, _LONGEST_SILENCE)
    return {
        RETRIES: -(-absence // _WAIT) + 1,
        WAIT_MIN: _WAIT,
        WAIT_MAX: _WAIT,
        FAILED_HEARTBEATS: 3,
        HEARTBEAT_TIMEOUT: max(300, heard_of),
        TOKEN_LIFE: max(600, _RENEWED_IN_THE_LAST * heard_of),
    }


def is_chosen(key: Key, text: str | None) -> bool:
    """Tell whether somebody chose the value that stands in `airflow.cfg`; None: none stands there."""
    try:
        return text is not None and float(text) != SHIPPED[key]
    except ValueError:
        return True


def variable(key: Key) -> str:
    """Return the environment variable of one of Airflow's settings."""
    return f"AIRFLOW__{key[0].upper()}__{key[1].upper()}"


def lacking(settings: Settings, found: Mapping[Key, float]) -> tuple[Key, ...]:
    """Return the settings that are too small as they were found; retries and pauses count together."""
    needed = wanted(settings)
    short = [key for key in (FAILED_HEARTBEATS, HEARTBEAT_TIMEOUT, TOKEN_LIFE) if found[key] < needed[key]]
    if (found[RETRIES] - 1) * found[WAIT_MIN] < longest_absence(settings):
        short = [RETRIES, WAIT_MIN, WAIT_MAX, *short]
    return tuple(short)
