"""Auth managers that stand for AWS's and for an unknown one, each in a real api-server."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from testenv import airflow_environment, airflow_home
from testenv.airflow_home import API, Airflow
from testenv.package_index import PackageIndexServer
from tests.plugin import journey, machine

pytestmark = pytest.mark.airflow

AWS = "airflow.providers.amazon.aws.auth_manager.aws_auth_manager.AwsAuthManager"
SOURCE = Path(__file__).resolve().parents[1] / "data" / "auth_managers"
SECONDS = 2.0
"""How long the one that stands for AWS's takes for an answer."""
PUT, GET = ("PUT", "Package Management"), ("GET", "Package Management")
USERS: Mapping[str, Mapping[str, object]] = {
    "changes": {"may": [PUT]},
    "reads": {"may": [GET]},
    "nothing": {},
    "ada": {},
    "packager": {"role": "Packages"},
    "all": {"may": [PUT, GET], "role": "Admin"},
}
TOKENS = """
import json, sys
from airflow.api_fastapi.app import create_auth_manager
from house_auth_manager import User
manager = create_auth_manager()
made = [manager.generate_jwt(User(name, **more)) for name, more in json.load(sys.stdin)]
print(json.dumps(made))
"""
SINCE: Mapping[str, tuple[str, Mapping[str, object]]] = {
    "forbidden": ("changes", {"may": [GET]}),
    "token-invalid": ("renamed", {"id": "id-changes", "may": [PUT]}),
}
"""Code of the refusal → what became of the user `changes`: without the right, or under another name."""
ANOTHER = ("changes", {"id": "another", "may": [PUT]})
"""Somebody of that name."""


@dataclass(frozen=True)
class Server:
    """One api-server and tokens of its users."""

    airflow: Airflow
    tokens: Mapping[str, str]

    def session(self, user: str) -> tuple[int, Any]:
        """Ask who a user is."""
        return self.airflow.api("GET", "session", token=self.tokens[user])


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, package_index: PackageIndexServer) -> Airflow:
    settings = {
        "AIRFLOW__PACKAGE_MANAGER__INDEX_URL": package_index.url,
        "AIRFLOW__PACKAGE_MANAGER__SOAK": "1",
        "AIRFLOW__CORE__AUTH_MANAGER": "house_auth_manager.Standing",
        "PYTHONPATH": str(SOURCE),
    }
    return airflow_home.prepare(
        tmp_path_factory.mktemp("airflow"), airflow_environment.build(), dags={}, users=(), settings=settings
    )


def made(airflow: Airflow, *users: tuple[str, Mapping[str, object]]) -> list[str]:
    """Return a token for each user, a name and what else is known of it."""
    done = airflow.run(str(airflow.python), "-c", TOKENS, text=json.dumps(users))
    assert done.returncode == 0, done.stderr
    tokens: list[str] = json.loads(done.stdout.splitlines()[-1])
    return tokens


def served(home: Airflow, **settings: str) -> Iterator[Server]:
    """Run its api-server alone, with these settings."""
    port = airflow_home.free_port()  # another one may still run
    address = {"AIRFLOW__API__PORT": str(port), "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}"}
    log = home.home / f"api-server-{port}.log"
    airflow = Airflow(home.home, home.python, port, {}, {**home.environment, **address, **settings}, log=log)
    tokens = dict(zip(USERS, made(airflow, *USERS.items()), strict=True))
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(home.python), "-m", "airflow", "api-server"],
            env=airflow.environment,
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
        )
    try:
        journey.until(lambda: airflow.request("GET", "/api/v2/version"), "the api-server", 120)
        yield Server(airflow, tokens)
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture(scope="module")
def aws(home: Airflow) -> Iterator[Server]:
    yield from served(home, HOUSE_AUTH_MANAGER=AWS, HOUSE_SECONDS=str(SECONDS))


@pytest.fixture
def unknown(home: Airflow, request: pytest.FixtureRequest) -> Iterator[Server]:
    yield from served(home, **request.param)


