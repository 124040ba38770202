from __future__ import annotations

import importlib.metadata
import json
import sys
from pathlib import Path

import pytest

import airflow_package_manager_site
from airflow_package_manager.domain.lock import normalised
from airflow_package_manager.installer import image
from tests.installer.environment import Environment, run

LIST = (
    "import json; from airflow_package_manager.installer import image;"
    "print(json.dumps([image.image_distributions(), image.fingerprint()]))"
)


def test_agrees_with_importlib_metadata() -> None:
    found = image.image_distributions()
    expected: dict[str, str] = {}
    for distribution in importlib.metadata.distributions(path=list(image.image_directories())):
        expected.setdefault(normalised(distribution.name), distribution.version)
    assert found == expected
    assert "pytest" in found


def test_tags() -> None:
    assert image.python_tag().startswith(f"cp{sys.version_info.major}{sys.version_info.minor}")
    assert image.platform_tag().replace("_", "").isalnum()


def test_marker_has_one_name() -> None:
    assert airflow_package_manager_site.MARKER == image.MARKER


def test_does_not_look_into_working_directory_scripts_or_site(environment: Environment, tmp_path: Path) -> None:
    stray = tmp_path / "stray-9.0.dist-info"
    stray.mkdir()
    (stray / "METADATA").write_text("Name: stray\nVersion: 9.0\n")
    (tmp_path / image.MARKER).write_text("{}")
    script = tmp_path / "script.py"
    script.write_text(LIST)
    plain = json.loads(environment.run("-c", LIST).stdout)
    assert "stray" not in plain[0]
    assert "apache-airflow-core" in plain[0]
    assert json.loads(environment.run(script).stdout) == plain
    assert (
        json.loads(environment.run("-c", LIST, environ={"AIRFLOW_PACKAGE_MANAGER_SITE": str(tmp_path)}).stdout) == plain
    )
    (tmp_path / image.MARKER).unlink()
    on_path = json.loads(run([environment.python, "-c", LIST], environ={"PYTHONPATH": str(tmp_path)}).stdout)
    assert on_path[0] == {**plain[0], "stray": "9.0"}
    assert on_path[1] != plain[1]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("My.Package-1.0.dist-info", None, ("my-package", "1.0")),
        ("local-1.0+cpu.dist-info", None, ("local", "1.0+cpu")),
        ("old-name-1.0.dist-info", "Name: old-name\nVersion: 1.0\n\nVersion: 2\n", ("old-name", "1.0")),
        ("underscored-1.0_1.dist-info", "Name: underscored\nVersion: 1.0-1\n", ("underscored", "1.0-1")),
        ("empty-x.dist-info", "", None),
        ("directory", None, None),
        ("package.py", None, None),
    ],
)
def test_reads_names_as_they_come(
    tmp_path: Path, name: str, content: str | None, expected: tuple[str, str] | None
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    if content is not None:
        (folder / "METADATA").write_text(content)
    assert image.metadata_of(name, str(folder)) == expected


def test_reads_an_egg_info_that_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "distro-1.0.egg-info"
    path.write_text("Metadata-Version: 1.1\nName: Distro\nVersion: 1.0\n")
    assert image.metadata_of(path.name, str(path)) == ("distro", "1.0")


def test_left_over_of_a_broken_upgrade_is_no_distribution(environment: Environment) -> None:
    before = environment.facts()
    left_over = environment.packages / "~mage_package-0.9.dist-info"
    left_over.mkdir()
    try:
        assert environment.facts() == before
    finally:
        left_over.rmdir()
