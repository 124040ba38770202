from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from airflow_package_manager.installer import preflight_check, preflight_record
from airflow_package_manager.installer.preflight_record import PreflightRecord
from testenv.package_index import PackageIndexServer
from testenv.wheels import IndexFile, wheel
from tests.installer.environment import Installer, run


def command(installer: Installer, record: Path, *directs: str, timeout: float = 30) -> list[str]:
    words = [str(installer.environment.python), "-m", "airflow_package_manager.installer.preflight_check"]
    words += ["--directory", str(installer.directory.root), "--revision", "2", "--record", str(record)]
    words += ["--timeout", str(timeout)]
    return words + [word for direct in directs for word in ("--direct", direct)]


def check(
    installer: Installer, *files: IndexFile, directs: tuple[str, ...] = (), timeout: float = 30
) -> PreflightRecord:
    """Stage the files as a revision in flight and return the record of its check."""
    installer.stage(installer.environment.lock(*files), 2, current=1)
    path = installer.directory.root / "record.json"
    done = run(command(installer, path, *directs, timeout=timeout), environ=installer.environ, check=False)
    record = preflight_record.read(path)
    assert record is not None, done.stderr
    assert done.returncode == (0 if record.status == preflight_record.PASSED else 1), done.stderr
    assert list(installer.directory.tmp.iterdir()) == []
    return record


def named(index: PackageIndexServer, project: str) -> IndexFile:
    return (index.listing(project) or [])[0]


def test_good_package_passes(installer: Installer, index: PackageIndexServer) -> None:
    files = [named(index, name) for name in ("good-package", "good-with-dependency")]
    record = check(installer, *files, directs=("good-with-dependency",))
    assert record.status == preflight_record.PASSED, record
    assert (record.code, record.warnings) == (None, ())
    assert "2 of their packages were imported" in record.message
    assert record.pid > 0


def test_new_provider_passes(installer: Installer) -> None:
    files = {"airflow/providers/fresh/__init__.py": "A = 1\n", "airflow/providers/fresh/hook.py": ""}
    file = wheel("apache-airflow-providers-fresh", "1.0", files=files)
    start = installer.environment.packages / "airflow" / "__init__.py"
    original = start.read_text()
    start.write_text("__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n" + original)
    try:
        with PackageIndexServer([file]) as index:
            here = Installer(installer.environment, installer.directory, index.url)
            record = check(here, file, directs=("apache-airflow-providers-fresh",))
    finally:
        start.write_text(original)
    assert record.status == preflight_record.PASSED, record


@pytest.mark.parametrize(
    ("project", "code", "says"),
    [
        ("broken-on-import", preflight_record.IMPORT_FAILED, "RuntimeError: broken on import, as asked"),
        ("system-exit-on-import", preflight_record.IMPORT_FAILED, "ends the process: SystemExit: 0"),
        ("exits-on-import", preflight_record.IMPORT_EXITED, "ended with status 0 while importing exits_on_import"),
        ("crashes-on-import", preflight_record.IMPORT_EXITED, "by signal 11 while importing crashes_on_import"),
        ("forks-on-import", preflight_record.IMPORT_FORKED, "import forks_on_import (of forks-on-import) forks"),
        ("hangs-on-import", preflight_record.CHECK_TIMEOUT, "hung while importing hangs_on_import"),
    ],
)
def test_direct_import_that_misbehaves_fails(
    installer: Installer, index: PackageIndexServer, project: str, code: str, says: str
) -> None:
    record = check(installer, named(index, project), directs=(project,), timeout=2)
    assert (record.status, record.code) == (preflight_record.FAILED, code), record
    assert says in record.message
    assert project.replace("-", "_") in record.message


def test_transitive_import_that_fails_only_warns(installer: Installer, index: PackageIndexServer) -> None:
    files = [named(index, name) for name in ("broken-on-import", "needs-broken")]
    record = check(installer, *files, directs=("needs-broken",))
    assert record.status == preflight_record.PASSED, record
    (warning,) = record.warnings
    assert "broken on import, as asked" in warning


@pytest.mark.parametrize("project", ["exits-on-import", "hangs-on-import", "forks-on-import"])
def test_transitive_import_that_takes_the_process_fails_too(
    installer: Installer, index: PackageIndexServer, project: str
) -> None:
    assert check(installer, named(index, project), timeout=2).status == preflight_record.FAILED


def daemon(pid_file: Path) -> str:
    """Return the source of a module that detaches itself as a daemon would and lets the process end well."""
    return (
        "import os, time\n"
        "if os.fork():\n    os._exit(0)\n"
        "os.setsid()\n"
        "if os.fork():\n    os._exit(0)\n"
        f"open({str(pid_file)!r}, 'w').write(str(os.getpid()))\n"
        "time.sleep(1.0)\n"
    )


