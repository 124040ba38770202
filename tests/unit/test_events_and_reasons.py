from __future__ import annotations

import re

import pytest

from airflow_package_manager.domain import change_sets
from airflow_package_manager.domain.events import SENTENCES, Kind, event
from airflow_package_manager.domain.import_errors import FailedImport, judge
from airflow_package_manager.domain.plan import Action, Change, ChangeSet
from airflow_package_manager.domain.reasons import REASONS, reason
from airflow_package_manager.refusals import all_errors


def test_every_kind_has_one_sentence_and_a_name_of_its_grammar() -> None:
    assert set(SENTENCES) == set(Kind)
    assert all(re.fullmatch(r"[a-z]+\.[a-z-]+", kind.value) for kind in Kind)


def test_what_people_write_is_never_taken_for_a_place_in_a_sentence() -> None:
    found = event(Kind.PLAN_REFUSED, 1.0, detail="{0} {revision} %s {detail}")
    assert found.message == "The plan was refused: {0} {revision} %s {detail}"


def test_reasons_and_errors_share_no_code_and_each_says_what_to_do_next() -> None:
    assert not set(REASONS) & {error.code for error in all_errors()}
    assert all(title and next_action for title, next_action in REASONS.values())
    assert reason("cancelled", "why", by="admin") == {
        "by": "admin",
        "code": "cancelled",
        "title": REASONS["cancelled"][0],
        "detail": "why",
        "next_action": REASONS["cancelled"][1],
    }


@pytest.mark.parametrize(
    "change_set",
    [
        ChangeSet(
            changes=(Change(Action.ADD, "a>=1"), Change(Action.REMOVE, "b")), acknowledge=frozenset({"shadows:c"})
        ),
        ChangeSet(requirements=""),
        ChangeSet(restore=0),
    ],
)
def test_a_change_set_survives_its_row(change_set: ChangeSet) -> None:
    assert change_sets.from_json(change_sets.to_json(change_set)) == change_set


def test_a_summary_is_one_short_line() -> None:
    many = ChangeSet(changes=tuple(Change(Action.ADD, f"p{number}") for number in range(5)))
    assert change_sets.summary(many) == "add p0, add p1, add p2 and 2 more"
    assert change_sets.summary(ChangeSet(restore=3)) == "restore revision 3"
    assert change_sets.summary(ChangeSet(requirements="x")) == "edit the whole file"


def failed(file: str, module: str, at: float = 10.0) -> FailedImport:
    return FailedImport(file, at, f"Traceback …\nModuleNotFoundError: No module named '{module}'\n")


@pytest.mark.parametrize(
    ("module", "changed", "breaks"),
    [
        ("humanize", {"humanize"}, True),
        ("humanize.time", {"humanize"}, True),
        ("google.cloud.thing", {"google-cloud-thing"}, True),
        ("my_package", {"my-package"}, True),
        ("other", {"humanize"}, False),
        ("humanize2", {"humanize"}, False),
    ],
)
def test_a_missing_module_belongs_to_the_package_whose_name_it_carries(
    module: str, changed: set[str], *, breaks: bool
) -> None:
    verdict = judge([failed("dag.py", module)], (), 5.0, changed)
    assert verdict.new == ("dag.py",)
    assert verdict.broken == (("dag.py",) if breaks else ())


def test_files_that_failed_before_or_were_not_parsed_since_do_not_count() -> None:
    failures = [failed("old.py", "humanize"), failed("unparsed.py", "humanize", at=4.0)]
    assert judge(failures, {"old.py"}, 5.0, {"humanize"}).new == ()
