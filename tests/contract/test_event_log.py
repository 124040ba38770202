from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_package_manager.domain.operation import State
from tests.contract.conftest import Journal
from tests.contract.sample_operations import NOW, accept, add, add_planned, event, planning


def test_an_event_reads_back_equal(journal: Journal) -> None:
    written = event(
        "access.refused",
        message="Não 😀",
        state=State.FAILED,
        component="scheduler",
        details={"before": None, "n": [1]},
    )
    journal.events.append(written)
    journal.events.append(event("component.restarted", identity=None, address=None))
    (silent, read), cursor = journal.events.all(before=None, limit=5)
    assert read == dataclasses.replace(written, id=read.id)
    assert read.id is not None
    assert (silent.identity, silent.address, silent.sequence, cursor) == (None, None, None, None)


def test_events_of_an_operation_are_numbered_from_1_without_gaps(journal: Journal) -> None:
    operation = add(journal.operations, planning(), event("one"), event("two"))
    operation = journal.operations.save(operation, [event("three"), event("four")])
    journal.events.append(event("five", operation_id=operation.id))
    journal.operations.request_cancel(operation.id, event("six"))
    found = journal.events.of_operation(operation.id, after=0, limit=50)
    assert [one.kind for one in found] == ["one", "two", "three", "four", "five", "six"]
    assert [one.sequence for one in found] == [1, 2, 3, 4, 5, 6]
    assert {one.operation_id for one in found} == {operation.id}


def test_events_are_read_after_a_number(journal: Journal) -> None:
    operation = add(journal.operations, planning(), *(event(str(number)) for number in range(1, 8)))
    found = journal.events.of_operation(operation.id, after=3, limit=2)
    assert [one.sequence for one in found] == [4, 5]
    assert journal.events.of_operation(operation.id, after=7, limit=2) == ()
    assert journal.events.of_operation(operation.id, after=10**30, limit=2) == ()


def test_parallel_events_of_one_operation_get_different_numbers(journal: Journal) -> None:
    operation = accept(journal.operations, add_planned(journal.operations))

    def append(number: int) -> None:
        journal.events.append(event(str(number), operation_id=operation.id))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(append, range(64)))
    found = journal.events.of_operation(operation.id, after=1, limit=100)
    assert [one.sequence for one in found] == list(range(2, 66))
    assert len({one.kind for one in found}) == 64


def test_all_events_are_read_newest_first_in_pages(journal: Journal) -> None:
    for number in range(5):
        journal.events.append(event(str(number)))
    seen: list[str] = []
    cursor = None
    while True:
        page, cursor = journal.events.all(before=cursor, limit=2)
        seen += [one.kind for one in page]
        journal.events.append(event("new"))
        if cursor is None:
            break
    assert seen == ["4", "3", "2", "1", "0"]


def test_a_cursor_beyond_all_numbers_is_the_beginning(journal: Journal) -> None:
    journal.events.append(event())
    assert len(journal.events.all(before=10**30, limit=5)[0]) == 1


def test_events_outlive_their_operation(journal: Journal) -> None:
    operation = add(journal.operations, planning(), event("one"))
    journal.delete(operation.id)
    assert [one.kind for one in journal.events.of_operation(operation.id, after=0, limit=5)] == ["one"]
    journal.events.append(event("afterwards", operation_id=operation.id))
    (newest, _), _ = journal.events.all(before=None, limit=5)
    assert (newest.kind, newest.operation_id, newest.sequence) == ("afterwards", operation.id, None)


@pytest.mark.parametrize("odd", ["\0", "\ud800", "x" * 5000, "no such operation"])
def test_a_refusal_is_recorded_however_odd_it_is(journal: Journal, odd: str) -> None:
    journal.events.append(
        event("k" * 200, message=odd, address=odd, operation_id=odd, component=odd, details={"given": odd})
    )
    ((found,), _) = journal.events.all(before=None, limit=5)
    assert found.details == {"given": odd}
    assert found.sequence is None
    assert found.at == NOW
