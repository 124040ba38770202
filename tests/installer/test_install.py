from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from airflow_package_manager.domain import report
from airflow_package_manager.installer import site_making, site_marker
from airflow_package_manager.installer.image import MARKER
from testenv.catalogue import CHANGING
from testenv.package_index import PackageIndexServer
from testenv.wheels import IndexFile, wheel
from tests.installer.environment import Installer, run


def offered(index: PackageIndexServer, project: str, version: str = "1.0") -> IndexFile:
    (found,) = [file for file in index.listing(project) or [] if file.version == version]
    return found


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_installs_then_finds_it_present(installer: Installer, index: PackageIndexServer) -> None:
    lock = installer.environment.lock(offered(index, "good-package"), offered(index, "good-script"))
    status, answer = installer.install(lock)
    assert (status, answer["outcome"], answer["packages"]) == (0, report.INSTALLED, 2), answer
    assert answer["lock_digest"] == lock.digest()
    assert answer["revision"] == 1
    site = installer.site(lock)
    assert (site / "good_package.py").is_file()
    assert (site / "bin" / "good-script").is_file()
    assert site_marker.holds(site, lock.digest())
    assert site_marker.changed_files(site) == ()
    assert names(installer.directory.sites) == [".lock", lock.digest()]
    before = len(index.requests)
    status, answer = installer.run("--revision", "1")
    assert (status, answer["outcome"]) == (0, report.PRESENT)
    assert len(index.requests) == before


def test_cache_and_site_share_files(installer: Installer, index: PackageIndexServer) -> None:
    lock = installer.environment.lock(offered(index, "good-package"))
    assert installer.install(lock)[0] == 0
    assert (installer.site(lock) / "good_package.py").stat().st_nlink > 1


def test_bytecode_is_compiled_when_asked_for(installer: Installer, index: PackageIndexServer) -> None:
    lock = installer.environment.lock(offered(index, "good-package"))
    installer.stage(lock, 1, current=1)
    assert installer.run(environ={"AIRFLOW__PACKAGE_MANAGER__COMPILE_BYTECODE": "yes"})[0] == 0
    assert list(installer.site(lock).glob("__pycache__/good_package.*.pyc"))
    assert site_marker.holds(installer.site(lock), lock.digest())
    site_making.remove_site(installer.site(lock))
    assert installer.run()[0] == 0
    assert not list(installer.site(lock).glob("__pycache__"))


def test_component_uses_its_stamp_else_current(installer: Installer, index: PackageIndexServer) -> None:
    one = installer.stage(installer.environment.lock(offered(index, "good-package", "1.0")), 1, current=1)
    two = installer.stage(installer.environment.lock(offered(index, "good-package", "2.0")), 2)
    assert installer.run("--component", "scheduler")[1]["lock_digest"] == one.digest()
    installer.directory.write_stamp("scheduler", 2, 0)
    status, answer = installer.run("--component", "scheduler")
    assert (status, answer["revision"], answer["lock_digest"]) == (0, 2, two.digest())
    assert installer.run()[1]["revision"] == 1


def test_without_any_lock_there_is_no_site(installer: Installer) -> None:
    status, answer = installer.run("--component", "worker")
    assert (status, answer["outcome"]) == (0, report.NO_SITE)


def test_lock_without_pins_is_an_empty_site_made_without_uv(installer: Installer) -> None:
    lock = installer.environment.lock()
    status, answer = installer.install(lock)
    assert (status, answer["outcome"], answer["packages"]) == (0, report.EMPTY, 0)
    assert names(installer.site(lock)) == [MARKER]
    assert not (installer.directory.cache / "wheels-v5").exists()
    assert list(installer.directory.cache.iterdir()) == []
    assert installer.run()[1]["outcome"] == report.EMPTY


def test_missing_lock_is_worth_another_try(installer: Installer) -> None:
    installer.directory.write_stamp("scheduler", 7, 0)
    status, answer = installer.run("--component", "scheduler")
    assert (status, answer["code"], answer["retryable"], answer["revision"]) == (75, "lock-missing", True, 7)


