import pytest

from airflow_package_manager.domain.events import Kind, event
from airflow_package_manager.domain.operation import Event
from airflow_package_manager.endings import Endings
from airflow_package_manager.errors import DatabaseBusy
from airflow_package_manager.mirroring import Copies, MirroredEvents, MirroredOperations
from tests.fakes.application import ADMIN, Application, add
from tests.fakes.clock import ManualClock
from tests.fakes.repository import MemoryRepository

CLOCK = ManualClock()


def refused() -> Event:
    return event(Kind.ACCESS_REFUSED, CLOCK(), what="look", detail="no")


def test_an_event_is_mirrored_after_it_was_recorded() -> None:
    record = MemoryRepository(clock=CLOCK)
    seen: list[int] = []
    copies = Copies(lambda _: seen.append(len(record.all(before=None, limit=9)[0])), record, CLOCK)
    MirroredEvents(record, copies).append(refused())
    assert seen == [1]


def test_what_was_not_recorded_is_not_mirrored() -> None:
    record = MemoryRepository(clock=CLOCK)
    record.faults.fail("repository.append", DatabaseBusy("locked"))
    seen: list[Event] = []
    with pytest.raises(DatabaseBusy):
        MirroredEvents(record, Copies(seen.append, record, CLOCK)).append(refused())
    assert seen == []


def test_a_mirror_that_fails_is_an_event_and_fails_nothing(caplog: pytest.LogCaptureFixture) -> None:
    record = MemoryRepository(clock=CLOCK)

    def broken(_: Event) -> None:
        raise RuntimeError("the log table is gone")

    MirroredEvents(record, Copies(broken, record, CLOCK)).append(refused())
    kinds = [found.kind for found in record.all(before=None, limit=9)[0]]
    assert kinds == ["audit.mirror-failed", "access.refused"]
    assert "the log table is gone" in caplog.text


def test_a_record_that_fails_too_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    record = MemoryRepository(clock=CLOCK)

    def broken(_: Event) -> None:
        record.faults.fail("repository.append", DatabaseBusy("locked"))
        raise RuntimeError("gone")

    MirroredEvents(record, Copies(broken, record, CLOCK)).append(refused())
    assert "could not be recorded either" in caplog.text


def test_every_change_of_an_operation_is_mirrored() -> None:
    application = Application(components=("scheduler",))
    seen: list[Event] = []
    mirrored = MirroredOperations(
        application.repository,
        Copies(seen.append, application.repository, application.clock),
        Endings({}, application.repository, application.clock),
    )
    operation, token = application.plan(add("tabulate"))
    plan_events = application.events(operation.id)
    mirrored.add(
        operation.__class__(**{**vars(operation), "id": "f" * 32}), plan_events, per_principal=9, in_all=9, since=0
    )
    assert [found.kind for found in seen] == [found.kind for found in plan_events]
    accepted = mirrored.accept(
        operation.id,
        token_hash=operation.token_hash,
        owner=ADMIN.identity,
        digest=operation.plan_digest or "",
        now=application.clock(),
        at_least=0,
        event=event(Kind.ACCEPTED, application.clock(), operation, summary="x"),
    )
    mirrored.request_cancel(operation.id, event(Kind.CANCEL_REQUESTED, application.clock(), operation))
    assert [found.kind for found in seen[-2:]] == ["operation.accepted", "operation.cancel-requested"]
    assert mirrored.get(operation.id).cancel_requested
    assert accepted.id == mirrored.revision(accepted.revision or 0).id
    assert token not in str(seen)
