"""What would break Airflow is refused before anything restarts, on a real Airflow: same processes, same files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from testenv.airflow2_home import Airflow2
from tests.plugin import journey, machine

if TYPE_CHECKING:
    from testenv.airflow_home import Airflow

pytestmark = pytest.mark.airflow


@pytest.fixture(scope="module", params=["airflow3", pytest.param("airflow2", marks=pytest.mark.every_airflow)])
def airflow(request: pytest.FixtureRequest) -> Airflow:
    """Each of them."""
    started: Airflow = request.getfixturevalue(request.param)
    return started


@pytest.fixture
def untouched(airflow: Airflow) -> Iterator[None]:
    """Compare processes and files before and after the test."""
    children, stored = machine.children(airflow), machine.stored(airflow)
    yield
    assert machine.children(airflow) == children
    assert machine.stored(airflow) == stored
    assert machine.nothing_is_left(airflow)


@pytest.mark.usefixtures("untouched")
def test_what_would_move_airflow_is_refused_with_names_and_versions(airflow: Airflow) -> None:
    token = airflow.token("admin")
    refused, _ = journey.plan(airflow, token, "add conflicting")
    assert refused["state"] == "REFUSED"
    problem = refused["problem"]
    assert problem["code"] == "resolution-impossible"
    said = str(problem)
    core = "apache-airflow 2.11" if isinstance(airflow, Airflow2) else "apache-airflow-core"
    for words in ("conflicting", "sqlalchemy", "<1.4", core):
        assert words in said, problem
    assert refused["plan"] is None


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("requirement", ["apache-airflow==2.0", "Apache_Airflow.Core>=99", "uv==0.1"])
def test_a_protected_project_cannot_be_asked_for(airflow: Airflow, requirement: str) -> None:
    body = {"changes": [{"action": "add", "requirement": requirement}]}
    status, answer = airflow.api("POST", "operations", body, token=airflow.token("admin"))
    assert (status, answer["code"]) == (422, "policy-violation")


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("broken-on-import", "broken on import, as asked"),
        ("exits-on-import", "exits_on_import"),
        ("overwrites-another", "packaging"),
    ],
)
def test_what_breaks_on_import_or_takes_a_file_is_caught_before_anything_restarts(
    airflow: Airflow, name: str, cause: str
) -> None:
    done = journey.change(airflow, airflow.token("admin"), f"add {name}")
    assert done["state"] == "ROLLED_BACK", done["problem"]
    assert done["problem"]["code"] == "preflight-failed"
    assert cause in str(done["problem"])