def test_waits_for_a_lock_that_comes_late(installer: Installer) -> None:
    lock = installer.environment.lock(revision=3)
    command = installer.command("--revision", "3", "--wait", "20")
    with subprocess.Popen(
        command, env={**os.environ, **installer.environ, "PYTHONPATH": ""}, stdout=subprocess.PIPE, text=True
    ) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        fresh = installer.directory.root / "lock.new"
        fresh.write_text(lock.render())
        fresh.replace(installer.directory.lock(3))
        assert process.wait(20) == 0
        assert process.stdout is not None
        assert json.loads(process.stdout.read())["outcome"] == report.EMPTY


def test_report_file_holds_the_same_line(installer: Installer, tmp_path: Path) -> None:
    path = tmp_path / "termination-log"
    installer.stage(installer.environment.lock(), 1, current=1)
    _, answer = installer.run("--report", str(path))
    assert json.loads(path.read_text()) == answer
    assert report.load_install(path.read_text()) is not None


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--nonsense"], "unknown: --nonsense"),
        (["--revision"], "--revision needs a value"),
        (["--revision", "one"], "invalid literal"),
        (["--revision", "1", "--component", "worker"], "exclude each other"),
        (["--help"], "usage:"),
    ],
)
def test_wrong_arguments_are_named(installer: Installer, arguments: list[str], says: str) -> None:
    done = run(installer.command(*arguments), check=False)
    assert done.returncode == 2
    assert says in done.stderr
    assert "usage:" in done.stderr


@pytest.mark.parametrize(
    "text", ["", "-r other.txt\n", "good-package==1.0\n", "# airflow-package-manager lock, format 2\n"]
)
def test_bad_lock_is_final(installer: Installer, text: str) -> None:
    installer.directory.lock(1).write_text(text)
    status, answer = installer.run("--revision", "1")
    assert (status, answer["code"], answer["retryable"]) == (1, "lock-invalid", False)


@pytest.mark.parametrize(
    "name", ["apache-airflow-core", "apache-airflow-providers-standard", "uv", "airflow-package-manager"]
)
def test_lock_of_a_protected_name_is_final(installer: Installer, name: str) -> None:
    lock = installer.environment.lock(wheel(name, "9.0"))
    status, answer = installer.install(lock)
    assert (status, answer["code"]) == (1, "lock-invalid")
    assert name in answer["cause"]


def test_lock_in_flight_of_a_package_that_the_setting_protects_is_final(
    installer: Installer, index: PackageIndexServer
) -> None:
    environ = {"AIRFLOW__PACKAGE_MANAGER__PROTECTED_PACKAGES": "Good_Package"}
    lock = installer.stage(installer.environment.lock(offered(index, "good-package")), 1)
    status, answer = installer.run("--revision", "1", environ=environ)
    assert (status, answer["code"]) == (1, "lock-invalid")
    assert "good-package, which the setting protected_packages" in answer["cause"]
    assert not installer.site(lock).exists()
    installer.directory.write_current(1)
    assert installer.run("--revision", "1", environ=environ)[0] == 0


def test_hash_mismatch_is_final_and_leaves_nothing(installer: Installer, index: PackageIndexServer) -> None:
    lock = installer.environment.lock(offered(index, CHANGING))
    status, answer = installer.install(lock)
    assert (status, answer["code"], answer["retryable"]) == (1, "hash-mismatch", False), answer
    assert answer["tail"]
    assert names(installer.directory.sites) == [".lock"]


def test_no_wheel_is_final(installer: Installer, index: PackageIndexServer) -> None:
    lock = installer.environment.lock(offered(index, "other-platform"))
    status, answer = installer.install(lock)
    assert (status, answer["code"], answer["retryable"]) == (1, "no-wheel", False), answer


def test_unreachable_index_is_worth_another_try(installer: Installer, index: PackageIndexServer) -> None:
    with PackageIndexServer() as gone:
        url = gone.url
    lock = installer.stage(installer.environment.lock(offered(index, "good-package")), 1, current=1)
    status, answer = installer.run(environ={"AIRFLOW__PACKAGE_MANAGER__INDEX_URL": url})
    assert (status, answer["code"], answer["retryable"]) == (75, "index-unavailable", True), answer
    assert not installer.site(lock).exists()


def test_warm_cache_needs_no_index(installer: Installer, index: PackageIndexServer) -> None:
    lock = installer.environment.lock(offered(index, "good-package"))
    assert installer.install(lock)[0] == 0
    site_making.remove_site(installer.site(lock))
    before = len(index.requests)
    status, answer = installer.run()
    assert (status, answer["outcome"]) == (0, report.INSTALLED)
    assert len(index.requests) == before


