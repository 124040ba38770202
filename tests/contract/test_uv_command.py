"""uv is run with a clean environment, bounded, cancellable, and without a secret in anybody's sight."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from airflow_package_manager import uv_command
from airflow_package_manager.index_access import Credentials, IndexAccess
from airflow_package_manager.uv_command import Ended


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A stand-in for uv that runs the Python given as its last argument."""
    path = tmp_path / "uv"
    path.write_text(f"#!{sys.executable} -IS\nimport os, sys, time\nexec(sys.argv[-1])\n")
    path.chmod(0o755)
    return path


def test_uv_is_found_beside_this_interpreter_whatever_path_says(
    tmp_path: Path, script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(script.parent))
    found = uv_command.find_uv()
    assert found.is_absolute()
    assert found != script
    outcome = uv_command.run(found, ["--version"], directory=tmp_path, timeout=20)
    assert (outcome.ended, outcome.status) == (Ended.BY_ITSELF, 0)
    assert outcome.output.startswith("uv 0.13.")


def test_the_default_index_is_asked_of_uv(tmp_path: Path) -> None:
    assert uv_command.default_index(uv_command.find_uv(), tmp_path).startswith("https://")


def test_nothing_ambient_reaches_the_child(tmp_path: Path, script: Path) -> None:
    environ = {
        "UV_INDEX_URL": "https://evil.example.com",
        "UV_OVERRIDE": "x",
        "PYTHONPATH": "/evil",
        "PATH": "/evil",
        "AWS_SECRET_ACCESS_KEY": "x",
        "HOME": str(tmp_path),
        "https_proxy": "http://proxy.example.com:3128",
        "REQUESTS_CA_BUNDLE": str(script),
    }
    code = "print(sorted((k, v) for k, v in os.environ.items() if k != 'LC_CTYPE'))"
    outcome = uv_command.run(script, [code], directory=tmp_path, timeout=20, environ=environ)
    assert outcome.output.strip() == str(
        sorted(
            {
                "AIRFLOW_PACKAGE_MANAGER_SITE": "off",
                "HOME": str(tmp_path),
                "LANG": "C.UTF-8",
                "PATH": os.defpath,
                "SSL_CERT_FILE": str(script),
                "UV_HTTP_RETRIES": "1",
                "UV_INDEX_STRATEGY": "first-index",
                "UV_PYTHON_DOWNLOADS": "never",
                "https_proxy": "http://proxy.example.com:3128",
            }.items()
        )
    )


def test_floods_on_both_pipes_neither_block_nor_fill_the_memory(tmp_path: Path, script: Path) -> None:
    code = "sys.stderr.write('e' * 3_000_000); sys.stdout.write('o' * 20_000_000); sys.exit(7)"
    outcome = uv_command.run(script, [code], directory=tmp_path, timeout=30)
    assert (outcome.ended, outcome.status) == (Ended.BY_ITSELF, 7)
    assert len(outcome.output) == 16 * 1024 * 1024
    assert len(outcome.messages) == 1024 * 1024


_WITH_GRANDCHILD = """
child = os.fork()
print(os.getpid() if child else '', flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("how", [Ended.TIMED_OUT, Ended.CANCELLED])
def test_the_whole_process_group_dies(tmp_path: Path, script: Path, how: Ended) -> None:
    started = time.monotonic()
    cancelled = how is Ended.CANCELLED
    outcome = uv_command.run(
        script,
        [_WITH_GRANDCHILD],
        directory=tmp_path,
        timeout=30 if cancelled else 1,
        cancelled=lambda: cancelled and time.monotonic() - started > 0.5,
    )
    assert outcome.ended is how
    assert time.monotonic() - started < 5
    group = int(outcome.output.split()[0])
    deadline = time.monotonic() + 5
    while _members(group) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert _members(group) == []


def test_a_child_that_leaves_a_grandchild_on_the_pipe_does_not_hold_us(tmp_path: Path, script: Path) -> None:
    started = time.monotonic()
    code = "child = os.fork()\nif child == 0:\n    time.sleep(4)\nelse:\n    print('done', flush=True)"
    outcome = uv_command.run(script, [code], directory=tmp_path, timeout=30)
    assert (outcome.ended, outcome.output) == (Ended.BY_ITSELF, "done\n")
    assert time.monotonic() - started < 3


def test_what_comes_back_is_redacted(tmp_path: Path, script: Path) -> None:
    access = IndexAccess(
        "https://packages.example.com/simple", by_host={"packages.example.com": Credentials("me", "hush")}
    )
    code = "print(os.environ['UV_DEFAULT_INDEX']); sys.stderr.write('hush')"
    outcome = uv_command.run(script, [code], directory=tmp_path, timeout=20, access=access)
    assert outcome.output == "https://****@packages.example.com/simple\n"
    assert outcome.messages == "****"


def _members(group: int) -> list[int]:
    members = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == group and fields[0] != "Z":
                members.append(int(entry.name))
    return members


def test_a_password_that_is_a_word_of_the_output_changes_no_name_in_it(tmp_path: Path, script: Path) -> None:
    access = IndexAccess(by_host={"packages.example.com": Credentials("airflow", "airflow")})
    code = "print('apache-airflow-client'); sys.stderr.write('apache-airflow-client')"
    outcome = uv_command.run(script, [code], directory=tmp_path, timeout=20, access=access)
    assert outcome.output == "apache-airflow-client\n"
    assert "airflow" not in outcome.messages
