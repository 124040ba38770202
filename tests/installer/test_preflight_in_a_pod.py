from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from airflow_package_manager.domain.lock import Lock
from airflow_package_manager.installer import preflight_record
from airflow_package_manager.installer.preflight_record import PreflightRecord
from testenv.package_index import PackageIndexServer
from testenv.wheels import IndexFile, wheel
from tests.installer.environment import Installer, run
from tests.installer.mount import Mount


class Job:
    """The pod of a preflight: its init container has run, its check is to come."""

    def __init__(self, installer: Installer, folder: Path) -> None:
        self.installer = installer
        self.mount = Mount(folder / "locks")
        self.active = installer.directory.root / "active"
        self.log = folder / "termination-log"
        self.log.touch()

    def installs(self, *files: IndexFile, revision: int = 2) -> Lock:
        lock = self.mount.stage(self.installer.environment.lock(*files), revision, current=1)
        words = ["--locks", str(self.mount.folder), f"--stamp={revision}", "--active", str(self.active)]
        assert self.installer.run(*words)[0] == 0
        return lock

    def command(self, *directs: str, timeout: float = 30) -> list[str]:
        words = [str(self.installer.environment.python), "-m", "airflow_package_manager.installer.preflight_check"]
        words += ["--site", str(self.active), "--locks", str(self.mount.folder), "--revision", "2"]
        words += ["--record", str(self.log), "--timeout", str(timeout)]
        return words + [word for direct in directs for word in ("--direct", direct)]

    def check(self, *directs: str, timeout: float = 30) -> PreflightRecord:
        inode = self.log.stat().st_ino
        environ = {"AIRFLOW_PACKAGE_MANAGER_SITE": str(self.active)}
        done = run(self.command(*directs, timeout=timeout), environ=environ, check=False)
        return self.record(done.returncode, inode, done.stderr)

    def record(self, status: int, inode: int, errors: str = "") -> PreflightRecord:
        text = self.log.read_text()
        record = preflight_record.parse(text)
        assert record is not None, text + errors
        assert len(text.encode()) <= preflight_record.TERMINATION_BYTES
        assert self.log.stat().st_ino == inode
        assert status == (0 if record.status == preflight_record.PASSED else 1)
        return record


@pytest.fixture
def job(installer: Installer, tmp_path: Path) -> Job:
    return Job(installer, tmp_path)


def written(job: Job) -> list[Path]:
    """Return what lies in the volume but bytecode, which Python writes where it may."""
    return sorted(path for path in job.installer.directory.root.rglob("*") if "__pycache__" not in path.parts)


def named(index: PackageIndexServer, project: str) -> IndexFile:
    return (index.listing(project) or [])[0]


def test_what_the_init_container_installed_passes(job: Job, index: PackageIndexServer) -> None:
    job.installs(named(index, "good-package"), named(index, "good-with-dependency"))
    before = written(job)
    record = job.check("good-with-dependency")
    assert (record.status, record.code, record.warnings) == (preflight_record.PASSED, None, ())
    assert "2 of their packages were imported" in record.message
    assert written(job) == before


@pytest.mark.parametrize(
    ("project", "code"),
    [
        ("broken-on-import", preflight_record.IMPORT_FAILED),
        ("exits-on-import", preflight_record.IMPORT_EXITED),
        ("crashes-on-import", preflight_record.IMPORT_EXITED),
        ("forks-on-import", preflight_record.IMPORT_FORKED),
        ("hangs-on-import", preflight_record.CHECK_TIMEOUT),
    ],
)
def test_what_misbehaves_fails(job: Job, index: PackageIndexServer, project: str, code: str) -> None:
    job.installs(named(index, project))
    record = job.check(project, timeout=3)
    assert (record.status, record.code) == (preflight_record.FAILED, code), record


def test_without_a_site_nothing_is_proven(job: Job, index: PackageIndexServer) -> None:
    job.mount.stage(job.installer.environment.lock(named(index, "good-package")), 2, current=1)
    record = job.check()
    assert record.code == preflight_record.SITE_MISSING
    assert "made no site" in record.message


