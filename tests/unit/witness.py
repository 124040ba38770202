"""Watches every write and every stamp while a story is told, and keeps what breaks a promise.

It only takes notes: an exception in the middle of a step would be one more accident that the driver survives.
"""

from __future__ import annotations

from airflow_package_manager.domain.operation import Operation, State
from airflow_package_manager.domain.plan import Plan, StoreSnapshot
from airflow_package_manager.domain.rollout import Status
from airflow_package_manager.driver import TRIES_OF_GOING_BACK
from tests.fakes.application import Application


class Witness:
    """The promises, looked at where they could be broken."""

    def __init__(self, app: Application) -> None:
        self.app = app
        self.broken: list[str] = []
        self.texts: set[str] = {app.store.peek().text}
        """Written by people."""
        self.cancelled: set[str] = set()
        """Ids of operations that were asked to cancel while there was a step left to hear it."""
        app.store.watchers.append(self.written)
        app.target.watchers.append(self.stamped)

    # --- while it happens ----------------------------------------------------------------------------------------

    def written(self, before: StoreSnapshot, after: StoreSnapshot) -> None:
        """Look at one write of the store."""
        active = self.app.repository.active()
        if active is None or active.plan is None:
            self.broken.append("the store was written for nobody")
            return
        plan = active.plan
        forward = (plan.base_text, plan.proposed_text)
        if before.text != after.text and (before.current, before.locks) != (after.current, after.locks):
            self.broken.append("text and locks were written together")
        if before.text != after.text:
            if (before.text, after.text) not in {forward, (forward[1], forward[0])}:
                self.broken.append(f"{before.text!r} was overwritten with {after.text!r}")
            if (before.text, after.text) == forward and not self._tested(plan):
                self.broken.append("the requirements were written before the check passed")
        if before.current != after.current:
            late = active.state is State.VERIFYING or not plan.lock_changes()
            if after.current != active.revision or not late:
                self.broken.append(f"{active.state.value} moved current to {after.current}")
        stamps = {self.app.target.running(name)[0] for name in self.app.target.components()}
        needed = (before.locks.keys() - after.locks.keys()) & (stamps | {after.current})
        if needed:
            self.broken.append(f"locks {needed} were deleted while they were used")

    def stamped(self, component: str, before: int | None, after: int | None) -> None:
        """Look at one restart or restore."""
        active = self.app.repository.active()
        if active is None or active.plan is None:
            self.broken.append(f"{component} was stamped for nobody")
            return
        progress, what = active.progress, f"{component} went from {before} to {after} in {active.state.value}"
        if active.state is State.ROLLING_OUT:
            earlier = active.plan.components[: active.plan.components.index(component)]
            if after != active.revision or component not in progress.started_at:
                self.broken.append(what)
            if progress.stamps.get(component, "unknown") != before:
                self.broken.append(f"{what}, and its previous stamp was not saved")
            if progress.templates.get(component) != self.app.target.template(component):
                self.broken.append(f"{what} although another hand had changed it")
            if any(name not in progress.verified for name in earlier):
                self.broken.append(f"{what} out of turn")
            if not self._tested(active.plan):
                self.broken.append(f"{what} before the check passed")
        elif active.state is not State.ROLLING_BACK:
            self.broken.append(what)
        elif before != active.revision or progress.stamps.get(component, "unknown") != after:
            self.broken.append(f"{what}; it was on {progress.stamps.get(component, 'unknown')}")

    def edited(self, text: str) -> None:
        """Remember what a person writes; who writes the proposed text of a text-only change leaves nothing to cancel.

        Its text is then not told from ours, written right before a death; ending it overwrites nobody.
        """
        self.texts.add(text)
        active = self.app.repository.active()
        plan = None if active is None else active.plan
        if active is None or plan is None or plan.lock_changes():
            return
        if text == plan.proposed_text != plan.base_text:
            self.cancelled.discard(active.id)

    def asked_to_cancel(self, operation: Operation, *, driven: bool) -> None:
        """Remember a cancel that was granted, when a step was left that had to hear it; else it may come too late."""
        plan = operation.plan
        later = {State.PREFLIGHT, State.ROLLING_OUT}
        if plan is not None and plan.lock_changes():
            later.add(State.ACCEPTED)
        found = self.app.store.peek()
        moved = found.current == operation.revision
        if plan is not None and not plan.lock_changes() and found.text == plan.proposed_text != plan.base_text:
            moved = True  # a text-only change whose text is written is ended
        if operation.state in later or (operation.state is not State.ROLLING_BACK and not driven and not moved):
            self.cancelled.add(operation.id)

    # --- when it is over -----------------------------------------------------------------------------------------

    def ended(self, operation: Operation) -> None:
        """Look at the world right after an accepted operation has ended."""
        if operation.plan is None or not operation.revision:  # revision 0 is the text as it was found
            return
        if operation.id in self.cancelled and operation.state is State.SUCCEEDED:
            self.broken.append("it went on although it was asked to cancel")
        if operation.state is State.SUCCEEDED:
            self._succeeded(operation, operation.plan)
            return
        desperate = operation.state is State.FAILED and self.app.faults.suffered > TRIES_OF_GOING_BACK
        if not desperate:
            self._as_before(operation, operation.plan)
        if operation.state is not State.CANCELLED and operation.problem is None:
            self.broken.append(f"{operation.state.value} without a word why")

    def _succeeded(self, operation: Operation, plan: Plan) -> None:
        snapshot = self.app.store.peek()
        if snapshot.text != plan.proposed_text and snapshot.text not in self.texts:
            self.broken.append(f"SUCCEEDED with {snapshot.text!r}")
        if snapshot.current != operation.revision:
            self.broken.append(f"SUCCEEDED, and current is {snapshot.current}")
        for component in plan.components:
            found = self.app.target.look(component, plan.lock.digest())
            if found.status is not Status.CURRENT and not self.app.target.was_stamped_by_hand(component):
                self.broken.append(f"SUCCEEDED, and {component} is {found}")

    def _as_before(self, operation: Operation, plan: Plan) -> None:
        """Require that nothing of the operation is left, but for what another hand did."""
        snapshot, target, state = self.app.store.peek(), self.app.target, operation.state.value
        if snapshot.text == plan.proposed_text != plan.base_text and snapshot.text not in self.texts:
            self.broken.append(f"{state}, and its text stays")
        if operation.revision in snapshot.locks and not (
            operation.state is State.FAILED and self.app.faults.suffered  # one that never began cannot go back
        ):
            self.broken.append(f"{state}, and its lock stays")
        if operation.revision in target.preflights:
            self.broken.append(f"{state}, and its check stays")
        for component in plan.components:
            stamp = target.running(component)[0]
            if stamp == operation.revision:
                self.broken.append(f"{state}, and {component} still carries it")
            if component not in operation.progress.started_at or target.was_stamped_by_hand(component):
                continue
            if stamp != operation.progress.stamps[component]:
                self.broken.append(f"{state}, and {component} is on {stamp}: {operation.progress.stamps}")
            found = target.look(component, None)
            if operation.state is State.ROLLED_BACK and found.status is not Status.CURRENT:
                self.broken.append(f"{state}, and {component} is {found}")

    def _tested(self, plan: Plan) -> bool:
        return not plan.lock_changes() or plan.lock.digest() in self.app.target.tested
