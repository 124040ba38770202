"""One machine's processes, for tests: real supervisors with light children, and the desk; nothing left behind."""

from __future__ import annotations

import os
import queue
import secrets
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from airflow_package_manager.installer import processes
from airflow_package_manager.installer.child import launched
from airflow_package_manager.installer.directory import Directory
from airflow_package_manager.installer.processes import Process
from tests.crash.image import REPOSITORY

if TYPE_CHECKING:
    from typing_extensions import Self

ALL = ("scheduler", "triggerer", "dag-processor", "api-server")
MARKER = "CRASH_WORLD"


class Machine:
    """Starts and ends all; use it as a context manager."""

    def __init__(
        self,
        home: Path,
        python: Path,
        index_url: str,
        *,
        components: Sequence[str] = ALL,
        configured: bool = False,
        web_drives: bool = False,
        by_command: bool = False,
        check_seconds: float | None = None,
        soak: float = 0.3,
    ) -> None:
        """Take where it lives; `configured`: the settings name all components, so the api-server restarts too.

        `web_drives`: the api-server's process hosts the driver. `by_command`: supervisors run as
        `airflow-package-manager run`, with the shortest times that the settings allow. `check_seconds`: how long a
        preflight may take. `soak`: seconds; longer than a busy machine needs to import, where something shall break.
        """
        home.mkdir()
        self.home = home
        self.directory = Directory(home / "package_manager")
        self.directory.prepare()
        self.components = tuple(components)
        self._python = python
        self._by_command = by_command
        self._nonce = secrets.token_hex(8)
        self._environment = {
            "PATH": os.defpath,
            "HOME": os.environ.get("HOME", "/"),
            "LANG": "C.UTF-8",
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__PACKAGE_MANAGER__INDEX_URL": index_url,
            "AIRFLOW__PACKAGE_MANAGER__INSTALL_TIMEOUT": "30",
            "AIRFLOW__PACKAGE_MANAGER__SOAK": "1",
            "AIRFLOW__PACKAGE_MANAGER__READY_TIMEOUT": "10",
            "AIRFLOW__PACKAGE_MANAGER__STOP_TIMEOUT": "5",
            "CRASH_SOAK": str(soak),
            MARKER: self._nonce,
        }
        if configured:
            self._environment["AIRFLOW__PACKAGE_MANAGER__COMPONENTS"] = ",".join(components)
        if web_drives:
            self._environment["CRASH_WEB_DRIVES"] = "1"
        if check_seconds is not None:
            self._environment["CRASH_CHECK_SECONDS"] = str(check_seconds)
        self._output = (home / "output.log").open("ab")
        self._supervisors: dict[str, subprocess.Popen[bytes]] = {}
        self._guard = threading.Lock()
        self._ending = threading.Event()
        self._service = threading.Thread(target=self._keep_supervisors, daemon=True)
        self._desk: subprocess.Popen[str] | None = None
        self._answers: queue.Queue[str] = queue.Queue()
        self.broken = False
        """A test failed here: the next one gets another world."""

    # --- beginning and end ---------------------------------------------------------------------------------------

    def require_all_good(self) -> None:
        """Wait until every component is well; who knows what that means overrides it."""

    def __enter__(self) -> Self:
        try:
            self._desk = subprocess.Popen(
                [str(self._python), "-m", "tests.crash.desk"],
                cwd=REPOSITORY,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._output,
                text=True,
                start_new_session=True,
            )
            threading.Thread(target=self._hear, daemon=True).start()
            self._service.start()
            self.require_all_good()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        left = self.close()
        assert error is not None or not left, f"processes were left behind: {left}"

    def close(self) -> list[str]:
        """Stop everything by process id; return the command lines of what had to be killed in the end."""
        self._ending.set()
        if self._service.is_alive():
            self._service.join()
        self._close_desk()
        for supervisor in self._supervisors.values():
            if supervisor.poll() is None:
                supervisor.terminate()
        for supervisor in self._supervisors.values():
            try:
                supervisor.wait(15)
            except subprocess.TimeoutExpired:
                supervisor.kill()
                supervisor.wait()
        until = time.monotonic() + 2
        while self.living() and time.monotonic() < until:
            time.sleep(0.05)
        left = self.living()
        for pid in left:
            found = processes.process(pid)
            if found is not None and pid in self.living():
                processes.send(found, signal.SIGKILL)
        self._output.close()
        return [f"{pid}: {command}" for pid, command in left.items()]

    def _close_desk(self) -> None:
        if self._desk is None:
            return
        if self._desk.poll() is None:
            self._desk.kill()
        self._desk.wait()
        for stream in (self._desk.stdin, self._desk.stdout):
            if stream is not None:
                stream.close()

    def living(self, component: str | None = None) -> dict[int, str]:
        """Return pid → command line of every process of this world, or of those that play one component."""
        found = {}
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit():
                continue
            try:
                variables = (folder / "environ").read_bytes().split(b"\0")
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            except OSError:
                continue  # it ended, or is not ours to look at
            if f"{MARKER}={self._nonce}".encode() not in variables:
                continue
            if component is None or f"TESTENV_COMPONENT={component}".encode() in variables:
                found[int(folder.name)] = command
        return found

    def said(self) -> str:
        """Return what all processes printed, for a failure's report."""
        return (self.home / "output.log").read_text(errors="replace")[-6000:]

    def _keep_supervisors(self) -> None:
        """Start each supervisor, and start it again when it ended: what systemd does."""
        while not self._ending.wait(0.05):
            for component in self.components:
                found = self._supervisors.get(component)
                if found is None or found.poll() is not None:
                    self._supervisors[component] = self._supervise(component)

    def _supervise(self, component: str) -> subprocess.Popen[bytes]:
        python = str(self._python)
        module = "tests.crash.web_server" if component == "api-server" else "tests.crash.light_component"
        command = [python, "-m", module]
        if self._by_command:
            wrapper = [str(self._python.parent / "airflow-package-manager"), "run", "--component", component, "--"]
        else:
            wrapper = [python, "-m", "tests.crash.quick_supervisor", component]
        return subprocess.Popen(
            launched([*wrapper, *command], None),  # so that it ends with this process, however that ends
            cwd=REPOSITORY,
            env={**self._environment, "TESTENV_COMPONENT": component},
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
            start_new_session=True,
        )

    def _hear(self) -> None:
        assert self._desk is not None
        assert self._desk.stdout is not None
        for line in self._desk.stdout:
            self._answers.put(line)

    def supervisor(self, component: str) -> Process | None:
        """Return the living supervisor of a component."""
        return processes.process(self._supervisors[component].pid)
