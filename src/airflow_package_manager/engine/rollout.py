"""ROLLING_OUT and VERIFYING: one component at a time, each with a verdict, then `current` moves."""

from __future__ import annotations

import dataclasses
import logging

from airflow_package_manager.domain import import_errors
from airflow_package_manager.domain.components import DAG_PROCESSOR, SCHEDULER
from airflow_package_manager.domain.events import Kind
from airflow_package_manager.domain.facts import Heartbeat
from airflow_package_manager.domain.import_errors import FailedImport, ImportVerdict
from airflow_package_manager.domain.operation import Operation, State
from airflow_package_manager.domain.plan import Effect, StoreSnapshot
from airflow_package_manager.domain.reasons import reason
from airflow_package_manager.domain.rollout import ComponentStatus, Stamp, Status
from airflow_package_manager.engine.start import edited_meanwhile, is_target
from airflow_package_manager.engine.step import Step
from airflow_package_manager.errors import PackageManagerError
from airflow_package_manager.ports import StoreChanges

_log = logging.getLogger(__name__)

HEARTBEAT = "heartbeat"
NOT_VERIFIED = "not verified"


def rolling_out(step: Step) -> Operation:
    """Restart the next component, or wait for the verdict of the one that was restarted."""
    if step.operation.cancel_requested:
        return step.go_back(reason("cancelled", "It was asked to cancel this."))
    if step.progress.preflight:
        step.act(lambda: step.world.target.end_preflight(step.revision))
        return step.stay("restarting", progress=dataclasses.replace(step.progress, preflight=False))
    snapshot = step.world.store.read()
    if not is_target(step, snapshot):
        return step.go_back(edited_meanwhile(step, snapshot))
    component = next((name for name in step.plan.components if name not in step.progress.verified), None)
    if component is None:
        progress = dataclasses.replace(step.progress, waiting_since=step.now, current=0)
        return step.to(
            State.VERIFYING, step.event(Kind.VERIFYING, state=State.VERIFYING), text="verifying", progress=progress
        )
    return _component(step, component)


def verifying(step: Step) -> Operation:
    """Compare what every instance reports with the lock, look at the DAGs, then move `current`."""
    snapshot = step.world.store.read()
    if snapshot.current == step.revision:  # moved, and died before saving
        return step.succeed()
    if step.operation.cancel_requested:
        return step.go_back(reason("cancelled", "It was asked to cancel this."))
    if not is_target(step, snapshot):
        return step.go_back(edited_meanwhile(step, snapshot))
    parser, parsing_since = _parser(step), None
    for component in step.plan.components:
        stamp = step.world.target.stamp(component)
        if stamp.revision != step.revision or _is_changed(step, component, stamp):
            return _touched(step, component, stamp)
        found = step.world.target.observe(component, step.plan.lock.digest())
        if not _runs_on_the_lock(step, found):
            return _not_current(step, found, step.progress.waiting_since or step.now)
        if component == parser:
            starts = [instance.started_at for instance in found.instances if instance.started_at is not None]
            parsing_since = max(starts, default=step.progress.started_at[component])
    return _finish(step, snapshot, parsing_since)


def _parser(step: Step) -> str:
    """Return who parses DAG files: the scheduler itself where no dag-processor runs beside it, as on Airflow 2."""
    known = {*step.plan.components, *step.world.target.components()}
    return DAG_PROCESSOR if DAG_PROCESSOR in known else SCHEDULER


def _finish(step: Step, snapshot: StoreSnapshot, parsing_since: float | None) -> Operation:
    """Judge the DAGs, once they were parsed again or the wait is over; `parsing_since` None: nobody parses anew."""
    unparsed = 0 if parsing_since is None else _unparsed(step, parsing_since)
    if unparsed != 0 and step.now < (step.progress.waiting_since or step.now) + step.world.patience.parsing:
        return step.stay("waiting for the DAG files to be parsed")
    verdict = _dags(step)
    if verdict.broken:
        return step.go_back(
            reason(
                "import-errors",
                f"DAG files that miss a module of a package that this change touched, {len(verdict.broken)} in all: "
                + ", ".join(verdict.broken[:5]),
                files=list(verdict.broken),
            )
        )
    step.write(snapshot, StoreChanges(current=step.revision, delete_locks=step.unneeded_locks(snapshot)))
    warnings = [step.event(Kind.IMPORT_ERRORS, count=len(verdict.new))] if verdict.new else []
    if unparsed != 0:
        warnings.append(step.event(Kind.DAGS_NOT_VERIFIED, count="an unknown number" if unparsed is None else unparsed))
    return step.succeed(*warnings)


