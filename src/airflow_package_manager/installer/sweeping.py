"""What a supervisor tidies up: what a dead one left, silent reports, sites that nothing refers to."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from airflow_package_manager.domain import lock as locks
from airflow_package_manager.installer import processes
from airflow_package_manager.installer.child_record import SUFFIX, read_record, record_path, records_of_host
from airflow_package_manager.installer.directory import Directory, host_name
from airflow_package_manager.installer.task_patience import END_PATIENCE
from airflow_package_manager.installer.timing import Timing

Say = Callable[[str], None]
SITE_VARIABLE = "AIRFLOW_PACKAGE_MANAGER_SITE"


def end_orphans(
    directory: Directory,
    component: str,
    host: str,
    *,
    patience: float,
    tasks_go_on: bool,
    waiting: Callable[[], object],
    say: Say,
) -> tuple[int, ...]:
    """End what a dead supervisor of this component left on this host, so that no second child runs beside ours.

    Its main process gets SIGTERM, `patience` seconds, SIGKILL; with `tasks_go_on` the rest of its session (running
    LocalExecutor tasks) finishes by itself, else it is ended too. Returns the sessions in which something goes on.
    """
    world, going_on = processes.world(), []
    for path in records_of_host(directory, component, host):
        record = read_record(path)
        if record is None or record.world != world:
            continue  # process numbers of another kernel run or container say nothing here
        if processes.is_alive(record.supervisor):
            continue
        if record.child is not None:
            found = processes.process(record.child.pid)
            # The session keeps its number as long as anybody is in it: another leader means it is over.
            ours = found is None or found == record.child
            left = processes.members(record.child.pid) if ours else ()
            if left:
                say(f"ending process {record.child.pid}, left by a supervisor that died")
            processes.end_all((one for one in left if one == record.child), patience, waiting, say)
            if tasks_go_on and left:
                going_on.append(record.child.pid)
            elif not tasks_go_on:
                processes.end_all(left, END_PATIENCE, waiting, say)
        path.with_suffix(".json").unlink(missing_ok=True)
        path.unlink(missing_ok=True)
    return tuple(going_on)


def sweep_reports(directory: Directory, component: str, host: str, *, lost: float, silent: float) -> None:
    """Remove reports of dead supervisors of this component on this host, and any report that is silent for too long.

    `lost`: seconds of silence after which a report of this host whose process cannot be looked at (another container's
    life under the same host name) counts as dead. `silent`: the same for everybody else.
    """
    for name in directory.component_names():
        for path in directory.report_paths(name):
            with contextlib.suppress(FileNotFoundError):  # its owner removed it, or another sweeper did
                age = time.time() - path.lstat().st_mtime
                pid = path.stem.removeprefix(f"{host_name(host)}-")
                own = name == component and pid != path.stem and pid.isascii() and pid.isdigit()
                if _is_dead(record_path(directory, name, host, int(pid)), age > lost) if own else age > silent:
                    path.unlink()
        for path in directory.component(name).glob(f"*{SUFFIX}"):
            with contextlib.suppress(FileNotFoundError):
                forgotten = time.time() - path.lstat().st_mtime > silent and not path.with_suffix(".json").exists()
                # A record of this world names a child that may live: only `end_orphans` is done with it.
                if forgotten and not _is_of_this_world(path):
                    path.unlink()


def _is_of_this_world(path: Path) -> bool:
    record = read_record(path)
    return record is not None and record.world == processes.world()


def _is_dead(path: Path, otherwise: bool) -> bool:  # noqa: FBT001 - what to think where nothing can be seen
    """Tell whether the supervisor of this record is dead, as far as its processes can be seen from here."""
    record = read_record(path)
    if record is None or record.world != processes.world():
        return otherwise
    return not processes.is_alive(record.supervisor)


def sweep_sites(directory: Directory, *, young: float) -> None:
    """Remove sites to which no lock, report, last-good, `active` or running process refers.

    A site that a process of this host runs on is marked by its time, for the supervisors of other hosts; one younger
    than `young` seconds (just installed, or marked) stays. Skipped while somebody holds the store.
    """
    running = _sites_of_processes(directory)
    doomed: list[Path] = []
    with contextlib.suppress(BlockingIOError), directory.locked(patience=0):
        kept = _referred(directory) | running
        for digest in directory.site_digests():
            site = directory.site(digest)
            if digest in running:
                os.utime(site)
            elif digest not in kept and time.time() - site.lstat().st_mtime > young:
                grave = Path(tempfile.mkdtemp(dir=directory.tmp)) / digest
                site.rename(grave)
                doomed.append(grave.parent)
    for path in doomed:
        shutil.rmtree(path)


def sweep_temporary(directory: Directory, *, old: float) -> None:
    """Remove what interrupted work left in the temporary directory longer than `old` seconds ago."""
    for path in directory.tmp.iterdir():
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.lstat().st_mtime > old:
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()


def _sites_of_processes(directory: Directory) -> frozenset[str]:
    sites = str(directory.sites)
    return frozenset(
        Path(value).name for value in processes.environment_values(SITE_VARIABLE) if value.startswith(f"{sites}/")
    )


def _referred(directory: Directory) -> frozenset[str]:
    found: set[str | None] = set()
    for revision in directory.revisions():
        text = directory.read_lock(revision)
        with contextlib.suppress(locks.InvalidLock):  # a torn lock has no site
            found.add(locks.parse(text or "").digest())
    for name in directory.component_names():
        good = directory.read_last_good(name)
        found.add(good.digest if good is not None else None)
        for path in directory.report_paths(name):
            report = directory.read_report(path)
            found.add(report.lock_digest if report is not None else None)
    with contextlib.suppress(FileNotFoundError):
        found.add(directory.active.readlink().name)
    return frozenset(digest for digest in found if digest is not None)


class Sweeper:
    """Tidies up now and then; a failure is told and never ends a healthy component."""

    def __init__(self, directory: Directory, component: str, host: str, timing: Timing, say: Say) -> None:
        self._directory = directory
        self._component = component
        self._host = host
        self._timing = timing
        self._say = say
        self._swept = float("-inf")

    def sweep(self) -> None:
        """Tidy up when the time has come."""
        timing = self._timing
        if time.monotonic() - self._swept < timing.sweep:
            return
        self._swept = time.monotonic()
        try:
            sweep_reports(self._directory, self._component, self._host, lost=timing.lost, silent=timing.silent)
            sweep_sites(self._directory, young=timing.young)
            sweep_temporary(self._directory, old=timing.young + 2 * timing.install_timeout)
        except (OSError, ValueError) as error:
            self._say(f"tidying up failed: {error}")
