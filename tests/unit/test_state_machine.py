"""The headline: whatever people, store, target, database and fate do, the promises hold and every operation ends.

The number of examples comes from `STATE_MACHINE_EXAMPLES` (default 200). Up to `SAME` they are the same in every run,
which has to say whether a change is good; more of them are a hunt, new each time. Nothing sleeps: the clock is moved
by hand.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from airflow_package_manager.domain.access import Principal
from airflow_package_manager.domain.lock import parse
from airflow_package_manager.domain.operation import ACTIVE, TERMINAL, Operation, State
from airflow_package_manager.domain.plan import ChangeSet
from airflow_package_manager.driver import Driver
from airflow_package_manager.errors import (
    AdmissionRefused,
    ClusterForbidden,
    ClusterUnavailable,
    DatabaseBusy,
    PackageManagerError,
    StampConflict,
    StoreConflict,
    StoreUnavailable,
)
from airflow_package_manager.refusals import StoreTooLarge, UnsupportedWorkload
from tests.fakes.application import ADMIN, OTHER, Application, add, remove, update
from tests.fakes.faults import Killed
from tests.fakes.target import Behaviour, Preflight
from tests.unit.witness import Witness

EXAMPLES = int(os.environ.get("STATE_MACHINE_EXAMPLES", "200"))
SAME = 2_000
COMPONENTS = ("scheduler", "triggerer", "dag-processor", "api-server")
NAMES = ("humanize", "tabulate", "plugin-one")
EFFECTS = {
    "store.read": (StoreUnavailable("away"),),
    "store.write": (StoreUnavailable("away"), StoreConflict("torn"), StoreTooLarge("full")),
    "store.check_write": (ClusterUnavailable("away"), ClusterForbidden("no")),
    "target.stamp": (ClusterUnavailable("away"),),
    "target.check_restart": (ClusterUnavailable("away"), UnsupportedWorkload("odd")),
    "target.check_preflight": (ClusterUnavailable("away"), AdmissionRefused("no")),
    "target.restart": (ClusterUnavailable("away"), StampConflict("moved"), UnsupportedWorkload("odd")),
    "target.restore": (ClusterUnavailable("away"), StampConflict("moved")),
    "target.observe": (ClusterUnavailable("away"), ValueError("a bug")),
    "target.start_preflight": (ClusterUnavailable("away"),),
    "target.observe_preflight": (ClusterUnavailable("away"),),
    "target.end_preflight": (ClusterUnavailable("away"),),
    "target.by_hand": (ClusterUnavailable("away"),),
    "target.discard_stuck": (ClusterUnavailable("away"),),
    "facts.import_errors": (DatabaseBusy("busy"),),
    "facts.heartbeats": (DatabaseBusy("busy"),),
    "facts.unparsed_files": (DatabaseBusy("busy"),),
    "repository.save": (DatabaseBusy("busy"), StoreConflict("moved")),
    "repository.claim": (DatabaseBusy("busy"),),
    "repository.adopt_text": (DatabaseBusy("busy"),),
}
FAULTS = st.sampled_from([(effect, error) for effect, errors in EFFECTS.items() for error in errors])
CHANGE_SETS = st.one_of(
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=2, unique=True).map(lambda names: add(*names)),
    st.sampled_from(NAMES).map(lambda name: add(f"{name}==2.0")),
    st.sampled_from(NAMES).map(lambda name: update(f"{name}>=3.0")),
    st.sampled_from(NAMES).map(remove),
    st.sampled_from(["", "# only a word\n", "humanize\n# two\ntabulate==2.0\n"]).map(
        lambda text: ChangeSet(requirements=text)
    ),
    st.integers(0, 4).map(lambda number: ChangeSet(restore=number)),
)
EDITS = st.sampled_from(["# by hand\n", "tabulate\n", "humanize==9.0\n", ""])


class Life(RuleBasedStateMachine):
    """People, drivers and accidents around one store and four components."""

    @initialize(text=st.sampled_from(["", "# mine\n", "tabulate==1.0\n"]))
    def begin(self, text: str) -> None:
        self.app = Application(text, components=COMPONENTS)
        self.faults = self.app.faults
        self.witness = Witness(self.app)
        self.drivers = [self.driver("host:1"), self.driver("host:2")]
        self.tokens: dict[str, tuple[str, Principal]] = {}
        self.ended: set[str] = set()

    def driver(self, name: str) -> Driver:
        clock = self.app.clock
        return Driver(
            repository=self.app.repository,
            engine=self.app.engine(),
            clock=clock,
            name=name,
            sleep=lambda seconds: clock.advance(max(4.0, seconds)),
        )

    @precondition(lambda self: self.app.repository.active() is None)
    @rule(change_set=CHANGE_SETS)
    def change(self, change_set: ChangeSet) -> None:
        """The usual day: plan, and apply at once; so that most examples get far."""
        self.plan(change_set=change_set, principal=ADMIN, dies=False)
        found = self.operations()[0] if self.operations() else None
        if found is not None and found.id in self.tokens and found.state is State.PLANNED:
            self.apply_now(found.id, None)

    @precondition(lambda self: self.app.repository.active() is None)
    @rule(
        change_set=CHANGE_SETS,
        component=st.sampled_from(COMPONENTS),
        behaviour=st.sampled_from([behaviour for behaviour in Behaviour if behaviour is not Behaviour.READY]),
        dies_after=st.none() | st.integers(1, 200),
    )
    def change_that_a_component_refuses(
        self, change_set: ChangeSet, component: str, behaviour: Behaviour, dies_after: int | None
    ) -> None:
        """The usual bad day: some components restart, then one does not come back."""
        self.heal()
        self.misbehave(component=component, behaviour=behaviour)
        self.change(change_set=change_set)
        if self.app.repository.active() is not None:
            self.drive(which=0, dies_after=dies_after)

    @precondition(lambda self: self.app.repository.active() is None)
    @rule(
        change_set=CHANGE_SETS,
        when=st.sampled_from(COMPONENTS),
        component=st.sampled_from(COMPONENTS),
        dies_after=st.none() | st.integers(1, 200),
    )
    def change_while_another_hand_changes_a_template(
        self, change_set: ChangeSet, when: str, component: str, dies_after: int | None
    ) -> None:
        """A release tool runs in the middle: what it changed is not stamped any more, only restored."""
        self.heal()
        self.change(change_set=change_set)
        if self.app.repository.active() is not None:
            self.faults.meanwhile(f"target.restart:{when}", lambda: self.change_template(component))
            self.drive(which=0, dies_after=dies_after)

    # --- people --------------------------------------------------------------------------------------------------

    @rule(
        change_set=CHANGE_SETS,
        principal=st.sampled_from([ADMIN, OTHER]),
        dies=st.integers(0, 9).map(lambda number: number == 9),
    )
    def plan(self, change_set: ChangeSet, principal: Principal, *, dies: bool) -> None:
        try:
            operation, token = self.app.manager.plan(principal, change_set)
        except (PackageManagerError, ValueError):  # the second is the scripted bug
            return
        if dies:
            self.app.clock.advance(121)  # nobody ever plans it
            return
        try:
            self.app.planner.plan(operation.id)
        except PackageManagerError as error:  # the database would not even take the answer
            assert error.retryable  # noqa: PT017  the row is abandoned then
            self.app.clock.advance(121)
            return
        found = self.app.repository.get(operation.id)
        assert found.state in {State.PLANNED, State.REFUSED}
        assert (found.state is State.REFUSED) == (found.problem is not None)
        if found.state is State.PLANNED:
            self.tokens[operation.id] = (token, principal)

    @precondition(lambda self: self.tokens)
    @rule(data=st.data(), dies_after=st.none() | st.integers(1, 6))
    def apply(self, data: st.DataObject, dies_after: int | None) -> None:
        self.apply_now(data.draw(st.sampled_from(sorted(self.tokens))), dies_after)

    def apply_now(self, operation_id: str, dies_after: int | None) -> None:
        token, principal = self.tokens[operation_id]
        before = self.app.repository.get(operation_id)
        self.faults.kill_after(dies_after)
        try:
            after = self.app.manager.apply(principal, operation_id, token, before.plan_digest or "")
        except (PackageManagerError, Killed):
            after = self.app.repository.get(operation_id)
        else:
            assert before.state is State.PLANNED, "the token was used up before"
            assert after.state is State.ACCEPTED
            self.faults.suffered = 0
        finally:
            self.faults.kill_after(None)
        assert after.state is before.state or after.state is State.ACCEPTED

    @precondition(lambda self: self.tokens)
    @rule(data=st.data())
    def apply_with_what_is_not_ours(self, data: st.DataObject) -> None:
        operation_id = data.draw(st.sampled_from(sorted(self.tokens)))
        token, principal = self.tokens[operation_id]
        before = self.app.repository.get(operation_id)
        attempts = (
            (OTHER if principal is ADMIN else ADMIN, token, before.plan_digest or ""),
            (principal, token + "x", before.plan_digest or ""),
            (principal, token, "0" * 64),
        )
        for who, what, digest in attempts:
            refused = False
            try:
                self.app.manager.apply(who, operation_id, what, digest)
            except PackageManagerError:
                refused = True
            assert refused
        assert self.app.repository.get(operation_id).state is before.state

    @precondition(lambda self: self.tokens)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        self.cancel_now(data.draw(st.sampled_from(sorted(self.tokens))), driven=False)

    @precondition(lambda self: self.app.repository.active() is not None)
    @rule()
    def cancel_what_runs(self) -> None:
        self.cancel_active(driven=False)

    @rule(text=EDITS)
    def edit(self, text: str) -> None:
        self.witness.edited(text)
        self.app.store.edit(text)

    @precondition(lambda self: self.app.repository.active() is None)
    @rule(words=st.sampled_from(["# one word\n", "# another\n"]), dies_after=st.none() | st.integers(1, 40))
    def change_only_words(self, words: str, dies_after: int | None) -> None:
        """The usual edit of a comment: text, then `current`, and perhaps a death between the two."""
        text = words + "".join(line for line in self.app.store.peek().text.splitlines(keepends=True) if "#" not in line)
        self.change(change_set=ChangeSet(requirements=text))
        if self.app.repository.active() is not None:
            self.drive(which=0, dies_after=dies_after)

    @rule(component=st.sampled_from(COMPONENTS))
    def change_template(self, component: str) -> None:
        """Another hand changes what a component is started from; its stamp stays."""
        self.app.target.change_template(component)

    @rule(component=st.sampled_from(COMPONENTS), instances=st.sampled_from([0, 1, 1, 3]))
    def scale(self, component: str, instances: int) -> None:
        self.app.target.scale(component, instances)

    @rule(component=st.sampled_from(COMPONENTS))
    def stamp_by_hand(self, component: str) -> None:
        """Another hand puts a component back to what is current (never to what was not tested)."""
        self.app.target.stamp_by_hand(component, self.app.store.peek().current)

    # --- accidents -----------------------------------------------------------------------------------------------

    @rule(component=st.sampled_from(COMPONENTS), behaviour=st.sampled_from(Behaviour))
    def misbehave(self, component: str, behaviour: Behaviour) -> None:
        self.app.target.misbehave(component, behaviour)

    @rule(preflight=st.sampled_from(Preflight))
    def preflight_will(self, preflight: Preflight) -> None:
        self.app.target.preflight = preflight

    @rule(fault=FAULTS, times=st.integers(1, 8), after=st.booleans())
    def fail(self, fault: tuple[str, BaseException], times: int, *, after: bool) -> None:
        effect, error = fault
        if after:
            self.faults.lose_answer(effect, error)
        else:
            self.faults.fail(effect, error, times=times)

    @rule(
        effect=st.sampled_from(
            ["store.write", "target.restart", "target.restore", "target.observe", "repository.save"]
        ),
        what=st.sampled_from(["edit", "touch", "cancel", "stamp", "template", "sleep"]),
        component=st.sampled_from(COMPONENTS),
    )
    def meanwhile(self, effect: str, what: str, component: str) -> None:
        actions: dict[str, Callable[[], object]] = {
            "edit": lambda: self.edit("# meanwhile\n"),
            "touch": self.app.store.touch,
            "cancel": self.cancel_active,
            "stamp": lambda: self.stamp_by_hand(component),
            "template": lambda: self.change_template(component),
            "sleep": self.other_driver_goes_on,
        }
        self.faults.meanwhile(effect, actions[what])

    @rule()
    def heal(self) -> None:
        self.faults.heal()
        self.app.target.preflight = Preflight.PASSES
        for component in COMPONENTS:
            self.app.target.misbehave(component, Behaviour.READY)
            self.app.target.scale(component, 1)

    @rule(seconds=st.sampled_from([1, 16, 16, 16, 4000]))
    def time_passes(self, seconds: int) -> None:
        self.app.clock.advance(seconds)

    # --- drivers -------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.app.repository.active() is not None)
    @rule(which=st.integers(0, 1), dies_after=st.none() | st.integers(1, 200))
    def drive(self, which: int, dies_after: int | None) -> None:
        active = self.app.repository.active()
        if active is None:
            return
        self.faults.kill_after(dies_after)
        try:
            self.drivers[which].run(active.id)
        except (Killed, DatabaseBusy):
            self.app.clock.advance(1)
        finally:
            self.faults.kill_after(None)
        self.look_at_what_ended()

    def cancel_now(self, operation_id: str, *, driven: bool) -> None:
        try:
            asked = self.app.manager.cancel(ADMIN, operation_id)
        except PackageManagerError as error:
            assert error.code in {"illegal-transition", "database-busy"}  # noqa: PT017  both are answers
        else:
            self.witness.asked_to_cancel(asked, driven=driven)

    def cancel_active(self, *, driven: bool = True) -> None:
        active = self.app.repository.active()
        if active is not None:
            self.cancel_now(active.id, driven=driven)

    def other_driver_goes_on(self) -> None:
        """The acting driver sleeps past its lease; another one takes over and goes all the way."""
        active = self.app.repository.active()
        self.app.clock.advance(16)
        if active is not None:
            try:
                self.drivers[1].run(active.id)
            except DatabaseBusy:
                self.app.clock.advance(1)
            self.look_at_what_ended()

    # --- what must hold ------------------------------------------------------------------------------------------

    def operations(self) -> tuple[Operation, ...]:
        return self.app.repository.history(limit=1000)[0]

    def look_at_what_ended(self) -> None:
        for operation in self.operations():
            if operation.state in TERMINAL and operation.id not in self.ended:
                self.ended.add(operation.id)
                self.witness.ended(operation)
                event(f"ended {operation.state.value}")

    @invariant()
    def no_promise_was_broken(self) -> None:
        assert self.witness.broken == []

    @invariant()
    def previous_stamps_are_saved_with_the_state(self) -> None:
        for operation in self.operations():
            if operation.state in {State.ROLLING_OUT, State.VERIFYING} and operation.plan:
                assert operation.progress.stamps.keys() == set(operation.plan.components)

    @invariant()
    def at_most_one_is_active(self) -> None:
        assert sum(operation.state in ACTIVE for operation in self.operations()) <= 1

    @invariant()
    def the_store_holds_base_target_or_somebody_elses_text(self) -> None:
        accepted = [operation.plan for operation in self.operations() if operation.plan and operation.revision]
        known = self.witness.texts | {plan.base_text for plan in accepted} | {plan.proposed_text for plan in accepted}
        assert self.app.store.peek().text in known

    @invariant()
    def no_instance_runs_what_was_not_tested(self) -> None:
        succeeded = [operation.plan for operation in self.operations() if operation.state is State.SUCCEEDED]
        tested = self.app.target.tested | {plan.lock.digest() for plan in succeeded if plan}
        for component in COMPONENTS:
            digest = self.app.target.running(component)[1]
            assert digest is None or digest in tested

    @invariant()
    def the_lock_of_every_stamp_is_there(self) -> None:
        snapshot = self.app.store.peek()
        for component in COMPONENTS:
            stamp = self.app.target.running(component)[0]
            assert stamp is None or parse(snapshot.locks[stamp]).revision == stamp
        assert snapshot.current is None or snapshot.current in snapshot.locks

    def teardown(self) -> None:
        if not hasattr(self, "app"):
            return
        self.no_promise_was_broken()
        self.heal()
        for _ in range(3):
            active = self.app.repository.active()
            if active is None:
                break
            self.app.clock.advance(16)
            self.drivers[0].run(active.id)
            self.look_at_what_ended()
        assert self.app.repository.active() is None
        self.at_most_one_is_active()
        self.no_promise_was_broken()


TestLife = Life.TestCase
TestLife.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=40,
    derandomize=EXAMPLES <= SAME,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