@pytest.mark.parametrize(
    ("http", "code", "expected"), [(401, "index-refused", 1), (403, "index-refused", 1), (503, "index-unavailable", 75)]
)
def test_index_that_answers_with_an_error(installer: Installer, http: int, code: str, expected: int) -> None:
    file = wheel("good-package", "1.0")
    with PackageIndexServer([file]) as index:
        index.status = http
        installer.stage(installer.environment.lock(file), 1, current=1)
        status, answer = installer.run(environ={"AIRFLOW__PACKAGE_MANAGER__INDEX_URL": index.url})
    assert (status, answer["code"]) == (expected, code), answer


def test_credentials_reach_the_index_and_no_message(installer: Installer) -> None:
    file = wheel("private-package", "1.0")
    with PackageIndexServer([file], credentials=("somebody", "s3cret-word")) as index:
        lock = installer.stage(installer.environment.lock(file), 1, current=1)
        host = index.url.partition("//")[2].partition("/")[0]
        environ = {
            "AIRFLOW__PACKAGE_MANAGER__INDEX_URL": index.url,
            "AIRFLOW_PACKAGE_MANAGER_INDEX_CREDENTIALS": f"http://somebody:wr0ng-word@{host}",
        }
        status, answer = installer.run(environ=environ)
        assert (status, answer["code"]) == (1, "index-refused")
        assert "wr0ng-word" not in json.dumps(answer)
        environ["AIRFLOW_PACKAGE_MANAGER_INDEX_CREDENTIALS"] = f"http://somebody:s3cret-word@{host}"
        assert installer.run(environ=environ)[0] == 0
    assert (installer.site(lock) / "private_package.py").is_file()
    for path in installer.directory.root.rglob("*"):
        assert not path.is_file() or b"s3cret-word" not in path.read_bytes(), path


def test_wrong_setting_is_reported(installer: Installer, index: PackageIndexServer) -> None:
    installer.stage(installer.environment.lock(offered(index, "good-package")), 1, current=1)
    status, answer = installer.run(environ={"AIRFLOW__PACKAGE_MANAGER__INSTALL_TIMEOUT": "soon"})
    assert (status, answer["code"]) == (1, "install-failed")
    assert "install_timeout" in answer["cause"]


def test_eight_at_once_all_end_right(installer: Installer, index: PackageIndexServer) -> None:
    lock = installer.stage(
        installer.environment.lock(offered(index, "good-package"), offered(index, "good-script")), 1, current=1
    )
    environ = {"PATH": os.defpath, "HOME": str(installer.directory.root), **installer.environ}
    started = [subprocess.Popen(installer.command(), env=environ, stdout=subprocess.PIPE, text=True) for _ in range(8)]
    answers = []
    for process in started:
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0, output
        answers.append(json.loads(output)["outcome"])
    assert sorted(answers) == [report.INSTALLED] + [report.PRESENT] * 7
    assert names(installer.directory.sites) == [".lock", lock.digest()]


def test_torn_site_is_made_again(installer: Installer, index: PackageIndexServer) -> None:
    lock = installer.environment.lock(offered(index, "good-package"))
    site = installer.site(lock)
    site.mkdir()
    (site / "good_package.py").write_text("half")
    assert installer.install(lock)[1]["outcome"] == report.INSTALLED
    assert site_marker.changed_files(site) == ()
    assert (site / "good_package.py").read_text() != "half"


def test_left_over_of_a_killed_installer_goes(installer: Installer, index: PackageIndexServer) -> None:
    (installer.directory.sites / ".new-dead" / "site").mkdir(parents=True)
    lock = installer.environment.lock(offered(index, "good-package"))
    assert installer.install(lock)[0] == 0
    assert names(installer.directory.sites) == [".lock", lock.digest()]


def test_tampered_site_is_made_again_without_the_cache_that_shares_its_files(
    installer: Installer, index: PackageIndexServer
) -> None:
    lock = installer.environment.lock(offered(index, "good-package"))
    assert installer.install(lock)[0] == 0
    (path,) = installer.site(lock).glob("*.dist-info/RECORD")
    original = path.read_text()
    with path.open("a") as stream:  # in place: the cache's file changes with it
        stream.write("intruder.py,,\n")
    assert not site_marker.holds(installer.site(lock), lock.digest())
    assert installer.run()[1]["outcome"] == report.INSTALLED
    assert path.read_text() == original


