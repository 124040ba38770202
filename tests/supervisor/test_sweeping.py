"""What is tidied up, and what is not."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_package_manager.domain.report import READY, InstanceReport
from airflow_package_manager.installer import child_record, processes, sweeping
from airflow_package_manager.installer.directory import Directory, LastGood
from airflow_package_manager.installer.processes import Process
from airflow_package_manager.installer.reporting import first_report
from tests.supervisor.house import House, eventually, lock_of

LONG_AGO = time.time() - 3600


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    found = Directory(tmp_path / "package_manager")
    found.prepare()
    return found


def site(directory: Directory, name: str, *, age: float = 3600) -> str:
    digest = lock_of(1, name).digest()
    directory.site(digest).mkdir()
    os.utime(directory.site(digest), (time.time() - age, time.time() - age))
    return digest


def report(directory: Directory, host: str, pid: int, *, age: float = 0, component: str = "scheduler") -> Path:
    found = dataclasses.replace(first_report(component, host), pid=pid)
    directory.write_report(found)
    path = directory.report_path(component, host, pid)
    os.utime(path, (time.time() - age, time.time() - age))
    return path


def record(directory: Directory, host: str, supervisor: Process, *, world: str | None = None) -> Path:
    path = child_record.record_path(directory, "scheduler", host, supervisor.pid)
    path.parent.mkdir(exist_ok=True)
    child_record.write_record(directory, path, supervisor, world or processes.world())
    return path


def own() -> Process:
    found = processes.process(os.getpid())
    assert found is not None
    return found


@pytest.fixture
def dead() -> Process:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    found = processes.process(child.pid)
    assert found is not None
    child.communicate()
    return found


# --- sites ---------------------------------------------------------------------------------------------------------


def test_a_site_that_nothing_refers_to_goes(directory: Directory) -> None:
    digest = site(directory, "forgotten")
    sweeping.sweep_sites(directory, young=600)
    assert directory.site_digests() == ()
    assert not directory.site(digest).exists()
    assert list(directory.tmp.iterdir()) == []


def test_a_young_site_stays(directory: Directory) -> None:
    digest = site(directory, "young", age=10)
    sweeping.sweep_sites(directory, young=600)
    assert directory.site_digests() == (digest,)


@pytest.mark.parametrize("by", ["lock", "last-good", "report", "active"])
def test_a_site_that_something_refers_to_stays(directory: Directory, by: str) -> None:
    digest = site(directory, "kept")
    if by == "lock":
        directory.write(directory.lock(1), lock_of(1, "kept").render().encode())
    elif by == "last-good":
        directory.write_last_good("scheduler", LastGood(digest))
    elif by == "active":
        directory.point_active(digest)
    else:
        directory.write_report(dataclasses.replace(first_report("scheduler", "elsewhere"), lock_digest=digest))
    sweeping.sweep_sites(directory, young=600)
    assert directory.site_digests() == (digest,)


@pytest.fixture
def process_on(directory: Directory) -> Iterator[str]:
    digest = site(directory, "running")
    environment = {**os.environ, sweeping.SITE_VARIABLE: str(directory.site(digest))}
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env=environment)
    try:
        yield digest
    finally:
        child.communicate()


def test_a_site_that_a_process_runs_on_stays_and_is_marked_for_other_hosts(
    directory: Directory, process_on: str
) -> None:
    eventually(lambda: str(directory.site(process_on)) in processes.environment_values(sweeping.SITE_VARIABLE))
    sweeping.sweep_sites(directory, young=600)
    assert directory.site_digests() == (process_on,)
    assert time.time() - directory.site(process_on).stat().st_mtime < 60


def test_what_is_no_site_is_never_touched(directory: Directory) -> None:
    (directory.sites / "mine").mkdir()
    os.utime(directory.sites / "mine", (LONG_AGO, LONG_AGO))
    sweeping.sweep_sites(directory, young=600)
    assert (directory.sites / "mine").is_dir()


def test_while_somebody_writes_nothing_is_swept(directory: Directory) -> None:
    digest = site(directory, "forgotten")
    with directory.locked():
        sweeping.sweep_sites(directory, young=600)
    assert directory.site_digests() == (digest,)


# --- reports -------------------------------------------------------------------------------------------------------


def swept(directory: Directory) -> list[str]:
    sweeping.sweep_reports(directory, "scheduler", "here", lost=30, silent=600)
    return [path.name for name in directory.component_names() for path in directory.report_paths(name)]


def test_the_report_of_a_dead_process_of_this_host_goes_at_once(directory: Directory, dead: Process) -> None:
    report(directory, "here", dead.pid)
    record(directory, "here", dead)
    assert swept(directory) == []


def test_the_report_of_a_living_one_stays(directory: Directory) -> None:
    report(directory, "here", os.getpid(), age=3600)
    record(directory, "here", own())
    assert swept(directory) == [f"here-{os.getpid()}.json"]


def test_a_number_that_was_given_away_again_does_not_keep_a_report_alive(directory: Directory) -> None:
    report(directory, "here", os.getpid())
    record(directory, "here", Process(os.getpid(), own().start - 1))
    assert swept(directory) == []


@pytest.mark.parametrize(("age", "stays"), [(5, True), (60, False)])
def test_one_of_another_container_with_this_host_name_goes_when_it_is_silent(
    directory: Directory, age: float, *, stays: bool
) -> None:
    report(directory, "here", 7, age=age)
    record(directory, "here", Process(7, 1), world="another:1")
    assert swept(directory) == (["here-7.json"] if stays else [])


@pytest.mark.parametrize(("age", "stays"), [(60, True), (3600, False)])
@pytest.mark.parametrize("component", ["scheduler", "triggerer"])
def test_one_of_another_host_goes_after_ten_minutes(
    directory: Directory, component: str, age: float, *, stays: bool
) -> None:
    report(directory, "there", 7, age=age, component=component)
    assert swept(directory) == (["there-7.json"] if stays else [])


def test_the_dead_of_another_component_stay_visible_for_ten_minutes(directory: Directory, dead: Process) -> None:
    report(directory, "here", dead.pid, component="triggerer", age=60)
    assert swept(directory) == [f"here-{dead.pid}.json"]


def test_what_interrupted_work_left_goes(directory: Directory) -> None:
    for name in ("old-file", "young-file"):
        (directory.tmp / name).write_text("")
    (directory.tmp / "old-folder" / "deep").mkdir(parents=True)
    for name in ("old-file", "old-folder"):
        os.utime(directory.tmp / name, (LONG_AGO, LONG_AGO))
    sweeping.sweep_temporary(directory, old=600)
    assert [path.name for path in directory.tmp.iterdir()] == ["young-file"]


def test_a_supervisor_sweeps_by_itself(tidy_house: House) -> None:
    digest = site(tidy_house.directory, "forgotten")
    tidy_house.supervise()
    tidy_house.report(READY)
    eventually(lambda: not tidy_house.directory.site(digest).exists())


# --- reading a report ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spoil", ["nothing", "link", "large", "torn", "renamed", "writable", "fifo", "component"])
def test_only_a_small_regular_file_of_ours_is_a_report(directory: Directory, spoil: str) -> None:
    path = report(directory, "here", 7)
    good = directory.read_report(path)
    assert isinstance(good, InstanceReport)
    content = path.read_text()
    if spoil == "link":
        path.rename(directory.root / "elsewhere")
        path.symlink_to(directory.root / "elsewhere")
    elif spoil == "large":
        path.write_text(content + " " * 5000)
    elif spoil == "torn":
        path.write_text(content[:-20])
    elif spoil == "renamed":
        path = path.rename(path.with_name("here-8.json"))
    elif spoil == "writable":
        path.chmod(0o666)
    elif spoil == "fifo":
        path.unlink()
        os.mkfifo(path)
    elif spoil == "component":
        directory.component("triggerer").mkdir()
        path = path.rename(directory.component("triggerer") / path.name)
    assert (directory.read_report(path) is not None) is (spoil == "nothing")
