"""What a restricted pod has: any user id with group 0, a read-only root, process 1, no home, no network needed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from airflow_package_manager.domain import report
from airflow_package_manager.domain.lock import Lock
from airflow_package_manager.installer import preflight_record
from testenv.package_index import PackageIndexServer
from testenv.wheels import IndexFile, wheel
from tests.installer.environment import UV, Installer
from tests.installer.mount import Mount

BOX = """
set -eu
mount -t tmpfs -o mode=755 none /mnt
mkdir /mnt/image /mnt/volume /mnt/locks /mnt/bin /mnt/python
cp "$BOX_UV" /mnt/bin/uv
touch /mnt/termination-log
mount --bind "$BOX_IMAGE" /mnt/image
mount --bind "$BOX_VOLUME" /mnt/volume
mount --bind "$BOX_LOCKS" /mnt/locks
mount --bind "$BOX_LOG" /mnt/termination-log
case "$BOX_PYTHON" in /usr*) ;; *)  # in a home directory, which other users may not enter
  mount --bind "$BOX_PYTHON" /mnt/python
  mount -t tmpfs -o mode=755 none "/$(echo "$BOX_PYTHON" | cut -d/ -f2)"
  mkdir -p "$BOX_PYTHON"
  mount --bind /mnt/python "$BOX_PYTHON" ;;
esac
uv="$(readlink -m /mnt/image/bin/uv)"
test -e "$uv" || { mkdir -p "${uv%/*}"; touch "$uv"; }
mount --bind /mnt/bin/uv "$uv"
mount -o remount,bind,ro /
mount -o remount,bind,ro /mnt
exec setpriv --reuid "$BOX_USER" --regid 0 --clear-groups --no-new-privs --bounding-set=-all env -i \
  PATH=/usr/bin:/bin HOME=/ AIRFLOW_HOME=/opt/airflow AIRFLOW__PACKAGE_MANAGER__INDEX_URL="$BOX_INDEX" "$@"
"""


def _may_unshare() -> str:
    if sys.platform != "linux" or os.geteuid() != 0 or shutil.which("setpriv") is None:
        return "needs root, Linux and setpriv"
    words = ["/usr/bin/unshare", "--mount", "--pid", "--fork", "mount", "-t", "tmpfs", "none", "/mnt"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.stderr.strip() if done.returncode else ""


pytestmark = pytest.mark.skipif(bool(reason := _may_unshare()), reason=f"no mount namespaces here: {reason}")


@dataclass
class Box:
    """A volume and a mount that pods of any user share."""

    installer: Installer
    mount: Mount
    volume: Path
    log: Path
    offline: bool = False
    environ: tuple[str, ...] = ()

    def installing(self, stamp: str) -> list[str]:
        words = ["/mnt/image/bin/python", "-m", "airflow_package_manager.installer", "--locks", "/mnt/locks"]
        words += ["--directory", "/mnt/volume", f"--stamp={stamp}", "--active", "/mnt/volume/active", "--wait", "60"]
        return [*words, "--report", "/mnt/termination-log"]

    def start(self, user: int, words: Sequence[str]) -> subprocess.Popen[str]:
        values = {
            "BOX_IMAGE": self.installer.environment.root,
            "BOX_VOLUME": self.volume,
            "BOX_LOCKS": self.mount.folder,
            "BOX_LOG": self.log,
            "BOX_INDEX": self.installer.index_url,
            "BOX_USER": user,
            "BOX_UV": os.path.realpath(UV),
            "BOX_PYTHON": sys.base_prefix,
        }
        environ = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **{name: str(value) for name, value in values.items()}}
        unshare = ["/usr/bin/unshare", *(["--net"] if self.offline else [])]
        return subprocess.Popen(
            [*unshare, "--mount", "--pid", "--fork", "/bin/sh", "-c", BOX, "box", "env", *self.environ, *words],
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, user: int, words: Sequence[str]) -> tuple[int, str, str]:
        process = self.start(user, words)
        output, errors = process.communicate(timeout=120)
        return process.returncode, output, errors

    def install(self, user: int, stamp: str) -> tuple[int, dict[str, Any]]:
        status, output, errors = self.run(user, self.installing(stamp))
        assert output.count("\n") == 1, output + errors
        answer: dict[str, Any] = json.loads(output)
        assert json.loads(self.log.read_text()) == answer
        return status, answer


@pytest.fixture
def box(installer: Installer, tmp_path: Path) -> Box:
    """A volume as an emptyDir is made, and a termination log as the kubelet makes it."""
    volume = tmp_path / "volume"
    volume.mkdir()
    volume.chmod(0o777)
    log = tmp_path / "termination-log"
    log.touch()
    log.chmod(0o666)
    return Box(installer, Mount(tmp_path / "locks"), volume, log)


def lock_of(box: Box, index: PackageIndexServer, version: str) -> Lock:
    file = next(file for file in index.listing("good-package") or [] if file.version == version)
    return box.installer.environment.lock(file, image=image_in_the_box(box))


def image_in_the_box(box: Box) -> str:
    code = "from airflow_package_manager.installer import image; print(image.fingerprint())"
    status, output, errors = box.run(4321, ["/mnt/image/bin/python", "-c", code])
    assert status == 0, errors
    return output.strip()


def test_any_user_with_group_0_installs_and_its_main_container_imports(box: Box, index: PackageIndexServer) -> None:
    box.mount.stage(lock_of(box, index, "1.0"), 1, current=1)
    status, answer = box.install(1234567, "1")
    assert (status, answer["outcome"]) == (0, report.INSTALLED), json.dumps(answer)
    main = ["env", "AIRFLOW_PACKAGE_MANAGER_SITE=/mnt/volume/active", "/mnt/image/bin/python", "-c"]
    status, output, errors = box.run(7654321, [*main, "import good_package; print(good_package.VERSION)"])
    assert (status, output, errors) == (0, "1.0\n", "")
    assert box.install(1234567, "1")[1]["outcome"] == report.PRESENT


def test_pods_of_several_users_share_a_volume(box: Box, index: PackageIndexServer) -> None:
    box.mount.stage(lock_of(box, index, "1.0"), 1, current=1)
    box.mount.stage(lock_of(box, index, "2.0"), 2)
    started = [box.start(1000 + number, box.installing("1")) for number in range(4)]
    for process in started:
        output, errors = process.communicate(timeout=120)
        assert process.returncode == 0, output + errors
    assert box.install(2000, "2")[1]["outcome"] == report.INSTALLED
    torn = box.volume / "sites" / str(box.install(3000, "1")[1]["lock_digest"])
    (record,) = torn.glob("*.dist-info/RECORD")
    record.unlink()
    status, answer = box.install(4000, "1")
    assert (status, answer["outcome"]) == (0, report.INSTALLED), json.dumps(answer)


def test_another_user_cleans_up_after_a_pod_that_was_killed(box: Box) -> None:
    file: IndexFile = wheel("slow-package", "1.0")
    with PackageIndexServer([file]) as slow:
        slow.delays["slow-package"] = 60.0
        box.installer = Installer(box.installer.environment, box.installer.directory, slow.url)
        box.mount.stage(box.installer.environment.lock(file, image=image_in_the_box(box)), 1, current=1)
        process = box.start(1000, box.installing("1"))
        deadline = time.monotonic() + 30
        while not slow.requests:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        os.kill(_first_process(process.pid), signal.SIGKILL)  # and with it all that it started
        process.communicate(timeout=10)
        assert [path for path in (box.volume / "sites").iterdir() if path.name.startswith(".new-")]
        slow.delays.clear()
        status, answer = box.install(2000, "1")
    assert (status, answer["outcome"]) == (0, report.INSTALLED), json.dumps(answer)
    assert not [path for path in (box.volume / "sites").iterdir() if path.name.startswith(".new-")]


def test_process_1_stops_when_the_kubelet_says_so(box: Box, index: PackageIndexServer) -> None:
    box.mount.stage(lock_of(box, index, "1.0"), 1, current=1)
    process = box.start(1000, box.installing("2"))
    first = _first_process(process.pid)
    time.sleep(1)
    os.kill(first, signal.SIGTERM)
    process.communicate(timeout=10)
    assert json.loads(box.log.read_text())["code"] == "stopped"


def _first_process(pid: int) -> int:
    """Return the installer that is process 1 of its own world, below the `unshare` with this process id."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            if b"airflow_package_manager.installer" in Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0"):
                return int(child)
        time.sleep(0.05)
    raise AssertionError("no installer was started")


