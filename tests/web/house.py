"""The real manager over fakes behind each real web framework, with callers named in a header of the test."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping

import flask
from fastapi import FastAPI, Request

from airflow_package_manager.domain.access import Identity, Permission, Principal
from airflow_package_manager.domain.inventory import Check, CheckStatus
from airflow_package_manager.domain.lock import Lock, Pin, text_digest
from airflow_package_manager.domain.operation import State
from airflow_package_manager.domain.plan import Change, Effect, PackageChange, Plan
from airflow_package_manager.domain.policy import Policy
from airflow_package_manager.domain.resolution import Image, InstalledDistribution, Project, Release
from airflow_package_manager.errors import NotAuthenticated
from airflow_package_manager.manager import PackageManager
from airflow_package_manager.ports import EventLog, OperationRepository
from airflow_package_manager.refusals import UnknownProject
from airflow_package_manager.web.fastapi_app import create_app
from airflow_package_manager.web.flask_blueprint import Caller, create_blueprint
from airflow_package_manager.web.forgery import is_bearer
from airflow_package_manager.web.handlers import Api, SessionFacts
from tests.fakes.clock import ManualClock
from tests.fakes.repository import MemoryRepository
from tests.fakes.store import MemoryStore
from tests.fakes.target import IMAGE, FakeTarget
from tests.web.client import Client
from tests.web.wsgi_client import WsgiClient

TEXT = "six==1.16.0  # pinned\n"
CALLER = "x-test-caller"
PERMISSIONS: Mapping[str, frozenset[Permission]] = {
    "admin": frozenset(Permission),
    "second": frozenset(Permission),
    "viewer": frozenset(),
    "reader": frozenset({Permission.READ}),
}
CHANGE = {"sec-fetch-site": "same-origin", "x-package-manager": "1"}
PREFIX = "/api/v1/"


FRAMEWORKS = ("fastapi", "flask")
MOUNTED = "/package-manager"

Who = Callable[[Mapping[str, str], str | None], Principal]
"""Headers and address → the caller."""


class StillImage:
    """An interpreter that has what Airflow needs, and no site."""

    def image(self) -> Image:
        names = {"apache-airflow-core": "3.3.2", "packaging": "25.0"}
        return Image(
            distributions={name: InstalledDistribution(name, version, ()) for name, version in names.items()},
            python="cp311",
            platform="linux_x86_64",
            python_version="3.11.7",
            executable="/usr/bin/python3",
            markers={},
        )

    def site(self, _digest: str) -> Mapping[str, InstalledDistribution]:
        return {}


class SmallIndex:
    """An index that knows `six` and counts who asks."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def project(self, name: str) -> Project:
        self.asked.append(name)
        if name != "six":
            raise UnknownProject(f"The index does not know {name}.", project=name, suggestions=[])
        return Project(
            "six", (Release("1.17.0", None, ">=2.7", None, has_wheel=True, size=11_050),), "index.example.com"
        )


