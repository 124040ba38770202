from __future__ import annotations

import os
import signal
import socket
import sys

import pytest

from airflow_package_manager.domain.report import FAILED, FELL_BACK, READY, STARTING
from airflow_package_manager.installer import processes
from airflow_package_manager.installer.directory import LastGood
from tests.supervisor.house import House, eventually


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


# --- starting ------------------------------------------------------------------------------------------------------


def test_a_component_without_any_lock_runs_on_its_image(tidy_house: House) -> None:
    supervisor = tidy_house.supervise()
    report = tidy_house.report(READY)
    assert (report.stamp, report.lock_digest, report.restarts) == (None, None, 0)
    eventually(lambda: tidy_house.said("start", "off") == [report.child_pid])
    assert tidy_house.stop(supervisor) == 0
    folder = tidy_house.directory.component("triggerer")
    assert [path.name for path in folder.iterdir()] == ["last-good"]
    assert tidy_house.directory.read_last_good("triggerer") == LastGood(None)


def test_without_a_stamp_it_uses_the_current_lock(tidy_house: House) -> None:
    digest = tidy_house.lock(4, current=True)
    tidy_house.supervise()
    report = tidy_house.report(READY, lock_digest=digest)
    assert report.install is not None
    assert (report.install.outcome, report.install.revision) == ("installed", 4)
    eventually(lambda: tidy_house.said("start", digest) == [report.child_pid])
    eventually(lambda: tidy_house.directory.read_last_good("triggerer") == LastGood(digest))


def test_its_stamp_goes_before_current(tidy_house: House) -> None:
    tidy_house.lock(4, current=True)
    digest = tidy_house.lock(5)
    tidy_house.stamp(5)
    tidy_house.supervise()
    tidy_house.report(READY, lock_digest=digest, stamp=5)


def test_a_moved_current_restarts_nobody(tidy_house: House) -> None:
    digest = tidy_house.lock(4, current=True)
    tidy_house.supervise()
    before = tidy_house.report(READY)
    tidy_house.lock(5, current=True)
    after = eventually(lambda: next((r for r in tidy_house.reports() if r.beat_at > before.beat_at + 0.5), None))
    assert (after.lock_digest, after.child_pid) == (digest, before.child_pid)


@pytest.mark.parametrize("how", ["fail", "retry", "mute", "hang"])
def test_a_refused_lock_at_the_start_is_no_outage(tidy_house: House, how: str) -> None:
    good = tidy_house.lock(3, current=True)
    tidy_house.stop_after_ready()
    tidy_house.stamp(4)
    failed = tidy_house.lock(4, how)
    tidy_house.supervise(times="install_timeout=0.5")
    report = tidy_house.report(FELL_BACK, lock_digest=good, failed_digest=failed)
    assert report.install is not None
    assert report.install.outcome == FAILED
    eventually(lambda: report.child_pid in tidy_house.said("start", good))


def test_a_lock_that_cannot_be_had_yet_is_tried_again(tidy_house: House) -> None:
    digest = tidy_house.lock(4, "retry", current=True)
    tidy_house.supervise()
    tidy_house.report(FELL_BACK, lock_digest=None, failed_digest=digest)
    tidy_house.lock(4, current=True)
    tidy_house.report(READY, lock_digest=digest, failed_digest=None)


# --- restarting ----------------------------------------------------------------------------------------------------


def test_it_installs_before_it_stops_the_old_child(tidy_house: House) -> None:
    tidy_house.lock(1, current=True)
    tidy_house.supervise()
    old = tidy_house.report(READY)
    new = tidy_house.lock(2, "slow=1")
    tidy_house.stamp(2)
    eventually(lambda: [r for r in tidy_house.reports() if r.message == "installing revision 2"])
    assert tidy_house.said("SIGTERM") == []
    report = tidy_house.report(READY, lock_digest=new, stamp=2)
    assert report.restarts == 1
    assert tidy_house.said("SIGTERM") == [old.child_pid]
    assert [event for event, _, _ in tidy_house.events()] == ["start", "SIGTERM", "end", "start"]


def test_the_same_lock_under_another_revision_restarts_nobody(tidy_house: House) -> None:
    digest = tidy_house.lock(1, current=True, name="same")
    tidy_house.supervise()
    before = tidy_house.report(READY)
    tidy_house.lock(2, name="same")
    tidy_house.stamp(2)
    after = tidy_house.report(READY, stamp=2, lock_digest=digest)
    assert after.child_pid == before.child_pid