def _unparsed(step: Step, since: float) -> int | None:
    """Return how many DAG files were not parsed since then; None when nobody knows."""
    try:
        return step.world.facts.unparsed_files(since)
    except PackageManagerError as error:
        _log.warning("Whether the DAG files were parsed cannot be read: %s", error.detail)
        return None


def _dags(step: Step) -> ImportVerdict:
    failures = [FailedImport(found.file, found.at, found.message) for found in step.world.facts.import_errors()]
    changed = {change.name for change in step.plan.package_changes if change.effect is not Effect.UNCHANGED_IMAGE}
    since = min(step.progress.started_at.values(), default=step.now)
    return import_errors.judge(failures, step.progress.baseline_errors, since, changed)


def _component(step: Step, component: str) -> Operation:
    """Intent first, then the stamp, then the verdict: whoever comes after a death knows what may have been touched."""
    began = step.progress.started_at.get(component)
    if began is None:
        started = {**step.progress.started_at, component: step.now}
        beats = {**step.progress.beats_before, **_beats_before(step, component)}
        progress = dataclasses.replace(
            step.progress, started_at=started, beats_before=beats, waiting_since=None, current=0
        )
        return step.stay(f"restarting {component}", step.event(Kind.RESTARTING, component=component), progress=progress)
    stamp = step.world.target.stamp(component)
    told = step.progress.waiting_since
    if _is_changed(step, component, stamp):
        return _touched(step, component, stamp)
    if stamp.revision != step.revision:
        if told is not None or stamp.revision != step.progress.stamps[component]:
            return _touched(step, component, stamp)
        step.act(lambda: step.world.target.restart(component, step.revision, stamp.version))
    if told is None:
        return step.stay(
            f"restarting {component}: told to", progress=dataclasses.replace(step.progress, waiting_since=step.now)
        )
    found = step.world.target.observe(component, step.plan.lock.digest())
    if not _runs_on_the_lock(step, found):
        return _not_current(step, found, told)
    return _current(step, found)


def _is_changed(step: Step, component: str, stamp: Stamp) -> bool:
    """Tell whether its template is another one than when the rollout began (never so where it was not remembered)."""
    return stamp.template != step.progress.templates.get(component, stamp.template)


def _touched(step: Step, component: str, stamp: Stamp) -> Operation:
    """Go back: another hand changed or restarted the component meanwhile."""
    if _is_changed(step, component, stamp):
        return step.go_back(
            reason(
                "component-changed",
                f"Somebody else changed what {component} is started from while this change was being applied.",
                component=component,
            )
        )
    named = "no revision" if stamp.revision is None else f"revision {stamp.revision}"
    return step.go_back(
        reason("component-restamped", f"{component} was told by somebody else to use {named}.", component=component)
    )


def _runs_on_the_lock(step: Step, found: ComponentStatus) -> bool:
    if found.status is not Status.CURRENT:
        return False
    if found.unverified is not None:
        return True  # nobody reports: it is never said to be verified
    wanted = {step.plan.lock.digest()} if step.plan.lock.pins else {step.plan.lock.digest(), None}
    staying = [instance for instance in found.instances if instance.status is not Status.TERMINATING]
    return all(instance.lock_digest in wanted for instance in staying)


