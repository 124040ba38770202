"""What every `Resolver` promises: the fake, and real uv on a real index on loopback."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest
from packaging.requirements import Requirement

from airflow_package_manager import uv_command
from airflow_package_manager.adapters.index import SimpleIndex
from airflow_package_manager.adapters.installed import InterpreterDistributions
from airflow_package_manager.adapters.uv.resolver import UvResolver
from airflow_package_manager.domain import lock as locks
from airflow_package_manager.domain.lock import Lock, text_digest
from airflow_package_manager.domain.resolution import Image, Resolution, ResolutionRequest
from airflow_package_manager.errors import (
    IndexRefused,
    IndexUnavailable,
    PackageManagerError,
    PlanAbandoned,
    ResolverTimeout,
)
from airflow_package_manager.index_access import Credentials, IndexAccess
from airflow_package_manager.ports import Resolver
from airflow_package_manager.refusals import (
    InvalidRequirement,
    NoWheel,
    ResolutionImpossible,
    UnknownProject,
    UnknownVersion,
)
from testenv.catalogue import SLOW, STATUS, catalogue
from testenv.package_index import PackageIndexServer, serve_catalogue
from testenv.wheels import IndexFile, sdist, wheel
from tests.fakes.index import FakeIndex
from tests.fakes.installed import distribution, image
from tests.fakes.resolver import FakeResolver

IMAGE = image(
    [
        distribution("airflow-like", "3.0", "helper>=1,<2", "company-internal", "early>=1.0b1"),
        distribution("airflow-provider", "1.0", "airflow-like>=3"),
        distribution("helper", "1.2", "mover>=1"),
        distribution("mover", "2.0"),
        distribution("company-internal", "7.0"),
        distribution("early", "1.0b1"),
        *(distribution(f"filler-{number}", "1.0") for number in range(6)),
    ]
)
PROTECTED = frozenset({"airflow-like", "airflow-provider"})
OF_THE_IMAGE = (
    *(wheel("helper", version, requires=["mover>=1"]) for version in ("1.0", "1.2", "2.0")),
    *(wheel("mover", version) for version in ("1.0", "1.1", "2.0", "3.0")),
    wheel("needs-old-mover", "1.0", requires=["mover<2"]),
    wheel("needs-new-helper", "1.0", requires=["helper>=2"]),
    wheel("airflow-like", "4.0"),
)
ALL = (*catalogue(), *OF_THE_IMAGE)


def _request(*requirements: str, current: Lock | None = None, **values: object) -> ResolutionRequest:
    request = ResolutionRequest(
        requirements=tuple(map(Requirement, requirements)),
        image=IMAGE,
        current=current,
        protected=PROTECTED,
        hashes={},
        requirements_digest=text_digest("\n".join(requirements)),
    )
    return dataclasses.replace(request, **values)  # type: ignore[arg-type]


def _never() -> bool:
    return False


def _resolve(resolver: Resolver, *requirements: str, current: Lock | None = None, **values: object) -> Resolution:
    return resolver.resolve(_request(*requirements, current=current, **values), lambda _: None, _never)


def _versions(lock: Lock) -> dict[str, str]:
    return {pin.name: pin.version for pin in lock.pins}


def _uv(server: PackageIndexServer, directory: Path, *, timeout: float = 30, **values: object) -> UvResolver:
    access = IndexAccess(server.url, **values)  # type: ignore[arg-type]
    index = SimpleIndex(access, default_index=lambda: "", directory=directory / "metadata", timeout=5)
    return UvResolver(
        uv=uv_command.find_uv,
        access=access,
        index=index,
        wheels=index,
        timeout=timeout,
        cache=directory / "cache",
        workdir=directory / "work",
    )


@pytest.fixture(scope="module")
def shared_server() -> Iterator[PackageIndexServer]:
    with serve_catalogue() as running:
        for file in OF_THE_IMAGE:
            running.add(file)
        yield running


@pytest.fixture
def server() -> Iterator[PackageIndexServer]:
    with serve_catalogue() as running:
        for file in OF_THE_IMAGE:
            running.add(file)
        yield running


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("resolver")


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheelhouse with all that the index has."""
    folder = tmp_path_factory.mktemp("wheelhouse")
    for file in ALL:
        (folder / file.filename).write_bytes(file.content)
    return folder


