"""A test that races real processes gets a second chance, told aloud; a fourth in one run fails the run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
ONCE = """
import pathlib
import pytest

@pytest.mark.parametrize("number", range({many}))
def test_it(number):
    failures = pathlib.Path(__file__).parent / f"failed-{{number}}"
    said = failures.read_text() if failures.exists() else ""
    if len(said) < {failures}:
        failures.write_text(said + "x")
        raise RuntimeError(f"attempt {{len(said) + 1}} of {{number}}")
"""


def run(home: Path, room: str, *, many: int, failures: int, workers: int = 0) -> tuple[int, str]:
    """Return the exit status and the output of a run of tests each of which fails so often, then passes."""
    folder = home / "tests" / room
    folder.mkdir(parents=True)
    (folder / "test_once.py").write_text(ONCE.format(many=many, failures=failures))
    plugins = ["-p", "tests.second_chance", "-p", "no:cacheprovider"]
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "--rootdir", ".", "-c", os.devnull, *plugins, f"-n{workers}", "tests"],
        cwd=home,
        env={"PATH": os.defpath, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    return ended.returncode, ended.stdout


@pytest.mark.parametrize("workers", [0, 2])
def test_what_passes_at_the_second_time_is_named_with_its_first_failure(tmp_path: Path, workers: int) -> None:
    status, said = run(tmp_path, "crash", many=3, failures=1, workers=workers)
    assert status == 0, said
    assert "3 passed, 3 rerun" in said
    for number in range(3):
        assert f"test_once.py::test_it[{number}] failed at first" in said
        assert f"RuntimeError: attempt 1 of {number}" in said


@pytest.mark.parametrize("workers", [0, 2])
def test_more_than_a_few_of_them_fail_the_run(tmp_path: Path, workers: int) -> None:
    status, said = run(tmp_path, "cluster", many=4, failures=1, workers=workers)
    assert status == 1, said
    assert "4 passed, 4 rerun" in said
    assert "4 tests needed one, more than 3: this run fails" in said


def test_there_is_no_third_chance(tmp_path: Path) -> None:
    status, said = run(tmp_path, "plugin", many=1, failures=2)
    assert status == 1, said
    assert "1 failed, 1 rerun" in said


def test_a_test_of_any_other_room_has_one_chance(tmp_path: Path) -> None:
    status, said = run(tmp_path, "unit", many=1, failures=1)
    assert status == 1, said
    assert "1 failed in" in said
