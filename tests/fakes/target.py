"""A `RolloutTarget` in memory: components whose one instance each behaves as scripted."""

from __future__ import annotations

import dataclasses
import enum
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from airflow_package_manager.domain import lock as locks
from airflow_package_manager.domain.plan import StoreSnapshot
from airflow_package_manager.domain.rollout import (
    ComponentStatus,
    Instance,
    PreflightStatus,
    Stamp,
    Status,
    aggregate,
)
from airflow_package_manager.errors import StampConflict
from airflow_package_manager.refusals import NoComponents
from tests.fakes.faults import Faults

IMAGE = "a" * 64

MISSING = "missing"
"""Wanted by a component that carries a stamp whose lock is not there."""

Answer = TypeVar("Answer")


class Behaviour(enum.Enum):
    """What an instance does with a site that is new to it; a last-good site always works."""

    READY = "ready"
    INSTALL_FAILS = "install fails"
    FALLS_BACK = "falls back"
    NEVER_READY = "never ready"
    SUPERVISOR_DIES = "supervisor dies"
    VANISHES = "vanishes"
    NO_ROOM = "no room"


_MISBEHAVIOUR: Mapping[Behaviour, tuple[Status, str, bool]] = {
    Behaviour.INSTALL_FAILS: (Status.FAILED, "the installer refused the lock", True),
    Behaviour.FALLS_BACK: (Status.FAILED, "the child ended on its new site; it runs on the last good one", True),
    Behaviour.NEVER_READY: (Status.IN_PROGRESS, "not ready yet", False),
    Behaviour.SUPERVISOR_DIES: (Status.UNKNOWN, "its supervisor no longer beats", False),
    Behaviour.VANISHES: (Status.NOT_FOUND, "", False),
    Behaviour.NO_ROOM: (Status.FAILED, "no machine has room for it", True),
}


class Preflight(enum.Enum):
    """What the throw-away check does."""

    PASSES = "passes"
    FAILS = "fails"
    HANGS = "hangs"
    IS_LOST = "is lost"
    NO_ROOM = "no room"


@dataclass
class _Component:
    stamp: int | None = None
    version: int = 1
    digest: str | None = None
    """Of the site that its child runs on."""
    wanted: str | None = None
    """Of the site that its stamp asked for; without a stamp, that of `current` when it was looked up."""
    good: list[str | None] = field(default_factory=lambda: [None])
    """Sites it was ready on, the last one last."""
    behaviour: Behaviour = Behaviour.READY
    restarted_at: float = 0.0
    restarts: int = 0
    by_hand: bool = False
    """Its stamp was set by another hand."""
    image: str | None = IMAGE
    template: str = "template 1"
    instances: int = 1
    draining: int = 0
    """Instances of before that were told to stop and are still there."""
    reports: bool = True
    """Its instance says what it runs on."""

    def is_good_on(self, digest: str | None) -> None:
        """Remember it as the last-good site."""
        if digest in self.good:
            self.good.remove(digest)
        self.good.append(digest)


