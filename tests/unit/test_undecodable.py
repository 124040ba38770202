"""Bytes that are no UTF-8: kept in the file, readable outside, given back to a line that comes back as it was shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement

from airflow_package_manager.domain.inventory import LineKind
from airflow_package_manager.domain.operation import State
from airflow_package_manager.domain.plan import ChangeSet
from airflow_package_manager.domain.planning import text_difference
from airflow_package_manager.domain.requirements import RequirementsFile
from airflow_package_manager.domain.undecodable import given_back, readable
from tests.fakes.application import Application, add, update

TEXT = b"six==1.0  # caf\xe9\n".decode("utf-8", "surrogateescape")


@given(st.binary())
def test_a_file_that_comes_back_as_it_was_shown_is_the_file(content: bytes) -> None:
    text = content.decode("utf-8", "surrogateescape")
    shown = readable(text)
    assert shown.encode("utf-8").decode("utf-8") == shown
    assert given_back(shown, text) == text
    assert given_back(text, text) == text


def test_a_line_that_somebody_wrote_anew_is_what_they_wrote() -> None:
    assert given_back("six==2.0  # caf\ufffd\n", TEXT) == "six==2.0  # caf\ufffd\n"
    assert given_back("new\r\n" + readable(TEXT) + readable(TEXT), TEXT) == "new\r\n" + TEXT + readable(TEXT)


def test_a_comment_in_another_encoding_takes_no_requirement_out_of_use() -> None:
    file = RequirementsFile.parse(TEXT)
    assert file.names() == ("six",)
    assert file.kept_lines() == ()
    assert file.update(Requirement("six==2.0")).render() == TEXT.replace("1.0", "2.0")


@pytest.mark.parametrize("text", ["s\udce9x==1.0\n", "six==1.0 \udce9 # note\n", "-r caf\udce9.txt\n"])
def test_such_a_byte_elsewhere_is_named(text: str) -> None:
    (line,) = RequirementsFile.parse(text).lines
    assert line.reading.kind is LineKind.INVALID
    assert "the byte 0xE9, which is not UTF-8" in line.reading.reason


def test_a_difference_can_be_shown() -> None:
    assert text_difference(TEXT, TEXT + "new\n").encode("utf-8")


def test_such_a_file_is_planned_on_and_keeps_its_bytes() -> None:
    house = Application(TEXT)
    operation = house.done(add("humanize>=2"))
    assert operation.state is State.SUCCEEDED
    assert house.store.peek().text == TEXT + "humanize>=2\n"
    assert operation.plan is not None
    assert {pin.name for pin in operation.plan.lock.pins} == {"humanize", "six"}
    house.done(update("six==2.0"))
    assert house.store.peek().text == TEXT.replace("1.0", "2.0") + "humanize>=2\n"


def test_such_a_file_is_adopted_as_it_was_shown() -> None:
    house = Application(TEXT)
    operation = house.done(ChangeSet(requirements=readable(TEXT)))
    assert operation.state is State.SUCCEEDED
    assert operation.plan is not None
    assert operation.plan.adopted
    assert house.store.peek().text == TEXT


def test_a_requirement_that_is_lost_to_such_a_byte_is_named_in_the_plan() -> None:
    house = Application("si\udce9x==1.0\n")
    operation, _token = house.plan(add("humanize>=2"))
    assert operation.plan is not None
    (warning,) = (warning for warning in operation.plan.warnings if warning.code == "own-lines-kept")
    assert warning.message.startswith("Line 1 ")