def test_daemon_fails_and_is_ended(installer: Installer, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    file = wheel("daemonises", "1.0", files={"daemonises.py": daemon(pid_file).replace("1.0", "3600")})
    with PackageIndexServer([file]) as index:
        here = Installer(installer.environment, installer.directory, index.url)
        record = check(here, file, directs=("daemonises",), timeout=3)
    assert record.status == preflight_record.FAILED
    if pid_file.exists() and pid_file.read_text():  # else it was killed before it got so far
        assert gone(int(pid_file.read_text()))


def gone(pid: int) -> bool:
    """Tell whether the process ends within five seconds."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_package_that_breaks_airflow_fails(installer: Installer) -> None:
    start = installer.environment.packages / "airflow" / "__init__.py"
    original = start.read_text()
    file = wheel("image-package", "1.5", files={"image_package/__init__.py": "raise ImportError('moved')\n"})
    start.write_text(original + "import image_package\n")
    try:
        with PackageIndexServer([file]) as index:
            here = Installer(installer.environment, installer.directory, index.url)
            record = check(here, file)
    finally:
        start.write_text(original)
    assert (record.status, record.code) == (preflight_record.FAILED, preflight_record.AIRFLOW_BROKEN)
    assert "ImportError: moved" in record.message


def test_missing_dependency_fails(installer: Installer, index: PackageIndexServer) -> None:
    record = check(installer, named(index, "needs-missing"), directs=("needs-missing",))
    assert (record.status, record.code) == (preflight_record.FAILED, preflight_record.REQUIREMENTS_BROKEN)
    assert "needs-missing requires no-such-project, which is not installed" in record.message


def test_package_of_the_image_that_forbids_the_new_version_fails(installer: Installer) -> None:
    file = wheel("image-package", "2.0", files={"image_package/__init__.py": ""})
    with PackageIndexServer([file]) as index:
        record = check(Installer(installer.environment, installer.directory, index.url), file)
    assert record.code == preflight_record.REQUIREMENTS_BROKEN
    assert "needs-image-package requires image-package<2, but image-package 2.0 is there" in record.message


def test_what_the_image_disagreed_on_before_only_warns(installer: Installer) -> None:
    unhappy = wheel("unhappy", "1.0", requires=["image-package>=5"])
    installer.environment.add(installer.directory.root / "wheels", unhappy)
    file = wheel("image-package", "1.5", files={"image_package/__init__.py": ""})
    try:
        with PackageIndexServer([file]) as index:
            record = check(Installer(installer.environment, installer.directory, index.url), file)
    finally:
        for path in installer.environment.packages.glob("unhappy-1.0.dist-info/*"):
            path.unlink()
        (installer.environment.packages / "unhappy-1.0.dist-info").rmdir()
    assert record.status == preflight_record.PASSED, record
    assert any("unhappy requires image-package>=5" in warning for warning in record.warnings)


def test_markers_and_extras_that_do_not_apply_are_no_requirements(installer: Installer) -> None:
    requires = ['never-there; python_version < "3"', 'optional; extra == "more"']
    file = wheel("choosy", "1.0", requires=requires)
    with PackageIndexServer([file]) as index:
        record = check(Installer(installer.environment, installer.directory, index.url), file, directs=("choosy",))
    assert record.status == preflight_record.PASSED, record


def test_requirement_that_nobody_can_read_only_warns(installer: Installer) -> None:
    file = wheel("old-fashioned", "1.0", requires=["image-package (>dev)"], files={"old_fashioned.py": ""})
    with PackageIndexServer([file]) as index:
        record = check(Installer(installer.environment, installer.directory, index.url), file)
    assert record.status == preflight_record.PASSED, record
    assert any("old-fashioned requires 'image-package (>dev)'" in warning for warning in record.warnings)


@pytest.mark.parametrize("project", ["root-pth", "ships-sitecustomize", "airflow-root-file"])
def test_gate_speaks_before_any_foreign_code_runs(
    installer: Installer, index: PackageIndexServer, project: str
) -> None:
    record = check(installer, named(index, project), directs=(project,))
    assert (record.status, record.code) == (preflight_record.FAILED, "gate")


def test_missing_lock(installer: Installer, tmp_path: Path) -> None:
    done = run(command(installer, tmp_path / "record.json"), environ=installer.environ, check=False)
    record = preflight_record.read(tmp_path / "record.json")
    assert done.returncode == 1
    assert record is not None
    assert record.code == "lock-missing"


def test_foreign_code_sees_no_credentials(installer: Installer, tmp_path: Path) -> None:
    seen = tmp_path / "seen.json"
    source = f"import json, os\njson.dump(dict(os.environ), open({str(seen)!r}, 'w'))\n"
    file = wheel("curious", "1.0", files={"curious.py": source})
    with PackageIndexServer([file]) as index:
        host = index.url.partition("//")[2].partition("/")[0]
        secrets = {
            "AIRFLOW_PACKAGE_MANAGER_INDEX_CREDENTIALS": f"http://me:s3cret-word@{host}",
            "UV_INDEX": "http://me:s3cret-word@packages.example.com/",
            "PIP_INDEX_URL": "http://me:s3cret-word@packages.example.com/",
            "AIRFLOW__CORE__PARALLELISM": "7",
        }
        here = Installer(installer.environment, installer.directory, index.url)
        here.stage(here.environment.lock(file), 2, current=1)
        path = tmp_path / "record.json"
        run(command(here, path, "curious"), environ={**here.environ, **secrets})
    environ = json.loads(seen.read_text())
    assert environ["AIRFLOW__CORE__PARALLELISM"] == "7"
    assert environ["AIRFLOW_PACKAGE_MANAGER_SITE"]
    assert not any("s3cret-word" in value for value in environ.values())
    assert not any(name.startswith(("UV_", "PIP_", "AIRFLOW__PACKAGE_MANAGER__INDEX")) for name in environ)


def test_stopped_check_says_so_and_takes_its_child_along(installer: Installer, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    source = f"import os, time\nopen({str(pid_file)!r}, 'w').write(str(os.getpid()))\ntime.sleep(3600)\n"
    file = wheel("sleeps", "1.0", files={"sleeps.py": source})
    with PackageIndexServer([file]) as index:
        here = Installer(installer.environment, installer.directory, index.url)
        here.stage(here.environment.lock(file), 2, current=1)
        record = tmp_path / "record.json"
        environ = {"PATH": os.defpath, "HOME": str(tmp_path), **here.environ}
        with subprocess.Popen(command(here, record, "sleeps"), env=environ, start_new_session=True) as process:
            deadline = time.monotonic() + 20
            while not (pid_file.exists() and pid_file.read_text()):
                assert time.monotonic() < deadline
                time.sleep(0.05)
            running = preflight_record.read(record)
            assert running is not None
            assert (running.status, running.pid) == (preflight_record.RUNNING, process.pid)
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 1
    ended = preflight_record.read(record)
    assert ended is not None
    assert (ended.status, ended.code) == (preflight_record.FAILED, preflight_record.CHECK_LOST)
    assert gone(int(pid_file.read_text()))


def test_child_dies_with_a_killed_check(installer: Installer, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    source = f"import os, time\nopen({str(pid_file)!r}, 'w').write(str(os.getpid()))\ntime.sleep(3600)\n"
    file = wheel("sleeps", "1.0", files={"sleeps.py": source})
    with PackageIndexServer([file]) as index:
        here = Installer(installer.environment, installer.directory, index.url)
        here.stage(here.environment.lock(file), 2, current=1)
        environ = {"PATH": os.defpath, "HOME": str(tmp_path), **here.environ}
        with subprocess.Popen(command(here, tmp_path / "record.json", "sleeps"), env=environ) as process:
            deadline = time.monotonic() + 20
            while not (pid_file.exists() and pid_file.read_text()):
                assert time.monotonic() < deadline
                time.sleep(0.05)
            process.kill()
    assert gone(int(pid_file.read_text()))


def test_much_output_is_bounded_and_shown_when_it_fails(installer: Installer) -> None:
    source = "print('noise ' * 500_000)\nprint('http://me:s3cret@packages.example.com')\n"
    source += f"raise RuntimeError('no: {'x' * 400} postgresql://airflow:s3cret{'x' * 99}@database')\n"
    file = wheel("chatters", "1.0", files={"chatters.py": source})
    with PackageIndexServer([file]) as index:
        here = Installer(installer.environment, installer.directory, index.url)
        record = check(here, file, directs=("chatters",))
    assert record.status == preflight_record.FAILED
    assert record.detail is not None
    assert len(record.detail) <= 8_000
    assert "packages.example.com" in record.detail
    assert "postgresql://****" in record.message
    assert "s3cret" not in (installer.directory.root / "record.json").read_text()


def test_environment_for_foreign_code_is_a_copy_without_secrets() -> None:
    given = {"UV_X": "1", "pip_y": "1", "NETRC": "1", "PATH": "/bin", "AIRFLOW__CORE__X": "1"}
    assert preflight_check.child_environment(given) == {"PATH": "/bin", "AIRFLOW__CORE__X": "1"}


def test_record_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    assert preflight_record.read(path) is None
    record = PreflightRecord(preflight_record.FAILED, "message", 7, 1.5, "gate", ("one",), "detail")
    preflight_record.write(path, record)
    assert preflight_record.read(path) == record
    assert [entry.name for entry in tmp_path.iterdir()] == ["record.json"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "null",
        '{"status": "passed"}',
        '{"status":"great","message":"","pid":1,"started_at":1,"warnings":[]}',
        '{"status":"passed","message":3,"pid":1,"started_at":1,"warnings":[]}',
        "[" * 5000,
    ],
)
def test_record_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "record.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="not a record"):
        preflight_record.read(path)


def test_record_behind_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/hostname")
    with pytest.raises(ValueError, match="not a record"):
        preflight_record.read(tmp_path / "link")
