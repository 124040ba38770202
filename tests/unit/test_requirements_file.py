"""The requirements file: nothing is lost, an edit touches its own line only."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement

from airflow_package_manager.domain.inventory import LineKind
from airflow_package_manager.domain.plan import Action, Change
from airflow_package_manager.domain.requirement_lines import Reading
from airflow_package_manager.domain.requirements import RequirementsFile, apply_change_set
from airflow_package_manager.refusals import (
    AlreadyRequired,
    AmbiguousRequirement,
    InvalidRequirement,
    InvalidRequirementsFile,
    RequirementNotFound,
)

HASH = "--hash=sha256:" + "a" * 64
TORTURE = (
    "\ufeff# what the DAGs need\r\n"
    "\r\n"
    "Requests[socks,security] >= 2.25 , < 3 ; python_version > '3.8'  # web\r\n"
    "-r other.txt\n"
    "-c constraints.txt\n"
    "--index-url https://user:pa/ss@packages.example.com/simple?token=abc\n"
    "-e ./local\n"
    "--editable=git+https://tok@example.com/x.git@v1#egg=x\n"
    "zope.interface===5.0 \\\n"
    f"    {HASH} \\\n"
    f"    {HASH.replace('a' * 64, 'b' * 64)}\n"
    "    # via something\n"
    "named @ https://packages.example.com/named-1.0-py3-none-any.whl\n"
    "git+ssh://git@example.com/y.git\n"
    "./wheels/z-1.0-py3-none-any.whl\r"
    "\tindented==1.*\n"
    "epoch>=1!2.0rc1\n"
    "wild!=2.*,~=2.2\n"
    "bare\n"
    "this is no requirement\n"
    "last==1.0+local.1"
)
PIECES = st.sampled_from(
    [
        "requests",
        "flask>=2",
        "Zope_Interface[a,b]==1.0; python_version > '3'",
        "-e .",
        "-r x.txt",
        "--index-url https://u:p@packages.example.com/s",
        " # note",
        "#",
        "\\",
        "\n",
        "\r\n",
        "\r",
        "\\\n",
        "\u2028",
        "\x0c",
        "\ufeff",
        " ",
        "\t",
        HASH,
        "${HOME}",
        "é",
        "x @ https://packages.example.com/x.whl",
    ]
)
TEXTS = st.one_of(st.text(), st.lists(PIECES).map("".join), st.text(st.characters()))


@given(TEXTS)
def test_a_text_survives_reading(text: str) -> None:
    assert RequirementsFile.parse(text).render() == text


@given(TEXTS)
def test_each_physical_line_belongs_to_one_logical_line(text: str) -> None:
    file = RequirementsFile.parse(text)
    assert sum(len(line.raw.splitlines()) for line in file.lines) == len(text.removeprefix("\ufeff").splitlines())
    assert all(entry.number >= 1 for entry in file.entries)


@given(TEXTS)
def test_adding_changes_no_other_line_and_is_found_again(text: str) -> None:
    file = RequirementsFile.parse(text)
    added = file.add(Requirement("added-by-us>=1"))
    assert added.render().startswith(text)
    assert added.entries[:-1] == file.entries
    assert added.entries[-1].name == "added-by-us"
    assert added.kept_lines() == file.kept_lines()
    with pytest.raises(AlreadyRequired):
        added.add(Requirement("Added_By.Us"))


@given(TEXTS, st.data())
def test_an_edit_touches_its_own_line_only(text: str, data: st.DataObject) -> None:
    file = RequirementsFile.parse(text)
    names = [name for name in file.names() if sum(entry.name == name for entry in file.entries) == 1]
    if not names:
        with pytest.raises(RequirementNotFound):
            file.remove("not-there")
        return
    name = data.draw(st.sampled_from(names))
    number = next(entry.number for entry in file.entries if entry.name == name)
    index = next(index for index, line in enumerate(file.lines) if line.number == number)
    before = file.bom + "".join(line.raw for line in file.lines[:index])
    after = "".join(line.raw for line in file.lines[index + 1 :])
    others = [line.reading for line in file.lines if line.reading.name != name and line.reading != Reading()]
    try:
        updated = file.update(Requirement(f"{name}==97"))
        removed = file.remove(name)
    except InvalidRequirementsFile:
        assert after.startswith("\ufeff")  # the file would begin with it, and there it is no character
        return
    for edited in (updated, removed):
        left = [line.reading for line in edited.lines if line.reading.name != name and line.reading != Reading()]
        assert left == others
    assert updated.render().startswith(before)
    assert updated.render().endswith(after)
    (entry,) = (entry for entry in updated.entries if entry.name == name)
    assert str(entry.requirement.specifier) == "==97"
    assert entry.hashes == frozenset() or "==97" in file.lines[index].raw
    assert removed.render() == before + after


BROKEN = st.tuples(
    st.sampled_from(["", "\\\n", " \\\r\n "]),
    st.sampled_from(["", "==1", "==1; os_name != 'x'"]),
    st.sampled_from(["", f" {HASH}", f" \\\n {HASH}"]),
    st.sampled_from(["", " # note", " \\\n# why\\", " \\\n  # why", " #\\\n", " \\"]),
).map("".join)


@given(st.lists(BROKEN, min_size=2, max_size=4), st.sampled_from(["", "\n"]))
def test_no_edit_of_a_broken_line_changes_what_another_line_says(blocks: list[str], end: str) -> None:
    file = RequirementsFile.parse("\n".join(f"p{number}{rest}" for number, rest in enumerate(blocks)) + end)
    for name in file.names():
        others = [entry.written for entry in file.entries if entry.name != name]
        for edited in (file.update(Requirement(f"{name}==97")), file.remove(name)):
            assert [entry.written for entry in edited.entries if entry.name != name] == others


def test_the_torture_file_is_read_as_people_mean_it() -> None:
    file = RequirementsFile.parse(TORTURE)
    assert file.render() == TORTURE
    assert file.names() == ("requests", "zope-interface", "indented", "epoch", "wild", "bare", "last")
    assert file.entries[1].hashes == {"a" * 64, "b" * 64}
    assert [(line.number, line.kind) for line in file.kept_lines()] == [
        (4, LineKind.FILE),
        (5, LineKind.FILE),
        (6, LineKind.OPTION),
        (7, LineKind.EDITABLE),
        (8, LineKind.EDITABLE),
        (13, LineKind.DIRECT_REFERENCE),
        (14, LineKind.DIRECT_REFERENCE),
        (15, LineKind.DIRECT_REFERENCE),
        (20, LineKind.INVALID),
    ]
    shown = " ".join(line.text for line in file.kept_lines())
    assert not any(secret in shown for secret in ("pa/ss", "user:", "abc", "tok@"))


def test_an_update_keeps_place_comment_extras_and_marker() -> None:
    updated = RequirementsFile.parse(TORTURE).update(Requirement("requests>=2.32"))
    line = updated.render().splitlines(keepends=True)[2]
    assert line == 'Requests[security,socks]>=2.32; python_version > "3.8"  # web\r\n'


def test_extras_and_marker_change_when_given() -> None:
    updated = RequirementsFile.parse("celery[redis]>=5; python_version > '3'\n").update(
        Requirement("celery[sqs]>=5; python_version > '3.9'")
    )
    assert updated.render() == 'celery[sqs]>=5; python_version > "3.9"\n'


def test_hashes_of_another_version_go_and_the_rest_of_the_file_stays() -> None:
    updated = RequirementsFile.parse(TORTURE).update(Requirement("zope.interface==6.0"))
    assert "zope.interface==6.0\n    # via something\n" in updated.render()
    assert HASH not in updated.render()


def test_hashes_stay_while_the_version_stays() -> None:
    text = f"foo==1.0 \\\n    {HASH}  # pinned\nbar\n"
    updated = RequirementsFile.parse(text).update(Requirement("foo[x]==1.0"))
    assert updated.render() == f"foo[x]==1.0 \\\n    {HASH}  # pinned\nbar\n"


@pytest.mark.parametrize("between", ["=", " ", "  "])
def test_a_hash_goes_whole_however_it_was_written(between: str) -> None:
    written = HASH.replace("=", between, 1)
    file = RequirementsFile.parse(f"foo==1.0 {written} --config-settings a=b {written}  # pinned\n")
    assert file.entries[0].hashes == {"a" * 64}
    assert file.update(Requirement("foo==2.0")).render() == "foo==2.0 --config-settings a=b  # pinned\n"


@pytest.mark.parametrize("digits", [63, 65])
def test_a_hash_of_another_length_is_none(digits: int) -> None:
    (entry,) = RequirementsFile.parse(f"foo==1.0 --hash=sha256:{'a' * digits}\n").entries
    assert entry.hashes == frozenset()
    assert len(entry.other_options) == 1


def test_a_requirement_broken_over_lines_is_rewritten_on_one() -> None:
    updated = RequirementsFile.parse("foo \\\n >=1 # foo >=1\nbar\n").update(Requirement("foo>=2"))
    assert updated.render() == "foo>=2 # foo >=1\nbar\n"


@pytest.mark.parametrize("backslashes", ["\\", "\\\\", " \\ \\"])
def test_a_comment_that_comes_to_stand_behind_a_requirement_swallows_nothing(backslashes: str) -> None:
    text = f"foo \\\n==1 \\\n# why{backslashes}\na==1\nb==2\n"
    updated = RequirementsFile.parse(text).update(Requirement("foo==2"))
    assert [entry.written for entry in updated.entries] == ["foo==2", "a==1", "b==2"]
    assert updated.render().startswith("foo==2  # why")


def test_an_edit_by_which_another_line_would_read_otherwise_is_refused() -> None:
    with pytest.raises(InvalidRequirementsFile) as caught:
        RequirementsFile.parse("foo\n\ufeffbar\n").remove("foo")
    assert caught.value.detail.startswith("Line 2:")
    assert "whole file" in caught.value.next_action


def test_removing_takes_continuations_along() -> None:
    removed = RequirementsFile.parse(TORTURE).remove("Zope-Interface")
    assert HASH not in removed.render()
    assert len(removed.lines) == len(RequirementsFile.parse(TORTURE).lines) - 1


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "new\n"),
        ("a\r\n", "a\r\nnew\r\n"),
        ("a\r", "a\rnew\r"),
        ("a\nb", "a\nb\nnew\n"),
        ("a\r\nb", "a\r\nb\r\nnew\r\n"),
        ("a \\", "a \\\n\nnew\n"),
        ("a \\\n", "a \\\n\nnew\n"),
        ("\ufeff", "\ufeffnew\n"),
        ("# only a comment \\", "# only a comment \\\nnew\n"),
    ],
)
def test_a_line_is_appended_in_the_files_own_manner(before: str, after: str) -> None:
    assert RequirementsFile.parse(before).add(Requirement("new")).render() == after


@pytest.mark.parametrize("second", ["Foo==1", "foo; python_version < '3'"])
def test_duplicates_are_seen_and_not_guessed_at(second: str) -> None:
    file = RequirementsFile.parse(f"foo\n{second}\n")
    assert file.names() == ("foo",)
    assert len(file.entries) == 2
    with pytest.raises(AmbiguousRequirement) as caught:
        file.update(Requirement("foo==2"))
    assert caught.value.context["lines"] == [1, 2]
    with pytest.raises(AmbiguousRequirement):
        file.remove("FOO")
    with pytest.raises(AlreadyRequired):
        file.add(Requirement("foo"))


def test_a_project_named_by_an_address_is_not_edited() -> None:
    file = RequirementsFile.parse("foo @ https://packages.example.com/foo.whl\n")
    assert file.names() == ()
    with pytest.raises(AlreadyRequired, match="Line 1"):
        file.add(Requirement("foo"))
    with pytest.raises(RequirementNotFound) as caught:
        file.remove("foo")
    assert "whole file" in caught.value.next_action


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("requests --index-url https://evil.example.com", "option"),
        ("requests ${EXTRA}", "environment"),
        ("requests\x0c", "U+000C"),
        ("# note\x00", "U+0000"),
        ("requests # \ud800", "surrogate"),
        ("requests==" + "9" * 5000, "characters"),
        ("r\u0435quests", "ASCII"),
        ("foo; " + "(" * 400 + "os_name=='x'" + ")" * 400, "nests"),
    ],
)
def test_a_line_that_must_not_be_used_is_kept_and_says_why(text: str, reason: str) -> None:
    file = RequirementsFile.parse(text + "\nflask\n")
    assert file.names() == ("flask",)
    (line,) = file.kept_lines()
    assert line.kind is LineKind.INVALID
    assert reason in file.lines[0].reading.reason
    assert all(part.isprintable() or part in "\t\n" for part in line.text)


def test_a_separator_that_only_some_programs_know_hides_no_option() -> None:
    file = RequirementsFile.parse("requests\u2028--index-url https://evil.example.com\n# note\x0cflask\n")
    assert [line.kind for line in file.kept_lines()] == [LineKind.INVALID, LineKind.OPTION, LineKind.INVALID]
    assert file.names() == ("flask",)


def test_options_of_a_requirement_are_told_apart() -> None:
    (entry,) = RequirementsFile.parse(f"foo==1 {HASH} --hash=sha512:{'c' * 128} --config-settings=a=b\n").entries
    assert entry.hashes == {"a" * 64}
    assert len(entry.other_options) == 2


def test_a_change_set_is_all_or_nothing() -> None:
    text = "a==1\nb\n"
    changes = [
        Change(Action.ADD, "c>=2"),
        Change(Action.UPDATE, "a==2"),
        Change(Action.REMOVE, "B"),
    ]
    assert apply_change_set(text, changes) == "a==2\nc>=2\n"
    with pytest.raises(InvalidRequirement) as caught:
        apply_change_set(text, [*changes, Change(Action.ADD, "d=1")])
    assert caught.value.context["field"] == "changes[3].requirement"


def test_five_hundred_lines_are_read_again_within_milliseconds() -> None:
    text = "".join(f"project-{number}[extra]>=1.{number}; python_version > '3.8'  # c\n" for number in range(500))
    RequirementsFile.parse(text)
    started = time.perf_counter()
    assert len(RequirementsFile.parse(text).entries) == 500
    assert time.perf_counter() - started < 0.02
