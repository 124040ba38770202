from __future__ import annotations

import json
from pathlib import Path

import pytest

from airflow_package_manager import listeners
from airflow_package_manager.errors import InvalidSetting
from airflow_package_manager.settings import load, read
from tests.fakes.application import Application, add


def _environ(home: Path, **values: str) -> dict[str, str]:
    named = {f"AIRFLOW__PACKAGE_MANAGER__{name.upper()}": value for name, value in values.items()}
    return {"AIRFLOW_HOME": str(home), **named}


def test_nobody_is_told_unless_a_setting_names_somebody(tmp_path: Path) -> None:
    assert listeners.hooks(load(_environ(tmp_path)), lambda: 0.0) == {}


def test_a_program_gets_what_the_api_shows_in_a_list(tmp_path: Path) -> None:
    told = tmp_path / "told.json"
    program = tmp_path / "tell"
    program.write_text(f"#!/bin/sh\ncat > '{told}'\n")
    program.chmod(0o755)
    (hook,) = listeners.hooks(load(_environ(tmp_path, on_finished_command=str(program))), lambda: 0.0).values()
    operation = Application(components=("scheduler",)).done(add("humanize"))
    hook(operation)
    found = json.loads(told.read_text())
    assert (found["id"], found["state"], found["revision"]) == (operation.id, "SUCCEEDED", 1)
    assert found["summary"] == "add humanize"
    assert found["owner"]["name"] == "admin"
    assert found["plan"] is None  # a lock may be large; the API gives it to who asks
    assert "token" not in told.read_text()


@pytest.mark.parametrize("wrong", ["tell --loudly", "'/bin/unclosed", "''"])
def test_a_command_begins_with_an_absolute_path(wrong: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="the absolute path of a program"):
        load(_environ(tmp_path, on_finished_command=wrong))


def test_words_are_quoted_as_in_a_shell(tmp_path: Path) -> None:
    settings = load(_environ(tmp_path, on_finished_command="/usr/bin/notify --to 'data team' '$HOME'"))
    assert settings.on_finished_command == ("/usr/bin/notify", "--to", "data team", "$HOME")


def test_an_address_is_never_shown(tmp_path: Path) -> None:
    values = {
        value.name: value for value in read(_environ(tmp_path, on_finished_url="https://hooks.example.com/s3cret"))
    }
    assert values["on_finished_url"].shown() == "****"
    assert values["index_url"].shown() == ""
    with pytest.raises(InvalidSetting) as raised:
        load(_environ(tmp_path, on_finished_url="hooks.example.com/s3cret"))
    assert "s3cret" not in str(raised.value.as_problem())