@pytest.fixture(params=["fake", "uv", "uv on a wheelhouse"])
def resolver(request: pytest.FixtureRequest, shared_server: PackageIndexServer, room: Path, wheels: Path) -> Resolver:
    if request.param == "uv":
        return _uv(shared_server, room)
    if request.param == "uv on a wheelhouse":
        return _uv(shared_server, room / "offline", wheelhouse=str(wheels))
    index = FakeIndex(ALL)
    for name, status in STATUS.items():
        index.failures[name] = IndexUnavailable("no") if status >= 500 else IndexRefused("no")
    return FakeResolver(index)


# --- what it answers ---------------------------------------------------------------------------------------------


def test_nothing_asked_is_an_empty_lock(resolver: Resolver) -> None:
    found = _resolve(resolver)
    assert found.lock.pins == ()
    assert found.distributions == {}
    assert locks.parse(found.lock.render()) == found.lock


def test_the_lock_holds_the_difference_to_the_image_with_hashes(resolver: Resolver) -> None:
    found = _resolve(resolver, "good-with-dependency", "helper>=1")
    assert _versions(found.lock) == {"good-package": "2.0", "good-with-dependency": "1.0"}
    expected = wheel("good-package", "2.0", summary="A package that works")
    assert locks.pins_by_name(found.lock.pins)["good-package"].hashes == (hashlib.sha256(expected.content).hexdigest(),)
    assert (found.lock.python, found.lock.platform) == (IMAGE.python, IMAGE.platform)
    assert found.lock.image == IMAGE.fingerprint()
    assert found.lock.requirements == text_digest("good-with-dependency\nhelper>=1")
    assert found.lock.revision is None
    assert locks.parse(found.lock.render()) == found.lock
    assert set(found.distributions) == {"good-package", "good-with-dependency"}
    parent = found.distributions["good-with-dependency"]
    assert (parent.version, parent.requires, parent.entry_points) == ("1.0", ("good-package>=1.0",), ())
    assert found.distributions["good-package"].summary == "A package that works"
    assert found.distributions["good-package"].size == len(expected.content)


def test_what_a_package_brings_to_airflow_is_known(resolver: Resolver) -> None:
    found = _resolve(resolver, "good-plugin", "apache-airflow-providers-example")
    assert found.distributions["good-plugin"].entry_points == ("airflow.plugins",)
    assert found.distributions["apache-airflow-providers-example"].entry_points == ("apache_airflow_provider",)


def test_adding_one_package_moves_no_other(resolver: Resolver) -> None:
    before = _resolve(resolver, "good-package==1.0").lock
    after = _resolve(resolver, "good-package", "good-script", current=before).lock
    assert _versions(after) == {"good-package": "1.0", "good-script": "1.0"}
    assert set(before.pins) <= set(after.pins)


def test_the_same_question_again_gives_the_same_lock(resolver: Resolver) -> None:
    before = _resolve(resolver, "good-with-dependency").lock
    assert _resolve(resolver, "good-with-dependency", current=before).lock == before


def test_removing_takes_the_orphans_along(resolver: Resolver) -> None:
    before = _resolve(resolver, "good-with-dependency", "good-script").lock
    assert _versions(_resolve(resolver, "good-script", current=before).lock) == {"good-script": "1.0"}
    assert _resolve(resolver, current=before).lock.pins == ()


def test_an_update_moves_what_it_names(resolver: Resolver) -> None:
    before = _resolve(resolver, "good-package==1.0", "good-script").lock
    after = _resolve(resolver, "good-package>=1.1", "good-script", current=before).lock
    assert _versions(after) == {"good-package": "2.0", "good-script": "1.0"}


def test_an_image_package_that_nothing_protects_may_be_shadowed(resolver: Resolver) -> None:
    assert _versions(_resolve(resolver, "needs-old-mover").lock) == {"mover": "1.1", "needs-old-mover": "1.0"}
    assert _resolve(resolver, "mover==2.0").lock.pins == ()


def test_extras_and_markers_count(resolver: Resolver) -> None:
    found = _resolve(resolver, "good-extra[more]", 'good-script; python_version < "3"')
    assert _versions(found.lock) == {"good-extra": "1.0", "good-package": "1.1"}


