"""A thousand applies of one token at once, over HTTP and a real database: one wins, and the others are told why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_package_manager.adapters.sql.events import SqlEvents
from airflow_package_manager.adapters.sql.operations import SqlOperations
from airflow_package_manager.adapters.sql.tables import ensure_tables
from airflow_package_manager.domain.operation import State
from tests.contract.conftest import sqlite_engine
from tests.web.house import FRAMEWORKS, PREFIX, House, changing

TIMES = 1000


@pytest.fixture(params=FRAMEWORKS)
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    """As the web server has it on SQLite, with as few connections as Airflow's own engine has."""
    with sqlite_engine(tmp_path) as engine:
        ensure_tables(engine)
        yield House(framework=request.param, operations=SqlOperations(engine), events=SqlEvents(engine))


def test_of_a_thousand_applies_exactly_one_wins(house: House) -> None:
    body = {"changes": [{"action": "add", "requirement": "tomli>=2"}]}
    created = house.client.post(PREFIX + "operations", changing("admin"), body).json()
    operation = created["operation"]["id"]
    digest = house.planned(operation).digest()
    replies = house.client.post_at_once(
        f"{PREFIX}operations/{operation}/apply",
        changing("admin"),
        {"token": created["token"], "digest": digest},
        TIMES,
    )
    answers = Counter((reply.status, reply.json().get("code")) for reply in replies)
    assert answers.total() == TIMES
    assert answers.pop((202, None)) == 1
    assert set(answers) <= {(409, "token-used"), (409, "operation-in-progress"), (503, "database-busy")}, answers
    assert house.operations.get(operation).state is State.ACCEPTED
    assert house.operations.get(operation).revision == 1
    assert house.driven == [operation]
