"""Reports: small objects of ours, or no report."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_package_manager.domain import report
from airflow_package_manager.domain.report import InstallReport, InstanceReport

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
FLOATS = st.floats(-1e12, 1e12)
INSTALLS = st.builds(
    InstallReport,
    outcome=st.sampled_from([report.INSTALLED, report.PRESENT, report.EMPTY, report.NO_SITE, report.FAILED]),
    revision=st.none() | st.integers(0, 10**6),
    lock_digest=st.none() | st.just("a" * 64),
    packages=st.integers(0, 1000),
    seconds=FLOATS,
    code=st.none() | st.just("gate"),
    cause=st.none() | TEXT,
    tail=st.none() | TEXT,
    retryable=st.booleans(),
)
INSTANCES = st.builds(
    InstanceReport,
    component=st.just("scheduler"),
    host=TEXT,
    pid=st.integers(1, 10**6),
    child_pid=st.none() | st.integers(1, 10**6),
    state=st.just(report.READY),
    stamp=st.none() | st.integers(0, 10**6),
    lock_digest=st.none() | st.just("b" * 64),
    image=st.just("c" * 64),
    python=st.just("cp311"),
    platform=st.just("linux_x86_64"),
    started_at=FLOATS,
    beat_at=FLOATS,
    restarts=st.integers(0, 1000),
    message=TEXT,
    failed_digest=st.none() | st.just("d" * 64),
    install=st.none() | INSTALLS,
)
INSTANCE = InstanceReport("scheduler", "host", 1, 2, report.READY, 3, None, "c" * 64, "cp311", "linux_x86_64", 1.0, 2.0)


@given(INSTALLS)
def test_an_install_report_is_read_back_equal(made: InstallReport) -> None:
    assert report.load_install(report.dump(made)) == made


@given(INSTANCES)
def test_an_instance_report_is_read_back_equal(made: InstanceReport) -> None:
    assert report.load_instance(report.dump(made)) == made


@given(st.text(max_size=200))
def test_any_other_text_is_no_report(text: str) -> None:
    assert report.load_install(text) is None
    assert report.load_instance(text) is None


@pytest.mark.parametrize("size", [10, 3_000, 100_000])
def test_a_line_fits_the_bound_and_keeps_the_end_of_the_message(size: int) -> None:
    tail = "\u00e9" * size + "the last words"
    line = report.dump(InstallReport(report.FAILED, cause="why" * size, tail=tail))
    assert len(line.encode()) <= report.MAXIMUM_BYTES
    assert "\n" not in line
    read = report.load_install(line)
    assert read is not None
    assert read.cause is not None
    assert read.cause.startswith("why")
    assert (read.tail or "").endswith("the last words")


def test_an_instance_report_shortens_what_its_installer_said_and_its_own_message() -> None:
    install = InstallReport(report.FAILED, cause="c" * 9_000, tail="t" * 9_000)
    line = report.dump(dataclasses.replace(INSTANCE, message="m" * 9_000, install=install))
    read = report.load_instance(line)
    assert read is not None
    assert read.install is not None
    assert read.install.outcome == report.FAILED
    assert read.message.startswith("m")


def test_what_cannot_be_shortened_is_an_error() -> None:
    with pytest.raises(ValueError, match="at most"):
        report.dump(dataclasses.replace(INSTANCE, host="h" * 9_000))


@pytest.mark.parametrize(
    "change",
    [
        {"outcome": 1},
        {"revision": "1"},
        {"revision": True},
        {"packages": 1.5},
        {"retryable": 1},
        {"seconds": "1"},
        {"unknown": 1},
    ],
)
def test_a_wrong_type_or_name_makes_it_no_report(change: dict[str, object]) -> None:
    values = json.loads(report.dump(InstallReport(report.PRESENT)))
    assert report.load_install(json.dumps(values)) is not None
    assert report.load_install(json.dumps({**values, **change})) is None


def test_a_report_of_before_the_version_was_said_is_one() -> None:
    values = json.loads(report.dump(InstallReport(report.PRESENT, package_manager="1.2")))
    assert report.load_install(json.dumps(values)) == InstallReport(report.PRESENT, package_manager="1.2")
    del values["package_manager"]
    assert report.load_install(json.dumps(values)) == InstallReport(report.PRESENT)
    del values["image"]
    assert report.load_install(json.dumps(values)) is None


@pytest.mark.parametrize("text", ["[" * 4000, "null", "[]", "{}", "NaN", "\ud800", "\0", " " * 5000])
def test_hostile_texts_are_no_report(text: str) -> None:
    assert report.load_instance(text) is None


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_time_is_a_finite_number(number: str) -> None:
    line = report.dump(INSTANCE).replace('"beat_at":2.0', f'"beat_at":{number}')
    assert number in line
    assert report.load_instance(line) is None


def test_a_damaged_inner_report_damages_the_outer_one() -> None:
    values = json.loads(report.dump(dataclasses.replace(INSTANCE, install=InstallReport(report.PRESENT))))
    values["install"]["packages"] = None
    assert report.load_instance(json.dumps(values)) is None


@pytest.mark.parametrize(
    ("made", "status"),
    [
        (InstallReport(report.PRESENT), report.EXIT_OK),
        (InstallReport(report.NO_SITE), report.EXIT_OK),
        (InstallReport(report.FAILED), report.EXIT_FINAL),
        (InstallReport(report.FAILED, retryable=True), report.EXIT_RETRYABLE),
    ],
)
def test_the_exit_status_says_whether_trying_again_helps(made: InstallReport, status: int) -> None:
    assert made.exit_status == status