@pytest.mark.parametrize("resolver", ["fake", "uv"], indirect=True)
def test_a_yanked_release_is_taken_when_it_is_asked_for_and_said_so(resolver: Resolver) -> None:
    assert _versions(_resolve(resolver, "yanked-release").lock) == {"yanked-release": "0.9"}
    found = _resolve(resolver, "yanked-release==1.0")
    assert found.distributions["yanked-release"].yanked == "it eats files"


def test_a_pre_release_comes_only_when_it_is_asked_for(resolver: Resolver) -> None:
    assert _versions(_resolve(resolver, "prerelease-too").lock) == {"prerelease-too": "1.0"}
    assert _versions(_resolve(resolver, "prerelease-too>=2.0b1").lock) == {"prerelease-too": "2.0b1"}
    with pytest.raises(UnknownVersion):
        _resolve(resolver, "prerelease-only")


def test_a_source_distribution_is_never_built(resolver: Resolver) -> None:
    assert _versions(_resolve(resolver, "sdist-newest").lock) == {"sdist-newest": "1.0"}


def test_own_hashes_narrow_the_lock(resolver: Resolver) -> None:
    right = wheel("good-script", "1.0").sha256
    (own,) = (file.sha256 for file in ALL if file.name == "good-script")
    found = _resolve(resolver, "good-script==1.0", hashes={"good-script": frozenset({own, "0" * 64})})
    assert found.lock.pins[0].hashes == (own,)
    with pytest.raises(NoWheel, match="--hash"):
        _resolve(resolver, "good-script==1.0", hashes={"good-script": frozenset({right})})


def test_a_lock_for_another_python_is_no_guide(resolver: Resolver) -> None:
    before = dataclasses.replace(_resolve(resolver, "good-package==1.0").lock, python="cp27")
    assert _versions(_resolve(resolver, "good-package", current=before).lock) == {"good-package": "2.0"}


# --- what it refuses ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("requirement", "error"),
    [
        ("no-such-project", UnknownProject),
        ("helperr", UnknownProject),
        ("needs-missing", UnknownProject),
        ("good-package==9", UnknownVersion),
        ("good-package>1,<1.1", UnknownVersion),
        ("sdist-only", NoWheel),
        ("sdist-newest==2.0", NoWheel),
        ("other-platform", NoWheel),
        ("helper>=2", ResolutionImpossible),
        ("needs-new-helper", ResolutionImpossible),
        ("airflow-like>3", ResolutionImpossible),
    ],
)
def test_each_refusal_has_its_own_class(resolver: Resolver, requirement: str, error: type[PackageManagerError]) -> None:
    with pytest.raises(error) as refused:
        _resolve(resolver, requirement)
    assert type(refused.value) is error
    assert refused.value.next_action


@pytest.mark.parametrize("resolver", ["fake", "uv"], indirect=True)
@pytest.mark.parametrize(
    ("requirement", "error"),
    [
        ("other-python", NoWheel),
        ("unauthorised-project", IndexRefused),
        ("forbidden-project", IndexRefused),
        ("server-error-project", IndexUnavailable),
    ],
)
def test_each_refusal_of_an_index_has_its_own_class(
    resolver: Resolver, requirement: str, error: type[PackageManagerError]
) -> None:
    with pytest.raises(error) as refused:
        _resolve(resolver, requirement)
    assert type(refused.value) is error
    assert refused.value.next_action


def test_a_name_that_looks_like_a_known_one_is_suggested(resolver: Resolver) -> None:
    with pytest.raises(UnknownProject) as refused:
        _resolve(resolver, "helperr")
    assert refused.value.context["suggestions"] == ["helper"]


def test_a_missing_version_lists_those_that_exist(resolver: Resolver) -> None:
    with pytest.raises(UnknownVersion) as refused:
        _resolve(resolver, "good-package==9")
    assert refused.value.context["available"] == ["2.0", "1.1", "1.0"]


def test_steps_are_reported_and_cancelling_stops(resolver: Resolver) -> None:
    steps: list[str] = []
    resolver.resolve(_request("good-package"), steps.append, _never)
    assert steps[0] == "building the planning environment"
    assert len(steps) >= 3
    with pytest.raises(PlanAbandoned):
        resolver.resolve(_request("good-package"), lambda _: None, lambda: True)


