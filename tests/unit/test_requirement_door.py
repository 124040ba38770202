"""The door: what a person may write as one requirement, and how a refusal speaks."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement

from airflow_package_manager.domain.requirement_door import shown
from airflow_package_manager.domain.requirements import parse_requirement
from airflow_package_manager.errors import PackageManagerError
from airflow_package_manager.refusals import InvalidRequirement, PolicyViolation

VERSIONS = ["1", "1.2.3", "2!1.0", "1.0a1", "1.0b2", "1.0rc3", "1.0.post4", "1.0.dev5", "2024.1"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("operator", ["==", "!=", "<=", ">=", "<", ">", "==="])
def test_every_operator_and_version_is_taken(operator: str, version: str) -> None:
    assert str(parse_requirement(f"foo {operator} {version}", "f").specifier) == f"{operator}{version}"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("foo", "foo"),
        ("  Foo_Bar.baz  ", "Foo_Bar.baz"),
        ("foo (>=1,<2)", "foo<2,>=1"),
        ("foo[b, a]", "foo[a,b]"),
        ("foo[]", "foo"),
        ("foo~=1.4.2", "foo~=1.4.2"),
        ("foo==1.*", "foo==1.*"),
        ("foo!=1.*,>=0.5", "foo!=1.*,>=0.5"),
        ("foo==1.0+ubuntu.1", "foo==1.0+ubuntu.1"),
        ("foo===not.a.version!", "foo===not.a.version!"),
        ("foo; python_version > '3' and (os_name == 'posix' or extra == 'x')", None),
    ],
)
def test_every_form_of_pep_508_is_taken(text: str, written: str | None) -> None:
    read = parse_requirement(text, "f")
    assert str(read) == (written or str(Requirement(text)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "requests\n--index-url https://evil.example.com",
        "requests\r-e .",
        "requests\u2028-e .",
        "requests\u2029-e .",
        "requests\u0085-e .",
        "requests\x0b-e .",
        "requests\x0c-e .",
        "requests\x00",
        "requests\t",
        "requests -e .",
        "requests --index-url=https://evil.example.com",
        'requests; python_version > "3" --no-deps',
        "-r secrets.txt",
        "--index-url",
        "r\u0435quests",
        "requests\u200b",
        "\uff52equests",
        "\ud800",
        "requests==${VERSION}",
        "requests==$(id)`id`",
        "requests; rm",
        "<img src=x onerror=alert(1)>",
        "requests'\"",
        "requests==" + "9" * 5000,
        "requests==1.0,,>2",
        "requests=1",
        "requests==abc",
        "requests>=1.*",
        "requests~=1",
        "requests; " + "(" * 21 + "os_name == 'x'" + ")" * 21,
        "requests; " + "(" * 900,
        "requests[",
        "requests" * 1000,
    ],
)
def test_a_refusal_names_field_and_cause_and_echoes_nothing_raw(text: str) -> None:
    with pytest.raises((InvalidRequirement, PolicyViolation)) as caught:
        parse_requirement(text, "changes[0].requirement")
    error = caught.value
    assert error.context["field"] == "changes[0].requirement"
    assert error.detail.startswith("changes[0].requirement: ")
    assert error.next_action
    said = error.detail + repr(error.context)
    assert said.isascii() or "…" in said or said.replace("…", "").isascii()
    assert said.isprintable()
    assert len(error.detail) < 500


@pytest.mark.parametrize(
    "text",
    [
        "foo @ https://user:secret@packages.example.com/foo.whl",
        "foo[x]@file:///etc/passwd",
        "git+https://secret@example.com/x.git",
        "git+https://me:a@secret/b@example.com/x.git@v1",
        "https://packages.example.com/x.whl?token=secret",
        "./dist",
        "/srv/x",
        "~/x",
        "C:\\x",
        "foo-1.0-py3-none-any.whl",
        "foo.tar.gz",
    ],
)
def test_a_direct_reference_is_a_matter_of_policy(text: str) -> None:
    with pytest.raises(PolicyViolation) as caught:
        parse_requirement(text, "f")
    violations = caught.value.context["violations"]
    assert isinstance(violations, list)
    (violation,) = violations
    assert violation["rule"] == "direct-reference"
    assert "index" in violation["next_action"]
    assert "secret" not in caught.value.detail + repr(caught.value.context)


@given(st.one_of(st.text(max_size=200), st.text("abc=<>!~.,;[]()'\"0123456789 -_@/\\", max_size=300)))
def test_any_text_is_a_requirement_that_survives_or_a_refusal(text: str) -> None:
    try:
        read = parse_requirement(text, "f")
    except PackageManagerError as error:
        assert error.code in {"invalid-requirement", "policy-violation"}  # noqa: PT017  # any other is a failure
        return
    assert str(parse_requirement(str(read), "f")) == str(read)
    assert "\n" not in str(read)
    assert not str(read).startswith("-")


@pytest.mark.parametrize(
    "text",
    [
        "a==" + "9" * 990,
        "a==1." + "1." * 490 + "1",
        "a;" + "os_name=='x' or " * 60 + "os_name=='y'",
        "a[" + "b," * 490 + "b]",
        "a" + ">=1," * 240 + "<2",
        "a" * 100_000,
        "a; " + "(" * 20 + "os_name=='x'" + ")" * 20,
        "-" * 1000,
        "a" + " " * 998 + "b",
    ],
)
def test_the_slowest_answers_stay_far_below_the_goal(text: str) -> None:
    started = time.perf_counter()
    try:
        parse_requirement(text, "f")
    except (InvalidRequirement, PolicyViolation) as error:
        assert error.detail  # noqa: PT017
    assert time.perf_counter() - started < 0.2


@given(
    before=st.text(alphabet="ab :/?&@", max_size=60),
    address=st.sampled_from(["https://me:hidden{}@", "https://packages.example.com/?token=hidden{}", "x://hidden{}@"]),
    more=st.integers(min_value=4_000, max_value=4_200) | st.just(100_000),
)
def test_a_long_text_is_shown_without_credentials(before: str, address: str, more: int) -> None:
    assert "hidden" not in shown(before + address.format("x" * more))


def test_of_a_long_text_the_beginning_is_shown() -> None:
    assert shown("six " + "x" * 1_000_000) == ascii("six " + "x" * 115 + "…")
    assert shown("https://packages.example.com/" + "?" * 1_000_000) == ascii("https…")
