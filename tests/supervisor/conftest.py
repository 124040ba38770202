from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.supervisor.house import House


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    found = House(tmp_path)
    try:
        yield found
    finally:
        found.close()


@pytest.fixture
def tidy_house(house: House) -> Iterator[House]:
    """A house in which, once its supervisors have ended by themselves, no process may be left."""
    yield house
    for supervisor in house.supervisors:
        if supervisor.poll() is None:
            house.stop(supervisor)
    assert house.living() == []
