"""The throw-away check of a staged lock: installs it, then lets a child with the new site prove that it works.

    python -m airflow_package_manager.installer.preflight_check
        (--directory D | --site LINK --locks M) --revision N --record FILE --timeout S [--direct NAME ...]

Run it detached, as leader of its own session; `preflight_record` describes FILE. Whatever happens, FILE says
`running` first and `passed` or `failed` in the end, unless this process is killed (SIGTERM is answered). `--timeout`
bounds the check; the installation before it is bounded by `install_timeout`. Exit status: 0 passed, 1 failed.

In a pod (`--site`) the init container has installed already: LINK must lead to the site of `lock.N` as the ConfigMap
mounted at M has it, nothing is written beside FILE, and FILE is the container's termination message.

The child is foreign code from its first import on: it runs in its own session, without index credentials, for a
bounded time, and is killed with all that it started. That it ended with status 0 says nothing; only the completion
record that it writes at its very end counts.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import IO

from airflow_package_manager.installer import preflight_record
from airflow_package_manager.installer.directory import Directory
from airflow_package_manager.installer.preflight_record import PreflightRecord
from airflow_package_manager.installer.preflight_site import NoSubject, Subject, made_before, made_now

NONCE_VARIABLE = "AIRFLOW_PACKAGE_MANAGER_PREFLIGHT"
"""Marks the child and all that it starts, so that what escapes its session is found and killed."""
_CHILD = "from airflow_package_manager.installer.preflight_child import main; main()"
_NOT_FOR_FOREIGN_CODE = (
    "UV_",
    "PIP_",
    "NETRC",
    "AIRFLOW_PACKAGE_MANAGER_INDEX_",
    "AIRFLOW__PACKAGE_MANAGER__INDEX_",
    "AIRFLOW__PACKAGE_MANAGER__EXTRA_INDEX_",
)
_TAIL_BYTES = 8_000
_GRACE = 2.0


@dataclass(frozen=True)
class Verdict:
    """What came of it."""

    code: str | None
    """None when passed."""
    message: str
    warnings: tuple[str, ...] = ()
    detail: str | None = None


class Stopped(BaseException):
    """SIGTERM or SIGINT came."""


def check(subject: Callable[[], Subject], directs: Sequence[str], timeout: float) -> Verdict:
    """Check what `subject` brings; raises `Stopped` when told to end, never for what the packages do."""
    try:
        found = subject()
    except NoSubject as nothing:
        return Verdict(nothing.code, nothing.message, detail=nothing.detail)
    return check_site(found.site, found.names, directs, timeout, found.scratch)


def check_site(site: Path, changed: Sequence[str], directs: Sequence[str], timeout: float, temporary: Path) -> Verdict:
    """Let a child import and compare; `changed` are the names of the lock, `directs` those that must import."""
    temporary.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="preflight-", dir=temporary))
    try:
        return _run_child(site, changed, directs, timeout, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)  # what escaped may still write here for a moment


def _run_child(site: Path, changed: Sequence[str], directs: Sequence[str], timeout: float, work: Path) -> Verdict:
    nonce = secrets.token_hex(16)
    question = {"site": str(site), "changed": list(changed), "directs": list(directs), "nonce": nonce}
    (work / "question.json").write_text(json.dumps(question), encoding="ascii")
    (work / "empty").mkdir()
    environment = child_environment(os.environ)
    environment |= {
        "AIRFLOW_PACKAGE_MANAGER_SITE": str(site),
        "AIRFLOW_PACKAGE_MANAGER_PREFLIGHT_WORK": str(work),
        "TMPDIR": str(work),
        NONCE_VARIABLE: nonce,
    }
    with _child(work, environment) as (process, tail):
        try:
            status: int | None = process.wait(timeout)
        except subprocess.TimeoutExpired:
            status = None
    return _verdict(work, nonce, status, timeout, tail.text())


def child_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without what opens a package index: foreign code has no business with it."""
    return {name: value for name, value in environ.items() if not name.upper().startswith(_NOT_FOR_FOREIGN_CODE)}


# --- the child ---------------------------------------------------------------------------------------------------