# --- what only real uv can show ----------------------------------------------------------------------------------


def test_a_shadow_stays_as_it_is_until_nobody_needs_it(server: PackageIndexServer, tmp_path: Path) -> None:
    server.remove("mover")
    server.add(wheel("mover", "1.0"))
    resolver = _uv(server, tmp_path)
    before = _resolve(resolver, "needs-old-mover").lock
    assert _versions(before)["mover"] == "1.0"
    server.add(wheel("mover", "1.1"))
    resolver = _uv(server, tmp_path)
    after = _resolve(resolver, "needs-old-mover", "good-script", current=before).lock
    assert _versions(after) == {"good-script": "1.0", "mover": "1.0", "needs-old-mover": "1.0"}
    assert _versions(_resolve(resolver, "good-script", current=after).lock) == {"good-script": "1.0"}


def test_a_pin_that_left_the_index_stays_installable_from_the_lock(server: PackageIndexServer, tmp_path: Path) -> None:
    before = _resolve(_uv(server, tmp_path), "good-with-dependency").lock
    server.remove("good-with-dependency")
    after = _resolve(_uv(server, tmp_path), "good-with-dependency", "good-script", current=before).lock
    assert set(before.pins) < set(after.pins)


def test_no_refusal_starts_a_build(server: PackageIndexServer, tmp_path: Path) -> None:
    built = tmp_path / "built"
    server.add(sdist("sdist-only", "3.0", marker=str(built)))
    with pytest.raises(NoWheel):
        _resolve(_uv(server, tmp_path), "sdist-only")
    assert not built.exists()