class FakeTarget:
    """Effects ``target.stamp``, ``target.check_restart``, ``target.restart``, ``target.restore``, ``target.observe``,
    ``target.by_hand``, ``target.discard_stuck``, ``target.check_preflight``, ``target.start_preflight``,
    ``target.observe_preflight``, ``target.end_preflight``; each also as ``target.restart:scheduler`` and the like, to
    hit one component only.
    """

    def __init__(
        self,
        snapshot: Callable[[], StoreSnapshot],
        clock: Callable[[], float],
        components: Iterable[str] = ("scheduler", "triggerer", "dag-processor", "api-server"),
        *,
        named: Sequence[str] = (),
        ready_after: float = 3.0,
        faults: Faults | None = None,
    ) -> None:
        """Look locks up in `snapshot` as a supervisor reads the shared directory; `named` are configured ones."""
        self.faults = faults or Faults()
        self.ready_after = ready_after
        self.stopping = 0.0
        """Seconds that an instance says it may take to stop."""
        self.preflight = Preflight.PASSES
        self.preflight_warnings: tuple[str, ...] = ()
        self.discarded: list[str] = []
        self.preflights: dict[int, float] = {}
        """Started at, of each check that was not ended."""
        self.preflight_directs: tuple[str, ...] = ()
        self.tested: set[str] = set()
        """Digests of locks whose check passed."""
        self.watchers: list[Callable[[str, int | None, int | None], object]] = []
        """Each hears of every restart and restore that changes a stamp: component, before, after."""
        self._snapshot = snapshot
        self._clock = clock
        self._named = tuple(named)
        self._guard = threading.RLock()
        self._components = {name: _Component() for name in components}

    # --- what the test does ---------------------------------------------------------------------------------

    def misbehave(self, component: str, behaviour: Behaviour) -> None:
        """Script what the component does with sites that are new to it."""
        with self._guard:
            self._components[component].behaviour = behaviour

    def stamp_by_hand(self, component: str, revision: int | None) -> None:
        """Another hand stamps the component; it is ready at once when the lock is there."""
        with self._guard:
            found = self._components[component]
            found.stamp, found.version, found.by_hand = revision, found.version + 1, True
            found.wanted = wanted = self._look_up(revision)
            if wanted != MISSING:
                found.digest = wanted
                found.is_good_on(wanted)

    def change_template(self, component: str) -> None:
        """Another hand changes what the component's instances are made from."""
        with self._guard:
            found = self._components[component]
            found.version += 1
            found.template = f"template {found.version}"

    def template(self, component: str) -> str:
        """Return what the component's instances are made from."""
        with self._guard:
            return self._components[component].template

    def drain(self, component: str, instances: int) -> None:
        """So many instances of before are still there, beside those that are wanted."""
        with self._guard:
            self._components[component].draining = instances

    def scale(self, component: str, instances: int) -> None:
        """Let the component have so many instances, or none."""
        with self._guard:
            self._components[component].instances = instances

    def be_silent(self, component: str) -> None:
        """Let the component's instance not say what it runs on."""
        with self._guard:
            self._components[component].reports = False

    def report_image(self, component: str, image: str | None) -> None:
        """Let the component's instance report another image; None: it does not say."""
        with self._guard:
            self._components[component].image = image

    def running(self, component: str) -> tuple[int | None, str | None, int]:
        """Return stamp, digest of the site in use, and number of restarts."""
        with self._guard:
            found = self._components[component]
            return found.stamp, found.digest, found.restarts

    def was_stamped_by_hand(self, component: str) -> bool:
        """Tell whether the last one to stamp the component was another hand."""
        with self._guard:
            return self._components[component].by_hand

    def look(self, component: str, wanted: str | None) -> ComponentStatus:
        """Observe without any scripted fault."""
        return self._observe(component, wanted)

    # --- the port ----------------------------------------------------------------------------------------------

    def components(self) -> tuple[str, ...]:
        absent = [name for name in self._named if name not in self._components]
        if absent:
            raise NoComponents(f"No instance of {', '.join(absent)} is known.", components=absent)
        return self._named or tuple(self._components)

    def stamp(self, component: str) -> Stamp:
        return self._effect("stamp", component, lambda: self._stamp(component))

    def check_restart(self, component: str) -> None:
        self._effect("check_restart", component, lambda: None)

    def restart(self, component: str, revision: int, expected: str) -> None:
        self._effect("restart", component, lambda: self._set_stamp(component, revision, expected))

    def restore(self, component: str, stamp: int | None, expected: str) -> None:
        self._effect("restore", component, lambda: self._set_stamp(component, stamp, expected))

    def observe(self, component: str, wanted: str | None) -> ComponentStatus:
        return self._effect("observe", component, lambda: self._observe(component, wanted))

    def by_hand(self, component: str, stamp: int | None) -> str:
        shown = "-" if stamp is None else str(stamp)

        def command() -> str:
            self._find(component)
            return f"stamp {component} {shown}"

        return self._effect("by_hand", component, command)

    def discard_stuck(self, component: str) -> None:
        self._effect("discard_stuck", component, lambda: self.discarded.append(component))

    def check_preflight(self) -> None:
        self._effect("check_preflight", "", lambda: None)

    def start_preflight(self, revision: int, directs: Sequence[str]) -> None:
        self._effect("start_preflight", str(revision), lambda: self._start_preflight(revision, directs))

    def observe_preflight(self, revision: int) -> PreflightStatus:
        return self._effect("observe_preflight", str(revision), lambda: self._observe_preflight(revision))

    def end_preflight(self, revision: int) -> None:
        self._effect("end_preflight", str(revision), lambda: self._end_preflight(revision))

    # --- how it works ------------------------------------------------------------------------------------------

    def _effect(self, name: str, subject: str, act: Callable[[], Answer]) -> Answer:
        exactly = f"target.{name}:{subject}"
        return self.faults.around(f"target.{name}", lambda: self.faults.around(exactly, act, deadly=False))

    def _stamp(self, component: str) -> Stamp:
        with self._guard:
            found = self._find(component)
            return Stamp(found.stamp, str(found.version), found.template)

    def _find(self, component: str) -> _Component:
        if component not in self._components:
            raise NoComponents(f"No instance of {component} is known.", components=[component])
        return self._components[component]

    def _look_up(self, revision: int | None) -> str | None:
        """Return the digest that a stamp means now."""
        snapshot = self._snapshot()
        used = snapshot.current if revision is None else revision
        text = snapshot.locks.get(used) if used is not None else None
        if text is None:
            return None if revision is None else MISSING
        return locks.parse(text).digest()

    def _set_stamp(self, component: str, revision: int | None, expected: str) -> None:
        with self._guard:
            found = self._find(component)
            if expected != str(found.version):
                raise StampConflict(f"{component} was stamped by somebody else.", component=component)
            if revision == found.stamp:
                return
            for watcher in self.watchers:
                watcher(component, found.stamp, revision)
            found.stamp, found.version, found.by_hand = revision, found.version + 1, False
            found.wanted = wanted = self._look_up(revision)
            if wanted == found.digest:
                return
            works = wanted in found.good or found.behaviour is not Behaviour.INSTALL_FAILS
            if works and wanted != MISSING:  # the supervisor installs before it stops the old child
                found.digest = wanted
                found.restarts += 1
            found.restarted_at = self._clock()

    def _observe(self, component: str, wanted: str | None) -> ComponentStatus:
        with self._guard:
            found = self._find(component)
            target = found.wanted if wanted is None else wanted
            if found.instances == 0:
                return ComponentStatus(component, Status.CURRENT, "no instance is wanted", (), unverified="nobody runs")
            rows, final, failed = [], False, False
            for number in range(1, found.instances + 1):  # each is ready so long after the one before
                status, message, final = self._verdict(found, target, self.ready_after * number)
                if status is Status.NOT_FOUND:
                    return aggregate(component, ())
                failed = status is Status.FAILED
                rows.append(self._row(found, f"{component}-{number}", status, message))
            seen = aggregate(component, rows)
            old = self._row(found, f"{component}-old", Status.TERMINATING, "draining")
            leaving = [dataclasses.replace(old, lock_digest=None)] * found.draining
            return dataclasses.replace(
                seen,
                instances=(*seen.instances, *leaving),
                final=final,
                infrastructure=failed and found.behaviour is Behaviour.NO_ROOM,
                unverified=None if found.reports else "its instances do not report what was installed",
                stopping=self.stopping,
            )

    def _row(self, found: _Component, name: str, status: Status, message: str) -> Instance:
        failed = status is Status.FAILED
        return Instance(
            name=name,
            status=status,
            message=message,
            stamp=found.stamp,
            lock_digest=found.digest if found.reports else None,
            image=found.image,
            python="cp311",
            platform="linux_x86_64",
            started_at=found.restarted_at,
            restarts=found.restarts,
            reported_at=self._clock(),
            alive=status is not Status.UNKNOWN,
            install_outcome="failed" if failed else "installed",
            install_code="no-wheel" if failed else None,
            install_cause=message if failed else None,
        )

    def _verdict(self, found: _Component, target: str | None, ready_after: float) -> tuple[Status, str, bool]:
        own = found.wanted
        if own in found.good:
            found.digest = own
        elif found.behaviour is Behaviour.FALLS_BACK:
            found.digest = found.good[-1] if found.good else None
        if own == MISSING:
            return Status.FAILED, "the lock is not there", True
        if own not in found.good and found.behaviour in _MISBEHAVIOUR:
            return _MISBEHAVIOUR[found.behaviour]
        if self._clock() < found.restarted_at + ready_after:
            return Status.IN_PROGRESS, "soaking", False
        found.digest = own
        found.is_good_on(own)
        if found.digest == target:
            return Status.CURRENT, "ready", False
        return Status.IN_PROGRESS, "runs on another site", False

    def _start_preflight(self, revision: int, directs: Sequence[str]) -> None:
        with self._guard:
            self.preflights.setdefault(revision, self._clock())
            self.preflight_directs = tuple(directs)

    def _end_preflight(self, revision: int) -> None:
        with self._guard:
            self.preflights.pop(revision, None)

    def _observe_preflight(self, revision: int) -> PreflightStatus:
        with self._guard:
            started = self.preflights.get(revision)
            if started is None or self.preflight is Preflight.IS_LOST:
                return PreflightStatus(Status.NOT_FOUND, "no such check")
            if self.preflight is Preflight.HANGS or self._clock() < started + self.ready_after:
                return PreflightStatus(Status.IN_PROGRESS, "checking")
            if self.preflight is Preflight.NO_ROOM:
                return PreflightStatus(Status.FAILED, "no machine has room for it", infrastructure=True)
            if self.preflight is Preflight.FAILS:
                return PreflightStatus(
                    Status.FAILED, "importing demo failed", code="import-failed", detail="ModuleNotFoundError: nope"
                )
            text = self._snapshot().locks.get(revision)
            if text is None:
                return PreflightStatus(Status.FAILED, "the lock is not there", code="lock-missing")
            self.tested.add(locks.parse(text).digest())
            return PreflightStatus(Status.CURRENT, "passed", warnings=self.preflight_warnings)