class _Tail:
    """Keeps the end of what the child prints, however much that is."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._kept = b""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while chunk := os.read(self._stream.fileno(), 65536):
            self._kept = (self._kept + chunk)[-_TAIL_BYTES:]

    def text(self) -> str:
        """Return it; waits a moment for the last words, not for a process that escaped with the pipe in its hands."""
        self._thread.join(_GRACE)
        return self._kept.decode("utf-8", "replace")


@contextlib.contextmanager
def _child(work: Path, environment: dict[str, str]) -> Iterator[tuple[subprocess.Popen[bytes], _Tail]]:
    process = subprocess.Popen(
        [sys.executable, "-c", _CHILD],
        cwd=work / "empty",
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    if process.stdout is None:  # never so with PIPE; says it to the type checker
        raise RuntimeError("the child has no output")
    try:
        yield process, _Tail(process.stdout)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        _kill_escaped(environment[NONCE_VARIABLE])


def _kill_escaped(nonce: str) -> None:
    """Kill what the child started outside its session; it is known by the nonce in its environment."""
    marked = f"{NONCE_VARIABLE}={nonce}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if marked in (folder / "environ").read_bytes().split(b"\0"):
                os.kill(int(folder.name), signal.SIGKILL)
        except (FileNotFoundError, PermissionError, ProcessLookupError):
            continue  # gone, or of somebody else and therefore not ours


def _verdict(work: Path, nonce: str, status: int | None, timeout: float, printed: str) -> Verdict:
    step = _text(work / "step") or "starting"
    detail = printed.strip() or None
    if status is None:
        return Verdict(
            preflight_record.CHECK_TIMEOUT,
            f"The check hung while {step} and was stopped after {timeout:g} seconds.",
            detail=detail,
        )
    try:
        answer = json.loads(_text(work / "answer.json"))
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or answer.get("nonce") != nonce or status != 0:
        how = f"with status {status}" if status >= 0 else f"by signal {-status}"
        return Verdict(
            preflight_record.IMPORT_EXITED, f"The process ended {how} while {step}; nothing may do that.", detail=detail
        )
    warnings = tuple(str(warning) for warning in answer["warnings"])
    failures = [(str(code), str(message)) for code, message in answer["failures"]]
    if failures:
        return Verdict(failures[0][0], " ".join(message for _, message in failures[:20]), warnings, detail)
    return Verdict(None, str(answer["summary"]), warnings, None)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")[:1_000_000]
    except FileNotFoundError:
        return ""


# --- the process -------------------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit status; the record says the rest."""
    parser = argparse.ArgumentParser(prog="python -m airflow_package_manager.installer.preflight_check")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--directory", type=Path, help="install the lock of this directory, then check it")
    where.add_argument("--site", type=Path, help="check what this link leads to; install nothing")
    parser.add_argument("--locks", help="with --site: where the ConfigMap of the locks is mounted")
    parser.add_argument("--revision", type=int, required=True)
    parser.add_argument("--record", type=Path, required=True)
    parser.add_argument("--timeout", type=float, required=True, help="seconds that the check may take")
    parser.add_argument("--direct", action="append", default=[], help="a project whose packages must import")
    given = parser.parse_args(arguments)
    if (given.site is None) != (given.locks is None):
        parser.error("--site and --locks go together")
    if given.site is None:
        subject, write = partial(made_now, Directory(given.directory), given.revision), preflight_record.write
    else:
        subject, write = partial(made_before, given.site, given.locks, given.revision), preflight_record.write_in_place
    running = PreflightRecord(preflight_record.RUNNING, "The check is running.", os.getpid(), time.time())
    write(given.record, running)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    try:
        verdict = check(subject, given.direct, given.timeout)
    except Stopped:
        verdict = Verdict(preflight_record.CHECK_LOST, "The check was stopped.")
    except Exception as error:
        broken = Verdict(preflight_record.CHECK_LOST, f"The check itself broke: {error!r}.")
        write(given.record, _ended(running, broken))
        raise
    write(given.record, _ended(running, verdict))
    return 0 if verdict.code is None else 1


def _stop(number: int, _frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # told once is told
    raise Stopped


def _ended(running: PreflightRecord, verdict: Verdict) -> PreflightRecord:
    status = preflight_record.PASSED if verdict.code is None else preflight_record.FAILED
    return preflight_record.masked(
        PreflightRecord(
            status, verdict.message, running.pid, running.started_at, verdict.code, verdict.warnings, verdict.detail
        )
    )


if __name__ == "__main__":
    sys.exit(main())