def test_a_failed_installation_leaves_the_old_child_alone(tidy_house: House) -> None:
    good = tidy_house.lock(1, current=True)
    tidy_house.supervise()
    before = tidy_house.report(READY)
    tidy_house.lock(2, "fail")
    tidy_house.stamp(2)
    after = eventually(lambda: next((r for r in tidy_house.reports() if r.stamp == 2 and r.install), None))
    after = eventually(
        lambda: next((r for r in tidy_house.reports() if r.install and r.install.outcome == FAILED), None)
    )
    assert (after.child_pid, after.lock_digest, after.state) == (before.child_pid, good, READY)
    assert "as scripted" in after.message
    tidy_house.stamp(1)
    restored = tidy_house.report(READY, stamp=1, message="ready")
    assert restored.child_pid == before.child_pid
    assert restored.install is not None
    assert restored.install.outcome != FAILED


def test_a_stamp_that_comes_back_while_the_installer_works_restarts_nobody(tidy_house: House) -> None:
    tidy_house.lock(1, current=True)
    tidy_house.supervise()
    before = tidy_house.report(READY)
    tidy_house.lock(2, "hang")
    tidy_house.stamp(2)
    eventually(lambda: [r for r in tidy_house.reports() if r.message == "installing revision 2"])
    tidy_house.stamp(None)
    after = tidy_house.report(READY, stamp=None, message="ready")
    assert after.child_pid == before.child_pid


# --- falling back --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["exit=0", "exit=3", "exit-after=0.2"])
def test_a_child_that_ends_on_a_new_site_runs_again_on_the_last_good_one(tidy_house: House, how: str) -> None:
    good = tidy_house.lock(1, current=True)
    tidy_house.supervise(times="soak=1.5")
    tidy_house.ready_and_remembered(good)
    bad = tidy_house.lock(2, how)
    tidy_house.stamp(2)
    report = tidy_house.report(FELL_BACK, failed_digest=bad, lock_digest=good)
    assert report.stamp == 2
    assert tidy_house.directory.read_stamp("triggerer").revision == 2
    assert "on its new site" in report.message
    eventually(lambda: report.child_pid in tidy_house.said("start", good))
    tidy_house.stamp(1)
    restored = tidy_house.report(READY, stamp=1, failed_digest=None)
    assert restored.child_pid == report.child_pid


def test_a_child_that_dies_late_goes_back_too_while_its_revision_is_rolled_out(tidy_house: House) -> None:
    good = tidy_house.lock(1, current=True)
    tidy_house.supervise()
    tidy_house.ready_and_remembered(good)
    bad = tidy_house.lock(2, "exit-after=2")
    tidy_house.stamp(2)
    tidy_house.report(READY, lock_digest=bad)
    report = tidy_house.report(FELL_BACK, failed_digest=bad, lock_digest=good)
    assert report.stamp == 2
    assert tidy_house.directory.read_last_good("triggerer") == LastGood(good)


def test_a_new_site_is_remembered_when_its_revision_becomes_current(tidy_house: House) -> None:
    good = tidy_house.lock(1, current=True)
    tidy_house.supervise()
    tidy_house.ready_and_remembered(good)
    better = tidy_house.lock(2)
    tidy_house.stamp(2)
    tidy_house.report(READY, lock_digest=better)
    assert tidy_house.directory.read_last_good("triggerer") == LastGood(good)
    tidy_house.directory.write_current(2)
    tidy_house.ready_and_remembered(better)


def test_a_child_that_is_not_ready_in_time_on_a_new_site_is_replaced(tidy_house: House) -> None:
    port = free_port()
    good = tidy_house.lock(1, f"answer={port}", current=True)
    tidy_house.supervise(url=f"http://127.0.0.1:{port}/", times="ready_timeout=1.5")
    tidy_house.ready_and_remembered(good)
    bad = tidy_house.lock(2)
    tidy_house.stamp(2)
    tidy_house.report(STARTING, lock_digest=bad)
    report = tidy_house.report(FELL_BACK, failed_digest=bad, lock_digest=good)
    assert "not ready within" in report.message
    eventually(lambda: tidy_house.living_children() == [report.child_pid])


def test_ready_is_when_the_address_answers(tidy_house: House) -> None:
    port = free_port()
    digest = tidy_house.lock(1, f"answer={port}", current=True)
    tidy_house.supervise(url=f"http://127.0.0.1:{port}/", times="soak=1.5")
    tidy_house.report(READY, lock_digest=digest)
    assert tidy_house.directory.read_last_good("triggerer") is None
    eventually(lambda: tidy_house.directory.read_last_good("triggerer") == LastGood(digest))


