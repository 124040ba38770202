"""A package manager that cannot start says so, and Airflow's api-server starts all the same."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from airflow_package_manager.plugin import broken_fastapi
from tests.web.client import Client

SOURCE = Path(__file__).resolve().parents[2] / "src"
SCRIPT = """
import json, logging, sys
logging.basicConfig()
sys.modules["airflow_package_manager.plugin.airflow3"] = None  # as when a dependency cannot be imported
from airflow_package_manager.plugin import PackageManagerPlugin
plugin = PackageManagerPlugin()
[found] = plugin.fastapi_apps
assert plugin.fastapi_apps[0] is found
print(json.dumps([found["url_prefix"], found["app"].title, plugin.external_views[0]["href"]]))
"""


def test_the_property_answers_with_another_application_and_is_loud(tmp_path: Path) -> None:
    environment = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(SOURCE),
        "HOME": str(tmp_path),
        "AIRFLOW_HOME": str(tmp_path),
    }
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stderr
    answer: Any = json.loads(ended.stdout.splitlines()[-1])
    assert answer == ["/package-manager", "Airflow Package Manager (not started)", "package-manager/"]
    logged = ended.stdout + ended.stderr  # Airflow's logging chooses the stream
    assert "The package manager cannot start" in logged
    assert "Traceback" in logged


def test_its_page_and_its_problem_are_honest() -> None:
    client = Client(broken_fastapi.create())
    page = client.get("/")
    assert (page.status, page.headers["content-type"]) == (503, "text/html; charset=utf-8")
    assert "could not start" in page.text
    assert "frame-ancestors 'self'" in page.headers["content-security-policy"]
    problem = client.get("/api/v1/session")
    assert (problem.status, problem.headers["content-type"]) == (503, "application/problem+json")
    assert problem.json()["status"] == 503
