"""What happens to a plan after its row is saved: resolve → policy → diff → PLANNED, or REFUSED with the problem.

Runs beside the request, in any thread; reads the world, writes nothing but the operation's row. Every way it can end
is a state: nothing is raised for a refusal, and what nobody expected is REFUSED under a correlation id.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence

from airflow_package_manager import unexpected
from airflow_package_manager.domain import change_sets, explain, planning
from airflow_package_manager.domain.durations import usual_seconds
from airflow_package_manager.domain.events import Kind, event
from airflow_package_manager.domain.executors import on_tasks
from airflow_package_manager.domain.operation import Event, Operation, State
from airflow_package_manager.domain.plan import Plan, PlanWarning
from airflow_package_manager.domain.policy import Policy, raise_for
from airflow_package_manager.domain.question import Question
from airflow_package_manager.domain.resolution import Cause, Resolution
from airflow_package_manager.errors import (
    DatabaseBusy,
    PackageManagerError,
    PlanAbandoned,
    ResolverTimeout,
    StoreConflict,
)
from airflow_package_manager.planning_rules import PlanningRules
from airflow_package_manager.ports import (
    AirflowFacts,
    Clock,
    InstalledDistributions,
    OperationRepository,
    PackageIndex,
    RequirementStore,
    Resolver,
    RolloutTarget,
)
from airflow_package_manager.refusals import ResolutionImpossible

_log = logging.getLogger(__name__)


Ended = tuple[Operation, tuple[Event, ...]]
"""What to save: the row, and what happened."""

_PAST = 20
"""Operations to learn from how long one takes."""
_WAITS = (0.1, 1.0, 2.0, 4.0)
"""Seconds before each further try to save a row that others change too."""
_RESOLVED_ANEW = PlanWarning(
    "restored-resolved-anew",
    "Airflow's environment is not the one of that revision any more, so its versions were worked out anew.",
)


class Planner:
    """Ends PLANNING operations."""

    def __init__(
        self,
        *,
        store: RequirementStore,
        target: RolloutTarget,
        installed: InstalledDistributions,
        index: PackageIndex,
        resolver: Resolver,
        repository: OperationRepository,
        facts: AirflowFacts,
        policy: Policy,
        clock: Clock,
        rules: PlanningRules,
        sleep: Callable[[float], object],
    ) -> None:
        """Take the ports and plain values; `sleep` (seconds) waits between two tries of saving."""
        self._store = store
        self._target = target
        self._installed = installed
        self._index = index
        self._resolver = resolver
        self._repository = repository
        self._facts = facts
        self._policy = policy
        self._clock = clock
        self._rules = rules
        self._sleep = sleep

    def plan(self, operation_id: str) -> None:
        """Go on with a PLANNING operation until it is PLANNED, REFUSED or CANCELLED; others are left alone."""
        operation = self._repository.get(operation_id)
        if operation.state is not State.PLANNING:
            return
        try:
            plan = self._make(operation)
        except PackageManagerError as error:
            self._refuse(operation_id, error)
        except Exception as error:  # noqa: BLE001  the last resort of a thread: it becomes a state and a log entry
            self._refuse(operation_id, unexpected.as_ours(error, f"Planning of operation {operation_id}", _log))
        else:
            self._ready(operation_id, plan)

    # --- the plan ------------------------------------------------------------------------------------------------

    def _make(self, operation: Operation) -> Plan:
        step = self._stepper(operation.id)
        step("reading what is there")
        question = self._question(operation)
        resolution = question.stored_resolution(self._installed.site)
        anew = resolution is None and question.restored is not None
        if resolution is None:
            resolution = self._resolve(operation, question, step)
        step("comparing with the rules")
        raise_for(self._policy.check_closure(resolution.lock, question.image, question.snapshot.usable_lock()))
        step("looking at the components")
        if not self._wanted(operation):
            raise PlanAbandoned("The plan was not wanted any more.")
        return self._compose(question, resolution, (_RESOLVED_ANEW,) if anew else ())

    def _question(self, operation: Operation) -> Question:
        change_set = change_sets.from_json(operation.request)
        restored = None if change_set.restore is None else self._repository.revision(change_set.restore)
        question = Question.of(change_set, self._store.read(), self._installed.image(), restored)
        raise_for(self._policy.check_request(question.file, question.file_now, question.image))
        return question

    def _resolve(self, operation: Operation, question: Question, step: Callable[[str], None]) -> Resolution:
        request = question.for_the_resolver(self._policy.protected_in(question.image))
        step("looking for contradictions")
        causes = explain.explain(request, self._releases)
        if causes:
            raise ResolutionImpossible(_first(_as_data(causes)), causes=_as_data(causes))
        try:
            return self._resolver.resolve(request, step, lambda: not self._wanted(operation))
        except ResolutionImpossible as error:
            own = explain.explain(request, self._releases, movable=True)
            known = error.context.get("causes")
            error.context["causes"] = all_causes = [*(known if isinstance(known, list) else ()), *_as_data(own)]
            if all_causes:
                error.detail = _first(all_causes)
            raise

    def _compose(self, question: Question, resolution: Resolution, warnings: tuple[PlanWarning, ...]) -> Plan:
        plan = planning.make_plan(
            planning.PlanInputs(
                snapshot=question.snapshot,
                proposed_text=question.proposed,
                change_set=question.change_set,
                resolution=resolution,
                image=question.image,
                current_lock=question.snapshot.usable_lock(),
                policy=self._policy,
                statuses={name: self._target.observe(name, None) for name in self._target.components()},
                configured_components=self._rules.configured_components,
                order=self._rules.order,
                current_entry_points=self._current_entry_points(question),
                running_tasks=self._running_tasks(),
                seconds_once=self._rules.seconds_once,
                seconds_per_component=self._rules.seconds_per_component,
                seconds_per_instance=self._rules.seconds_per_instance,
                further_warnings=warnings,
            )
        )
        for component in plan.components:
            self._target.check_restart(component)  # what cannot be restarted is refused now, and not once accepted
        if plan.lock_changes():
            self._target.check_preflight()
        return dataclasses.replace(
            plan,
            usual_seconds=self._usual_seconds(len(plan.components)),
            tasks=on_tasks(self._rules.executors, plan.components, self._rules.scheduler_stop),
        )

    def _usual_seconds(self, components: int) -> int | None:
        try:
            return usual_seconds(self._repository.history(limit=_PAST, state=State.SUCCEEDED)[0], components)
        except PackageManagerError as error:
            _log.warning("How long a change usually takes is not known: %s", error.detail)
            return None

    def _current_entry_points(self, question: Question) -> dict[str, tuple[str, ...] | None]:
        lock = question.snapshot.usable_lock()
        site = {} if lock is None else self._installed.site(lock.digest())
        return {name: found.entry_points for name, found in site.items()}

    def _running_tasks(self) -> int | None:
        try:
            return self._facts.running_tasks()
        except PackageManagerError as error:
            _log.warning("The number of running tasks is not known: %s", error.detail)
            return None

    def _releases(self, name: str) -> tuple[str, ...]:
        """Return a project's versions for an explanation; an index that does not answer explains nothing more."""
        try:
            return tuple(found.version for found in self._index.project(name).releases if found.yanked is None)
        except PackageManagerError as error:
            _log.info("No versions of %s to suggest: %s", name, error.detail)
            return ()

    # --- the row -------------------------------------------------------------------------------------------------

    def _stepper(self, operation_id: str) -> Callable[[str], None]:
        def step(text: str) -> None:
            self._save(operation_id, State.PLANNING, lambda found: (dataclasses.replace(found, step=text), ()))

        return step

    def _wanted(self, operation: Operation) -> bool:
        """Tell whether the plan is still to be made: nobody cancelled it and its time is not over."""
        found = self._repository.get(operation.id)
        if found.state is not State.PLANNING or found.cancel_requested:
            return False
        return self._clock() < operation.created_at + self._rules.deadline

    def _refuse(self, operation_id: str, error: PackageManagerError) -> None:
        def refused(found: Operation) -> Ended:
            why = error
            if isinstance(error, PlanAbandoned) and self._clock() >= found.created_at + self._rules.deadline:
                why = ResolverTimeout("The plan took longer than it may.")
            now = self._clock()
            ended = dataclasses.replace(
                found, state=State.REFUSED, problem=why.as_problem(), step="", updated_at=now, ended_at=now
            )
            happened = event(
                Kind.PLAN_REFUSED, now, ended, identity=found.owner, details={"code": why.code}, detail=why.detail
            )
            return ended, (happened,)

        self._end(operation_id, refused)

    def _ready(self, operation_id: str, plan: Plan) -> None:
        def ready(found: Operation) -> Ended:
            now = self._clock()
            ended = dataclasses.replace(
                found, state=State.PLANNED, plan=plan, plan_digest=plan.digest(), step="", updated_at=now
            )
            happened = event(
                Kind.PLAN_READY,
                now,
                ended,
                identity=found.owner,
                details={"digest": ended.plan_digest},
                packages=len(plan.package_changes),
                components=len(plan.components),
            )
            return ended, (happened,)

        self._end(operation_id, ready)

    def _end(self, operation_id: str, end: Callable[[Operation], Ended]) -> None:
        """End it; a cancel that was granted before, or in the very moment of saving, has the last word."""
        saved = self._save(
            operation_id, State.PLANNING, lambda found: self._cancelled(found) if found.cancel_requested else end(found)
        )
        if saved.state is State.PLANNED and saved.cancel_requested:
            self._save(operation_id, State.PLANNED, self._cancelled)

    def _cancelled(self, found: Operation) -> Ended:
        now = self._clock()
        ended = dataclasses.replace(found, state=State.CANCELLED, step="", updated_at=now, ended_at=now)
        return ended, (event(Kind.CANCELLED, now, ended, identity=found.owner),)

    def _save(self, operation_id: str, state: State, change: Callable[[Operation], Ended]) -> Operation:
        """Save a change of a row that is in `state`; when somebody moved it on meanwhile, that stays.

        Tried again a few times: a plan that took a minute is not lost because a database was busy for a second.
        """
        for wait in (*_WAITS, None):
            try:
                found = self._repository.get(operation_id)
                if found.state is not state:
                    return found
                return self._repository.save(*change(found))
            except (StoreConflict, DatabaseBusy):
                if wait is None:
                    raise
                self._sleep(wait)
        raise AssertionError("the last try returns or raises")


def _as_data(causes: tuple[Cause, ...]) -> list[dict[str, object]]:
    return [{**dataclasses.asdict(cause), "fits": list(cause.fits)} for cause in causes]


def _first(causes: Sequence[Mapping[str, object]]) -> str:
    more = f" (and {len(causes) - 1} more)" if len(causes) > 1 else ""
    return f"{causes[0]['message']}{more}"
