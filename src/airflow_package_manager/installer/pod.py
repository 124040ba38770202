"""The installer as a pod's init container: chooses among mounted locks, installs, and makes the link `active`.

What a pod needs beside a machine: a mount that lags behind, a shared volume that pods of other users write, and an
end at once when the kubelet asks for it (process 1 ignores SIGTERM unless it handles it).
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from airflow_package_manager.domain import report
from airflow_package_manager.domain.report import InstallReport
from airflow_package_manager.installer import active_link, image, mounted_locks
from airflow_package_manager.installer.directory import Directory
from airflow_package_manager.installer.install import disk_sentence, install
from airflow_package_manager.installer.revision_choice import Choice, choose

TYPE_CHECKING = False  # importing typing would cost each start of a component 4 ms
if TYPE_CHECKING:
    from airflow_package_manager.settings import Settings

_POLL = 0.2
_GROUP_WRITES = 0o002
"""Any user id with group 0, as OpenShift gives them: what one pod writes in a shared volume another may replace."""
_DOES_NOT_FIT = frozenset({"wrong-platform", "lock-invalid", "gate"})
"""What an ordinary restart meets after an upgrade of the image or a torn ConfigMap; trying again mends none of it."""


class Stopped(BaseException):
    """SIGTERM came."""


def run(
    directory: Directory,
    *,
    locks: str,
    stamp: str,
    active: Path | None,
    wait: float,
    settings: Callable[[], Settings],
) -> InstallReport:
    """Return what came of it; `locks` is where the ConfigMap is mounted, `stamp` the annotation or empty.

    Waits at most `wait` seconds for a lock that may still come. Meant to be the one task of its process.
    """
    os.umask(_GROUP_WRITES)
    signal.signal(signal.SIGTERM, _stop)
    revision = mounted_locks.revision_of(stamp)
    if stamp and revision is None:
        return InstallReport(report.FAILED, code="stamp-invalid", cause=f"The stamp {stamp[:100]!r} is no revision.")
    try:
        choice, text = _chosen(locks, revision, wait)
        answer, site = _installed(directory, choice, text, revision, settings)
        if answer.outcome != report.FAILED and active is not None:
            active_link.point(active, site, directory.root)
    except Stopped:
        return InstallReport(report.FAILED, revision, code="stopped", cause="It was told to stop.", retryable=True)
    except ValueError as error:
        return InstallReport(report.FAILED, revision, code="lock-invalid", cause=f"{error}.")
    except OSError as error:
        return InstallReport(report.FAILED, revision, code="disk", cause=disk_sentence(error))
    return answer


def _stop(number: int, _frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # told once is told
    raise Stopped


def _chosen(locks: str, stamp: int | None, wait: float) -> tuple[Choice, str]:
    """Return the choice and the text of its lock, empty when there is none."""
    deadline = time.monotonic() + wait
    while True:
        found = mounted_locks.look(locks, stamp)
        choice = choose(stamp, found.current, found.texts)
        if choice.waits and time.monotonic() < deadline:
            time.sleep(min(_POLL, max(0.0, deadline - time.monotonic())))
            continue
        if choice.revision is None:
            return Choice(
                None, choice.in_flight, choice.missing, why=" ".join(filter(None, (choice.why, found.problem)))
            ), ""
        return choice, found.texts[choice.revision]


def _installed(
    directory: Directory, choice: Choice, text: str, stamp: int | None, settings: Callable[[], Settings]
) -> tuple[InstallReport, Path | None]:
    if choice.revision is None:
        return _without_lock(choice, stamp), None
    answer, site = install(directory, text, revision=choice.revision, in_flight=choice.in_flight, settings=settings)
    if answer.outcome == report.FAILED and not choice.in_flight and answer.code in _DOES_NOT_FIT:
        cause = f"The lock of revision {choice.revision} cannot be used here, so there is no site: {answer.cause}"
        return InstallReport(
            report.NO_SITE, choice.revision, seconds=answer.seconds, code=answer.code, cause=cause, image=answer.image
        ), None
    return answer, site


def _without_lock(choice: Choice, stamp: int | None) -> InstallReport:
    code = "lock-missing" if choice.missing else None
    if choice.in_flight:
        return InstallReport(report.FAILED, stamp, code=code, cause=choice.why, retryable=True)
    return InstallReport(report.NO_SITE, stamp, code=code, cause=choice.why or None, image=image.fingerprint())
