"""What several rooms of tests share: real Airflows and one package index, started when the first test asks."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from testenv.airflow_home import Airflow
    from testenv.cluster import Cluster
    from testenv.package_index import PackageIndexServer

pytest_plugins = ["tests.compatibility", "tests.second_chance"]

FINISHED = "finished"
"""Directory under the home of a shared Airflow: what its hook heard of each operation that ended."""
QUICK = {
    "AIRFLOW__PACKAGE_MANAGER__SOAK": "4",
    "AIRFLOW__PACKAGE_MANAGER__HEARTBEAT_TIMEOUT": "60",
    # Seconds, by default 120, that `airflow webserver` of Airflow 2 waits for a server that died at its start.
    "AIRFLOW__WEBSERVER__WEB_SERVER_MASTER_TIMEOUT": "60",
    # One process that answers is also the hardest case: whoever holds it up holds up all.
    "AIRFLOW__WEBSERVER__WORKERS": "1",
}


_ALONE = {
    "test_adapter_contract": "contract of the adapters",
    "test_house_auth_manager": "auth managers",
    "test_versions": "other Airflows",
    "test_fab": "other Airflows",
    "test_upgrade_and_uninstall": "other Airflows",
    "test_schemathesis": "other Airflows",
    "test_airflow2_on_postgresql": "contract of the adapters",
    "test_database_commands": "contract of the adapters",
}
"""Part of a test's name → room of its own, because it starts web servers of its own."""

_SLOWEST_FIRST = (
    "airflow",
    "cluster",
    "other Airflows",
    "tests/unit/test_state_machine.py",
    "airflow2",
    "contract of the adapters",
    "tests/crash/test_matrix.py",
    "auth managers",
    "browser",
    "supervisor",
)
"""Rooms and modules of minutes, so that none of them begins when all other work is done."""


class Rooms(LoadScopeScheduling):  # type: ignore[misc, unused-ignore]  # pytest-xdist has no types
    """Keeps tests that share something slow to start on one worker; all others go where there is room."""

    def _assign_work_unit(self, node: object) -> None:
        """Hand out what takes long first: by how many tests it has, as usual, the slowest single test came last."""
        self.workqueue.move_to_end(min(self.workqueue, key=self._rank), last=False)
        super()._assign_work_unit(node)

    @staticmethod
    def _rank(scope: str) -> int:
        slow = (number for number, name in enumerate(_SLOWEST_FIRST) if name in {scope, scope.partition("::")[0]})
        return next(slow, len(_SLOWEST_FIRST))

    def _split_scope(self, nodeid: str) -> str:
        room = nodeid.split("/")[1]
        for part, alone in _ALONE.items():
            if part in nodeid:
                return alone
        if room in {"browser", "plugin"} and ("airflow2" in nodeid or "2.11" in nodeid):
            return "airflow2"
        if room == "plugin" or nodeid.startswith(
            ("tests/browser/test_main_job.py", "tests/browser/test_web_server_restarts.py")
        ):
            return "airflow"
        if room == "contract" and "kubernetes" in nodeid.partition("[")[2]:
            return "cluster"
        if room == "crash":
            return nodeid.partition("[")[0]  # a world is made in seconds, and each of these tests takes minutes
        return room if room in {"browser", "cluster", "supervisor"} else nodeid.partition("::")[0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Rooms:
    return Rooms(config, log)


@pytest.fixture(scope="session")
def package_index() -> Iterator[PackageIndexServer]:
    """The catalogue's packages on loopback, for as long as the tests run."""
    from testenv.package_index import serve_catalogue

    with serve_catalogue() as index:
        yield index


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A real Kubernetes control plane with a fake node, for as long as the tests run: a namespace for each test."""
    from testenv.cluster import control_plane

    with control_plane() as started:
        yield started


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace of the test's own."""
    with cluster.namespace() as name:
        yield name


@pytest.fixture(scope="session")
def airflow3(tmp_path_factory: pytest.TempPathFactory, package_index: PackageIndexServer) -> Iterator[Airflow]:
    """The newest Airflow 3 with its SimpleAuthManager, its components supervised.

    Tests share it to save time: each adds packages of its own, and leaves nothing broken and no operation active.
    """
    with _running("3.3", tmp_path_factory, package_index) as started:
        yield started


@pytest.fixture(scope="session")
def airflow2(tmp_path_factory: pytest.TempPathFactory, package_index: PackageIndexServer) -> Iterator[Airflow]:
    """The newest Airflow 2 with Flask-AppBuilder, shared in the same way."""
    with _running("2.11", tmp_path_factory, package_index) as started:
        yield started


@pytest.fixture(scope="session")
def airflow3_fab(tmp_path_factory: pytest.TempPathFactory, package_index: PackageIndexServer) -> Iterator[Airflow]:
    """The newest Airflow 3 with Flask-AppBuilder's users and roles, shared in the same way."""
    with _running("3.3-fab", tmp_path_factory, package_index) as started:
        yield started


@pytest.fixture(scope="module")
def airflow32(tmp_path_factory: pytest.TempPathFactory, package_index: PackageIndexServer) -> Iterator[Airflow]:
    """The newest Airflow 3.2, for one module."""
    with _running("3.2", tmp_path_factory, package_index) as started:
        yield started


@pytest.fixture(scope="module")
def airflow31(tmp_path_factory: pytest.TempPathFactory, package_index: PackageIndexServer) -> Iterator[Airflow]:
    """The oldest Airflow 3 that is supported, for one module."""
    with _running("3.1", tmp_path_factory, package_index) as started:
        yield started


@pytest.fixture(scope="module")
def airflow31_fab(tmp_path_factory: pytest.TempPathFactory, package_index: PackageIndexServer) -> Iterator[Airflow]:
    """The oldest Airflow 3 with an old provider of Flask-AppBuilder, for one module."""
    with _running("3.1-fab", tmp_path_factory, package_index) as started:
        yield started


@pytest.fixture(scope="session")
def airflow(airflow3: Airflow) -> Airflow:
    """What a test runs on that is about one Airflow; a module that is about all overrides it."""
    return airflow3


@contextmanager
def _running(
    version: str, tmp_path_factory: pytest.TempPathFactory, package_index: PackageIndexServer
) -> Iterator[Airflow]:
    from testenv import airflow_home, airflows
    from tests.plugin import machine

    home = tmp_path_factory.mktemp("airflow")
    told = home / FINISHED
    told.mkdir()
    # Keeps what it reads, and whose child it is.
    keep = "cat > $$.part; cat /proc/$PPID/cmdline > $$.parent; mv $$.part $$.json"
    settings = {
        **QUICK,
        "AIRFLOW__PACKAGE_MANAGER__INDEX_URL": package_index.url,
        "AIRFLOW__PACKAGE_MANAGER__ON_FINISHED_COMMAND": shlex.join(["/bin/sh", "-c", f"cd {told}; {keep}"]),
    }
    prepared = airflows.prepare(
        version,
        home,
        dags={path.name: path.read_text() for path in (Path(__file__).parent / "data" / "dags").glob("*.py")},
        users=("admin", "admin2:admin", "op", "user", "viewer"),
        settings=settings,
    )
    with airflow_home.running(prepared) as started:
        yield started
    # What is left of a process that outlived its supervisor would hold the home open.
    left = machine.processes(home)
    assert not left, f"processes were left behind: {left}"
