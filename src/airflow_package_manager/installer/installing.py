"""The installer as a child process: bounded in time, so a hang of it never hangs the supervisor."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from airflow_package_manager.domain.report import FAILED, MAXIMUM_BYTES, InstallReport, load_install
from airflow_package_manager.installer.child import launched

InstallCommand = Callable[[Path, int], Sequence[str]]
"""Directory and revision → the command."""
_MAXIMUM_OUTPUT = 16 * MAXIMUM_BYTES


class Installation:
    """One run of the installer in its own session."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], *, revision: int | None, timeout: float
    ) -> None:
        """Start it; `timeout` in seconds, after which it is killed with all it started."""
        self._revision = revision
        self._timeout = timeout
        self._since = time.monotonic()
        self._popen = subprocess.Popen(
            launched(command, record=None),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env=dict(environment),
            start_new_session=True,
        )
        self.pid = self._popen.pid

    def answer(self) -> InstallReport | None:
        """Return the installer's report, None while it works."""
        if self._popen.poll() is None:
            if time.monotonic() - self._since < self._timeout:
                return None
            self.kill()
            cause = f"the installer did not end within {self._timeout:.0f} s and was stopped"
            return InstallReport(
                FAILED, self._revision, seconds=self._seconds(), code="install-timeout", cause=cause, retryable=True
            )
        lines = self._output().splitlines()
        report = load_install(lines[-1]) if lines else None
        if report is not None:
            return report
        status = self._popen.returncode
        cause = f"the installer ended with status {status} and without a report; see this component's log"
        return InstallReport(
            FAILED, self._revision, seconds=self._seconds(), code="install-failed", cause=cause, retryable=status < 0
        )

    def kill(self) -> None:
        """End it and all it started; harmless when it has ended."""
        if self._popen.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._popen.pid, signal.SIGKILL)
            self._popen.wait()
        if self._popen.stdout is not None:
            self._popen.stdout.close()

    def _seconds(self) -> float:
        return round(time.monotonic() - self._since, 3)

    def _output(self) -> str:
        """Return what it printed; bounded, and without waiting for whoever else may hold the pipe."""
        stream = self._popen.stdout
        if stream is None or stream.closed:
            return ""
        with stream:
            os.set_blocking(stream.fileno(), False)
            try:
                return os.read(stream.fileno(), _MAXIMUM_OUTPUT).decode("utf-8", "replace")
            except BlockingIOError:
                return ""


def installer_command(directory: Path, revision: int) -> list[str]:
    """Return the command of our own installer."""
    module = "airflow_package_manager.installer"
    return [sys.executable, "-m", module, "--directory", str(directory), "--revision", str(revision)]
