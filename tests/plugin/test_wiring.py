from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from airflow_package_manager import settings, wiring
from airflow_package_manager.domain.inventory import Check, CheckStatus
from airflow_package_manager.domain.operation import Event
from airflow_package_manager.domain.plan import Action, Change, ChangeSet
from airflow_package_manager.errors import Forbidden
from airflow_package_manager.refusals import NoComponents
from tests.contract import sample_operations
from tests.fakes.application import ADMIN, VIEWER
from tests.fakes.facts import FakeFacts

CHECKS = [
    *("uv-found", "index-reachable", "tables-present", "store-writable", "supervisors-alive"),
    *("locks-as-recorded", "site-active"),
]
CLOSED_PORT = "http://127.0.0.1:9/simple/"


@pytest.fixture
def mirrored() -> list[Event]:
    return []


@pytest.fixture
def application(tmp_path: Path, mirrored: list[Event]) -> Iterator[wiring.Application]:
    environ = {"AIRFLOW_HOME": str(tmp_path), "AIRFLOW__PACKAGE_MANAGER__INDEX_URL": CLOSED_PORT}
    engine = create_engine(f"sqlite:///{tmp_path / 'airflow.db'}")
    built = wiring.build(
        settings=settings.load(environ),
        engine=engine,
        facts=FakeFacts(),
        mirror=mirrored.append,
        further_checks=lambda: (Check("further", CheckStatus.OK, "fine"),),
        environ=environ,
    )
    yield built
    built.close(1)
    engine.dispose()


def test_the_house_stands_on_an_empty_database_and_directory(application: wiring.Application, tmp_path: Path) -> None:
    inventory = application.manager.inventory(ADMIN)
    assert {"apache-airflow-core", "uv"} <= {row.name for row in inventory.rows}
    assert application.manager.requirements(ADMIN).text == ""
    assert application.manager.history(ADMIN) == ((), None)
    assert application.component_names() == ()
    assert application.settings.directory == str(tmp_path / "package_manager")


def test_what_is_refused_reaches_the_mirror(application: wiring.Application, mirrored: list[Event]) -> None:
    with pytest.raises(Forbidden):
        application.manager.inventory(VIEWER)
    with pytest.raises(NoComponents):
        application.manager.plan(ADMIN, ChangeSet(changes=(Change(Action.ADD, "tomli"),)))
    assert [event.kind for event in mirrored] == ["access.refused", "request.refused"]


def test_the_checks_say_what_is_there_and_what_is_not(application: wiring.Application) -> None:
    found = {check.name: check for check in application.checks()}
    assert list(found) == [*CHECKS, "further"]
    assert found["uv-found"].status is CheckStatus.OK
    assert found["tables-present"].status is CheckStatus.OK
    assert found["store-writable"].status is CheckStatus.OK
    assert found["site-active"].status is CheckStatus.OK
    for name in ("index-reachable", "supervisors-alive"):
        assert found[name].status is CheckStatus.FAILED
        assert found[name].next_action


def test_a_directory_that_lost_or_tore_its_locks_is_repaired_from_the_database(
    application: wiring.Application, mirrored: list[Event], tmp_path: Path
) -> None:
    operations = application.driver._repository
    done = sample_operations.finish(
        operations, sample_operations.accept(operations, sample_operations.add_planned(operations))
    )
    assert done.plan is not None
    root = tmp_path / "package_manager"
    wanted = done.plan.lock.with_revision(1).render()
    losses: tuple[Callable[[], object], ...] = (
        lambda: None,  # nothing was ever written here: a new directory for an old database
        (root / "lock.1").unlink,
        (root / "current").unlink,
        lambda: _tear(root / "lock.1"),
    )
    for lose in losses:
        lose()
        assert _recorded(application).status is CheckStatus.FAILED
        assert "doctor --repair" in _recorded(application).next_action
        assert application.manager.repair(ADMIN).is_needed()
        assert (root / "lock.1").read_text() == wanted
        assert (root / "current").read_text().strip() == "1"
        assert _recorded(application).status is CheckStatus.OK
    assert [event.kind for event in mirrored] == ["operation.accepted", *["locks.repaired"] * 4]
    assert application.manager.requirements(ADMIN).text == "", "the text is people's"


def _tear(path: Path) -> None:
    path.write_text(path.read_text()[:40])


def _recorded(application: wiring.Application) -> Check:
    return next(check for check in application.checks() if check.name == "locks-as-recorded")


def test_an_empty_house_has_nothing_to_drive(application: wiring.Application) -> None:
    assert application.driver.adopt_orphan() is None
    started = time.monotonic()
    application.close(5)
    assert time.monotonic() - started < 1
