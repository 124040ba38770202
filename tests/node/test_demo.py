"""`make demo-kubernetes`: a person starts it, logs in where it says, presses Ctrl-C, and nothing is left of it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from testenv.airflow_home import Airflow
from tests.node import what_is_left

REPOSITORY = Path(__file__).resolve().parents[2]
SECONDS = 60
LAST_WORDS = "Stopped; no process, container, mount or file is left."


@pytest.fixture
def directory() -> Iterator[Path]:
    """All that the demo makes is below this directory; sockets want a short path."""
    made = Path(tempfile.mkdtemp(prefix="demo-"))
    made.chmod(0o711)  # the users of pods, of PostgreSQL and of redis pass through it
    yield made
    shutil.rmtree(made)


def test_a_person_logs_in_at_the_demo_and_ctrl_c_leaves_nothing(directory: Path) -> None:
    machine = what_is_left.machine()
    with subprocess.Popen(
        [sys.executable, "-m", "testenv.node"],
        cwd=REPOSITORY,
        env={**os.environ, "TMPDIR": str(directory)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as demo:
        assert demo.stdout is not None
        said = _until(demo.stdout, "Ctrl-C stops everything.")
        address = re.search(r"http://127\.0\.0\.1:(\d+)/plugin/package-manager", said)
        assert address is not None, said
        passwords = dict(re.findall(r"^  (admin|viewer) +password (\S+)$", said, re.MULTILINE))
        airflow = Airflow(directory, Path(sys.executable), int(address[1]), passwords, {})
        status, session = airflow.api("GET", "session", token=airflow.token("admin"))
        assert status == 200, session
        assert session["place"] == "ConfigMap airflow-config-pypi in namespace data-orchestration"
        (node,) = directory.glob("package-manager-node-*")
        assert len(what_is_left.processes(node.name)) > 6
        ours = str(Path("/proc/self/ns/net").readlink())
        assert what_is_left.network_namespaces(node.name) == {ours}, "so no other can be left"
        os.killpg(demo.pid, signal.SIGINT)  # as a terminal does: to all of the foreground
        assert LAST_WORDS in demo.stdout.read()
    assert demo.returncode == 0
    deadline = time.monotonic() + SECONDS
    while left := [*what_is_left.of(node.name), *what_is_left.of(directory.name), *directory.iterdir()]:
        assert time.monotonic() < deadline, left
        time.sleep(0.1)
    assert what_is_left.machine() == machine


def _until(output: IO[str], words: str) -> str:
    said = []
    for line in output:
        said.append(line)
        if words in line:
            return "".join(said)
    raise AssertionError("".join(said))
