"""A supervisor that dies at any moment leaves no second child, and the next one goes on from what is written."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from airflow_package_manager.domain.report import FELL_BACK, READY, STARTING
from airflow_package_manager.installer import processes
from airflow_package_manager.installer.handed_over import VARIABLE
from tests.supervisor.house import House, eventually


def one_child(house: House, component: str = "triggerer") -> int:
    """Wait for the newest supervisor's ready child and return its process id; no other may live."""
    report = house.report(READY, component, pid=house.supervisors[-1].pid)
    eventually(lambda: house.living_children() == [report.child_pid])
    assert report.child_pid is not None
    return report.child_pid


def test_a_child_dies_with_its_supervisor(tidy_house: House) -> None:
    tidy_house.lock(1, current=True)
    supervisor = tidy_house.supervise()
    child = tidy_house.report(READY).child_pid
    tidy_house.kill(supervisor)
    eventually(lambda: tidy_house.living_children() == [])
    assert tidy_house.said("end") == [child]


@pytest.mark.parametrize("component", ["triggerer", "scheduler"])
def test_a_child_that_does_not_die_with_it_is_ended_by_the_next_one(tidy_house: House, component: str) -> None:
    tidy_house.lock(1, "ignore-term", current=True)
    supervisor = tidy_house.supervise(component, times="stop_timeout=0.5")
    old = tidy_house.report(READY, component).child_pid
    tidy_house.kill(supervisor)
    eventually(lambda: tidy_house.said("SIGTERM"))
    assert tidy_house.living_children() == [old]
    tidy_house.supervise(component, times="stop_timeout=0.5")
    assert one_child(tidy_house, component) != old
    assert len(tidy_house.reports(component)) == 1
    starts = tidy_house.said("start")
    assert starts[0] == old
    assert len(starts) == 2


def test_a_second_live_supervisor_is_left_alone(tidy_house: House) -> None:
    tidy_house.supervise()
    first = tidy_house.report(READY).child_pid
    tidy_house.supervise()
    eventually(lambda: len([report for report in tidy_house.reports() if report.state == READY]) == 2)
    assert first in tidy_house.living_children()


@pytest.mark.parametrize("seconds", [0.0, 0.1, 0.2, 0.3, 0.5])
def test_killed_soon_after_its_start(tidy_house: House, seconds: float) -> None:
    digest = tidy_house.lock(1, current=True)
    supervisor = tidy_house.supervise()
    time.sleep(seconds)
    tidy_house.kill(supervisor)
    tidy_house.supervise()
    one_child(tidy_house)
    tidy_house.report(READY, lock_digest=digest)


def test_killed_while_it_installs_it_comes_back_on_its_stamp(tidy_house: House) -> None:
    tidy_house.lock(1, current=True)
    supervisor = tidy_house.supervise()
    tidy_house.report(READY)
    digest = tidy_house.lock(2, "slow=1")
    tidy_house.stamp(2)
    eventually(lambda: [r for r in tidy_house.reports() if r.message == "installing revision 2"])
    tidy_house.kill(supervisor)
    tidy_house.supervise()
    tidy_house.report(READY, lock_digest=digest, stamp=2)
    one_child(tidy_house)


def test_killed_while_it_stops_the_old_child(tidy_house: House) -> None:
    tidy_house.lock(1, "ignore-term", current=True)
    supervisor = tidy_house.supervise(times="stop_timeout=2")
    tidy_house.report(READY)
    digest = tidy_house.lock(2)
    tidy_house.stamp(2)
    eventually(lambda: tidy_house.said("SIGTERM"))
    tidy_house.kill(supervisor)
    tidy_house.supervise(times="stop_timeout=0.3")
    tidy_house.report(READY, lock_digest=digest)
    one_child(tidy_house)


def test_killed_after_it_fell_back_it_tries_the_stamp_once_more(tidy_house: House) -> None:
    good = tidy_house.lock(1, current=True)
    supervisor = tidy_house.supervise()
    tidy_house.ready_and_remembered(good)
    bad = tidy_house.lock(2, "exit=3")
    tidy_house.stamp(2)
    first = tidy_house.report(FELL_BACK, failed_digest=bad)
    tidy_house.kill(supervisor)
    tidy_house.supervise()
    eventually(lambda: [r for r in tidy_house.reports() if r.pid != supervisor.pid and r.state == FELL_BACK])
    report = tidy_house.report(FELL_BACK, failed_digest=bad, lock_digest=good)
    assert report.child_pid != first.child_pid
    eventually(lambda: tidy_house.living_children() == [report.child_pid])


def test_stamped_while_it_was_dead(tidy_house: House) -> None:
    tidy_house.lock(1, current=True)
    supervisor = tidy_house.supervise()
    tidy_house.report(READY)
    tidy_house.kill(supervisor)
    digest = tidy_house.lock(2)
    tidy_house.stamp(2)
    tidy_house.supervise()
    tidy_house.report(READY, lock_digest=digest, stamp=2)


def test_a_stamp_whose_lock_was_retired_means_the_current_one(tidy_house: House) -> None:
    tidy_house.stamp(1)
    digest = tidy_house.lock(3, current=True)
    tidy_house.supervise()
    tidy_house.report(READY, lock_digest=digest, stamp=1)


# --- handover and drain --------------------------------------------------------------------------------------------


