from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from airflow_package_manager.installer.mounted_locks import MountedLocks, look, revision_of
from tests.installer.mount import Mount


def test_reads_stamp_and_current_through_the_links(tmp_path: Path) -> None:
    mount = Mount(tmp_path / "locks")
    mount.write({"current": "5\n", "lock.5": "five", "lock.6": "six", "lock.7": "seven"})
    assert look(str(mount.folder), 6) == MountedLocks(5, {6: "six", 5: "five"})
    assert look(str(mount.folder), None) == MountedLocks(5, {5: "five"})
    assert look(str(mount.folder), 8) == MountedLocks(5, {5: "five"})


def test_a_configmap_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert look(str(Mount(tmp_path / "locks").folder), 1) == MountedLocks(None, {})
    assert look(str(tmp_path / "nothing"), 1) == MountedLocks(None, {})


def test_a_plain_directory_is_read_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "current").write_text("2")
    (tmp_path / "lock.2").write_text("two")
    assert look(str(tmp_path), None) == MountedLocks(2, {2: "two"})


def test_a_link_in_a_plain_directory_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "lock.2").symlink_to("/etc/hostname")
    with pytest.raises(OSError, match="symbolic links"):
        look(str(tmp_path), 2)


@pytest.mark.parametrize("text", ["", "none", "0", "-1", "01", "1.0", "1 2", "1234567890", "\u0661"])
def test_a_current_that_is_no_revision_is_none_and_said(tmp_path: Path, text: str) -> None:
    mount = Mount(tmp_path / "locks")
    mount.write({"current": text, "lock.1": "one"})
    found = look(str(mount.folder), None)
    assert (found.current, found.texts) == (None, {})
    assert "holds no revision" in found.problem
    assert revision_of(text) is None


def test_a_look_never_mixes_two_states(tmp_path: Path) -> None:
    mount = Mount(tmp_path / "locks")
    done = threading.Event()

    def swap() -> None:
        for revision in itertools.cycle((5, 6)):
            mount.write({"current": f"{revision}\n", f"lock.{revision}": str(revision)})
            if done.is_set():
                return

    mount.write({"current": "5\n", "lock.5": "5"})
    with ThreadPoolExecutor(1) as pool:
        swapping = pool.submit(swap)
        found = [look(str(mount.folder), None) for _ in range(500)]
        done.set()
        swapping.result(20)
    assert {one.current for one in found} == {5, 6}
    assert all(one == MountedLocks(one.current, {one.current or 0: str(one.current)}) for one in found)