def test_the_whole_time_is_bounded(server: PackageIndexServer, tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(ResolverTimeout):
        _resolve(_uv(server, tmp_path, timeout=2), SLOW)
    assert time.monotonic() - started < 4


def test_cancelling_kills_the_running_child(server: PackageIndexServer, tmp_path: Path) -> None:
    resolver = _uv(server, tmp_path)
    wish = threading.Event()
    timer = threading.Timer(1.0, wish.set)
    timer.start()
    started = time.monotonic()
    with pytest.raises(PlanAbandoned):
        resolver.resolve(_request(SLOW), lambda _: None, wish.is_set)
    assert time.monotonic() - started < 3
    assert not _processes_with(str(tmp_path))
    assert list((tmp_path / "work").iterdir()) == []


def test_an_index_that_is_not_there_is_unavailable(server: PackageIndexServer, tmp_path: Path) -> None:
    server.close()
    with pytest.raises(IndexUnavailable):
        _resolve(_uv(server, tmp_path), "good-package")


def test_a_resolution_that_uv_refuses_keeps_its_words_and_names_who_needs_what_in_vain(
    server: PackageIndexServer, tmp_path: Path
) -> None:
    with pytest.raises(ResolutionImpossible) as refused:
        _resolve(_uv(server, tmp_path), "needs-new-helper")
    assert "helper" in str(refused.value.context["resolver"])
    [cause] = cast("list[dict[str, object]]", refused.value.context["causes"])
    assert (cause["project"], cause["forbidden_by"], cause["needs"]) == ("helper", "airflow-like 3.0", "helper<2,>=1")
    assert "needs-new-helper 1.0 needs helper>=2; airflow-like 3.0 needs helper<2,>=1." in str(cause["message"])


@pytest.mark.parametrize(
    "file", [wheel("many-tags", "1.0", tag="py2.py3-none-any"), wheel("many-tags", "1!2.0+local.1")]
)
def test_unusual_but_valid_wheels_are_locked(server: PackageIndexServer, tmp_path: Path, file: IndexFile) -> None:
    server.add(file)
    found = _resolve(_uv(server, tmp_path), "many-tags")
    assert _versions(found.lock) == {"many-tags": file.version}
    assert locks.parse(found.lock.render()) == found.lock


@pytest.mark.parametrize(
    "requirement",
    [
        'good-package; platform_version == "x # y"',
        'good-package; platform_version == "${HOME}"',
        "good-package @ https://packages.example.com/good.whl",
        "good-package @ file:///etc/passwd",
    ],
)
def test_only_harmless_lines_reach_uv(server: PackageIndexServer, tmp_path: Path, requirement: str) -> None:
    with pytest.raises(InvalidRequirement):
        _resolve(_uv(server, tmp_path), requirement)
    assert server.requests == []


def test_a_changing_file_is_locked_as_listed_and_its_contents_stay_unknown(
    server: PackageIndexServer, tmp_path: Path
) -> None:
    found = _resolve(_uv(server, tmp_path), "changing-hash")
    assert found.lock.pins[0].hashes == (wheel("changing-hash", "1.0").sha256,)
    assert found.distributions["changing-hash"].requires is None
    assert found.distributions["changing-hash"].entry_points is None


def test_an_html_index_serves_as_well(tmp_path: Path) -> None:
    with serve_catalogue(html_only=True, ranges=False) as server:
        found = _resolve(_uv(server, tmp_path), "good-with-dependency")
        assert _versions(found.lock) == {"good-package": "2.0", "good-with-dependency": "1.0"}


def test_credentials_stay_out_of_sight(server: PackageIndexServer, tmp_path: Path) -> None:
    secret = "hush-hush-4711"
    server.credentials = ("me", secret)
    server.delays["good-script"] = 1.0
    host = f"127.0.0.1:{server.port}"
    resolver = _uv(server, tmp_path, by_host={host: Credentials("me", secret)})
    seen: list[str] = []
    steps: list[str] = []

    def watch() -> bool:
        seen.extend(_command_lines())
        return False

    found = resolver.resolve(_request("good-script"), steps.append, watch)
    assert _versions(found.lock) == {"good-script": "1.0"}
    assert any("--dry-run" in line for line in seen)
    with pytest.raises(PackageManagerError) as refused:
        resolver.resolve(_request("needs-new-helper"), steps.append, watch)
    wrong = _uv(server, tmp_path, by_host={host: Credentials("me", "wrong-" + secret)})
    with pytest.raises(IndexRefused) as unknown:
        wrong.resolve(_request("good-script"), steps.append, watch)
    texts = [*seen, *steps, found.lock.render(), repr(found)]
    texts += [f"{error.value} {error.value.context} {error.value.next_action}" for error in (refused, unknown)]
    assert not [text for text in texts if secret in text]
    kept = [path for path in tmp_path.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
    assert kept == []


# --- this environment's own Airflow ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def airflow_image() -> tuple[Image, frozenset[str]]:
    found = InterpreterDistributions(Path()).image()
    return found, frozenset(name for name in found.distributions if name.startswith("apache-airflow")) | {"uv"}


def test_a_package_is_added_beside_a_real_airflow(
    shared_server: PackageIndexServer, room: Path, airflow_image: tuple[Image, frozenset[str]]
) -> None:
    found, protected = airflow_image
    lock = _resolve(_uv(shared_server, room), "good-with-dependency", image=found, protected=protected).lock
    assert _versions(lock) == {"good-package": "2.0", "good-with-dependency": "1.0"}


@pytest.mark.parametrize("requirement", ["conflicting", "sqlalchemy<1.4"])
def test_a_real_airflow_never_moves(
    shared_server: PackageIndexServer, room: Path, airflow_image: tuple[Image, frozenset[str]], requirement: str
) -> None:
    found, protected = airflow_image
    with pytest.raises(ResolutionImpossible) as refused:
        _resolve(_uv(shared_server, room), requirement, image=found, protected=protected)
    assert "apache-airflow-core" in str(refused.value.context["resolver"])
    causes = cast("list[dict[str, object]]", refused.value.context["causes"])
    forbidden_by = f"apache-airflow-core {found.distributions['apache-airflow-core'].version}"
    wanted = [] if requirement != "conflicting" else [("sqlalchemy", "<1.4", forbidden_by)]
    asked = [(cause["project"], cause["wanted"], cause["forbidden_by"]) for cause in causes]
    assert set(wanted) <= set(asked), "a direct one is explained before the resolver is asked"


def _command_lines() -> list[str]:
    return [line for line, _ in _processes(lambda _line: True)]


def _processes_with(text: str) -> list[str]:
    return [line for line, pid in _processes(lambda line: text in line) if pid != os.getpid()]


def _processes(fits: Callable[[str], bool]) -> list[tuple[str, int]]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            except OSError:
                continue
            if fits(line):
                found.append((line, int(entry.name)))
    return found
