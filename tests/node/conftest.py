"""One real Airflow in real pods for all tests of this room; where a node cannot be, one line says why."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from testenv.node import why_not

if TYPE_CHECKING:
    from testenv.node.airflow import AirflowOnTheNode, NodeWithImage
    from testenv.package_index import PackageIndexServer
    from tests.node.the_change import Added, Before

ROOM = Path(__file__).parent
DAGS = ROOM.parent / "data" / "dags"
SETTINGS = {
    "AIRFLOW__PACKAGE_MANAGER__SOAK": "4",
    "AIRFLOW__PACKAGE_MANAGER__HEARTBEAT_TIMEOUT": "60",
    # Every component, so that the api-server, which drives, restarts itself too.
    "AIRFLOW__PACKAGE_MANAGER__COMPONENTS": "scheduler, worker, triggerer, dag-processor, api-server",
    # Pods of tasks that have ended stay, so that what their init containers reported can be read.
    "AIRFLOW__KUBERNETES_EXECUTOR__DELETE_WORKER_PODS": "False",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark them, and run first what starts a node of its own: two at once would slow each other down."""
    ours = [place for place, item in enumerate(items) if ROOM in item.path.parents]
    in_order = sorted((items[place] for place in ours), key=_shares_the_node)
    for place, item in zip(ours, in_order, strict=True):
        item.add_marker(pytest.mark.node)
        items[place] = item


def _shares_the_node(item: pytest.Item) -> bool:
    return "node_with_image" in getattr(item, "fixturenames", ())


@pytest.fixture(scope="session", autouse=True)
def machine() -> None:
    """Skip where no node can be."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)


@pytest.fixture(scope="session")
def node_with_image() -> Iterator[NodeWithImage]:
    """The one node of all tests that do not watch a node come and go."""
    from testenv.node.airflow import node_with_image

    with node_with_image(say=True) as started:
        yield started


@pytest.fixture(scope="session")
def on_the_node(node_with_image: NodeWithImage, package_index: PackageIndexServer) -> Iterator[AirflowOnTheNode]:
    from testenv.node.airflow import airflow_on_the_node

    settings = {**SETTINGS, "AIRFLOW__PACKAGE_MANAGER__INDEX_URL": package_index.url}
    files = (DAGS / "needs_good_package.py", DAGS.parent / "node_dags" / "in_pods.py")
    dags = {path.name: path.read_text() for path in files}
    with airflow_on_the_node(node_with_image, dags=dags, settings=settings, say=True) as started:
        yield started


@pytest.fixture(scope="session")
def tasks_before(on_the_node: AirflowOnTheNode) -> Before:
    """Task pods from before the first change."""
    from tests.node import the_change

    return the_change.tasks_before(on_the_node)


@pytest.fixture(scope="session")
def added(on_the_node: AirflowOnTheNode, tasks_before: Before) -> Added:
    """The first change: what a person at the page added."""
    from tests.node import the_change

    return the_change.add(on_the_node, tasks_before)