def test_without_a_network_the_cache_of_another_user_is_enough(box: Box) -> None:
    file = wheel("good-package", "1.0")
    with PackageIndexServer([file]) as here:
        box.installer = Installer(box.installer.environment, box.installer.directory, here.url)
        lock = box.mount.stage(box.installer.environment.lock(file, image=image_in_the_box(box)), 1, current=1)
        assert box.install(1000, "1")[0] == 0
    shutil.rmtree(box.volume / "sites" / lock.digest())
    status, answer = box.install(1001, "1")
    assert (status, answer["outcome"]) == (0, report.INSTALLED), answer


def test_the_check_in_the_main_container_needs_no_place_to_write(box: Box, index: PackageIndexServer) -> None:
    box.mount.stage(lock_of(box, index, "1.0"), 7)
    assert box.install(1000, "7")[0] == 0
    box.volume.chmod(0o755)
    words = ["env", "AIRFLOW_PACKAGE_MANAGER_SITE=/mnt/volume/active", "/mnt/image/bin/python", "-m"]
    words += ["airflow_package_manager.installer.preflight_check", "--site", "/mnt/volume/active"]
    words += ["--locks", "/mnt/locks", "--revision", "7", "--record", "/mnt/termination-log", "--timeout", "60"]
    status, _, errors = box.run(2000, [*words, "--direct", "good-package"])
    record = preflight_record.parse(box.log.read_text())
    assert status == 0, errors
    assert record is not None
    assert (record.status, record.pid) == (preflight_record.PASSED, 1)


def test_without_any_network_a_wheelhouse_is_enough(box: Box) -> None:
    file = wheel("good-package", "1.0")
    wheels = box.volume / "wheels"
    wheels.mkdir()
    (wheels / file.filename).write_bytes(file.content)
    box.offline = True
    lock = box.installer.environment.lock(file, image=image_in_the_box(box))
    box.mount.stage(lock, 1, current=1)
    status, answer = box.install(1000, "1")
    assert (status, answer["code"]) == (75, "index-unavailable"), answer
    box.environ = ("AIRFLOW__PACKAGE_MANAGER__WHEELHOUSE=/mnt/volume/wheels",)
    status, answer = box.install(1000, "1")
    assert (status, answer["outcome"]) == (0, report.INSTALLED), answer


def test_what_a_wheelhouse_lacks_is_said(box: Box) -> None:
    box.environ = ("AIRFLOW__PACKAGE_MANAGER__WHEELHOUSE=/mnt/volume/wheels",)
    image = image_in_the_box(box)
    box.mount.stage(box.installer.environment.lock(wheel("good-package", "1.0"), image=image), 1, current=1)
    status, answer = box.install(1000, "1")
    assert (status, answer["code"], answer["cause"]) == (75, "index-unavailable", "The wheelhouse cannot be read.")
    (box.volume / "wheels").mkdir()
    status, answer = box.install(1000, "1")
    assert (status, answer["code"]) == (1, "no-wheel"), answer
