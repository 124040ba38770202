from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from testenv.package_index import PackageIndexServer
from tests.crash.image import create
from tests.crash.world import World

MakeWorld = Callable[..., World]


@pytest.fixture(scope="session")
def light_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return create(tmp_path_factory.mktemp("light-image"))


@pytest.fixture(scope="module")
def make_world(
    tmp_path_factory: pytest.TempPathFactory, light_python: Path, package_index: PackageIndexServer
) -> Iterator[MakeWorld]:
    """Make worlds that live as long as the module's tests, or until a test failed in them."""
    numbers = itertools.count()
    with ExitStack() as stack:
        known: dict[str, World] = {}

        def make(name: str, **options: Any) -> World:  # noqa: ANN401 - as World takes them
            found = known.get(name)
            if found is None or found.broken:
                if found is not None:
                    found.close()
                home = tmp_path_factory.mktemp("world") / f"{name}-{next(numbers)}"
                found = known[name] = stack.enter_context(World(home, light_python, package_index.url, **options))
            found.broken = True  # until the test says otherwise, by reaching its end
            return found

        yield make