def test_changed_file_is_found_by_reading_all(installer: Installer, index: PackageIndexServer) -> None:
    lock = installer.environment.lock(offered(index, "good-package"), offered(index, "good-script"))
    assert installer.install(lock)[0] == 0
    (installer.site(lock) / "good_package.py").write_text("VERSION = 'mine'\n")
    (installer.site(lock) / "good_script.py").unlink()
    assert site_marker.changed_files(installer.site(lock)) == ("good_package.py", "good_script.py")


@pytest.mark.parametrize("marker", ["", "{}", "[]", '{"format": 1}', "not json"])
def test_marker_that_is_none_of_ours_counts_as_none(tmp_path: Path, marker: str) -> None:
    (tmp_path / MARKER).write_text(marker)
    assert not site_marker.holds(tmp_path, "0" * 64)


def test_link_in_the_place_of_a_site_is_replaced_not_followed(
    installer: Installer, index: PackageIndexServer, tmp_path: Path
) -> None:
    lock = installer.environment.lock(offered(index, "good-package"))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").write_text("kept")
    site_marker.write(elsewhere, lock.digest(), lock.image)
    installer.site(lock).symlink_to(elsewhere)
    assert installer.install(lock)[1]["outcome"] == report.INSTALLED
    assert not installer.site(lock).is_symlink()
    assert names(elsewhere) == [MARKER, "precious"]


def test_image_that_differs_stops_a_revision_in_flight(installer: Installer, index: PackageIndexServer) -> None:
    lock = installer.environment.lock(offered(index, "good-package"), image="f" * 64)
    installer.stage(lock, 2, current=1)
    status, answer = installer.run("--revision", "2")
    assert (status, answer["code"], answer["retryable"]) == (1, "image-differs", False)
    assert not installer.site(lock).exists()


def test_image_that_differs_is_no_outage_for_an_ordinary_restart(
    installer: Installer, index: PackageIndexServer
) -> None:
    lock = installer.environment.lock(offered(index, "good-package"), image="f" * 64)
    status, answer = installer.install(lock)
    assert (status, answer["outcome"]) == (0, report.IMAGE_CHANGED)
    assert installer.run()[1]["outcome"] == report.IMAGE_CHANGED
    assert site_marker.holds(installer.site(lock), lock.digest())


@pytest.mark.parametrize("header", [{"python": "cp38"}, {"platform": "linux_riscv64"}])
def test_other_python_or_platform_gets_no_site(installer: Installer, header: dict[str, Any]) -> None:
    lock = installer.environment.lock(**header)
    status, answer = installer.install(lock)
    assert (status, answer["code"]) == (1, "wrong-platform")
    assert names(installer.directory.sites) == []


def test_site_that_cannot_be_written_is_said_so(installer: Installer, index: PackageIndexServer) -> None:
    installer.directory.sites.rmdir()
    installer.directory.sites.write_text("in the way")
    status, answer = installer.install(installer.environment.lock(offered(index, "good-package")))
    assert (status, answer["code"]) == (1, "disk")
    assert str(installer.directory.sites) in answer["cause"]


def test_installer_asks_nobody_when_stopped_by_its_own_limit(installer: Installer) -> None:
    file = wheel("slow-package", "1.0")
    with PackageIndexServer([file]) as index:
        index.delays["slow-package"] = 20.0
        installer.stage(installer.environment.lock(file), 1, current=1)
        code = (
            "import json,sys; from airflow_package_manager import settings;"
            "from airflow_package_manager.installer.directory import Directory;"
            "from airflow_package_manager.installer.install import install;"
            "d = Directory(sys.argv[1]);"
            "a, site = install(d, d.read_lock(1), revision=1, in_flight=False, settings=settings.load, timeout=1.0);"
            "print(json.dumps([a.code, a.retryable, site, a.seconds]))"
        )
        environ = {**installer.environ, "AIRFLOW__PACKAGE_MANAGER__INDEX_URL": index.url}
        done = installer.environment.run("-c", code, installer.directory.root, environ=environ)
    answer = json.loads(done.stdout)
    assert answer[:3] == ["install-timeout", True, None]
    assert answer[3] < 10