def _not_current(step: Step, found: ComponentStatus, began: float) -> Operation:
    causes = [
        instance.install_cause or instance.message for instance in found.instances if instance.status is Status.FAILED
    ]
    codes = [instance.install_code for instance in found.instances if instance.install_code]
    detail = f"{found.name}: {causes[0] if causes else found.message}"
    failed = found.status is Status.FAILED and found.final
    if not failed and found.current_instances() > step.progress.current:  # instance by instance: each has its time
        progress = dataclasses.replace(step.progress, waiting_since=step.now, current=found.current_instances())
        return step.stay(f"waiting for {found.name}: {found.message}", progress=progress)
    if failed or step.now >= began + step.world.patience.component + found.stopping:
        code = "component-failed" if failed else "component-timeout"
        shown = detail if failed else f"{detail} ({found.status.value})"
        code = "infrastructure" if found.infrastructure else code
        return step.go_back(reason(code, shown, component=found.name, codes=codes))
    return step.stay(f"waiting for {found.name}: {found.message}")


def _current(step: Step, found: ComponentStatus) -> Operation:
    """Wait for Airflow's own sign of life of each instance, counted from the start of the youngest."""
    began = step.progress.started_at[found.name]
    wanted = max(1, found.current_instances())
    beats, answered = _heartbeats(step, found.name, wanted, began) if found.unverified is None else (None, True)
    fresh = _fresh(beats, began)
    alive = fresh >= wanted
    if beats is not None and not alive:
        since = max([began, *(instance.started_at or began for instance in found.instances)])
        if step.now < since + step.world.patience.heartbeat:
            return step.stay(f"waiting for the heartbeat of {found.name}")
        if answered and _hangs(step, found.name, beats):
            detail = (
                f"{found.name}: it runs, but Airflow has not heard of it for {step.world.patience.heartbeat:.0f} s;"
                " before the change it had."
            )
            return step.go_back(reason("component-silent", detail, component=found.name))
    verdict = HEARTBEAT if alive else NOT_VERIFIED
    verified = {**step.progress.verified, found.name: verdict}
    unverified = step.progress.unverified
    why = found.unverified or (f"Airflow has heard of {fresh} of {wanted} instances" if 0 < fresh < wanted else None)
    if why is not None:
        unverified = {**unverified, found.name: why}
    progress = dataclasses.replace(step.progress, verified=verified, unverified=unverified, waiting_since=None)
    shown = verdict if why is None else f"{verdict}: {why}"
    current = step.event(Kind.CURRENT, component=found.name, verified=shown)
    return step.stay(f"{found.name} is current", current, progress=progress)


def _hangs(step: Step, component: str, beats: tuple[Heartbeat, ...]) -> bool:
    """Tell whether a component that beat before the change has no job any more that began after those of then.

    Both starts are by the clocks of the component's own hosts: a clock of ours that is ahead breaks nothing.
    """
    before = step.progress.beats_before.get(component)
    return before is not None and all(beat.started_at <= before for beat in beats)


def _beats_before(step: Step, component: str) -> dict[str, float]:
    """Return when the component's youngest job began, nothing when Airflow has not heard of it lately."""
    try:
        beats = step.world.facts.heartbeats(component, 1) or ()
    except PackageManagerError as error:
        _log.warning("The heartbeat of %s before its restart cannot be read: %s", component, error.detail)
        return {}
    lately = step.now - step.world.patience.heartbeat
    return {component: max(beat.started_at for beat in beats)} if any(beat.at >= lately for beat in beats) else {}


def _heartbeats(step: Step, component: str, wanted: int, began: float) -> tuple[tuple[Heartbeat, ...] | None, bool]:
    """Return the component's jobs, and whether that is known: a database that does not answer is no failure of it.

    The first to answer may be others, which drain or are no part of the component: then more are waited for.
    """
    asked = wanted
    try:
        while True:
            beats = step.world.facts.heartbeats(component, asked)
            if beats is None or len(beats) < asked or _fresh(beats, began) >= wanted:
                return beats, True
            asked *= 2
    except PackageManagerError as error:
        _log.warning("The heartbeat of %s cannot be read: %s", component, error.detail)
        return (), False


def _fresh(beats: tuple[Heartbeat, ...] | None, began: float) -> int:
    return sum(beat.started_at >= began for beat in beats or ())
