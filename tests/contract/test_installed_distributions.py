"""What every `InstalledDistributions` promises: the fake, and the real one on this interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from airflow_package_manager.adapters.installed import InterpreterDistributions
from airflow_package_manager.domain.lock import normalised
from airflow_package_manager.domain.resolution import InstalledDistribution
from airflow_package_manager.installer import image as installer_image
from airflow_package_manager.ports import InstalledDistributions
from tests.fakes.installed import FakeInstalled

SOURCES = Path(__file__).parents[2] / "src"


DIGEST = "d" * 64
GOOD = InstalledDistribution("good-package", "1.5", ("helper",), None, "Works", ("airflow.plugins",))


def _make_site(directory: Path) -> Path:
    """Make the site of `DIGEST`, and return the directory of the sites."""
    site = directory / DIGEST
    information = site / "Good_Package-1.5.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: Good_Package\nVersion: 1.5\nSummary: Works\nRequires-Dist: helper\n\nLong.\n"
    )
    (information / "entry_points.txt").write_text("[airflow.plugins]\ngood = good:Plugin\n")
    (site / installer_image.MARKER).write_text("")
    return directory


@pytest.fixture(params=["fake", "interpreter"])
def installed(request: pytest.FixtureRequest, tmp_path: Path) -> InstalledDistributions:
    if request.param == "fake":
        return FakeInstalled(of_sites={DIGEST: {"good-package": GOOD}})
    return InterpreterDistributions(_make_site(tmp_path))


def test_the_image_is_keyed_by_normalised_name_and_readable(installed: InstalledDistributions) -> None:
    image = installed.image()
    assert image.distributions
    for name, found in image.distributions.items():
        assert name == found.name == normalised(name)
        assert Version(found.version)
        for line in found.requires:
            assert Requirement(line).name


def test_the_image_names_this_interpreter(installed: InstalledDistributions) -> None:
    image = installed.image()
    assert image.executable == sys.executable
    assert image.python == f"cp{sys.version_info.major}{sys.version_info.minor}"
    assert image.platform.startswith("linux_")
    assert image.python_version.startswith(f"{sys.version_info.major}.{sys.version_info.minor}.")
    assert Requirement('x; python_version >= "3.10"').marker.evaluate(dict(image.markers))  # type: ignore[union-attr]
    assert len(image.fingerprint()) == 64


def test_the_site_is_told_apart(installed: InstalledDistributions) -> None:
    found = installed.site(DIGEST)["good-package"]
    assert (found.version, found.requires, found.summary) == ("1.5", ("helper",), "Works")
    assert found.entry_points == ("airflow.plugins",)
    assert "good-package" not in installed.image().distributions


def test_image_and_installer_agree_on_the_fingerprint() -> None:
    assert InterpreterDistributions(Path()).image().fingerprint() == installer_image.fingerprint()


def test_metadata_is_where_it_says_and_airflow_is_among_it() -> None:
    found = InterpreterDistributions(Path()).image().distributions["apache-airflow-core"]
    assert found.metadata_path is not None
    assert Path(found.metadata_path).is_file()
    assert any(Requirement(line).name == "sqlalchemy" for line in found.requires)
    assert found.summary


def test_an_active_site_is_no_part_of_the_image(tmp_path: Path) -> None:
    sites = _make_site(tmp_path)
    code = (
        "import sys; sys.path.insert(1, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from airflow_package_manager.adapters.installed import InterpreterDistributions\n"
        "print('good-package' in InterpreterDistributions(Path()).image().distributions)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code, str(sites / DIGEST)],
        env={**os.environ, "PYTHONPATH": str(SOURCES)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert answer.stdout.strip() == "False"


def test_a_site_that_is_absent_or_torn_holds_nothing(installed: InstalledDistributions, tmp_path: Path) -> None:
    assert installed.site("e" * 64) == {}
    torn = InterpreterDistributions(_make_site(tmp_path / "torn"))
    (tmp_path / "torn" / DIGEST / installer_image.MARKER).unlink()
    assert torn.site(DIGEST) == {}
