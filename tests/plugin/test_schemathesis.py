"""schemathesis itself against the OpenAPI document of real web servers, logged in as an admin.

Each server is the test's own and runs alone: no component is there that a change could restart.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_package_manager.web.endpoints import ENDPOINTS
from testenv import airflow_home, airflows
from testenv.airflow_home import API

if TYPE_CHECKING:
    from testenv.airflow_home import Airflow
    from testenv.package_index import PackageIndexServer

pytestmark = pytest.mark.airflow

SECONDS = 60
CONFIGURATION = """
[headers]
Cookie = "${SESSION_COOKIE}"
Sec-Fetch-Site = "same-origin"
"""
"""What the page sends. The cookie stands in no argument list."""
NOT_CHECKED = ("positive_data_acceptance", "ignored_auth")
"""What the document allows may be refused: nothing is found or planned here. And a wrong `Authorization` beside a good
cookie is no intruder's; who has no cookie either is sent by `test_adapter_contract.py`."""


@pytest.fixture(scope="module", params=airflows.PREPARE)
def airflow(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, package_index: PackageIndexServer
) -> Iterator[Airflow]:
    index = {"AIRFLOW__PACKAGE_MANAGER__INDEX_URL": package_index.url}
    home = tmp_path_factory.mktemp("described")
    with airflow_home.serving(airflows.prepare(request.param, home, dags={}, settings=index)) as started:
        yield started


def test_the_server_keeps_to_its_document_whatever_is_asked(airflow: Airflow, tmp_path: Path) -> None:
    cookie = airflow.cookie("admin")
    status, session = airflow.request("GET", f"{API}session", headers={"Cookie": cookie})
    assert (status, session["principal"]["name"]) == (200, "admin")
    csrf = session["csrf"]
    configuration = tmp_path / "schemathesis.toml"
    token = f'{csrf["header"]} = "${{CSRF_TOKEN}}"\n' if csrf else ""
    configuration.write_text(CONFIGURATION + token)
    ran = subprocess.run(
        [
            *(str(Path(sys.executable).parent / "st"), "--config-file", str(configuration)),
            *("run", f"{airflow.url}{API}openapi.json", "--url", f"{airflow.url}{API}".rstrip("/")),
            *("--phases", "examples,coverage,fuzzing", "--checks", "all", "--exclude-checks", ",".join(NOT_CHECKED)),
            *("--max-time", str(SECONDS), "--seed", "1", "--continue-on-failure", "--suppress-health-check", "all"),
        ],
        cwd=tmp_path,
        env={**os.environ, "SESSION_COOKIE": cookie, "CSRF_TOKEN": csrf["token"] if csrf else "", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=SECONDS * 4,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-8000:] + ran.stderr[-2000:]
    assert f"Tested: {len(ENDPOINTS) - 1}\n" in ran.stdout, "all but the document itself, which it has read"
