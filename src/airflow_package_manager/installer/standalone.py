"""Airflow's components on one machine, each under its own supervisor; for trying out, and for small machines.

`airflow db migrate` runs alone first (four first commands at once would write three useless secrets). The terminal's
Ctrl-C reaches this process only: supervisors and components live in sessions of their own, so no task sees it. A
component whose supervisor ends is started again, with growing pauses.
"""

from __future__ import annotations

import configparser
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from airflow_package_manager.errors import InvalidSetting
from airflow_package_manager.installer import processes, task_patience
from airflow_package_manager.installer.child import launched
from airflow_package_manager.installer.directory import Directory
from airflow_package_manager.installer.generation import Generation, installed
from airflow_package_manager.installer.signals import Signals
from airflow_package_manager.installer.sweeping import SITE_VARIABLE
from airflow_package_manager.settings import Settings, airflow_home

_PORTS = range(1, 65_536)
"""Port 0 would be another one for each who asks: the web server, its readiness, and the tasks."""
_SHIPPED_BASE_URL = "http://localhost:8080"
"""What Airflow 2 writes into the file that it makes: nobody chose it."""
_TICK = 0.1
_STEADY = 60.0
_LONGEST_PAUSE = 30.0


@dataclass
class _Supervised:
    component: str
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    failures: int = 0
    again_at: float = 0.0


def standalone(
    settings: Settings,
    *,
    host: str,
    port: int,
    airflow: Sequence[str] = (sys.executable, "-m", "airflow"),
    environ: Mapping[str, str] = os.environ,
    generation: Generation | None = None,
) -> int:
    """Run everything until a signal asks to stop; return the exit status.

    `generation` is that of `airflow`: by default what this interpreter has.

    Raises `InvalidSetting` when the address cannot be used, `OSError` when the directory cannot be written.
    """
    processes.require_linux()
    _require_free(host, port)
    Directory(settings.directory).prepare()
    generation = generation or installed()
    environment = environment_of(environ, settings, host, port, generation)
    with (signals := Signals()):
        status = _migrate(airflow, environment, signals)
        if status != 0 or signals.stop is not None:
            return status
        return _Standalone(
            airflow=airflow,
            environment=environment,
            commands=generation.commands(environment, _configuration(environment)),
            ready={generation.web_server: _ready_url(environment, host, port, generation)},
            signals=signals,
        ).run()


def environment_of(
    environ: Mapping[str, str], settings: Settings, host: str, port: int, generation: Generation
) -> dict[str, str]:
    """Return the environment of all components; what somebody set there or in `airflow.cfg` is not overruled."""
    shown = f"[{host}]" if ":" in host else host
    configured = _configuration(environ)
    patience = {
        task_patience.variable(key): str(value)
        for key, value in task_patience.wanted(settings).items()
        if generation.tasks_call_it and not task_patience.is_chosen(key, configured.get(*key, fallback=None))
    }
    environment = {**patience, **environ, generation.host: host, generation.port: str(port)}
    if task_patience.variable(generation.base_url) not in environ and not _configured_base_url(environ, generation):
        scheme = generation.scheme(environ, configured)
        environment[task_patience.variable(generation.base_url)] = f"{scheme}://{shown}:{port}"  # tasks call it there
    return {**environment, SITE_VARIABLE: "off"}  # ours, not the components': each supervisor gives its child its site


