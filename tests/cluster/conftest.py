from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from testenv.cluster import Cluster
from testenv.package_index import PackageIndexServer
from tests.cluster.chart_like import watched_parameters
from tests.cluster.preparing import Preparations

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="session")
def policed_cluster(cluster: Cluster) -> Iterator[Cluster]:
    """The cluster, on which admission policies may come and go."""
    with watched_parameters(cluster.admin):
        yield cluster


@pytest.fixture(scope="session")
def preparations(
    cluster: Cluster, package_index: PackageIndexServer, tmp_path_factory: pytest.TempPathFactory
) -> Preparations:
    """Accepted operations, each planned once."""
    return Preparations(cluster, package_index.url, tmp_path_factory.mktemp("preparations"))
