"""What every `RequirementStore` does; the fake and the real one alike."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_package_manager.adapters.kubernetes.api import Api
from airflow_package_manager.adapters.kubernetes.configmap_store import ConfigMapStore
from airflow_package_manager.adapters.kubernetes.connection import Connection
from airflow_package_manager.adapters.kubernetes.kinds import CONFIG_MAP
from airflow_package_manager.adapters.local.directory_store import DirectoryStore
from airflow_package_manager.domain.lock import text_digest
from airflow_package_manager.errors import StoreConflict, StoreUnavailable
from airflow_package_manager.installer.directory import Directory
from airflow_package_manager.ports import RequirementStore, StoreChanges
from airflow_package_manager.refusals import StoreTooLarge
from tests.fakes.cluster import MemoryApi
from tests.fakes.store import MemoryStore
from tests.supervisor.house import lock_of

if TYPE_CHECKING:
    from testenv.cluster import Cluster

LOCK = "# a lock\n"


@dataclass
class World:
    """A store and another hand that edits its text."""

    store: RequirementStore
    edit: Callable[[str], object]
    again: Callable[[], RequirementStore]
    """The same store as another process would open it."""


REAL = pytest.param("kubernetes", marks=pytest.mark.cluster)


@pytest.fixture(params=["fake", "directory", "config-map", REAL])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    if request.param == "fake":
        memory = MemoryStore()
        return World(memory, memory.edit, lambda: memory)
    if request.param == "config-map":
        return _config_maps(MemoryApi(), "airflow")
    if request.param == "kubernetes":
        cluster: Cluster = request.getfixturevalue("cluster")
        api = Api(Connection(kubeconfig=str(cluster.kubeconfig)))
        return _config_maps(api, request.getfixturevalue("namespace"))
    root = tmp_path / "package_manager"
    return World(
        DirectoryStore(Directory(root)),
        lambda text: (root / "requirements.txt").write_bytes(text.encode()),
        lambda: DirectoryStore(Directory(root)),
    )


def _config_maps(api: Api | MemoryApi, namespace: str) -> World:
    def store() -> ConfigMapStore:
        return ConfigMapStore(api, namespace=namespace, name="airflow-config-pypi")

    def edit(text: str) -> None:
        api.patch(CONFIG_MAP, namespace, "airflow-config-pypi", {"data": {"requirements.txt": text}})

    return World(store(), edit, store)


def test_nothing_is_an_empty_store(world: World) -> None:
    found = world.store.read()
    assert (found.text, dict(found.locks), found.current) == ("", {}, None)
    assert world.store.read().version == found.version


@pytest.mark.parametrize("text", ["pandas\r\n# no end", "", "\ufeffa\n", "ü==1\n", "\n\n", "a\x85b\u2028c\n"])
def test_text_is_kept_byte_for_byte(world: World, text: str) -> None:
    version = world.store.read().version
    assert world.store.write(StoreChanges(text=text), version).text == text
    assert world.again().read().text == text


def test_what_is_not_named_stays(world: World) -> None:
    text = world.store.write(StoreChanges(text="a\n"), world.store.read().version)
    first = world.store.write(StoreChanges(put_locks={1: LOCK}, current=1), text.version)
    second = world.store.write(StoreChanges(put_locks={2: "two"}), first.version)
    assert (second.text, dict(second.locks), second.current) == ("a\n", {1: LOCK, 2: "two"}, 1)
    third = world.store.write(StoreChanges(delete_locks=frozenset({1, 7}), current=2), second.version)
    assert (third.text, dict(third.locks), third.current) == ("a\n", {2: "two"}, 2)
    assert world.again().read() == third


def test_every_write_gives_another_version(world: World) -> None:
    versions = [world.store.read().version]
    changes = (StoreChanges(text="a"), StoreChanges(put_locks={1: LOCK}), StoreChanges(current=1))
    for change in changes:
        versions.append(world.store.write(change, versions[-1]).version)
        assert world.store.read().version == versions[-1]
    assert len(set(versions)) == len(versions)


def test_an_old_version_is_a_conflict_and_writes_nothing(world: World) -> None:
    old = world.store.read().version
    kept = world.store.write(StoreChanges(text="theirs\n"), old)
    for ours in (StoreChanges(text="ours\n"), StoreChanges(put_locks={1: LOCK}, current=1)):
        with pytest.raises(StoreConflict):
            world.store.write(ours, old)
    assert world.store.read() == kept


@pytest.mark.parametrize(
    "changes",
    [
        StoreChanges(text="a\n", put_locks={1: LOCK}),
        StoreChanges(text="a\n", delete_locks=frozenset({1})),
        StoreChanges(text="a\n", current=1),
    ],
)
def test_text_and_locks_are_never_written_together(world: World, changes: StoreChanges) -> None:
    before = world.store.read()
    with pytest.raises(ValueError, match="text"):
        world.store.write(changes, before.version)
    assert world.store.read() == before


def test_a_hand_edit_is_a_conflict_and_stays(world: World) -> None:
    before = world.store.write(StoreChanges(text="a\n"), world.store.read().version)
    world.edit("edited by hand\n")
    with pytest.raises(StoreConflict):
        world.store.write(StoreChanges(text="b\n"), before.version)
    assert world.store.read().text == "edited by hand\n"


@pytest.mark.parametrize("what", ["text", "lock"])
def test_of_many_writers_with_one_version_one_wins(world: World, what: str) -> None:
    version = world.store.read().version
    won: list[str] = []

    def write(text: str) -> None:
        try:
            changes = StoreChanges(text=text) if what == "text" else StoreChanges(put_locks={1: text})
            world.again().write(changes, version)
        except StoreConflict:
            return
        won.append(text)

    threads = [threading.Thread(target=write, args=(f"writer {number}\n",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    found = world.store.read()
    assert (found.text, dict(found.locks)) == ((won[0], {}) if what == "text" else ("", {1: won[0]}))


def test_too_much_is_refused_and_nothing_written(world: World) -> None:
    text = world.store.write(StoreChanges(text="a\n"), world.store.read().version)
    before = world.store.write(StoreChanges(put_locks={1: "x" * 600_000}), text.version)
    for changes in (StoreChanges(put_locks={2: "y" * 600_000}), StoreChanges(text="z" * 1_100_000)):
        with pytest.raises(StoreTooLarge):
            world.store.write(changes, before.version)
    assert world.store.read() == before
    replaced = StoreChanges(put_locks={2: "y" * 600_000}, delete_locks=frozenset({1}))
    assert set(world.store.write(replaced, before.version).locks) == {2}


# --- the directory alone -------------------------------------------------------------------------------------------


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "package_manager"
    DirectoryStore(Directory(root)).read()
    return root


def test_the_keys_are_plain_files(root: Path) -> None:
    store = DirectoryStore(Directory(root))
    text = store.write(StoreChanges(text="a\n"), store.read().version)
    store.write(StoreChanges(put_locks={12: LOCK}, current=12), text.version)
    assert (root / "requirements.txt").read_bytes() == b"a\n"
    assert (root / "lock.12").read_text() == LOCK
    assert (root / "current").read_text() == "12\n"
    assert list((root / "tmp").iterdir()) == []
    assert not (root / ".pending").exists()


def test_what_is_not_ours_is_never_touched(root: Path) -> None:
    foreign = {"lock.bak": "b", "lock.007": "c", "notes.txt": "d", "lock.1.orig": "e"}
    for name, text in foreign.items():
        (root / name).write_text(text)
    store = DirectoryStore(Directory(root))
    written = store.write(StoreChanges(text="a\n"), store.read().version)
    found = store.write(StoreChanges(delete_locks=frozenset({7})), written.version)
    assert dict(found.locks) == {}
    assert {name: (root / name).read_text() for name in foreign} == foreign


def test_bytes_that_are_no_text_survive(root: Path) -> None:
    (root / "requirements.txt").write_bytes(b"caf\xe9\n")
    store = DirectoryStore(Directory(root))
    found = store.read()
    store.write(StoreChanges(text=found.text + "a\n"), found.version)
    assert (root / "requirements.txt").read_bytes() == b"caf\xe9\na\n"


def test_the_permissions_of_the_file_stay(root: Path) -> None:
    file = root / "requirements.txt"
    file.write_text("a\n")
    file.chmod(0o664)
    store = DirectoryStore(Directory(root))
    store.write(StoreChanges(text="b\n"), store.read().version)
    assert file.stat().st_mode & 0o777 == 0o664


@pytest.mark.parametrize("died_after", ["nothing", "lock", "text", "current"])
def test_a_write_whose_writer_died_is_finished_by_the_next_one(root: Path, died_after: str) -> None:
    directory = Directory(root)
    store = DirectoryStore(directory)
    base = store.write(StoreChanges(text="a\n"), store.read().version)
    written_text = store.write(StoreChanges(text="b\n"), base.version)
    store.write(StoreChanges(put_locks={1: LOCK}, current=1), written_text.version)
    wanted = store.read()
    written = {"base": text_digest("a\n"), "text": "b\n", "put_locks": {"1": LOCK}, "delete_locks": [], "current": 1}
    done = ["nothing", "lock", "text", "current"].index(died_after)
    if done < 1:
        (root / "lock.1").unlink()
    if done < 2:
        (root / "requirements.txt").write_text("a\n")
    if done < 3:
        (root / "current").unlink()
    (root / ".pending").write_text(json.dumps(written))
    assert DirectoryStore(directory).read() == wanted
    assert not (root / ".pending").exists()


def test_an_edit_after_a_writer_died_stays(root: Path) -> None:
    written: dict[str, object] = {"base": "0" * 64, "text": "b\n", "put_locks": {}, "delete_locks": [], "current": None}
    (root / ".pending").write_text(json.dumps(written))
    (root / "requirements.txt").write_text("by hand\n")
    assert DirectoryStore(Directory(root)).read().text == "by hand\n"


def test_active_moves_with_current(root: Path) -> None:
    directory, store = Directory(root), DirectoryStore(Directory(root))
    lock = lock_of(3, "demo")
    directory.site(lock.digest()).mkdir()
    found = store.write(StoreChanges(put_locks={3: lock.render()}, current=3), store.read().version)
    assert directory.active.resolve() == directory.site(lock.digest())
    empty = lock_of(4)
    store.write(StoreChanges(put_locks={4: empty.render()}, current=4), found.version)
    assert not directory.active.is_symlink()


@pytest.mark.parametrize("spoil", ["link", "folder", "large", "current"])
def test_what_cannot_be_trusted_is_unavailable_with_its_cause(root: Path, spoil: str) -> None:
    file = root / "requirements.txt"
    if spoil == "link":
        file.symlink_to("/etc/hostname")
    elif spoil == "folder":
        file.mkdir()
    elif spoil == "large":
        file.write_bytes(b"#" * 2_000_000)
    else:
        (root / "current").write_text("latest\n")
    with pytest.raises(StoreUnavailable) as caught:
        DirectoryStore(Directory(root)).read()
    assert str(root) in caught.value.detail


def test_a_root_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable):
        DirectoryStore(Directory(tmp_path / "file" / "package_manager")).read()


def test_asking_whether_it_may_be_written_changes_nothing(world: World) -> None:
    before = world.store.read()
    world.store.check_write()
    assert world.store.read() == before
