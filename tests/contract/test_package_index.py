"""What every `PackageIndex` and `WheelSource` promises: the fake, and the real one on JSON, HTML and without ranges."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_package_manager.adapters import index_page
from airflow_package_manager.adapters.index import SimpleIndex
from airflow_package_manager.errors import IndexRefused, IndexUnavailable
from airflow_package_manager.index_access import Credentials, IndexAccess
from airflow_package_manager.refusals import UnknownProject
from testenv.catalogue import catalogue
from testenv.package_index import PackageIndexServer, serve_catalogue
from testenv.wheels import IndexFile, wheel
from tests.fakes.index import FakeIndex

Index = FakeIndex | SimpleIndex


def _simple(server: PackageIndexServer, directory: Path, **options: float) -> SimpleIndex:
    return SimpleIndex(IndexAccess(server.url), default_index=lambda: "", directory=directory, **options)  # type: ignore[arg-type]


def wheelhouse(folder: Path, *files: IndexFile) -> SimpleIndex:
    wheels = folder / "wheels of ours"
    wheels.mkdir()
    for file in files:
        (wheels / file.filename).write_bytes(file.content)
    access = IndexAccess("http://127.0.0.1:9/never-asked", wheelhouse=str(wheels))
    return SimpleIndex(access, default_index=lambda: "", directory=folder / "metadata")


@pytest.fixture
def server() -> Iterator[PackageIndexServer]:
    with serve_catalogue() as running:
        yield running


@pytest.fixture(params=["fake", "json", "html", "whole-files", "wheelhouse"])
def index(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Index]:
    if request.param == "fake":
        fake = FakeIndex(catalogue())
        fake.failures = {
            "unauthorised-project": IndexRefused("no"),
            "forbidden-project": IndexRefused("no"),
            "server-error-project": IndexUnavailable("no"),
        }
        yield fake
        return
    if request.param == "wheelhouse":
        yield wheelhouse(tmp_path, *catalogue())
        return
    with serve_catalogue(html_only=request.param == "html", ranges=request.param != "whole-files") as running:
        yield _simple(running, tmp_path)


def test_releases_come_newest_first(index: Index) -> None:
    project = index.project("Good_Package")
    assert project.name == "good-package"
    assert [release.version for release in project.releases] == ["2.0", "1.1", "1.0"]
    assert all(release.has_wheel for release in project.releases)
    assert project.index


def test_a_release_without_a_usable_wheel_says_so(index: Index) -> None:
    assert [release.has_wheel for release in index.project("sdist-newest").releases] == [False, True]
    assert [release.has_wheel for release in index.project("other-platform").releases] == [False]


def test_an_unknown_name_is_an_unknown_project(index: Index) -> None:
    with pytest.raises(UnknownProject) as refused:
        index.project("no-such-project")
    assert refused.value.context["project"] == "no-such-project"


@pytest.mark.parametrize("index", ["fake", "json", "html", "whole-files"], indirect=True)
@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("unauthorised-project", IndexRefused),
        ("forbidden-project", IndexRefused),
        ("server-error-project", IndexUnavailable),
    ],
)
def test_an_index_that_refuses_or_fails_is_told_apart(index: Index, name: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        index.project(name)


def test_wheels_carry_the_hash_of_their_bytes(index: Index) -> None:
    expected = wheel("good-package", "1.1", summary="A package that works")
    (found,) = index.wheels("good-package", "1.1")
    assert (found.filename, found.sha256) == (expected.filename, hashlib.sha256(expected.content).hexdigest())
    assert index.wheels("other-platform", "1.0") == ()
    assert index.wheels("sdist-only", "1.0") == ()
    assert index.wheels("good-package", "9.9") == ()


def test_a_wheel_says_what_it_needs_and_what_it_brings(index: Index) -> None:
    (found,) = index.wheels("good-with-dependency", "1.0")
    needs = index.metadata("good-with-dependency", "1.0", [found.sha256])
    assert needs is not None
    assert needs.requires == ("good-package>=1.0",)
    assert needs.entry_points == ()
    assert "Name: good-with-dependency" in needs.headers
    (found,) = index.wheels("good-plugin", "1.0")
    brings = index.metadata("good-plugin", "1.0", [found.sha256])
    assert brings is not None
    assert brings.entry_points == ("airflow.plugins",)


def test_a_wheel_says_what_python_would_run_at_every_start(index: Index) -> None:
    (found,) = index.wheels("root-pth", "1.0")
    said = index.metadata("root-pth", "1.0", [found.sha256])
    assert said is not None
    assert said.at_start == ("root_pth.pth",)


def test_start_files_are_found_behind_the_data_scheme_and_nowhere_else(tmp_path: Path) -> None:
    names = ("x-1.0.data/purelib/x.pth", "x-1.0.data/data/sitecustomize/__init__.py", "x/inner.pth", "usercustomize.py")
    odd = wheel("start-files", "1.0", files=dict.fromkeys(names, ""))
    with PackageIndexServer([odd]) as one:
        index = _simple(one, tmp_path)
        said = index.metadata("start-files", "1.0", [odd.sha256])
    assert said is not None
    assert said.at_start == ("sitecustomize/__init__.py", "usercustomize.py", "x.pth")


def test_the_start_file_of_setuptools_is_no_start_file(tmp_path: Path) -> None:
    files = {"distutils-precedence.pth": "import os\n"}
    own, foreign = wheel("setuptools", "80.0", files=files), wheel("evil", "1.0", files=files)
    with PackageIndexServer([own, foreign]) as one:
        index = _simple(one, tmp_path)
        said = [index.metadata("setuptools", "80.0", [own.sha256]), index.metadata("evil", "1.0", [foreign.sha256])]
    assert [found and found.at_start for found in said] == [(), ("distutils-precedence.pth",)]


def test_a_wheel_of_another_hash_is_unknown(index: Index) -> None:
    assert index.metadata("good-package", "1.0", ["0" * 64]) is None
    assert index.metadata("no-such-project", "1.0", ["0" * 64]) is None


# --- what only the real one has ----------------------------------------------------------------------------------


def test_json_tells_yanked_python_time_and_size(server: PackageIndexServer, tmp_path: Path) -> None:
    index = _simple(server, tmp_path)
    newest, older = index.project("yanked-release").releases
    assert (newest.version, newest.yanked, older.yanked) == ("1.0", "it eats files", None)
    assert newest.uploaded_at == "2026-01-02T03:04:05.000000Z"
    assert newest.size == len(wheel("yanked-release", "1.0", yanked="it eats files").content)
    assert index.project("other-python").releases[0].requires_python == ">=4"


def test_listings_are_believed_for_a_while_and_metadata_for_ever(server: PackageIndexServer, tmp_path: Path) -> None:
    now = [0.0]
    options = {"default_index": lambda: "", "directory": tmp_path, "keep_seconds": 10, "clock": lambda: now[0]}
    index = SimpleIndex(IndexAccess(server.url), **options)  # type: ignore[arg-type]
    (found,) = index.wheels("good-plugin", "1.0")
    index.metadata("good-plugin", "1.0", [found.sha256])
    asked = len(server.requests)
    index.project("good-plugin")
    index.metadata("good-plugin", "1.0", [found.sha256])
    assert len(server.requests) == asked
    now[0] = 11
    index.project("good-plugin")
    assert len(server.requests) == asked + 1
    again = SimpleIndex(IndexAccess(server.url), **options)  # type: ignore[arg-type]
    assert again.metadata("good-plugin", "1.0", [found.sha256]) is not None
    assert len(server.requests) == asked + 1


def test_a_large_wheel_is_read_in_parts(server: PackageIndexServer, tmp_path: Path) -> None:
    noise = "".join(hashlib.sha256(str(number).encode()).hexdigest() for number in range(40_000))
    large = wheel("large-package", "1.0", files={"large_package.py": noise}, requires=["good-package"])
    server.add(large)
    index = _simple(server, tmp_path)
    assert len(large.content) > 1_000_000
    found = index.metadata("large-package", "1.0", [large.sha256])
    assert found is not None
    assert found.requires == ("good-package",)
    assert len([path for _, path in server.requests if path.startswith("/files/")]) == 1


def test_the_first_index_that_knows_the_name_is_the_only_one_believed(
    server: PackageIndexServer, tmp_path: Path
) -> None:
    with PackageIndexServer([wheel("good-package", "7.0")]) as team:
        access = IndexAccess(server.url, (team.url,))
        index = SimpleIndex(access, default_index=lambda: "", directory=tmp_path)
        assert [release.version for release in index.project("good-package").releases] == ["7.0"]
        assert index.project("good-script").releases


def test_credentials_are_sent_where_they_belong_and_shown_nowhere(server: PackageIndexServer, tmp_path: Path) -> None:
    server.credentials = ("me", "hush-hush")
    host = f"127.0.0.1:{server.port}"
    right = IndexAccess(server.url, by_host={host: Credentials("me", "hush-hush")})
    assert SimpleIndex(right, default_index=lambda: "", directory=tmp_path).project("good-package").releases
    wrong = IndexAccess(server.url, by_host={host: Credentials("me", "other-secret")})
    with pytest.raises(IndexRefused) as refused:
        SimpleIndex(wrong, default_index=lambda: "", directory=tmp_path).project("good-package")
    assert "secret" not in f"{refused.value} {refused.value.context}"


def test_an_index_that_is_not_there_is_unavailable(server: PackageIndexServer, tmp_path: Path) -> None:
    server.close()
    with pytest.raises(IndexUnavailable):
        _simple(server, tmp_path).project("good-package")


def test_the_default_index_is_asked_for_once_when_none_is_configured(
    server: PackageIndexServer, tmp_path: Path
) -> None:
    calls = []

    def default() -> str:
        calls.append(1)
        return server.url

    index = SimpleIndex(IndexAccess(), default_index=default, directory=tmp_path)
    index.project("good-package")
    index.project("good-script")
    assert calls == [1]


def test_a_slow_index_is_unavailable(server: PackageIndexServer, tmp_path: Path) -> None:
    with pytest.raises(IndexUnavailable, match="timed out"):
        _simple(server, tmp_path, timeout=0.3).project("slow-answer")


@pytest.mark.parametrize("address", ["https://packages.example.com:99999/a-1.whl", "https://[packages/a-1.whl"])
def test_a_file_at_an_impossible_address_is_left_out(address: str) -> None:
    page = json.dumps({"files": [{"filename": "a-1-py3-none-any.whl", "url": address}]}).encode()
    assert index_page.parse(page, index_page.JSON_TYPE, "https://packages.example.com/simple/a/") == ()


def test_a_wheelhouse_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    access = IndexAccess(wheelhouse=str(tmp_path / "nothing"))
    index = SimpleIndex(access, default_index=lambda: "", directory=tmp_path)
    with pytest.raises(IndexUnavailable, match="cannot be read: No such file"):
        index.project("good-package")


def test_a_wheelhouse_notices_new_and_replaced_files(tmp_path: Path) -> None:
    index = wheelhouse(tmp_path, wheel("good-package", "1.0"))
    (first,) = index.wheels("good-package", "1.0")
    assert first.sha256 == wheel("good-package", "1.0").sha256
    replaced = wheel("good-package", "1.0", files={"other.py": "1\n"})
    (tmp_path / "wheels of ours" / replaced.filename).write_bytes(replaced.content)
    later = SimpleIndex(
        IndexAccess(wheelhouse=str(tmp_path / "wheels of ours")), default_index=lambda: "", directory=tmp_path
    )
    assert later.wheels("good-package", "1.0")[0].sha256 == replaced.sha256


def test_a_wheel_of_a_wheelhouse_that_went_away_is_unknown(tmp_path: Path) -> None:
    file = wheel("good-package", "1.0")
    index = wheelhouse(tmp_path, file)
    assert index.wheels("good-package", "1.0")
    (tmp_path / "wheels of ours" / file.filename).unlink()
    assert index.metadata("good-package", "1.0", {file.sha256}) is None
