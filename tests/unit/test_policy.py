"""Rules as data: what may be asked, and what may come of it."""

from __future__ import annotations

import pytest

from airflow_package_manager.domain.inventory import LineKind
from airflow_package_manager.domain.policy import LINE_RULES, Policy, Violation, raise_for
from airflow_package_manager.domain.requirements import RequirementsFile
from airflow_package_manager.refusals import InvalidRequirementsFile, PolicyViolation
from tests.unit import made

IMAGE = made.image(
    {
        "apache-airflow": "3.3.2",
        "apache-airflow-core": "3.3.2",
        "apache-airflow-task-sdk": "1.3.2",
        "apache-airflow-providers-smtp": "3.2.0",
        "airflow-package-manager": "0.1.0",
        "uv": "0.13.9",
        "protobuf": "6.33.6",
        "company": "1.0",
    }
)
POLICY = Policy(protected=frozenset({"company", "secret-sauce"}), denied=frozenset({"telnetlib3"}))


def check(text: str, base: str = "") -> tuple[Violation, ...]:
    return POLICY.check_request(RequirementsFile.parse(text), RequirementsFile.parse(base), IMAGE)


def test_protected_are_airflow_its_providers_ourselves_uv_and_the_setting() -> None:
    assert POLICY.protected_in(IMAGE) == set(IMAGE.distributions) - {"protobuf"}
    assert Policy().protected_in(made.image({"protobuf": "1", "company": "1"})) == frozenset()


@pytest.mark.parametrize(
    "text",
    [
        "apache-airflow",
        "Apache_Airflow>=3.3,<4",
        "apache-airflow-providers-smtp==3.2.0",
        "apache-airflow==2.9.0; python_version < '3'",
        "apache-airflow-providers-snowflake>=5",
        "protobuf<6",
        "company==1.0",
    ],
)
def test_what_the_image_fulfils_or_does_not_guard_is_allowed(text: str) -> None:
    assert check(text) == ()


@pytest.mark.parametrize(
    ("text", "rule", "name"),
    [
        ("apache-airflow==2.9.0", "protected", "apache-airflow"),
        ("Apache.Airflow_Providers-SMTP<3", "protected", "apache-airflow-providers-smtp"),
        ("uv<0.13", "protected", "uv"),
        ("airflow_package_manager==9", "protected", "airflow-package-manager"),
        ("company>1", "protected", "company"),
        ("secret-sauce", "protected", "secret-sauce"),
        ("telnetlib3", "denied", "telnetlib3"),
    ],
)
def test_what_would_move_a_protected_project_is_a_violation(text: str, rule: str, name: str) -> None:
    (violation,) = check(text)
    assert (violation.rule, violation.name, violation.line) == (rule, name, 1)
    assert violation.message
    assert violation.next_action
    with pytest.raises(PolicyViolation) as caught:
        raise_for([violation])
    assert caught.value.context["violations"] == [
        {
            "rule": rule,
            "name": name,
            "message": violation.message,
            "next_action": violation.next_action,
            "line": 1,
        }
    ]


LINES = {
    "-e .": "editable",
    "--editable=git+https://tok@example.com/x": "editable",
    "-r other.txt": "file-line",
    "-cother.txt": "file-line",
    "--index-url https://u:secret@packages.example.com/s": "option-line",
    "--no-binary :all:": "option-line",
    "foo @ https://u:secret@packages.example.com/foo.whl": "direct-reference",
    "git+https://example.com/x.git": "direct-reference",
    "./x": "direct-reference",
    "no requirement": "invalid-line",
    "foo --install-option=x": "invalid-line",
    "foo --config-settings=a=b": "option-line",
}


@pytest.mark.parametrize(("line", "rule"), LINES.items())
def test_a_new_line_that_cannot_be_used_is_refused_with_its_way_out(line: str, rule: str) -> None:
    (violation,) = check(f"requests\n{line}\n", "requests\n")
    assert (violation.rule, violation.line) == (rule, 2)
    assert "secret" not in repr(violation)
    with pytest.raises(InvalidRequirementsFile) as caught:
        raise_for([violation])
    lines = caught.value.context["lines"]
    assert isinstance(lines, list)
    (named,) = lines
    assert named["number"] == 2
    assert named["reason"]
    assert named["next_action"]


@pytest.mark.parametrize("line", LINES)
def test_the_same_line_is_inert_where_it_stood_already(line: str) -> None:
    assert check(f"# moved\nflask\n  {line}\n", f"{line}\n") == ()


@pytest.mark.parametrize("line", LINES)
def test_a_second_copy_of_it_is_new(line: str) -> None:
    assert len(check(f"{line}\n{line}\n", f"{line}\n")) == 1


def test_changed_credentials_make_a_line_new() -> None:
    base, text = "--index-url https://u:a@packages.example.com\n", "--index-url https://u:b@packages.example.com\n"
    assert [violation.rule for violation in check(text, base)] == ["option-line"]


def test_every_kind_of_kept_line_has_a_rule() -> None:
    assert set(LINE_RULES) == set(LineKind)


def test_lines_and_other_rules_are_told_at_once() -> None:
    with pytest.raises(InvalidRequirementsFile) as caught:
        raise_for(check("-e .\n-r x\napache-airflow==2\n"))
    lines, others = caught.value.context["lines"], caught.value.context["violations"]
    assert isinstance(lines, list)
    assert isinstance(others, list)
    assert [line["number"] for line in lines] == [1, 2]
    assert [found["rule"] for found in others] == ["protected"]
    assert "1 more" in caught.value.detail


def test_no_violation_raises_nothing() -> None:
    raise_for(())


def test_a_closure_may_not_bring_what_is_guarded_or_denied() -> None:
    pins = {"apache-airflow-core": "3.0", "telnetlib3": "1", "protobuf": "7.0", "secret-sauce": "1", "requests": "2"}
    found = POLICY.check_closure(made.lock(pins), IMAGE, None)
    assert [(violation.rule, violation.name) for violation in found] == [
        ("protected", "apache-airflow-core"),
        ("protected", "secret-sauce"),
        ("denied", "telnetlib3"),
    ]


def test_a_core_that_the_image_lacks_may_not_come_either_but_a_provider_may() -> None:
    bare = made.image({"apache-airflow": "2.11.0"})
    pins = made.lock({"apache-airflow-task-sdk": "1.3.2", "apache-airflow-providers-snowflake": "6.0"})
    assert [violation.name for violation in Policy().check_closure(pins, bare, None)] == ["apache-airflow-task-sdk"]


def test_a_pin_that_stands_in_the_current_lock_is_judged_and_told() -> None:
    pins = made.lock({"telnetlib3": "1"})
    (violation,) = POLICY.check_closure(pins, IMAGE, pins)
    assert "current lock already" in violation.message


def test_shadowing_must_be_acknowledged_once() -> None:
    new = made.lock({"protobuf": "7.0", "requests": "2"})
    assert POLICY.needed_acknowledgements(new, IMAGE, None) == {"shadows:protobuf"}
    assert POLICY.needed_acknowledgements(new, IMAGE, made.lock({"protobuf": "7.0"})) == frozenset()
    assert POLICY.needed_acknowledgements(new, IMAGE, made.lock({"protobuf": "6.9"})) == {"shadows:protobuf"}