def test_the_site_of_another_lock_proves_nothing(job: Job, index: PackageIndexServer) -> None:
    one, two = sorted(index.listing("good-package") or [], key=lambda file: file.version)[:2]
    job.installs(one)
    job.mount.stage(job.installer.environment.lock(two), 2)
    record = job.check("good-package")
    assert record.code == preflight_record.SITE_MISSING
    assert "no complete site of revision 2" in record.message


def test_a_site_that_somebody_changed_proves_nothing(job: Job, index: PackageIndexServer) -> None:
    lock = job.installs(named(index, "good-package"))
    (file,) = job.installer.site(lock).glob("*.dist-info/RECORD")
    file.unlink()
    assert job.check().code == preflight_record.SITE_MISSING


@pytest.mark.parametrize(("keys", "code"), [({}, "lock-missing"), ({"lock.2": "torn"}, "lock-invalid")])
def test_a_lock_that_is_lost_is_said(job: Job, index: PackageIndexServer, keys: dict[str, str], code: str) -> None:
    job.installs(named(index, "good-package"))
    job.mount.write(keys)
    assert job.check().code == code


def test_much_to_say_is_shortened_to_a_termination_message(job: Job) -> None:
    source = (
        "print('noise ' * 500_000)\nprint('http://me:s3cret@packages.example.com')\nraise RuntimeError('no' * 9999)\n"
    )
    file = wheel("chatters", "1.0", files={"chatters.py": source})
    with PackageIndexServer([file]) as index:
        job.installer = Installer(job.installer.environment, job.installer.directory, index.url)
        job.installs(file)
    record = job.check("chatters")
    assert record.code == preflight_record.IMPORT_FAILED
    assert "RuntimeError: nono" in record.message
    assert "s3cret" not in (record.detail or "")
    assert "packages.example.com" in (record.detail or "")


def test_foreign_code_that_writes_the_record_itself_is_overruled(job: Job) -> None:
    forged = '{"status":"passed","message":"","pid":1,"started_at":1,"warnings":[]}'
    source = f"import os\nopen({str(job.log)!r}, 'w').write({forged!r})\nos._exit(0)\n"
    file = wheel("forges", "1.0", files={"forges.py": source})
    with PackageIndexServer([file]) as index:
        job.installer = Installer(job.installer.environment, job.installer.directory, index.url)
        job.installs(file)
    assert job.check("forges").code == preflight_record.IMPORT_EXITED


def test_a_deadline_that_ends_the_container_leaves_a_record(job: Job, index: PackageIndexServer) -> None:
    job.installs(named(index, "hangs-on-import"))
    inode = job.log.stat().st_ino
    with subprocess.Popen(job.command("hangs-on-import"), env={"PATH": os.defpath}) as process:
        deadline = time.monotonic() + 20
        while (seen := preflight_record.parse(job.log.read_text())) is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert (seen.status, seen.pid) == (preflight_record.RUNNING, process.pid)
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        status = process.wait(5)
    assert job.record(status, inode).code == preflight_record.CHECK_LOST


@pytest.mark.parametrize(
    "words", [["--site", "/x"], ["--directory", "/x", "--locks", "/y"], ["--site", "/x", "--directory", "/y"]]
)
def test_arguments_that_do_not_go_together_are_refused(job: Job, words: list[str]) -> None:
    command = [*job.command()[:3], *words, "--revision", "2", "--record", str(job.log), "--timeout", "1"]
    done = run(command, check=False)
    assert done.returncode == 2
    assert "usage:" in done.stderr
    assert job.log.read_text() == ""


def test_any_record_fits_a_termination_message() -> None:
    for size in (0, 10, 1_000, 100_000):
        for warnings in (0, 1, 200):
            record = PreflightRecord(
                preflight_record.FAILED, "ü" * size, 1, 1e9, "gate", ("w" * size,) * warnings, "é" * size or None
            )
            text = preflight_record.termination_message(record)
            assert len(text) <= preflight_record.TERMINATION_BYTES
            found = preflight_record.parse(text)
            assert found is not None
            assert (found.status, found.code, found.pid) == (record.status, record.code, record.pid)
            assert bool(found.message) is bool(record.message)


@pytest.mark.parametrize("text", ["", "error: no such image", "[]", '{"status":"passed"}', b"\xff"])
def test_what_is_no_record_is_none(text: str | bytes) -> None:
    assert preflight_record.parse(text) is None
