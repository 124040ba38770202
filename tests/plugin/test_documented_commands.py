"""The main job by the very commands that the documentation shows, with the real curl."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.plugin import journey, machine

if TYPE_CHECKING:
    from testenv.airflow_home import Airflow

pytestmark = pytest.mark.airflow

PAGE = Path(__file__).resolve().parents[2] / "docs" / "http-api.md"
WAIT = """
for _ in $(seq 600); do
    state=$({command} | jq -r .state)
    case $state in {states}) break ;; esac
    sleep 0.3
done
"""


def documented() -> tuple[list[str], list[str]]:
    """Return the commands of the page's example, and those that stand before them on Airflow 2; without remarks."""
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    example, on_airflow2 = ([re.sub(r"\s+# .*", "", line) for line in block.splitlines() if line] for block in blocks)
    return example, on_airflow2


def test_the_documented_curl_commands_do_the_job(airflow: Airflow, tmp_path: Path) -> None:
    (token, functions, *job), _ = documented()
    require_done(airflow, tmp_path, [token.replace("…", airflow.passwords["admin"]), functions], job)


def test_the_documented_curl_commands_on_airflow2_do_the_job(airflow2: Airflow, tmp_path: Path) -> None:
    (_token, _functions, *job), beginning = documented()
    require_done(airflow2, tmp_path, beginning, job)


def require_done(airflow: Airflow, tmp_path: Path, beginning: list[str], job: list[str]) -> None:
    """Run the commands, and assert that the package was added."""
    bash, _curl, _jq = (shutil.which(name) or pytest.fail(f"there is no {name}") for name in ("bash", "curl", "jq"))
    ask, identifier, look, apply, events = job
    script = [
        "set -eu",
        *beginning,
        ask.replace("pandas>=2.1", "plain-four"),
        identifier,
        WAIT.format(command=look, states="PLANNED | REFUSED"),
        apply,
        WAIT.format(command=look, states="SUCCEEDED | ROLLED_BACK | FAILED | REFUSED"),
        f"{look} > ended.json",
        f"{events} > events.json",
    ]
    ran = subprocess.run(
        [bash, "-c", "\n".join(script)],
        cwd=tmp_path,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "AIRFLOW": airflow.url, "PASSWORD": airflow.passwords["admin"]},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    ended = json.loads((tmp_path / "ended.json").read_text())
    assert ended["state"] == "SUCCEEDED", ended["problem"]
    kinds = [row["kind"] for row in json.loads((tmp_path / "events.json").read_text())["events"]]
    assert (kinds[0], kinds[-1]) == ("plan.requested", "operation.succeeded")
    assert "plain-four" in machine.requirements(airflow)
    assert journey.operation(airflow, airflow.token("admin"), ended["id"])["state"] == "SUCCEEDED"
