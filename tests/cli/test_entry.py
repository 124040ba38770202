import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_package_manager.cli.application import Application as CommandApplication
from airflow_package_manager.cli.main import main
from airflow_package_manager.cli.terminal import plain
from tests.cli.desk import Desk

PROGRAM = [sys.executable, "-m", "airflow_package_manager.cli.main"]


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    monkeypatch.delenv("AIRFLOW_CONFIG", raising=False)
    for name in [name for name in os.environ if name.startswith("AIRFLOW__PACKAGE_MANAGER__")]:
        monkeypatch.delenv(name)


def test_config_says_where_each_value_is_from_and_masks_credentials(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "airflow.cfg").write_text("[package_manager]\nsoak = 5\n", encoding="utf-8")
    monkeypatch.setenv("AIRFLOW__PACKAGE_MANAGER__TOKEN_LIFETIME", "60")
    said = desk("config")
    assert said.status == 0
    assert f"soak = 5  ({tmp_path / 'airflow.cfg'})" in said.out
    assert "token_lifetime = 60  (environment)" in said.out
    assert "planning_timeout = 60  (default)" in said.out
    rows = {row["name"]: row for row in desk("config", "--output", "json").json()}
    assert rows["token_lifetime"] == {"name": "token_lifetime", "value": "60", "source": "environment"}
    assert desk.opened == []


@pytest.mark.parametrize(
    ("name", "value"),
    [("NO_SUCH_THING", "1"), ("SOAK", "never"), ("INDEX_URL", "https://ada:hush@packages.example.com/simple")],
)
def test_a_wrong_setting_is_refused_by_name_without_its_secret(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv("AIRFLOW__PACKAGE_MANAGER__" + name, value)
    for words in (("config",), ("config", "--output", "json"), ("run", "--component", "scheduler", "--", "true")):
        said = desk(*words)
        assert said.status == 78
        assert name.lower() in said.out + said.err
        assert "hush" not in said.out + said.err


def test_run_without_a_command(desk: Desk) -> None:
    for words in ((), ("--",)):
        said = desk("run", "--component", "scheduler", *words)
        assert said.status == 2
        assert "There is no command to run." in said.err


def test_run_takes_a_known_component_only(desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    said = desk("run", "--component", "schedular", "--", "true")
    assert said.status == 78
    assert "'schedular' is not a component" in said.err
    assert "dag-processor" in said.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "url",
    [
        "/health",
        "localhost:8080",
        "ftp://localhost/",
        "http://",
        "http:///x",
        "http://h:99999/",
        "http://[x",
        "http://h/ x",
    ],
)
def test_run_takes_an_address_that_can_be_asked_only(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str
) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    said = desk("run", "--component", "api-server", "--ready-url", url, "--", "true")
    assert said.status == 78
    assert "--ready-url" in said.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("no-such-command",),
        ("history", "--limit", "0"),
        ("history", "--limit", "-1"),
        ("history", "--limit", "9" * 5000),
        ("restore", "-1"),
        ("diff", "x"),
        ("apply", "0" * 32),
        ("list", "--scope", "other"),
    ],
)
def test_wrong_arguments(desk: Desk, words: tuple[str, ...]) -> None:
    assert desk(*words).status == 2
    assert desk.opened == []


def test_what_nobody_expected_is_no_failed_operation(capsys: pytest.CaptureFixture[str]) -> None:
    def broken(*, drive: bool) -> CommandApplication:
        raise ZeroDivisionError(f"drive={drive}")

    assert main(["status"], opened=broken) == 70
    assert "ZeroDivisionError" in capsys.readouterr().err
    assert main(["status", "--output", "json"], opened=broken) == 70
    assert json.loads(capsys.readouterr().out)["code"] == "internal"


def test_a_reader_that_goes_away_is_no_error() -> None:
    code = (
        "import sys, time\n"
        "from airflow_package_manager.cli.main import main\n"
        "sys.stdin.readline()\n"
        "sys.exit(main(['config']))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": "src"},
    ) as child:
        assert child.stdin
        assert child.stdout
        assert child.stderr
        child.stdout.close()
        child.stdin.write(b"go\n")
        child.stdin.flush()
        assert child.wait(30) == 0
        assert child.stderr.read() == b""


def test_a_terminal_without_our_characters_is_served_too(tmp_path: Path) -> None:
    found = subprocess.run(
        [*PROGRAM, "config"],
        capture_output=True,
        check=False,
        timeout=30,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": "src",
            "PYTHONIOENCODING": "ascii",
            "AIRFLOW_HOME": str(tmp_path),
            "AIRFLOW__PACKAGE_MANAGER__DENIED_PACKAGES": "→",
        },
    )
    assert found.returncode == 0, found.stderr
    assert b"denied_packages = " in found.stdout


def test_configuration_and_help_import_nothing_of_airflow() -> None:
    code = (
        "import sys\n"
        "from airflow_package_manager.cli.main import main\n"
        "main(['config'])\n"
        "assert not {'airflow', 'pydantic', 'sqlalchemy'} & set(sys.modules), 'imported'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30, env={**os.environ, "PYTHONPATH": "src"})


def test_text_keeps_lines_and_letters() -> None:
    assert plain("a\tb\nç → é") == "a\tb\nç → é"
    assert plain("\r\x07\x9b\u2028\ud800") == r"\r\x07\x9b\u2028\ud800"
