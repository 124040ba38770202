"""One real Airflow in real pods for all tests of this room; where a node cannot be, one line says why."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from testenv.node import why_not

if TYPE_CHECKING:
    from testenv.node.airflow import AirflowOnTheNode
    from testenv.package_index import PackageIndexServer

ROOM = Path(__file__).parent
DAGS = ROOM.parent / "data" / "dags"
SETTINGS = {
    "AIRFLOW__PACKAGE_MANAGER__SOAK": "4",
    "AIRFLOW__PACKAGE_MANAGER__HEARTBEAT_TIMEOUT": "60",
    # Every component, so that the api-server, which drives, restarts itself too.
    "AIRFLOW__PACKAGE_MANAGER__COMPONENTS": "scheduler, worker, triggerer, dag-processor, api-server",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if ROOM in item.path.parents:
            item.add_marker(pytest.mark.node)


@pytest.fixture(scope="session", autouse=True)
def machine() -> None:
    """Skip where no node can be."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)


@pytest.fixture(scope="session")
def on_the_node(package_index: PackageIndexServer) -> Iterator[AirflowOnTheNode]:
    from testenv.node.airflow import airflow_on_the_node

    settings = {**SETTINGS, "AIRFLOW__PACKAGE_MANAGER__INDEX_URL": package_index.url}
    dags = {"needs_good_package.py": (DAGS / "needs_good_package.py").read_text()}
    with airflow_on_the_node(dags=dags, settings=settings, say=True) as started:
        yield started