def test_only_who_may_change_gets_in(aws: Server) -> None:
    status, found = aws.session("changes")
    assert (status, found["principal"]["auth_manager"]) == (200, "aws")
    for user in ("reads", "nothing", "ada", "packager"):
        status, found = aws.session(user)
        assert (status, found["code"]) == (403, "forbidden"), user


def test_who_lost_the_right_or_the_name_since_the_plan_cannot_apply_it(aws: Server) -> None:
    airflow, owner = aws.airflow, aws.tokens["changes"]
    *since, another = made(airflow, *SINCE.values(), ANOTHER)
    with machine.supervised(airflow.python, airflow.environment):
        planned, secret = journey.plan(airflow, owner, requirements="# ours\n")
        assert planned["state"] == "PLANNED", planned["problem"]
        for code, token in (*zip(SINCE, since, strict=True), ("token-invalid", another)):
            status, answer = journey.apply(airflow, token, planned, secret)
            assert (status, answer["code"]) == (403, code)
        assert journey.operation(airflow, owner, planned["id"])["state"] == "PLANNED"
        status, accepted = journey.apply(airflow, owner, planned, secret)
        assert status == 202, accepted
        assert journey.ended(airflow, owner, planned["id"])["state"] == "SUCCEEDED"


def test_an_auth_manager_that_takes_its_time_holds_up_nobody_else(aws: Server) -> None:
    with ThreadPoolExecutor(4) as threads:
        asking = [threads.submit(aws.session, "changes") for _ in range(4)]
        time.sleep(SECONDS / 10)
        started = time.monotonic()
        assert aws.airflow.request("GET", "/api/v2/version")[0] == 200
        waited = time.monotonic() - started
        assert not any(future.done() for future in asking), "they are still being asked"
        assert waited < SECONDS / 2
        assert [future.result()[0] for future in asking] == [200] * 4


@pytest.mark.parametrize("unknown", [{}], indirect=True)
def test_an_unknown_one_lets_nobody_in_and_says_what_to_do(unknown: Server) -> None:
    for user in USERS:
        status, found = unknown.session(user)
        assert (status, found["code"]) == (403, "forbidden"), user
        assert "house_auth_manager.House" in found["detail"]
        assert "admin_users" in found["next_action"]
    headers = {"Authorization": unknown.airflow.authorization(unknown.tokens["all"]), "Accept": "text/html"}
    page = unknown.airflow.exchange("GET", "/package-manager/", None, headers)
    assert page.status == 403
    assert "admin_users" in page.content.decode()
    doctor = unknown.airflow.run(*unknown.airflow.command("doctor"))
    assert "house_auth_manager.House is not supported" in doctor.stdout


@pytest.mark.parametrize(
    "unknown",
    [{"AIRFLOW__PACKAGE_MANAGER__ADMIN_USERS": "ada", "AIRFLOW__PACKAGE_MANAGER__ADMIN_ROLES": "Packages, Other"}],
    indirect=True,
)
def test_an_unknown_one_lets_in_whom_the_settings_name(unknown: Server) -> None:
    for user in USERS:
        status, _ = unknown.session(user)
        assert status == (200 if user in {"ada", "packager"} else 403), user
    status, answer = unknown.airflow.request("GET", f"{API}session")
    assert (status, answer["code"]) == (401, "not-authenticated")


@pytest.mark.parametrize("unknown", [{"AIRFLOW__PACKAGE_MANAGER__ADMIN_USERS": "*"}], indirect=True)
def test_a_wrong_name_in_the_settings_lets_nobody_in_and_is_in_the_log(unknown: Server) -> None:
    status, found = unknown.session("ada")
    assert (status, found["code"]) == (403, "forbidden")
    assert "settings are wrong" in found["detail"]
    logged = journey.until(
        lambda: unknown.airflow.log_end() if "admin_users" in unknown.airflow.log_end() else None, "it"
    )
    assert "is not allowed" in logged
    doctor = unknown.airflow.run(*unknown.airflow.command("doctor"))
    assert doctor.returncode != 0
    assert "admin_users" in doctor.stdout + doctor.stderr
