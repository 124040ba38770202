from __future__ import annotations

from collections.abc import Mapping

import pytest

from airflow_package_manager.domain.operation import Operation, State
from airflow_package_manager.driver import Driver
from airflow_package_manager.endings import Endings, Hook, HookFailed
from airflow_package_manager.errors import DatabaseBusy
from airflow_package_manager.mirroring import Copies, MirroredOperations
from tests.fakes.application import Application, add
from tests.fakes.target import Behaviour


class House:
    """An application whose driver's repository tells every end."""

    def __init__(self, hooks: Mapping[str, Hook] | None = None) -> None:
        self.app = Application(components=("scheduler",))
        self.heard: list[tuple[str, State]] = []
        repository, clock = self.app.repository, self.app.clock
        endings = Endings({**(hooks or {}), "heard": self._listen}, repository, clock)
        self.mirrored = MirroredOperations(repository, Copies(lambda _: None, repository, clock), endings)

    def done(self) -> Operation:
        """Drive a change to its end."""
        operation = self.app.accepted(add("humanize"))
        engine = self.app.engine(self.mirrored)
        clock = self.app.clock
        return Driver(repository=self.mirrored, engine=engine, clock=clock, name="host:1", sleep=clock.sleep).run(
            operation.id
        )

    def _listen(self, operation: Operation) -> None:
        self.heard.append((operation.id, self.app.repository.get(operation.id).state))


def test_an_end_is_told_once_and_after_it_was_saved() -> None:
    house = House()
    operation = house.done()
    assert house.heard == [(operation.id, State.SUCCEEDED)]


def test_a_rollback_is_an_end_too() -> None:
    house = House()
    house.app.target.misbehave("scheduler", Behaviour.INSTALL_FAILS)
    operation = house.done()
    assert house.heard == [(operation.id, State.ROLLED_BACK)]


def test_a_hook_that_fails_is_an_event_and_keeps_nobody_from_hearing() -> None:
    def broken(_: Operation) -> None:
        raise HookFailed("hooks.example.com answered with status 500")

    def odd(_: Operation) -> None:
        raise RuntimeError("a secret that somebody put into a message")

    house = House({"on_finished_url": broken, "metrics": odd})
    assert house.done().state is State.SUCCEEDED
    assert len(house.heard) == 1
    said = [
        event.message for event in house.app.repository.all(before=None, limit=50)[0] if event.kind == "notice.failed"
    ]
    assert sorted(said) == [
        'metrics did not tell that "add humanize" has ended: RuntimeError.',
        'on_finished_url did not tell that "add humanize" has ended: hooks.example.com answered with status 500.',
    ]


def test_a_record_that_fails_too_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    house = House()
    app = house.app

    def broken(_: Operation) -> None:
        app.repository.faults.fail("repository.append", DatabaseBusy("locked"))
        raise HookFailed("no")

    operation = house.done()
    Endings({"on_finished_command": broken}, app.repository, app.clock).of(operation)
    assert "on_finished_command failed could not be recorded either" in caplog.text


def test_what_has_not_ended_is_not_told() -> None:
    heard: list[Operation] = []
    app = Application(components=("scheduler",))
    operation, _ = app.plan(add("humanize"))
    Endings({"heard": heard.append}, app.repository, app.clock).of(operation)
    assert heard == []
