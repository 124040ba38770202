"""The lock: what is written is read back equal, and nothing else is read."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import canonicalize_name

from airflow_package_manager.domain.lock import (
    MAXIMUM_BYTES,
    InvalidLock,
    Lock,
    Pin,
    image_fingerprint,
    normalised,
    parse,
    pins_by_name,
    text_digest,
)

HEX = st.binary(min_size=32, max_size=32).map(bytes.hex)
PIN_NAMES = st.lists(st.text("ab19", min_size=1, max_size=3), min_size=1, max_size=3).map("-".join)
PINS = st.dictionaries(
    PIN_NAMES,
    st.tuples(
        st.sampled_from(["1", "1!2.0rc1.post3.dev4", "2.0+local.1", "2024.1"]), st.sets(HEX, min_size=1, max_size=3)
    ),
    max_size=4,
).map(lambda found: tuple(Pin(name, version, tuple(sorted(h))) for name, (version, h) in sorted(found.items())))
LOCKS = st.builds(
    Lock,
    python=st.sampled_from(["cp310", "cp311"]),
    platform=st.just("linux_x86_64"),
    image=HEX,
    requirements=HEX,
    pins=PINS,
    revision=st.one_of(st.none(), st.integers(1, 999_999_999)),
)
SAMPLE = Lock(
    python="cp311",
    platform="linux_x86_64",
    image="1" * 64,
    requirements="2" * 64,
    pins=(Pin("alpha", "1.0", ("a" * 64, "b" * 64)), Pin("beta-two", "2!1.0+local", ("c" * 64,))),
    revision=7,
)


@given(LOCKS)
def test_what_is_written_is_read_back_equal(lock: Lock) -> None:
    assert parse(lock.render()) == lock


@given(LOCKS, st.data())
def test_a_torn_lock_is_no_lock(lock: Lock, data: st.DataObject) -> None:
    text = lock.render()
    cut = data.draw(st.integers(0, len(text) - 1))
    try:
        found = parse(text[:cut])
    except InvalidLock:
        return
    # Cut between two pins: a complete lock with fewer pins. Its digest tells it from the whole one.
    assert found.pins == lock.pins[: len(found.pins)]
    assert found.digest() != lock.digest()


@given(LOCKS, st.data(), st.text(max_size=6))
def test_whatever_is_read_renders_to_the_same_text(lock: Lock, data: st.DataObject, inserted: str) -> None:
    text = lock.render()
    place = data.draw(st.integers(0, len(text)))
    changed = text[:place] + inserted + text[place:]
    try:
        found = parse(changed)
    except InvalidLock:
        return
    assert found.render() == changed


@given(st.text())
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidLock):
        parse(text)


@pytest.mark.parametrize(
    "line",
    [
        "--index-url https://evil.example.com",
        "-e .",
        "-r other.txt",
        "gamma==1.0",
        "gamma>=1.0 --hash=sha256:" + "a" * 64,
        "Gamma==1.0 --hash=sha256:" + "a" * 64,
        "gam_ma==1.0 --hash=sha256:" + "a" * 64,
        "gamma==1.0 --hash=sha256:" + "A" * 64,
        "gamma==1.0 --hash=sha256:" + "a" * 63,
        "gamma==1.0 --hash=md5:" + "a" * 32,
        "gamma==1.0  --hash=sha256:" + "a" * 64,
        "gamma==1.0 --hash=sha256:" + "a" * 64 + " --no-deps",
        "gamma==1.0 --hash=sha256:" + "a" * 64 + " ; os_name == 'x'",
        "gamma==1.0 --hash=sha256:" + "a" * 64 + " # comment",
        "gamma @ https://packages.example.com/x.whl --hash=sha256:" + "a" * 64,
        "gamma==1.* --hash=sha256:" + "a" * 64,
        "gamma==\u0661 --hash=sha256:" + "a" * 64,
        "gamma==1.0 --hash=sha256:" + "a" * 64 + "\r",
        "gamma==1.0 --hash=sha256:" + "a" * 64 + "\u2028-e .",
        "alpha==1.0 --hash=sha256:" + "a" * 64,
        "beta-two==3 --hash=sha256:" + "a" * 64,
        "gamma==1.0 --hash=sha256:" + "b" * 64 + " --hash=sha256:" + "a" * 64,
        "gamma==1.0 --hash=sha256:" + "a" * 64 + " --hash=sha256:" + "a" * 64,
        "",
        "# a comment",
    ],
)
def test_a_lock_carries_pins_with_hashes_and_nothing_else(line: str) -> None:
    with pytest.raises(InvalidLock):
        parse(SAMPLE.render() + line + "\n")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("format 1", "format 2"),
        ("# revision: 7", "# revision: 07"),
        ("# revision: 7", "# revision: 0"),
        ("# revision: 7", "# revision: -7"),
        ("# revision: 7", "# revision: 7 "),
        ("# revision: 7", "# revision:7"),
        ("# revision: 7", "# revision: "),
        ("# revision: 7", "# revision: 9999999999"),
        ("# python: cp311", "# python: ../../etc"),
        ("# python: cp311", "# python:"),
        ("# image: 1", "# image: x"),
        ("# platform", "# plat"),
    ],
)
def test_a_header_is_exactly_ours(old: str, new: str) -> None:
    with pytest.raises(InvalidLock):
        parse(SAMPLE.render().replace(old, new))


def test_a_lock_is_bounded() -> None:
    with pytest.raises(InvalidLock, match="bytes"):
        parse("x" * (MAXIMUM_BYTES + 1))


def test_a_lone_surrogate_is_refused_and_not_a_crash() -> None:
    with pytest.raises(InvalidLock):
        parse(SAMPLE.render().replace("alpha", "\ud800"))


def test_the_digest_is_of_pins_python_and_platform_only() -> None:
    same = dataclasses.replace(SAMPLE, image="3" * 64, requirements="4" * 64, revision=None)
    assert same.digest() == SAMPLE.digest() == SAMPLE.with_revision(8).digest()
    for other in (
        dataclasses.replace(SAMPLE, python="cp312"),
        dataclasses.replace(SAMPLE, platform="linux_aarch64"),
        dataclasses.replace(SAMPLE, pins=SAMPLE.pins[:1]),
    ):
        assert other.digest() != SAMPLE.digest()


def test_the_fingerprint_names_the_image() -> None:
    assert image_fingerprint({"b": "1", "a": "2"}, "cp311", "x") == image_fingerprint(
        {"a": "2", "b": "1"}, "cp311", "x"
    )
    assert image_fingerprint({"a": "2"}, "cp311", "x") != image_fingerprint({"a": "2"}, "cp312", "x")


@given(st.text("aZ09._-", max_size=9).map("A{}z".format))
def test_names_are_normalised_as_packaging_does(name: str) -> None:
    assert normalised(name) == canonicalize_name(name)


def test_pins_are_found_by_name_and_any_text_has_a_digest() -> None:
    assert pins_by_name(SAMPLE.pins)["alpha"].version == "1.0"
    assert text_digest("\ud800") != text_digest("")
