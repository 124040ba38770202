"""Processes of another user, such as tasks with `run_as_user`: not ours to end, and no reason to end ourselves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_package_manager.installer import processes

NOBODY = 65534


@pytest.fixture
def foreign() -> Iterator[processes.Process]:
    """A process that an ordinary user may not send signals to."""
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    found = processes.process(sleeper.pid if os.getuid() == 0 else 1)
    assert found is not None
    yield found
    sleeper.kill()
    sleeper.wait()


def as_nobody(said: Path, foreign: processes.Process) -> int:
    """Try to end it as an ordinary user, in a process of its own; return that one's exit status."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            with said.open("w") as stream:
                if os.getuid() == 0:
                    os.setgroups([])
                    os.setuid(NOBODY)
                processes.end_all([foreign], 0.1, say=stream.write)
            status = 0 if not processes.send(foreign, signal.SIGTERM) else 2
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_process_of_another_user_is_named_and_left_alone(tmp_path: Path, foreign: processes.Process) -> None:
    assert as_nobody(tmp_path / "said", foreign) == 0
    said = (tmp_path / "said").read_text()
    assert f"process {foreign.pid} belongs to another user" in said
    assert processes.is_alive(foreign)