def test_a_scheduler_hands_over_and_its_task_finishes_on_the_old_site(tidy_house: House) -> None:
    old = tidy_house.lock(1, "task=told", current=True)
    supervisor = tidy_house.supervise("scheduler")
    first = tidy_house.report(READY, "scheduler").child_pid
    task = eventually(lambda: tidy_house.said("task begins"))
    new = tidy_house.lock(2)
    tidy_house.stamp(2, "scheduler")
    second = tidy_house.report(READY, "scheduler", lock_digest=new).child_pid
    assert tidy_house.said("task done") == []
    told = f"{VARIABLE}={supervisor.pid} {first}".encode()
    assert told in Path(f"/proc/{second}/environ").read_bytes().split(b"\0"), "whose tasks it takes over"
    assert VARIABLE.encode() not in Path(f"/proc/{task[0]}/environ").read_bytes()
    tidy_house.let_tasks_end()
    eventually(lambda: tidy_house.said("task done", old) == task)
    assert tidy_house.said("end") == []


@pytest.mark.parametrize("title", ["executor", "worker"])
def test_what_only_waits_is_ended_once_the_tasks_of_its_scheduler_are(tidy_house: House, title: str) -> None:
    tidy_house.lock(1, f"task=told idle={title}", current=True)
    tidy_house.supervise("scheduler")
    tidy_house.report(READY, "scheduler")
    (idle,) = eventually(lambda: tidy_house.said("idles"))
    new = tidy_house.lock(2)
    tidy_house.stamp(2, "scheduler")
    tidy_house.report(READY, "scheduler", lock_digest=new)
    time.sleep(1)  # several looks
    assert processes.process(idle) is not None, "it may hold what the task needs"
    tidy_house.let_tasks_end()
    eventually(lambda: tidy_house.said("task done") and processes.process(idle) is None)


def test_what_only_waits_does_not_delay_the_stop_of_its_supervisor(tidy_house: House) -> None:
    tidy_house.lock(1, "idle=executor", current=True)
    supervisor = tidy_house.supervise("scheduler", times="stop_timeout=60")
    tidy_house.report(READY, "scheduler")
    eventually(lambda: tidy_house.said("idles"))
    assert tidy_house.stop(supervisor) == 0


def test_a_scheduler_drains_where_the_setting_says_so(tidy_house: House) -> None:
    tidy_house.lock(1, "task=told", current=True)
    tidy_house.supervise("scheduler", AIRFLOW__PACKAGE_MANAGER__SCHEDULER_RESTART="drain")
    tidy_house.report(READY, "scheduler")
    eventually(lambda: tidy_house.said("task begins"))
    new = tidy_house.lock(2)
    tidy_house.stamp(2, "scheduler")
    eventually(lambda: tidy_house.said("SIGTERM"))
    tidy_house.let_tasks_end()
    tidy_house.report(READY, "scheduler", lock_digest=new)
    eventually(lambda: len(tidy_house.said("start")) == 2)
    assert [event for event, _, _ in tidy_house.events()][-4:] == ["SIGTERM", "task done", "end", "start"]


def test_other_components_leave_nothing_of_the_old_child(tidy_house: House) -> None:
    tidy_house.lock(1, "task=60", current=True)
    tidy_house.supervise(times="stop_timeout=0.5")
    tidy_house.report(READY)
    new = tidy_house.lock(2)
    tidy_house.stamp(2)
    tidy_house.report(READY, lock_digest=new)
    task = tidy_house.said("task begins")[0]
    assert processes.process(task) is None


def test_a_stopped_scheduler_lets_a_handed_over_task_finish(tidy_house: House) -> None:
    tidy_house.lock(1, "task=2", current=True)
    supervisor = tidy_house.supervise("scheduler", times="stop_timeout=10")
    tidy_house.report(READY, "scheduler")
    new = tidy_house.lock(2)
    tidy_house.stamp(2, "scheduler")
    tidy_house.report(READY, "scheduler", lock_digest=new)
    assert tidy_house.stop(supervisor) == 0
    assert len(tidy_house.said("task done")) == 1


def test_the_task_of_a_killed_schedulers_supervisor_finishes(tidy_house: House) -> None:
    tidy_house.lock(1, "task=told", current=True)
    supervisor = tidy_house.supervise("scheduler")
    tidy_house.report(READY, "scheduler")
    tidy_house.kill(supervisor)
    tidy_house.lock(2, current=True)
    tidy_house.supervise("scheduler")
    eventually(lambda: len(tidy_house.said("start")) == 2)
    assert tidy_house.said("task done") == []
    tidy_house.let_tasks_end()
    eventually(lambda: tidy_house.said("task done"))


def test_a_crashed_child_leaves_no_worker_behind(tidy_house: House) -> None:
    supervisor = tidy_house.supervise(LIGHT_BEHAVIOUR="task=60")
    child = tidy_house.report(READY).child_pid
    task = eventually(lambda: tidy_house.said("task begins"))[0]
    found = processes.process(child or 0)
    assert found is not None
    processes.send(found, signal.SIGKILL)
    assert supervisor.wait(10) == 128 + signal.SIGKILL
    assert processes.process(task) is None


def test_the_report_says_starting_until_ready(tidy_house: House) -> None:
    tidy_house.lock(1, current=True)
    tidy_house.supervise(times="soak=1")
    assert tidy_house.report(STARTING, child_pid=eventually(lambda: tidy_house.said("start"))[0])
