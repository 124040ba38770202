"""The real half of the contracts that SQL keeps again, with the SQLAlchemy of Airflow 2."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from testenv import library_versions

HERE = Path(__file__).parent
SUITES = ("test_tables.py", "test_operation_repository.py", "test_event_log.py")


def _run(version: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        env=library_versions.environment("sqlalchemy", version),
        cwd=HERE.parents[1],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


@pytest.mark.parametrize("version", library_versions.SQLALCHEMY)
def test_the_contract_holds_with_each_version(version: str) -> None:
    found = _run(version, "-c", "import sqlalchemy; print(sqlalchemy.__version__)")
    assert found.stdout.strip() == version, found.stderr
    suites = [str(HERE / name) for name in SUITES]
    done = _run(version, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "not memory", *suites)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout
