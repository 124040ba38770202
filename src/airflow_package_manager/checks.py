"""The checks of `doctor`, beside the composition root: what users get wrong, each with its cause and next action.

A check looks and changes nothing. What cannot be looked at is an answer too; a check that breaks is UNKNOWN and never
breaks the others.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path

from airflow_package_manager import uv_command
from airflow_package_manager.domain import repair
from airflow_package_manager.domain.inventory import Check, CheckStatus
from airflow_package_manager.errors import IndexRefused, PackageManagerError
from airflow_package_manager.installer import site_marker, task_patience
from airflow_package_manager.ports import EventLog, OperationRepository, PackageIndex, RequirementStore, RolloutTarget
from airflow_package_manager.refusals import UnknownProject
from airflow_package_manager.settings import Settings

log = logging.getLogger(__name__)

PROBE = "packaging"
"""A project that every index of any size knows; one that does not know it has answered all the same."""


class Checks:
    """All checks of one installation."""

    def __init__(
        self,
        *,
        store: RequirementStore,
        sites: Path,
        index: PackageIndex,
        events: EventLog,
        repository: OperationRepository,
        target: RolloutTarget,
        of_target: Mapping[str, Callable[[], Check]],
        further: Callable[[], tuple[Check, ...]],
    ) -> None:
        self._store = store
        self._sites = sites
        self._index = index
        self._events = events
        self._repository = repository
        self._target = target
        self._of_target = of_target
        self._further = further

    def all(self) -> tuple[Check, ...]:
        """Return the checks in the order in which one would look."""
        own: dict[str, Callable[[], Check]] = {
            "uv-found": self.uv,
            "index-reachable": self.index,
            "tables-present": self.tables,
            **self._of_target,
            "locks-as-recorded": self.locks,
            "site-active": self.site,
        }
        found = [_guarded(name, check) for name, check in own.items()]
        try:
            found.extend(self._further())
        except Exception as error:
            log.exception("The checks of Airflow's configuration broke")
            found.append(_broken("airflow-configuration", error))
        return tuple(found)

    def uv(self) -> Check:
        """The resolver and installer that came as our dependency."""
        try:
            path = uv_command.find_uv()
        except PackageManagerError as error:
            return Check("uv-found", CheckStatus.FAILED, error.detail, error.next_action)
        try:
            version = metadata.version("uv")
        except metadata.PackageNotFoundError:
            version = "of an unknown version"
        return Check("uv-found", CheckStatus.OK, f"uv {version} at {path}.")

    def index(self) -> Check:
        """Whether the first index that is asked answers."""
        try:
            project = self._index.project(PROBE)
        except UnknownProject:
            return Check("index-reachable", CheckStatus.OK, "The index answers.")
        except IndexRefused as error:
            return Check("index-reachable", CheckStatus.FAILED, error.detail, error.next_action)
        except PackageManagerError as error:
            return Check("index-reachable", CheckStatus.FAILED, error.detail, error.next_action)
        return Check("index-reachable", CheckStatus.OK, f"{project.index} answers.")

    def tables(self) -> Check:
        """Whether our tables can be read."""
        try:
            self._events.all(before=None, limit=1)
        except PackageManagerError as error:
            return Check("tables-present", CheckStatus.FAILED, error.detail, error.next_action)
        return Check("tables-present", CheckStatus.OK, "The tables package_manager_* are there.")

    def locks(self) -> Check:
        """Whether the store holds the locks and the current revision that the database knows."""
        name = "locks-as-recorded"
        try:
            if self._repository.active() is not None:
                return Check(
                    name, CheckStatus.UNKNOWN, "An operation is being applied.", "Look again when it has ended."
                )
            stamps = [self._target.stamp(component).revision for component in self._target.components()]
            found = repair.needed(self._store.read(), self._repository.revisions(), stamps)
        except PackageManagerError as error:
            return Check(name, CheckStatus.FAILED, error.detail, error.next_action)
        if found.is_needed():
            return Check(
                name,
                CheckStatus.FAILED,
                f"Lost, torn, or not as the database has it: {found}.",
                "Run 'airflow-package-manager doctor --repair': it writes that back and restarts nothing.",
            )
        return Check(name, CheckStatus.OK, "Locks and current revision are those that the database knows.")

    def site(self) -> Check:
        """Whether the current lock's site is whole, untampered, and the one that this interpreter uses."""
        name = "site-active"
        snapshot = self._store.read()
        lock = snapshot.usable_lock()
        if lock is None and snapshot.current is not None:
            return Check(
                name,
                CheckStatus.UNKNOWN,
                f"Which site is right is not known: the lock of revision {snapshot.current} is missing or torn.",
                "Look at the check locks-as-recorded first.",
            )
        if lock is None or not lock.pins:
            return Check(name, CheckStatus.OK, "Nothing is installed beside the image.")
        digest = lock.digest()
        site = self._sites / digest
        if not site_marker.holds(site, digest):
            return Check(
                name,
                CheckStatus.FAILED,
                f"The site {site} is missing or incomplete.",
                "Restart a component: the site is installed again before it starts.",
            )
        changed = site_marker.changed_files(site)
        if changed:
            shown = ", ".join(changed[:3])
            return Check(
                name,
                CheckStatus.FAILED,
                f"{len(changed)} files of {site} are not as installed: {shown}.",
                "Find out who changed them; remove the site's directory and restart a component to install it anew.",
            )
        return _in_use(name, site)


def _in_use(name: str, site: Path) -> Check:
    """Whether this process uses a site that is as installed."""
    if _is_used(site):
        return Check(name, CheckStatus.OK, f"This process uses {site}, which is as installed.")
    if _is_rescue():
        return Check(name, CheckStatus.OK, f"{site} is as installed; the command line never runs on it.")
    return Check(
        name,
        CheckStatus.WARNING,
        f"This process does not use {site}.",
        "It was started before the last change, or outside of a supervisor: restart it.",
    )


def _is_used(site: Path) -> bool:
    wanted = os.path.realpath(site)
    return any(os.path.realpath(entry) == wanted for entry in sys.path if entry)


def _is_rescue() -> bool:
    """The command line and the installer are never on the site, by design."""
    return any(Path(word).name in {"airflow-package-manager", "airflow_package_manager"} for word in sys.orig_argv)


def tasks(settings: Settings, found: Mapping[task_patience.Key, float]) -> Check:
    """Return whether running tasks outlive the longest absence of the api-server that a supervisor allows."""
    name = "execution-api-retries"
    absence = task_patience.longest_absence(settings)
    short, wanted = task_patience.lacking(settings, found), task_patience.wanted(settings)
    if not short:
        return Check(name, CheckStatus.OK, f"Running tasks outlive {absence} s without the api-server.")
    has = ", ".join(f"[{key[0]}] {key[1]} is {found[key]:g}" for key in short)
    return Check(
        name,
        CheckStatus.WARNING,
        f"Running tasks may fail when the api-server restarts, which may take {absence} s with these settings: {has}."
        " (As this process sees it: variables that only the components have, such as those of standalone, do not"
        " show here.)",
        "Set " + ", ".join(f"[{key[0]}] {key[1]} = {wanted[key]}" for key in short) + ".",
    )


def _guarded(name: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except Exception as error:
        log.exception("The check %s broke", name)
        return _broken(name, error)


def _broken(name: str, error: Exception) -> Check:
    return Check(
        name, CheckStatus.UNKNOWN, f"The check broke ({type(error).__name__}).", "The server's log has the trace."
    )
