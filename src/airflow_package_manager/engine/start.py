"""ACCEPTED and PREFLIGHT: everything that can be known before anything restarts."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Mapping
from typing import Any

from airflow_package_manager.domain import lock as locks
from airflow_package_manager.domain.access import token_hash
from airflow_package_manager.domain.events import Kind, event
from airflow_package_manager.domain.lock import Lock
from airflow_package_manager.domain.operation import Operation, State
from airflow_package_manager.domain.plan import Plan, StoreSnapshot
from airflow_package_manager.domain.planning import require_same_image, text_difference
from airflow_package_manager.domain.policy import raise_for
from airflow_package_manager.domain.reasons import reason
from airflow_package_manager.domain.requirements import RequirementsFile
from airflow_package_manager.domain.rollout import PreflightStatus, Status
from airflow_package_manager.engine.step import Step
from airflow_package_manager.errors import PackageManagerError, StalePlan, StoreConflict
from airflow_package_manager.ports import StoreChanges


def accepted(step: Step) -> Operation:
    """Check again, adopt the text found, try stamps and check as a dry run, stage the lock; nobody uses it yet."""
    snapshot = step.world.store.read()
    if snapshot.current == step.revision:  # promoted, and died before saving
        return step.succeed()
    half_done = _half_done(step, snapshot)
    if not half_done and step.operation.cancel_requested:
        return _drop(step, snapshot, None)
    problem = step.progress.reason or (None if half_done else _obstacle(step, snapshot))
    if problem is not None:
        return _drop(step, snapshot, problem)
    _adopt_text(step, snapshot)
    if not step.plan.lock_changes():
        return _promote_text_only(step, snapshot)
    if step.revision in snapshot.locks:
        return step.to(State.PREFLIGHT, text="checking before the rollout")
    text = step.plan.lock.with_revision(step.revision).render()
    step.write(snapshot, StoreChanges(put_locks={step.revision: text}))
    return step.stay("storing the lock", step.event(Kind.STAGED))


def preflight(step: Step) -> Operation:
    """Run the throw-away check; when it passed, say so, write the text, and remember every stamp in one save."""
    if step.operation.cancel_requested:
        return step.go_back(reason("cancelled", "It was asked to cancel this."))
    if step.progress.passed:
        return _promote(step)
    if not step.progress.preflight:  # the intent first: whoever goes back later knows that there may be a check to end
        progress = dataclasses.replace(step.progress, preflight=True, waiting_since=step.now)
        return step.stay("checking before the rollout", step.event(Kind.PREFLIGHT_STARTED), progress=progress)
    found = step.world.target.observe_preflight(step.revision)
    if found.status is Status.CURRENT:
        warnings = [step.event(Kind.PREFLIGHT_WARNING, detail=warning) for warning in found.warnings]
        progress = dataclasses.replace(step.progress, passed=True)
        return step.stay("the check passed", *warnings, step.event(Kind.PREFLIGHT_PASSED), progress=progress)
    if found.status is Status.FAILED:
        code = "infrastructure" if found.infrastructure else "preflight-failed"
        return step.go_back(reason(code, found.message, check=found.code, output=found.detail))
    return _wait_for_preflight(step, found)


def _wait_for_preflight(step: Step, found: PreflightStatus) -> Operation:
    began = step.progress.waiting_since
    if began is not None and step.now >= began + step.world.patience.preflight:
        code = "infrastructure" if found.infrastructure else "preflight-timeout"
        return step.go_back(reason(code, f"The check is not done: {found.message}."))
    if found.status is Status.NOT_FOUND:  # not started yet, or lost with its host
        step.act(lambda: step.world.target.start_preflight(step.revision, step.plan.directs))
        try:
            return step.stay("checking before the rollout: started")
        except StoreConflict:
            _end_if_left(step)
            raise
    return step.stay(f"checking before the rollout: {found.message}")


def _end_if_left(step: Step) -> None:
    """End the check that a driver started which slept right before, while another one went on past the check.

    Creating something cannot be conditional on the lease; whoever went on has looked for a check already.
    """
    if step.world.repository.get(step.operation.id).state is not State.PREFLIGHT:
        step.world.target.end_preflight(step.revision)


def is_base(step: Step, snapshot: StoreSnapshot) -> bool:
    """Tell whether the store is as the plan found it."""
    return snapshot.digest() == step.plan.base_digest


def is_target(step: Step, snapshot: StoreSnapshot) -> bool:
    """Tell whether the store is as the plan found it but for the text, which is the proposed one."""
    if snapshot.text != step.plan.proposed_text:
        return False
    return dataclasses.replace(snapshot, text=step.plan.base_text).digest() == step.plan.base_digest


def _obstacle(step: Step, snapshot: StoreSnapshot) -> Mapping[str, Any] | None:
    """Return why this may not start after all; what may pass by itself is raised for the driver to try again."""
    plan = step.plan
    if not _is_as_accepted(step):
        return reason("plan-changed", "The digest of the stored plan is another one than was accepted.")
    if step.progress.promoted:
        return edited_meanwhile(step, snapshot)
    try:
        if not is_base(step, snapshot):
            raise StalePlan(
                "The requirements, or the lock in use, changed after the plan was accepted. Nothing was touched.",
                difference=text_difference(plan.base_text, snapshot.text),
            )
        _require_allowed(step, snapshot)
        if step.revision in snapshot.locks:
            return None
        step.world.store.check_write()
        if plan.lock_changes():
            _require_same_image(step)
            for component in plan.components:
                step.world.target.check_restart(component)
            step.world.target.check_preflight()
    except PackageManagerError as error:
        if error.retryable:
            raise
        return error.as_problem()
    return None


def _require_same_image(step: Step) -> None:
    """Raise `ImageDiffers`: an image upgraded since the plan would meet a lock that no check tried on it."""
    target = step.world.target
    require_same_image(
        {name: target.observe(name, None) for name in step.plan.components}, step.world.installed.image()
    )


def _is_as_accepted(step: Step) -> bool:
    return step.plan.digest() == step.operation.plan_digest


def _half_done(step: Step, snapshot: StoreSnapshot) -> bool:
    """Tell whether the text of a text-only change is written and nothing else: what was begun so is ended.

    Text and locks cannot change in one write everywhere, and a text without its `current` is what nobody wants.
    """
    plan = step.plan
    if plan.lock_changes() or plan.proposed_text == plan.base_text or not _is_as_accepted(step):
        return False
    return is_target(step, snapshot)


def _require_allowed(step: Step, snapshot: StoreSnapshot) -> None:
    policy, image = step.world.policy, step.world.installed.image()
    proposed, base = RequirementsFile.parse(step.plan.proposed_text), RequirementsFile.parse(step.plan.base_text)
    raise_for(policy.check_request(proposed, base, image))
    raise_for(policy.check_closure(step.plan.lock, image, snapshot.usable_lock()))


def _drop(step: Step, snapshot: StoreSnapshot, problem: Mapping[str, Any] | None) -> Operation:
    """Leave no staged lock and no half-done text behind, then end: FAILED with the problem, CANCELLED without one."""
    if _half_done(step, snapshot):
        step.write(snapshot, StoreChanges(text=step.plan.base_text))
        return step.stay("writing the previous requirements back", step.event(Kind.TEXT_RESTORED))
    if step.revision in snapshot.locks:
        step.write(snapshot, StoreChanges(delete_locks=frozenset({step.revision})))
        progress = dataclasses.replace(step.progress, reason=problem)
        return step.stay("removing the lock", step.event(Kind.UNSTAGED), progress=progress)
    if problem is not None:
        return step.fail(problem)
    return step.to(State.CANCELLED, step.event(Kind.CANCELLED, state=State.CANCELLED))


def _promote_text_only(step: Step, snapshot: StoreSnapshot) -> Operation:
    """Write the text, then, in a step of its own, lock and `current`."""
    if not is_target(step, snapshot):
        return _write_text(step, snapshot)
    lock = step.plan.lock.with_revision(step.revision).render()
    changes = StoreChanges(
        put_locks={step.revision: lock},
        delete_locks=step.unneeded_locks(snapshot),
        current=step.revision,
    )
    step.write(snapshot, changes)
    return step.succeed()


def _write_text(step: Step, snapshot: StoreSnapshot) -> Operation:
    step.write(snapshot, StoreChanges(text=step.plan.proposed_text))
    progress = dataclasses.replace(step.progress, promoted=True)
    return step.stay("writing the requirements", step.event(Kind.PROMOTED), progress=progress)


def _promote(step: Step) -> Operation:
    snapshot = step.world.store.read()
    if not is_target(step, snapshot):
        if is_base(step, snapshot) and not step.progress.promoted:
            return _write_text(step, snapshot)
        return step.go_back(edited_meanwhile(step, snapshot))
    stamps = {name: step.world.target.stamp(name) for name in step.plan.components}
    progress = dataclasses.replace(
        step.progress,
        stamps={name: stamp.revision for name, stamp in stamps.items()},
        templates={name: stamp.template for name, stamp in stamps.items()},
        waiting_since=None,
        baseline_errors=tuple(sorted({failure.file for failure in step.world.facts.import_errors()})),
    )
    return step.to(
        State.ROLLING_OUT,
        step.event(Kind.ROLLING_OUT, state=State.ROLLING_OUT, components=", ".join(step.plan.components)),
        text="restarting",
        progress=progress,
    )


def edited_meanwhile(step: Step, snapshot: StoreSnapshot) -> dict[str, object]:
    """Return the reason for leaving the text to whoever wrote it, with the difference to what it was before."""
    who = snapshot.manager or "Somebody else"
    detail = f"{who} changed the requirements, or the lock in use, while this change was being applied."
    if snapshot.text == step.plan.base_text != step.plan.proposed_text:
        detail = f"{who} wrote the previous requirements back while this change was being applied."
    return reason(
        "edited-meanwhile",
        detail,
        manager=snapshot.manager,
        difference=text_difference(step.plan.base_text, snapshot.text),
    )


def _adopt_text(step: Step, snapshot: StoreSnapshot) -> None:
    """Keep the text that was found before our first change as revision 0; later calls change nothing."""
    plan, operation = step.plan, step.operation
    digest = locks.text_digest(snapshot.text)
    empty = Lock(plan.lock.python, plan.lock.platform, plan.lock.image, digest)
    lock = dataclasses.replace(snapshot.usable_lock() or empty, revision=None)
    found = Plan(
        base_digest=plan.base_digest,
        base_text=snapshot.text,
        proposed_text=snapshot.text,
        changes=(),
        package_changes=(),
        lock=lock,
        base_lock_digest=lock.digest(),
        components=(),
        directs=RequirementsFile.parse(snapshot.text).names(),
    )
    adopted = Operation(
        id=uuid.uuid4().hex,
        state=State.SUCCEEDED,
        owner=operation.owner,
        request={"requirements": snapshot.text},
        summary="the requirements as they were found",
        created_at=step.now,
        updated_at=step.now,
        expires_at=step.now,
        token_hash=token_hash(uuid.uuid4().hex),
        plan=found,
        plan_digest=found.digest(),
        revision=0,
        accepted_at=step.now,
        ended_at=step.now,
    )
    step.world.repository.adopt_text(adopted, event(Kind.TEXT_ADOPTED, step.now, adopted, identity=operation.owner))
