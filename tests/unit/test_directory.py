from __future__ import annotations

import threading
from pathlib import Path

import pytest

from airflow_package_manager.errors import InvalidSetting, StampConflict
from airflow_package_manager.installer.directory import Directory, LastGood, StampFile, host_name


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    found = Directory(tmp_path / "package_manager")
    found.prepare()
    return found


def test_a_stamp_is_a_revision_and_a_counter(directory: Directory) -> None:
    assert directory.read_stamp("scheduler") == StampFile(None, 0)
    assert directory.write_stamp("scheduler", 7, 0) == StampFile(7, 1)
    assert directory.write_stamp("scheduler", None, 1) == StampFile(None, 2)
    assert directory.read_stamp("scheduler") == StampFile(None, 2)
    assert directory.stamp_path("scheduler").read_text() == "- 2\n"


def test_of_two_stamps_on_one_counter_one_wins(directory: Directory) -> None:
    conflicts: list[StampConflict] = []

    def write(revision: int) -> None:
        try:
            directory.write_stamp("scheduler", revision, 0)
        except StampConflict as error:
            conflicts.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(conflicts) == 7
    assert directory.read_stamp("scheduler").counter == 1


@pytest.mark.parametrize("text", ["", "7", "7 1", "7 1\n\n", "07 1\n", "7 -1\n", "x 1\n", "٣ 1\n", "7 1 2\n"])
def test_a_stamp_that_we_did_not_write_is_refused(directory: Directory, text: str) -> None:
    directory.stamp_path("scheduler").parent.mkdir()
    directory.stamp_path("scheduler").write_text(text)
    with pytest.raises(ValueError, match="not a stamp"):
        directory.read_stamp("scheduler")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", "Scheduler", "-x", "a" * 64, "a\n", "ä", "a b"])
def test_a_name_that_is_no_component_is_refused(directory: Directory, name: str) -> None:
    with pytest.raises(InvalidSetting):
        directory.component(name)


@pytest.mark.parametrize("digest", ["", "..", "A" * 64, "a" * 63, "a" * 64 + "\n", "../" + "a" * 61])
def test_a_site_has_the_name_of_a_digest(directory: Directory, digest: str) -> None:
    with pytest.raises(ValueError, match="not a lock digest"):
        directory.site(digest)


@pytest.mark.parametrize("host", ["../../etc", "a b", "", "ho\nst", "x" * 300, "."])
def test_a_host_name_stays_one_file_name(host: str) -> None:
    found = host_name(host)
    assert found
    assert "/" not in found
    assert len(found) <= 100
    assert not found.startswith(".")


@pytest.mark.parametrize("good", [LastGood(None), LastGood("a" * 64)])
def test_the_last_good_site_is_remembered(directory: Directory, good: LastGood) -> None:
    assert directory.read_last_good("scheduler") is None
    directory.write_last_good("scheduler", good)
    assert directory.read_last_good("scheduler") == good


def test_whoever_holds_the_right_to_write_keeps_others_out(directory: Directory) -> None:
    with directory.locked(), pytest.raises(BlockingIOError), directory.locked(patience=0.05):
        pass
    with directory.locked(patience=0):
        assert directory.root.is_dir()


def test_active_is_replaced_in_one_step(directory: Directory) -> None:
    for letter in "ab":
        directory.point_active(letter * 64)
        assert directory.active.readlink() == Path("sites") / (letter * 64)
    assert list(directory.tmp.iterdir()) == []
