"""Our own explanation of a conflict with the image: right, complete for direct conflicts, and quick."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from airflow_package_manager.domain import dependencies
from airflow_package_manager.domain.dependencies import Dependencies
from airflow_package_manager.domain.explain import _may_meet, explain, explain_release, what_fits
from airflow_package_manager.domain.requirements import RequirementsFile
from airflow_package_manager.domain.resolution import Image, ResolutionRequest, ResolvedDistribution
from tests.unit import made

IMAGE = made.image(
    {
        "apache-airflow-core": "3.3.2",
        "apache-airflow-providers-google": "22.8.0",
        "sqlalchemy": "2.0.51",
        "pandas": "3.1.1",
        "google-cloud-batch": "0.22.4",
        "protobuf": "6.33.6",
    },
    {
        "apache-airflow-core": [
            "sqlalchemy[asyncio]>=2.0.50",
            "sqlalchemy>=2.0.50",
            "pandas<1; extra == 'old'",
            "protobuf>9; python_version < '3'",
        ],
        "apache-airflow-providers-google": ["Pandas >=2.1.2", "protobuf>=4.25.0", "not a requirement at all!"],
        "google-cloud-batch": ["protobuf<8,>=6.33.5"],
    },
)
RELEASES = {"sqlalchemy": ("1.3.24", "2.0.49", "2.0.50", "2.0.51", "2.1.0b1", "2.1.0", "weird")}


def ask(*requirements: str, image: Image = IMAGE) -> ResolutionRequest:
    protected = frozenset(name for name in image.distributions if name.startswith("apache-airflow"))
    return ResolutionRequest(tuple(map(Requirement, requirements)), image, None, protected, {}, "0" * 64)


def test_who_forbids_it_what_they_need_and_what_would_fit() -> None:
    asked = []

    def releases(name: str) -> tuple[str, ...]:
        asked.append(name)
        return RELEASES[name]

    (cause,) = explain(ask("SQLAlchemy<1.4", "requests"), releases)
    assert (cause.project, cause.wanted) == ("sqlalchemy", "<1.4")
    assert (cause.forbidden_by, cause.needs) == ("apache-airflow-core 3.3.2", "sqlalchemy>=2.0.50")
    assert cause.fits == ("2.1.0", "2.0.51", "2.0.50")
    assert cause.message == (
        "apache-airflow-core 3.3.2 needs sqlalchemy>=2.0.50; you ask for sqlalchemy<1.4."
        " The image has sqlalchemy 2.0.51."
    )
    assert asked == ["sqlalchemy"]


@pytest.mark.parametrize(
    "fine",
    ["sqlalchemy", "sqlalchemy>=2", "pandas>=2.1.2,<3", "protobuf<6", "pandas==1.5; python_version<'3'", "numpy<1"],
)
def test_what_nothing_protected_forbids_has_no_cause(fine: str) -> None:
    assert explain(ask(fine)) == ()


def test_what_a_release_needs_in_vain_names_both_sides() -> None:
    requires = [
        "SQLAlchemy<1.4",
        "apache-airflow-core<3",
        "pandas>=2; extra == 'frames'",
        "protobuf>99; python_version < '3'",
        "requests",
        "not a requirement at all!",
    ]
    found = explain_release(Requirement("Old_Plugin"), "1.0", requires, ask("old-plugin"))
    assert [cause.message for cause in found.causes] == [
        (
            "old-plugin 1.0 needs sqlalchemy<1.4; apache-airflow-core 3.3.2 needs sqlalchemy>=2.0.50."
            " The image has sqlalchemy 2.0.51."
        ),
        "old-plugin 1.0 needs apache-airflow-core<3; the image has apache-airflow-core 3.3.2, which is protected.",
    ]
    assert [need.name for need in found.further] == ["requests"]


def test_an_extra_counts_only_when_it_is_asked_for() -> None:
    requires = ["pandas<1; extra == 'frames'"]
    assert explain_release(Requirement("old-plugin"), "1.0", requires, ask()).causes == ()
    (cause,) = explain_release(Requirement("old-plugin[frames]"), "1.0", requires, ask()).causes
    assert cause.forbidden_by == "apache-airflow-providers-google 22.8.0"


def test_others_of_the_image_explain_only_when_asked_for() -> None:
    request = ask("protobuf==3.20.3")
    assert [cause.forbidden_by for cause in explain(request)] == ["apache-airflow-providers-google 22.8.0"]
    assert [cause.forbidden_by for cause in explain(request, movable=True)] == [
        "apache-airflow-providers-google 22.8.0",
        "google-cloud-batch 0.22.4",
    ]


def test_the_versions_that_fit_are_known_without_a_conflict_too() -> None:
    protected = frozenset({"apache-airflow-core"})
    assert what_fits("sqlalchemy", IMAGE, protected, RELEASES["sqlalchemy"]) == ("2.1.0", "2.0.51", "2.0.50")
    assert what_fits("free", IMAGE, protected, ("1", "2")) == ("2", "1")


NUMBERS = st.sampled_from(
    ["0", "1", "1.0", "1.1", "1.0.1", "1.2", "2", "1!1", "1.0a1", "1.0rc1", "1.0.post1", "1.0.dev1"]
)
SPECIFIERS = st.lists(
    st.one_of(
        st.builds(str.__add__, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), NUMBERS),
        st.builds("{}{}.*".format, st.sampled_from(["==", "!="]), st.sampled_from(["1", "1.0", "2"])),
        st.builds("~={}".format, st.sampled_from(["1.0", "1.1", "1.0.1", "2.0rc1"])),
    ),
    max_size=3,
).map(",".join)


@given(SPECIFIERS, SPECIFIERS)
def test_a_conflict_is_claimed_exactly_when_no_version_fits_both(first: str, second: str) -> None:
    both = SpecifierSet(",".join(filter(None, (first, second))), prereleases=True)
    assert _may_meet(SpecifierSet(first), SpecifierSet(second)) is not both.is_unsatisfiable()


@pytest.mark.parametrize(
    ("first", "second", "meets"),
    [("===1.0", ">=1", True), ("===1.0", ">1", False), ("===weird", "===WEIRD", True), ("===weird", ">=1", False)],
)
def test_arbitrary_equality_is_compared_as_text(first: str, second: str, meets: bool) -> None:  # noqa: FBT001
    assert _may_meet(SpecifierSet(first), SpecifierSet(second)) is meets


def test_of_a_large_image_only_what_matters_is_parsed() -> None:
    names = [f"project-{number}" for number in range(350)]
    requires = {
        name: [f"{names[(index * 7 + step) % 350]}>={step}.1; python_version > '3.{step}'" for step in range(20)]
        for index, name in enumerate(names)
    }
    large = made.image(dict.fromkeys(names, "21.0"), requires)
    request = ResolutionRequest((Requirement("project-3<0.5"),), large, None, frozenset(names), {}, "0" * 64)
    dependencies._parsed.cache_clear()
    assert explain(request)
    assert dependencies._parsed.cache_info().misses < 100  # of 7,000 lines, which take half a second


def test_who_requires_a_project_counts_extras_that_somebody_asked_for() -> None:
    base = made.image({"a": "1", "b": "1"}, {"a": ["b[fast]"], "b": ["c; extra == 'fast'", "d; extra == 'slow'"]})
    index = Dependencies.of_image(base)
    assert index.required_by("c") == ("b",)
    assert index.required_by("d") == ()
    resolved = made.resolution(
        made.lock({"celery": "5"}), celery=ResolvedDistribution("celery", "5", ("redis; extra == 'redis'",), ())
    )
    after = Dependencies.after(base, resolved, RequirementsFile.parse("celery[Redis]\n"))
    assert after.required_by("redis") == ("celery",)


def test_two_images_with_one_fingerprint_are_not_mixed_up() -> None:
    first, second = made.image({"a": "1"}, {"a": ["x"]}), made.image({"a": "1"}, {"a": ["y"]})
    assert first.fingerprint() == second.fingerprint()
    assert Dependencies.of_image(first).required_by("x") == ("a",)
    assert Dependencies.of_image(second).required_by("x") == ()
