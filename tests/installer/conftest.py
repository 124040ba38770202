from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_package_manager.installer.directory import Directory
from testenv.package_index import PackageIndexServer, serve_catalogue
from tests.installer.environment import Environment, Installer, build_wheel, create


@pytest.fixture(scope="session")
def our_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory, our_wheel: Path) -> Environment:
    return create(tmp_path_factory.mktemp("image") / "venv", our_wheel)


@pytest.fixture(scope="module")
def index() -> Iterator[PackageIndexServer]:
    with serve_catalogue() as server:
        yield server


@pytest.fixture
def installer(tmp_path: Path, environment: Environment, index: PackageIndexServer) -> Installer:
    directory = Directory(tmp_path / "home" / "package_manager")
    directory.prepare()
    return Installer(environment, directory, index.url)