def test_a_new_revision_with_the_lock_that_failed_is_tried_again(tidy_house: House) -> None:
    good = tidy_house.lock(1, current=True)
    tidy_house.supervise()
    tidy_house.ready_and_remembered(good)
    bad = tidy_house.lock(2, "exit=3", name="bad")
    tidy_house.stamp(2)
    tidy_house.report(FELL_BACK, failed_digest=bad)
    tidy_house.lock(3, name="bad")
    tidy_house.stamp(3)
    tidy_house.report(READY, lock_digest=bad, stamp=3)


def test_a_child_that_ends_on_a_proven_site_ends_its_supervisor_with_its_status(tidy_house: House) -> None:
    tidy_house.lock(1, "exit-after=1", current=True)
    supervisor = tidy_house.supervise()
    assert supervisor.wait(10) == 9
    assert tidy_house.reports() == []
    again = tidy_house.supervise()
    assert again.wait(10) == 9


def test_with_nothing_to_go_back_to_the_status_is_passed_on(tidy_house: House) -> None:
    tidy_house.lock(1, "exit=7", current=True)
    assert tidy_house.supervise().wait(10) == 7


# --- signals and exit status ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_is_a_sigterm_for_the_child(tidy_house: House, signum: int) -> None:
    supervisor = tidy_house.supervise(LIGHT_BEHAVIOUR="status=5")
    child = tidy_house.report(READY).child_pid
    assert tidy_house.stop(supervisor, signum) == 5
    assert tidy_house.said("SIGTERM") == [child]
    assert tidy_house.said("SIGINT") == []


@pytest.mark.parametrize("name", ["SIGHUP", "SIGUSR1"])
def test_other_signals_reach_the_child(tidy_house: House, name: str) -> None:
    supervisor = tidy_house.supervise()
    child = tidy_house.report(READY).child_pid
    supervisor.send_signal(signal.Signals[name])
    eventually(lambda: tidy_house.said(name) == [child])


def test_a_child_ended_by_a_signal_gives_128_and_its_number(tidy_house: House) -> None:
    supervisor = tidy_house.supervise()
    child = tidy_house.report(READY).child_pid
    assert child is not None
    os.kill(child, signal.SIGKILL)
    assert supervisor.wait(10) == 128 + signal.SIGKILL


def test_a_child_that_ignores_the_stop_is_killed_after_the_timeout(tidy_house: House) -> None:
    supervisor = tidy_house.supervise(LIGHT_BEHAVIOUR="ignore-term", times="stop_timeout=0.5")
    tidy_house.report(READY)
    assert tidy_house.stop(supervisor) == 128 + signal.SIGKILL


def test_a_second_ctrl_c_waits_for_nothing(tidy_house: House) -> None:
    supervisor = tidy_house.supervise(LIGHT_BEHAVIOUR="ignore-term", times="stop_timeout=60")
    tidy_house.report(READY)
    supervisor.send_signal(signal.SIGINT)
    eventually(lambda: tidy_house.said("SIGTERM"))
    assert tidy_house.stop(supervisor, signal.SIGINT) == 128 + signal.SIGKILL


def test_a_stop_while_the_installer_works_leaves_nothing(tidy_house: House) -> None:
    tidy_house.lock(1, "hang", current=True)
    supervisor = tidy_house.supervise()
    eventually((tidy_house.directory.root / "installs.log").exists)
    assert tidy_house.stop(supervisor) == 128 + signal.SIGTERM
    assert tidy_house.said("start") == []


def test_a_command_that_does_not_exist_says_so(tidy_house: House) -> None:
    assert tidy_house.supervise(command=["/nonexistent/airflow"]).wait(10) == 127


def test_the_child_has_its_own_session_and_the_absolute_site(tidy_house: House) -> None:
    digest = tidy_house.lock(1, current=True)
    tidy_house.supervise()
    child = tidy_house.report(READY, lock_digest=digest).child_pid
    assert child is not None
    assert os.getsid(child) == child
    assert processes.environment_values("AIRFLOW_PACKAGE_MANAGER_SITE") >= {str(tidy_house.directory.site(digest))}


@pytest.mark.parametrize("name", ["../evil", "schedular", "web-server"])
def test_a_wrong_name_is_refused(house: House, name: str) -> None:
    assert house.supervise(name, command=[sys.executable, "-c", "pass"]).wait(10) == 1
    assert house.directory.component_names() == ()
