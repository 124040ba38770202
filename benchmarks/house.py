"""The real web application with 500 requirements: real directory, lock, site, reports and SQLite, but no login.

`python -m benchmarks.house HOME` fills an empty HOME, prints its port, and serves on loopback until its input ends.
Compression is that of Airflow's own server.
"""

from __future__ import annotations

import hashlib
import socket
import sys
import threading
import time
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from fastapi.middleware.gzip import GZipMiddleware
from sqlalchemy import create_engine

from airflow_package_manager import settings, wiring
from airflow_package_manager.adapters.installed import InterpreterDistributions
from airflow_package_manager.domain import report
from airflow_package_manager.domain.access import Identity, Permission, Principal
from airflow_package_manager.domain.lock import Lock, Pin, text_digest
from airflow_package_manager.domain.report import InstanceReport
from airflow_package_manager.installer import site_marker
from airflow_package_manager.installer.directory import Directory
from airflow_package_manager.web.fastapi_app import create_app
from airflow_package_manager.web.handlers import Api, SessionFacts
from tests.fakes.facts import FakeFacts

REQUIREMENTS = 500
COMPONENTS = ("scheduler", "triggerer", "dag-processor", "api-server")
ADMIN = Principal(Identity("simple", "1", "admin"), frozenset(Permission), "127.0.0.1")
PLACE = "/package-manager/"
CLOSED = "http://127.0.0.1:9/simple/"


def fill(directory: Directory) -> None:
    """Write what a running installation of 500 requirements has: file, lock, site with metadata, four reports."""
    directory.prepare()
    image = InterpreterDistributions(directory.sites).image()
    names = [f"requested-package-{number:03}" for number in range(REQUIREMENTS)]
    text = "".join(f"{name}>=1.{number},<2  # wanted by team {number % 7}\n" for number, name in enumerate(names))
    lock = Lock(
        python=image.python,
        platform=image.platform,
        image=image.fingerprint(),
        requirements=text_digest(text),
        pins=tuple(
            Pin(name, f"1.{number}.1", (hashlib.sha256(name.encode()).hexdigest(),))
            for number, name in enumerate(names)
        ),
        revision=1,
    )
    directory.requirements.write_text(text)
    directory.lock(1).write_text(lock.render())
    directory.write_current(1)
    site = directory.site(lock.digest())
    for number, pin in enumerate(lock.pins):
        info = site / f"{pin.name.replace('-', '_')}-{pin.version}.dist-info"
        info.mkdir(parents=True)
        needs = "".join(
            f"Requires-Dist: {names[other]}>=1\n" for other in range(number + 1, min(number + 4, REQUIREMENTS))
        )
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {pin.name}\nVersion: {pin.version}\nSummary: What {pin.name} does\n{needs}\n"
        )
        (info / "RECORD").touch()
    site_marker.write(site, lock.digest(), image.fingerprint())
    later = time.time() + 3600  # nobody beats here
    for number, component in enumerate(COMPONENTS):
        directory.component(component).mkdir()
        directory.write_stamp(component, 1, 0)
        said = InstanceReport(
            component=component,
            host="bench",
            pid=1000 + number,
            child_pid=2000 + number,
            state=report.READY,
            stamp=1,
            lock_digest=lock.digest(),
            image=image.fingerprint(),
            python=image.python,
            platform=image.platform,
            started_at=later - 100,
            beat_at=later,
        )
        directory.report_path(component, "bench", 1000 + number).write_text(report.dump(said))


def build(home: Path, index: str = CLOSED) -> wiring.Application:
    """Return the house on a home; the directory lies in it."""
    environ = {"AIRFLOW_HOME": str(home), "AIRFLOW__PACKAGE_MANAGER__INDEX_URL": index}
    engine = create_engine(f"sqlite:///{home / 'airflow.db'}")
    return wiring.build(settings=settings.load(environ), engine=engine, facts=FakeFacts(), environ=environ)


def serve(built: wiring.Application) -> tuple[FastAPI, str]:
    """Return Airflow's place with our application in it, compressing as Airflow's server does, and our path."""
    facts = SessionFacts("3.3.2", "0", 3600, "local", built.settings.directory, COMPONENTS, "3.11", "linux_x86_64")
    api = Api(manager=built.manager, facts=lambda: facts, clock=time.time, planning_deadline=built.planning_deadline)
    app = FastAPI()
    app.add_middleware(GZipMiddleware, minimum_size=1024, compresslevel=5)
    app.mount(PLACE.rstrip("/"), create_app(api=lambda: api, authenticate=lambda: ADMIN))
    return app, PLACE


def main() -> None:
    """Serve until standard input ends."""
    home = Path(sys.argv[1])
    fill(Directory(home / "package_manager"))
    app, _ = serve(build(home))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False, ws="none", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        print(listener.getsockname()[1], flush=True)
        sys.stdin.read()
        server.should_exit = True
        thread.join()


if __name__ == "__main__":
    main()