class House:
    """Everything behind one address."""

    def __init__(
        self,
        base_url: str | None = None,
        *,
        framework: str = "fastapi",
        operations: OperationRepository | None = None,
        events: EventLog | None = None,
    ) -> None:
        """Without `operations` and `events` (of a database) both are kept in memory, as `repository`."""
        self.clock = ManualClock()
        self.store = MemoryStore(TEXT)
        self.target = FakeTarget(self.store.peek, self.clock)
        image = StillImage()
        for component in self.target.components():
            self.target.report_image(component, image.image().fingerprint())
        assert image.image().fingerprint() != IMAGE
        self.repository = MemoryRepository(clock=self.clock)
        self.operations = operations or self.repository
        self.index = SmallIndex()
        self.driven: list[str] = []
        numbers = itertools.count(1)
        self.manager = PackageManager(
            store=self.store,
            target=self.target,
            installed=image,
            index=self.index,
            repository=self.operations,
            events=events or self.repository,
            policy=Policy(protected=frozenset(), denied=frozenset()),
            clock=self.clock,
            new_token=lambda: f"token-{next(numbers)}-" + "x" * 40,
            new_id=lambda: f"{next(numbers):032x}",
            plan_soon=lambda _: None,
            drive_soon=self.driven.append,
            checks=lambda: (Check("uv-found", CheckStatus.OK, "uv 0.13.9"),),
            token_lifetime=3600,
            planning_deadline=60,
        )
        self.api = Api(
            manager=self.manager,
            facts=lambda: SessionFacts(
                "3.3.2", "0.1.0", 3600, "local", "/opt/airflow", ("scheduler",), "3.11.7", "linux_x86_64"
            ),
            clock=self.clock,
            planning_deadline=60,
        )
        self.framework = framework
        self.client = served(framework, lambda: self.api, caller, base_url)

    def planned(self, operation_id: str) -> Plan:
        """Do what the planner would."""
        snapshot = self.store.peek()
        image = StillImage().image()
        proposed = snapshot.text + "tomli>=2\n"
        operation = self.operations.get(operation_id)
        plan = Plan(
            base_digest=snapshot.digest(),
            base_text=snapshot.text,
            proposed_text=proposed,
            changes=tuple(Change(**row) for row in operation.request.get("changes", ())),
            package_changes=(
                PackageChange("tomli", Effect.NEW, None, "2.2.1", direct=True, image_version=None, shadows=False),
            ),
            lock=Lock(
                python=image.python,
                platform=image.platform,
                image=image.fingerprint(),
                requirements=text_digest(proposed),
                pins=(Pin("tomli", "2.2.1", ("b" * 64,)),),
            ),
            base_lock_digest="0" * 64,
            components=("scheduler", "dag-processor"),
            directs=("six", "tomli"),
            longest_seconds=240,
        )
        self.operations.save(
            dataclasses.replace(operation, state=State.PLANNED, plan=plan, plan_digest=plan.digest()), []
        )
        return plan

    def ended(self, operation_id: str) -> None:
        """Do what the driver would, all at once."""
        operation = self.operations.get(operation_id)
        plan, revision = operation.plan, operation.revision
        assert plan is not None
        assert revision is not None
        for state in (State.PREFLIGHT, State.ROLLING_OUT, State.VERIFYING, State.SUCCEEDED):
            operation = self.operations.save(
                dataclasses.replace(operation, state=state, updated_at=self.clock(), ended_at=self.clock()), []
            )
        self.store.edit(plan.proposed_text)
        self.store.set_lock(revision, plan.lock.with_revision(revision).render())


def caller(headers: Mapping[str, str], address: str | None) -> Principal:
    """Authenticate by the header of the test."""
    name = headers.get(CALLER)
    if name is None or name not in PERMISSIONS:
        raise NotAuthenticated("Nobody is logged in.")
    return Principal(Identity("test", f"id-{name}", name), PERMISSIONS[name], address)


def served(framework: str, api: Callable[[], Api], who: Who, base_url: str | None = None) -> Client | WsgiClient:
    """Return a client of the application that a framework makes."""
    if framework == "fastapi":
        return Client(fastapi_app(api, who, base_url))
    app = flask.Flask("house")
    app.register_blueprint(flask_blueprint(api, who, base_url))
    return WsgiClient(app, MOUNTED)


def flask_blueprint(api: Callable[[], Api], who: Who, base_url: str | None = None) -> flask.Blueprint:
    """Return Flask's blueprint."""

    def authenticate() -> Caller:
        headers = {name.lower(): value for name, value in flask.request.headers.items()}
        return Caller(who(headers, flask.request.remote_addr), by_header=is_bearer(headers))

    return create_blueprint(api=api, authenticate=authenticate, url_prefix=MOUNTED, base_url=base_url)


def fastapi_app(api: Callable[[], Api], who: Who, base_url: str | None = None) -> FastAPI:
    """Return FastAPI's application."""

    def authenticate(request: Request) -> Principal:
        return who(request.headers, request.client.host if request.client else None)

    return create_app(api=api, authenticate=authenticate, base_url=base_url)


def as_(name: str, **headers: str) -> dict[str, str]:
    """Return the headers of a caller."""
    return {CALLER: name, **headers}


def changing(name: str) -> dict[str, str]:
    """Return the headers of a caller who changes something from our own page."""
    return {CALLER: name, **CHANGE}
