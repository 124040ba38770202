from __future__ import annotations

import pytest

from airflow_package_manager.cli import rendering
from airflow_package_manager.domain.rollout import ComponentStatus, Instance, Stamp, Status

NOW = 1_000_000.0


def _pod(name: str, status: Status, message: str, **more: object) -> Instance:
    values: dict[str, object] = {
        "stamp": 8,
        "lock_digest": None,
        "image": None,
        "python": None,
        "platform": None,
        "started_at": NOW - 125,
        "restarts": 0,
        "reported_at": NOW,
        "alive": True,
    }
    return Instance(name, status, message, **{**values, **more})  # type: ignore[arg-type]  # a test's shorthand


def test_status_says_where_a_pod_runs_since_when_and_what_it_says() -> None:
    broken = _pod(
        "worker-2", Status.FAILED, "no wheel fits\nof three", node="n1", reason="CrashLoopBackOff", restarts=3
    )
    old = _pod("worker-1", Status.TERMINATING, "draining", node="n2", stamp=None, started_at=NOW - 90_000)
    found = ComponentStatus("worker", Status.FAILED, "no wheel fits", (broken, old))
    lines = rendering.components([(Stamp(8, "v"), found)], NOW).splitlines()
    assert lines[0].split() == ["COMPONENT", "STATUS", "STAMP", "INSTANCE", "NODE", "AGE", "MESSAGE"]
    assert lines[2].split(maxsplit=5)[1:5] == ["Failed", "8", "worker-2", "n1"]
    assert lines[2].endswith("2m   CrashLoopBackOff; no wheel fits; 3 restarts")
    assert lines[3].split()[1:] == ["Terminating", "-", "worker-1", "n2", "1d", "draining"]


def test_status_says_what_a_status_alone_would_hide() -> None:
    nobody = ComponentStatus("worker", Status.CURRENT, "nothing was tried", (), unverified="no replica is wanted")
    image = ComponentStatus("scheduler", Status.FAILED, "no image", (), infrastructure=True)
    shown = rendering.components([(Stamp(8, "v"), nobody), (Stamp(8, "v"), image)], NOW)
    assert "nothing was tried; not verified: no replica is wanted" in shown
    assert "no image; no package's fault" in shown


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (59.6, "1 min"), (134, "2 min 14 s"), (1740, "29 min"), (3900, "1 h 5 min"), (7201, "2 h")],
)
def test_a_duration_is_said_as_people_say_it(seconds: float, said: str) -> None:
    assert rendering.duration(seconds) == said
