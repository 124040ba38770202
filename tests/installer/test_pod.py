from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from airflow_package_manager import __version__
from airflow_package_manager.domain import report
from airflow_package_manager.domain.lock import Lock
from airflow_package_manager.domain.report import MAXIMUM_BYTES, load_install
from airflow_package_manager.installer import processes
from testenv.package_index import PackageIndexServer
from testenv.wheels import IndexFile, wheel
from tests.installer.environment import Installer
from tests.installer.mount import Mount

SITE = "AIRFLOW_PACKAGE_MANAGER_SITE"


@dataclass(frozen=True)
class Pod:
    """One pod: its init container, its volume, the mounted locks."""

    installer: Installer
    mount: Mount

    @property
    def active(self) -> Path:
        return self.installer.directory.root / "active"

    def command(self, stamp: str, *more: str, wait: float = 0) -> list[str]:
        words = ["--locks", str(self.mount.folder), f"--stamp={stamp}", "--active", str(self.active)]
        return self.installer.command(*words, "--wait", str(wait), *more)

    def start(self, stamp: str, *more: str, wait: float = 0, index_url: str = "") -> subprocess.Popen[str]:
        environ = {"PATH": os.defpath, "HOME": "/nonexistent", **self.installer.environ}
        environ |= {"AIRFLOW__PACKAGE_MANAGER__INDEX_URL": index_url or self.installer.index_url}
        return subprocess.Popen(
            self.command(stamp, *more, wait=wait),
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, stamp: str, *more: str, wait: float = 0, index_url: str = "") -> tuple[int, dict[str, Any]]:
        return ended(self.start(stamp, *more, wait=wait, index_url=index_url))

    def main(self, code: str, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run what the main container runs: an interpreter that activates `active`."""
        return self.installer.environment.run("-c", code, environ={SITE: str(self.active), **(environ or {})})


def ended(process: subprocess.Popen[str], timeout: float = 60) -> tuple[int, dict[str, Any]]:
    output, errors = process.communicate(timeout=timeout)
    assert output.count("\n") == 1, output + errors
    assert len(output) <= MAXIMUM_BYTES
    answer: dict[str, Any] = json.loads(output)
    assert load_install(output) is not None
    return process.returncode, answer


@pytest.fixture
def pod(installer: Installer, tmp_path: Path) -> Pod:
    return Pod(installer, Mount(tmp_path / "locks"))


@pytest.fixture
def one(installer: Installer, index: PackageIndexServer) -> Lock:
    return installer.environment.lock(good(index, "1.0"))


@pytest.fixture
def two(installer: Installer, index: PackageIndexServer) -> Lock:
    return installer.environment.lock(good(index, "2.0"))


def good(index: PackageIndexServer, version: str) -> IndexFile:
    return next(file for file in index.listing("good-package") or [] if file.version == version)


# --- which lock --------------------------------------------------------------------------------------------------


def test_a_stamped_pod_uses_its_own_lock_and_others_the_current_one(pod: Pod, one: Lock, two: Lock) -> None:
    pod.mount.stage(one, 1, current=1)
    pod.mount.stage(two, 2)
    status, answer = pod.run("2")
    assert (status, answer["outcome"], answer["revision"]) == (0, report.INSTALLED, 2), answer
    assert answer["lock_digest"] == two.digest()
    assert answer["image"] == one.image
    assert pod.main("import good_package; print(good_package.VERSION)").stdout == "2.0\n"
    status, answer = pod.run("")
    assert (status, answer["revision"], answer["lock_digest"]) == (0, 1, one.digest())
    assert pod.main("import good_package; print(good_package.VERSION)").stdout == "1.0\n"
    assert pod.run("2")[1]["outcome"] == report.PRESENT
    assert pod.main("import good_package; print(good_package.VERSION)").stdout == "2.0\n"


@pytest.mark.parametrize(
    "stamp", ["$(PACKAGE_MANAGER_STAMP)", "0", "01", "-1", "1 ", "one", "1.0", "1" * 5000, "\u0661"]
)
def test_a_stamp_that_is_no_revision_is_final(pod: Pod, one: Lock, stamp: str) -> None:
    pod.mount.stage(one, 1, current=1)
    status, answer = pod.run(stamp)
    assert (status, answer["code"], answer["retryable"]) == (1, "stamp-invalid", False)
    assert not os.path.lexists(pod.active)


def test_first_start_has_no_site_and_nothing_to_complain_about(pod: Pod) -> None:
    status, answer = pod.run("", wait=30)
    assert (status, answer["outcome"], answer["code"], answer["cause"]) == (0, report.NO_SITE, None, None)
    assert answer["seconds"] == 0
    assert not os.path.lexists(pod.active)


def test_a_lock_that_is_staged_first_of_all_is_not_used_without_its_stamp(pod: Pod, one: Lock) -> None:
    pod.mount.stage(one, 1)
    assert pod.run("")[1]["outcome"] == report.NO_SITE
    assert pod.run("1")[1]["outcome"] == report.INSTALLED


@pytest.mark.parametrize("current", [None, 1])
def test_waits_until_the_mount_has_the_lock(pod: Pod, one: Lock, two: Lock, current: int | None) -> None:
    if current is not None:
        pod.mount.stage(one, 1, current=current)
    process = pod.start("2", wait=30)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)
    pod.mount.stage(two, 2)
    status, answer = ended(process)
    assert (status, answer["revision"], answer["lock_digest"]) == (0, 2, two.digest())


def test_in_flight_without_its_lock_it_fails_and_may_be_tried_again(pod: Pod, one: Lock) -> None:
    pod.mount.stage(one, 1, current=1)
    assert pod.run("1")[0] == 0
    before = pod.active.readlink()
    started = time.monotonic()
    status, answer = pod.run("2", wait=1)
    assert time.monotonic() - started >= 1
    assert (status, answer["code"], answer["retryable"], answer["revision"]) == (75, "lock-missing", True, 2)
    assert "revision 2" in answer["cause"]
    assert pod.active.readlink() == before


# --- lost and torn -----------------------------------------------------------------------------------------------


def test_when_everything_is_lost_a_stamped_pod_starts_after_its_wait_and_says_so(pod: Pod, one: Lock) -> None:
    pod.mount.stage(one, 4, current=4)
    assert pod.run("4")[0] == 0
    pod.mount.write({})
    status, answer = pod.run("4", wait=1)
    assert (status, answer["outcome"], answer["code"]) == (0, report.NO_SITE, "lock-missing")
    assert (answer["lock_digest"], answer["revision"]) == (None, 4)
    assert "revision 4" in answer["cause"]
    assert "nothing says which revision is current" in answer["cause"]
    assert not os.path.lexists(pod.active)


@pytest.mark.parametrize("stamp", ["", "3", "4"])
def test_when_the_locks_are_torn_out_an_ordinary_restart_starts_at_once(pod: Pod, one: Lock, stamp: str) -> None:
    pod.mount.stage(one, 4, current=4)
    pod.mount.without("lock.4")
    status, answer = pod.run(stamp, wait=600)
    assert (status, answer["outcome"], answer["code"]) == (0, report.NO_SITE, "lock-missing")
    assert "current revision 4" in answer["cause"]


def test_a_retired_stamp_uses_the_current_lock(pod: Pod, one: Lock) -> None:
    pod.mount.stage(one, 4, current=4)
    status, answer = pod.run("3", wait=600)
    assert (status, answer["outcome"], answer["revision"]) == (0, report.INSTALLED, 4)


def test_a_torn_current_is_said_and_no_obstacle(pod: Pod, one: Lock) -> None:
    pod.mount.stage(one, 4)
    pod.mount.write({**pod.mount.keys, "current": "four"})
    assert pod.run("4")[1]["outcome"] == report.INSTALLED
    status, answer = pod.run("")
    assert (status, answer["outcome"]) == (0, report.NO_SITE)
    assert "holds no revision" in answer["cause"]


@pytest.mark.parametrize("text", ["", "torn", "# airflow-package-manager lock, format 9\n"])
def test_an_unreadable_lock_stops_a_revision_in_flight_only(pod: Pod, text: str) -> None:
    pod.mount.write({"lock.4": text, "current": "4"})
    status, answer = pod.run("4")
    assert (status, answer["outcome"], answer["code"], answer["lock_digest"]) == (
        0,
        report.NO_SITE,
        "lock-invalid",
        None,
    )
    assert "there is no site" in answer["cause"]
    pod.mount.write({"lock.4": text, "current": "3"})
    status, answer = pod.run("4")
    assert (status, answer["outcome"], answer["code"]) == (1, report.FAILED, "lock-invalid")


@pytest.mark.parametrize("header", [{"python": "cp38"}, {"platform": "linux_riscv64"}])
def test_an_image_with_another_python_is_no_outage(pod: Pod, header: dict[str, Any]) -> None:
    pod.mount.stage(pod.installer.environment.lock(**header), 4, current=4)
    status, answer = pod.run("4")
    assert (status, answer["outcome"], answer["code"]) == (0, report.NO_SITE, "wrong-platform")
    pod.mount.write({**pod.mount.keys, "current": "3"})
    assert pod.run("4")[0] == 1


def test_an_upgraded_image_that_owns_a_file_of_the_lock_is_no_outage(pod: Pod) -> None:
    file = wheel("takes-over", "1.0", files={"image_package/part.py": "MINE = True\n"})
    with PackageIndexServer([file]) as index:
        pod.mount.stage(pod.installer.environment.lock(file, image="f" * 64), 4, current=4)
        status, answer = pod.run("4", index_url=index.url)
    assert (status, answer["outcome"], answer["code"]) == (0, report.NO_SITE, "gate")
    assert "image_package/part.py" in answer["cause"]


def test_an_index_that_is_away_keeps_the_pod_waiting_for_its_packages(pod: Pod, one: Lock) -> None:
    with PackageIndexServer() as gone:
        url = gone.url
    pod.mount.stage(one, 4, current=4)
    status, answer = pod.run("4", index_url=url)
    assert (status, answer["code"], answer["retryable"]) == (75, "index-unavailable", True)


# --- the link ----------------------------------------------------------------------------------------------------


def test_link_is_relative_within_the_volume_and_absolute_from_elsewhere(pod: Pod, one: Lock, tmp_path: Path) -> None:
    pod.mount.stage(one, 1, current=1)
    assert pod.run("1")[0] == 0
    assert str(pod.active.readlink()) == f"sites/{one.digest()}"
    elsewhere = tmp_path / "own" / "active"
    assert pod.run("1", "--active", str(elsewhere))[0] == 0
    assert str(elsewhere.readlink()) == str(pod.installer.site(one))
    code = "import good_package; print(good_package.VERSION)"
    assert pod.main(code, {SITE: str(elsewhere)}).stdout == "1.0\n"
    moved = tmp_path / "mounted-elsewhere"
    pod.installer.directory.root.rename(moved)
    assert pod.main(code, {SITE: str(moved / "active")}).stdout == "1.0\n"


def test_what_a_main_container_sees_without_a_link_and_behind_a_dangling_one(pod: Pod, one: Lock) -> None:
    code = "import importlib.util; print(importlib.util.find_spec('good_package'))"
    missing = pod.main(code)
    assert missing.stdout == "None\n"
    pod.active.symlink_to("sites/" + "0" * 64)
    dangling = pod.main(code)
    assert dangling.stdout == "None\n"
    for done in (missing, dangling):
        assert done.stderr.count("\n") == 1
        assert f"{pod.active} is not a complete site" in done.stderr
    pod.mount.stage(one, 1, current=1)
    assert pod.run("1")[0] == 0
    there = pod.main(code)
    assert "good_package" in there.stdout
    assert there.stderr == ""


@pytest.mark.parametrize("kind", ["file", "dangling"])
def test_whatever_stands_in_the_links_place_is_replaced(pod: Pod, one: Lock, kind: str) -> None:
    if kind == "file":
        pod.active.write_text("in the way")
    else:
        pod.active.symlink_to("nowhere")
    pod.mount.stage(one, 1, current=1)
    assert pod.run("1")[0] == 0
    assert str(pod.active.readlink()) == f"sites/{one.digest()}"


def test_a_directory_in_the_links_place_is_said_and_nothing_is_left(pod: Pod, one: Lock) -> None:
    (pod.active / "precious").mkdir(parents=True)
    pod.mount.stage(one, 1, current=1)
    status, answer = pod.run("1")
    assert (status, answer["code"]) == (1, "disk")
    assert (pod.active / "precious").is_dir()
    assert [path.name for path in pod.active.parent.iterdir() if path.name.startswith("active")] == ["active"]


# --- the report --------------------------------------------------------------------------------------------------


def test_report_is_written_into_the_file_that_the_kubelet_made(pod: Pod, one: Lock, tmp_path: Path) -> None:
    log = tmp_path / "termination-log"
    log.write_text("x" * 9000)
    before = log.stat().st_ino
    pod.mount.stage(one, 1, current=1)
    _, answer = pod.run("1", "--report", str(log))
    assert log.stat().st_ino == before
    assert json.loads(log.read_text()) == answer


def test_report_says_which_package_manager_the_image_has(pod: Pod, one: Lock) -> None:
    pod.mount.stage(one, 1, current=1)
    _, answer = pod.run("1")
    assert answer["package_manager"] == __version__


def test_report_that_cannot_be_written_is_no_reason_to_fail(pod: Pod, one: Lock) -> None:
    pod.mount.stage(one, 1, current=1)
    process = pod.start("1", "--report", "/proc/termination-log")
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert json.loads(output)["outcome"] == report.INSTALLED
    assert "report cannot be written" in errors


# --- the end -----------------------------------------------------------------------------------------------------


def test_told_to_stop_while_waiting_it_stops_at_once(pod: Pod, one: Lock) -> None:
    pod.mount.stage(one, 1, current=1)
    process = pod.start("2", wait=600)
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    status, answer = ended(process, timeout=5)
    assert (status, answer["code"], answer["retryable"]) == (75, "stopped", True)


def test_told_to_stop_while_installing_it_leaves_nothing_behind(pod: Pod) -> None:
    file = wheel("slow-package", "1.0")
    with PackageIndexServer([file]) as index:
        index.delays["slow-package"] = 60.0
        pod.mount.stage(pod.installer.environment.lock(file), 1, current=1)
        process = pod.start("1", index_url=index.url)
        deadline = time.monotonic() + 30
        while not index.requests:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        status, answer = ended(process, timeout=10)
    assert (status, answer["code"]) == (75, "stopped")
    assert [path.name for path in pod.installer.directory.sites.iterdir()] == [".lock"]


# --- several pods, one volume ------------------------------------------------------------------------------------


def test_pods_that_start_together_share_the_work(pod: Pod, one: Lock, tmp_path: Path) -> None:
    pod.mount.stage(one, 1, current=1)
    links = [tmp_path / f"pod-{number}" / "active" for number in range(6)]
    started = [pod.start("1", "--active", str(link)) for link in links]
    answers = [ended(process) for process in started]
    assert [status for status, _ in answers] == [0] * 6
    assert sorted(answer["outcome"] for _, answer in answers) == [report.INSTALLED] + [report.PRESENT] * 5
    assert {link.resolve() for link in links} == {pod.installer.site(one)}


def test_pods_that_start_together_survive_the_death_of_the_one_that_works(pod: Pod, tmp_path: Path) -> None:
    file = wheel("slow-package", "1.0")
    with PackageIndexServer([file]) as index:
        index.delays["slow-package"] = 3.0
        lock = pod.mount.stage(pod.installer.environment.lock(file), 1, current=1)
        first = pod.start("1", index_url=index.url)
        deadline = time.monotonic() + 30
        while not index.requests:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        links = [tmp_path / f"pod-{number}" / "active" for number in range(3)]
        others = [pod.start("1", "--active", str(link), index_url=index.url) for link in links]
        time.sleep(0.5)
        below = processes.descendants(first.pid)
        first.kill()
        for process in below:  # a container ends with all its processes
            os.kill(process.pid, signal.SIGKILL)
        first.communicate()
        answers = [ended(process) for process in others]
    assert [status for status, _ in answers] == [0] * 3, answers
    assert {link.resolve() for link in links} == {pod.installer.site(lock)}
    assert sorted(path.name for path in pod.installer.directory.sites.iterdir()) == [".lock", lock.digest()]
