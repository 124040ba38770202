"""Every use case, once: permission → read → decide → save. The only door for the web and the command line.

Nothing here restarts or writes requirements: a plan and an accepted operation are rows that planner and driver act on.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from airflow_package_manager.domain import change_sets, record
from airflow_package_manager.domain.access import Permission, Principal, token_hash
from airflow_package_manager.domain.events import Kind, event
from airflow_package_manager.domain.inventory import Check
from airflow_package_manager.domain.operation import Operation, State, abandoned
from airflow_package_manager.domain.plan import ChangeSet, StoreSnapshot
from airflow_package_manager.domain.planning import require_same_image, text_difference
from airflow_package_manager.domain.policy import Policy, raise_for
from airflow_package_manager.domain.question import Question
from airflow_package_manager.errors import (
    OperationInProgress,
    StalePlan,
)
from airflow_package_manager.ports import (
    Clock,
    EventLog,
    InstalledDistributions,
    OperationRepository,
    PackageIndex,
    Remains,
    RequirementStore,
    RolloutTarget,
)
from airflow_package_manager.refusals import NoComponents
from airflow_package_manager.upkeep import Upkeep

PLANS_PER_PRINCIPAL = 1
PLANS_IN_ALL = 2


class PackageManager(Upkeep):
    """The use cases. Each takes the principal first and refuses without its permission (`Forbidden`).

    What a use case refuses is in the audit record before the error reaches the caller.
    """

    def __init__(
        self,
        *,
        store: RequirementStore,
        target: RolloutTarget,
        installed: InstalledDistributions,
        index: PackageIndex,
        repository: OperationRepository,
        events: EventLog,
        policy: Policy,
        clock: Clock,
        new_token: Callable[[], str],
        new_id: Callable[[], str],
        plan_soon: Callable[[str], None],
        drive_soon: Callable[[str], None],
        checks: Callable[[], tuple[Check, ...]],
        token_lifetime: float,
        planning_deadline: float,
        remains: Remains | None = None,
    ) -> None:
        """Take the ports and plain values.

        `new_token` returns 256 random bits as URL-safe text, `new_id` 32 hex digits. `plan_soon` and `drive_soon` hear
        the id of an operation that planner or driver should look at, and return at once. `token_lifetime` and
        `planning_deadline` are seconds; a PLANNING operation older than the latter counts as abandoned.
        """
        super().__init__(
            store=store,
            target=target,
            installed=installed,
            index=index,
            repository=repository,
            events=events,
            policy=policy,
            clock=clock,
            drive_soon=drive_soon,
            checks=checks,
            remains=remains,
        )
        self._new_token = new_token
        self._new_id = new_id
        self._plan_soon = plan_soon
        self._token_lifetime = token_lifetime
        self._planning_deadline = planning_deadline

    # --- changing ------------------------------------------------------------------------------------------------

    def plan(self, principal: Principal, change_set: ChangeSet) -> tuple[Operation, str]:
        """Save a PLANNING operation and return it with its token, which is shown this once.

        Whatever is wrong before a resolver is needed is raised now: `Malformed`, `InvalidRequirement`,
        `InvalidRequirementsFile`, `RequirementNotFound`, `AlreadyRequired`, `AmbiguousRequirement`, `PolicyViolation`,
        `NoComponents`, `ImageDiffers`, `NotFound` (revision), `TooManyPlans`, `StoreUnavailable`.
        """
        with self._recording(principal, "plan a change"):
            principal.require(Permission.PLAN)
            change_set = change_sets.accepted(change_set)
            snapshot = self._store.read()
            self._require_plannable(snapshot, change_set)
            now, token = self._clock(), self._new_token()
            operation = Operation(
                id=self._new_id(),
                state=State.PLANNING,
                owner=principal.identity,
                request=change_sets.to_json(change_set),
                summary=change_sets.summary(change_set),
                created_at=now,
                updated_at=now,
                expires_at=now + self._token_lifetime,
                token_hash=token_hash(token),
                step="waiting for the planner",
            )
            asked = event(
                Kind.PLAN_REQUESTED,
                now,
                operation,
                identity=principal.identity,
                address=principal.address,
                details={"request": record.of_request(dict(operation.request))},
                summary=operation.summary,
            )
            self._repository.add(
                operation,
                [asked],
                per_principal=PLANS_PER_PRINCIPAL,
                in_all=PLANS_IN_ALL,
                since=now - self._planning_deadline,
            )
            self._plan_soon(operation.id)
            return operation, token

    def apply(self, principal: Principal, operation_id: str, token: str, digest: str) -> Operation:
        """Accept the plan that was seen; a driver goes on with it.

        Raises `StalePlan` (with `difference`) and `OperationInProgress`, both with the token unspent, `TokenInvalid`,
        `TokenUsed`, `TokenExpired`, `IllegalTransition`, `NotFound`.
        """
        with self._recording(principal, "apply a plan", operation_id):
            principal.require(Permission.APPLY)
            operation = self._repository.get(operation_id)
            at_least = 0
            if operation.state is State.PLANNED:
                self._require_free(operation)
                at_least = self._require_fresh(operation)
            now = self._clock()
            accepted = event(
                Kind.ACCEPTED,
                now,
                operation,
                identity=principal.identity,
                address=principal.address,
                state=State.ACCEPTED,
                details={"digest": digest, **(record.of_plan(operation.plan) if operation.plan else {})},
                summary=operation.summary,
            )
            operation = self._repository.accept(
                operation_id,
                token_hash=token_hash(token),
                owner=principal.identity,
                digest=digest,
                now=now,
                at_least=at_least,
                event=accepted,
            )
            self._drive_soon(operation.id)
            return operation

    def cancel(self, principal: Principal, operation_id: str) -> Operation:
        """Drop a plan, or have a running operation rolled back; raises `IllegalTransition`, `NotFound`."""
        with self._recording(principal, "cancel an operation", operation_id):
            principal.require(Permission.APPLY)
            now = self._clock()
            asked = event(
                Kind.CANCEL_REQUESTED,
                now,
                self._repository.get(operation_id),
                identity=principal.identity,
                address=principal.address,
            )
            operation = self._repository.request_cancel(operation_id, asked)
            if abandoned(operation, now, self._planning_deadline):
                ended = dataclasses.replace(operation, state=State.CANCELLED, updated_at=now, ended_at=now)
                operation = self._repository.save(ended, [event(Kind.CANCELLED, now, ended)])
            return self._woken(operation)

    # --- how -----------------------------------------------------------------------------------------------------

    def _require_plannable(self, snapshot: StoreSnapshot, change_set: ChangeSet) -> None:
        """Raise what is known to be wrong now; the planner looks again at what it finds then."""
        restored = None if change_set.restore is None else self._repository.revision(change_set.restore)
        question = Question.of(change_set, snapshot, self._installed.image(), restored)
        raise_for(self._policy.check_request(question.file, question.file_now, question.image))
        present = self._target.components()
        if not present:
            raise NoComponents("No component of Airflow is known to run under the package manager.")
        require_same_image({name: self._target.observe(name, None) for name in present}, question.image)

    def _require_free(self, operation: Operation) -> None:
        active = self._repository.active()
        if active is not None and active.id != operation.id:
            raise OperationInProgress(
                f"{active.owner.name} is applying: {active.summary}.", operation=active.id, summary=active.summary
            )

    def _require_fresh(self, operation: Operation) -> int:
        """Raise `StalePlan` unless store and image are as planned; return the highest revision that the world knows."""
        snapshot = self._store.read()
        plan = operation.plan
        if plan is not None and snapshot.digest() != plan.base_digest:
            raise StalePlan(
                "The requirements, or the lock in use, are not the ones that the plan was made for.",
                difference=text_difference(plan.base_text, snapshot.text),
            )
        if plan is not None and plan.lock.image != self._installed.image().fingerprint():
            raise StalePlan(
                "Airflow's environment is not the one that the plan was made for: its image was upgraded, or the plan"
                " is from before a move to another version of Airflow."
            )
        stamps = [self._target.stamp(name).revision for name in self._present()]
        return max(0, *snapshot.locks, snapshot.current or 0, *(stamp or 0 for stamp in stamps))
