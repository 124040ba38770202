"""Airflow 2 as operators set it up otherwise: each time its real web application, in a fresh process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from testenv import airflow2_home, airflow_environment
from testenv.airflow2_home import Airflow2

pytestmark = pytest.mark.airflow

SCRIPT = """
import json, sys
from airflow.www.app import create_app

client = create_app().test_client()
asked = json.load(sys.stdin)
if asked["user"]:
    with client.session_transaction(base_url=asked["base"]) as session:
        session["_user_id"], session["_fresh"] = str(asked["user"]), True
answers = []
for method, path in asked["requests"]:
    found = client.open(path, method=method, base_url=asked["base"], headers={"X-Package-Manager": "1"}, json={})
    answers.append([found.status_code, found.headers.get("Location"), found.get_data(as_text=True)])
print("ANSWERS" + json.dumps(answers))
"""
ADMIN = 1
"""The number of the user who was made first."""
PAGE, OURS, SESSION = "/plugin/package-manager", "/package-manager/", "/package-manager/api/v1/session"


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Airflow2:
    """A home with users; nothing runs."""
    return airflow2_home.prepare(
        tmp_path_factory.mktemp("home"), airflow_environment.build("2.11"), dags={}, users=("admin",)
    )


def test_a_public_role_of_admin_lets_nobody_in(airflow: Airflow2, tmp_path: Path) -> None:
    config = tmp_path / "webserver_config.py"
    config.write_text("AUTH_ROLE_PUBLIC = 'Admin'\n")
    requests = [("GET", SESSION), ("GET", OURS), ("POST", "/package-manager/api/v1/operations"), ("GET", "/home")]
    answers = _asked(airflow, requests, AIRFLOW__WEBSERVER__CONFIG_FILE=str(config))
    assert [answer[0] for answer in answers] == [401, 401, 401, 200], "Airflow itself is open"


def test_where_airflow_forbids_frames_the_page_takes_the_window(airflow: Airflow2) -> None:
    [answer] = _asked(airflow, [("GET", PAGE)], user=ADMIN, AIRFLOW__WEBSERVER__X_FRAME_ENABLED="False")
    assert answer[:2] == [302, OURS]


def test_addresses_hold_under_a_prefix(airflow: Airflow2) -> None:
    prefix = "/team/airflow"
    requests = [("GET", prefix + path) for path in (PAGE, OURS, OURS.rstrip("/"))]
    base = f"http://airflow.example.com{prefix}"
    page, ours, slash = _asked(airflow, requests, user=ADMIN, AIRFLOW__WEBSERVER__BASE_URL=base)
    assert page[0] == 200
    assert 'src="/team/airflow/package-manager/"' in page[2]
    assert ours[0] == 200
    assert 'href="static/style.css"' in ours[2], "relative"
    assert slash[:2] == [308, "/team/airflow/package-manager/"]


def test_an_auth_manager_that_nobody_verified_lets_nobody_in_and_is_named(airflow: Airflow2, tmp_path: Path) -> None:
    (tmp_path / "own_manager.py").write_text(
        "from airflow.providers.fab.auth_manager.fab_auth_manager import FabAuthManager\n"
        "class OwnManager(FabAuthManager):\n    pass\n"
    )
    settings = {"AIRFLOW__CORE__AUTH_MANAGER": "own_manager.OwnManager", "PYTHONPATH": str(tmp_path)}
    [answer] = _asked(airflow, [("GET", SESSION)], user=ADMIN, **settings)
    problem = json.loads(answer[2])
    assert (answer[0], problem["code"], problem["auth_manager"]) == (403, "forbidden", "own_manager.OwnManager")


def test_a_package_manager_that_cannot_start_says_so_and_airflow_starts_all_the_same(
    airflow: Airflow2,
) -> None:
    answers = _asked(airflow, [("GET", OURS), ("GET", SESSION), ("GET", PAGE)], user=ADMIN, before=BROKEN)
    assert [answer[0] for answer in answers] == [503, 503, 200]
    assert "could not start" in answers[0][2]


def test_without_airflows_csrf_protection_ours_is_still_there(airflow: Airflow2, tmp_path: Path) -> None:
    config = tmp_path / "webserver_config.py"
    config.write_text("WTF_CSRF_ENABLED = False\n")
    requests = [("GET", SESSION), ("POST", "/package-manager/api/v1/operations")]
    session, change = _asked(airflow, requests, user=ADMIN, AIRFLOW__WEBSERVER__CONFIG_FILE=str(config))
    assert json.loads(session[2])["csrf"] is None
    assert (change[0], json.loads(change[2])["code"]) == (403, "cross-origin")


BROKEN = "import sys; sys.modules['airflow_package_manager.plugin.airflow2'] = None\n"
"""As when a dependency cannot be imported."""


def _asked(
    airflow: Airflow2,
    requests: list[tuple[str, str]],
    *,
    user: int | None = None,
    before: str = "",
    **settings: str,
) -> list[list[Any]]:
    """Return status, where to, and text of each answer."""
    asked = json.dumps({"requests": requests, "user": user, "base": "http://airflow.example.com"})
    done = airflow.run(str(airflow.python), "-c", before + SCRIPT, text=asked, extra=settings)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    found: list[list[Any]] = json.loads(done.stdout.rpartition("ANSWERS")[2])
    return found