class _Standalone:
    """All supervisors, and what happens when one ends."""

    def __init__(
        self,
        *,
        airflow: Sequence[str],
        environment: Mapping[str, str],
        commands: Mapping[str, tuple[str, ...]],
        ready: Mapping[str, str],
        signals: Signals,
    ) -> None:
        """Take the options of each component, and where those answer that can be asked."""
        self._airflow = tuple(airflow)
        self._environment = environment
        self._commands = commands
        self._ready = ready
        self._signals = signals
        self._all = [_Supervised(component) for component in commands]

    def run(self) -> int:
        """Keep all of them running until asked to stop."""
        try:
            while self._signals.stop is None:
                self._signals.take(self._pass_on)
                for one in self._all:
                    self._keep_up(one)
                time.sleep(_TICK)
        finally:
            self._stop()
        return 0

    def _keep_up(self, one: _Supervised) -> None:
        now = time.monotonic()
        if one.process is None:
            if now >= one.again_at:
                self._start(one)
            return
        status = one.process.poll()
        if status is None:
            return
        one.process = None
        one.failures = 0 if now - one.started > _STEADY else one.failures + 1
        pause = min(2.0**one.failures, _LONGEST_PAUSE)
        one.again_at = now + pause
        _say(f"{one.component} ended with status {status}; it is started again in {pause:.0f} s")

    def _start(self, one: _Supervised) -> None:
        command = [
            *(sys.executable, "-m", "airflow_package_manager.installer.run", one.component),
            self._ready.get(one.component, "-"),
            *(*self._airflow, one.component, *self._commands[one.component]),
        ]
        one.started = time.monotonic()
        one.process = subprocess.Popen(
            launched(command, None), stdin=subprocess.DEVNULL, env=dict(self._environment), start_new_session=True
        )

    def _pass_on(self, signum: int) -> None:
        for one in self._all:
            if one.process is not None:
                one.process.send_signal(signum)

    def _stop(self) -> None:
        """Stop all at once; each supervisor bounds its own end. A second Ctrl-C makes them hurry."""
        _say("stopping")
        self._pass_on(signal.SIGTERM)
        hurried = False
        while any(one.process is not None and one.process.poll() is None for one in self._all):
            if self._signals.hurry and not hurried:
                self._pass_on(signal.SIGINT)
                hurried = True
            time.sleep(_TICK)


def _migrate(airflow: Sequence[str], environment: Mapping[str, str], signals: Signals) -> int:
    """Run `airflow db migrate` alone; return its exit status."""
    _say("airflow db migrate")
    process = subprocess.Popen(
        launched([*airflow, "db", "migrate"], None),
        stdin=subprocess.DEVNULL,
        env=dict(environment),
        start_new_session=True,
    )
    while process.poll() is None:
        if signals.stop is not None:
            process.terminate()
            process.wait()
        time.sleep(_TICK)
    if process.returncode != 0 and signals.stop is None:
        _say(f"airflow db migrate ended with status {process.returncode}")
    return 0 if signals.stop is not None else process.returncode


def _require_free(host: str, port: int) -> None:
    if port not in _PORTS:
        raise InvalidSetting(
            f"--port {port} is no port: 1 to 65535.",
            next_action="Choose another --port.",
            setting="--port",
            value=str(port),
            allowed="1 to 65535",
        )
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
    except OSError as error:
        raise InvalidSetting(
            f"The web server cannot listen on {host}, port {port}: {error.strerror}.",
            next_action="Choose another --port, or stop what listens there.",
            setting="--port",
            value=str(port),
            allowed="a free port of this machine",
        ) from error


def _ready_url(environment: Mapping[str, str], host: str, port: int, generation: Generation) -> str:
    """Return where the web server answers, asked on loopback where it listens everywhere."""
    base = environment.get(task_patience.variable(generation.base_url)) or _configured_base_url(environment, generation)
    asked = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    scheme = generation.scheme(environment, _configuration(environment))
    return f"{scheme}://{asked}:{port}{urlsplit(base).path.rstrip('/')}{generation.health}"


def _configured_base_url(environ: Mapping[str, str], generation: Generation) -> str:
    found = _configuration(environ).get(*generation.base_url, fallback="").strip()
    return "" if found == _SHIPPED_BASE_URL else found


def _configuration(environ: Mapping[str, str]) -> configparser.ConfigParser:
    path = Path(environ.get("AIRFLOW_CONFIG") or airflow_home(environ) / "airflow.cfg").expanduser()
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.read(path, encoding="utf-8")
    return parser


def _say(message: str) -> None:
    sys.stderr.write(f"airflow-package-manager [standalone] {message}\n")
    sys.stderr.flush()
