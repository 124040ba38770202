"""Components as workloads of one namespace: stamps in their pod templates, verdicts from their pods."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence

from airflow_package_manager.adapters.kubernetes import (
    permissions,
    pod_template,
    preflight_job,
    preflight_verdict,
    stamping,
    status,
)
from airflow_package_manager.adapters.kubernetes.api import Api
from airflow_package_manager.adapters.kubernetes.failures import Absent, AlreadyThere, Conflict, Gone, Invalid
from airflow_package_manager.adapters.kubernetes.kinds import JOB, POD, STATEFUL_SET, Object
from airflow_package_manager.adapters.kubernetes.mirror import Rhythm
from airflow_package_manager.adapters.kubernetes.pods import Limits, Wanted
from airflow_package_manager.adapters.kubernetes.preflight_job import Options
from airflow_package_manager.adapters.kubernetes.sightings import Sightings
from airflow_package_manager.adapters.kubernetes.stamping import Workload
from airflow_package_manager.adapters.kubernetes.workloads import Reference
from airflow_package_manager.domain import lock as locks
from airflow_package_manager.domain.plan import StoreSnapshot
from airflow_package_manager.domain.rollout import ComponentStatus, PreflightStatus, Stamp, Status
from airflow_package_manager.errors import ClusterUnavailable, PackageManagerError, StampConflict
from airflow_package_manager.refusals import NoComponents, UnsupportedWorkload

_LARGEST_STAMP = 999_999_999
_NO_LIMITS = Limits()
_USUAL_OPTIONS = Options()
_USUAL_RHYTHM = Rhythm()


class KubernetesRollout:
    """Implements `ports.RolloutTarget`.

    Beside the port's errors it raises `ClusterUnavailable`, `ClusterForbidden` and `AdmissionRefused`.
    """

    def __init__(
        self,
        api: Api,
        *,
        namespace: str,
        references: Mapping[str, Reference],
        snapshot: Callable[[], StoreSnapshot],
        clock: Callable[[], float],
        named: Sequence[str] = (),
        limits: Limits = _NO_LIMITS,
        preflight: Options = _USUAL_OPTIONS,
        rhythm: Rhythm = _USUAL_RHYTHM,
    ) -> None:
        """Take where the components are, what the settings name (none: all that are there), and times in seconds.

        `snapshot` reads the store: a stamp means the lock of its revision there.
        """
        self._api = api
        self._namespace = namespace
        self._snapshot = snapshot
        self._clock = clock
        self._limits = limits
        self._preflight = preflight
        self._order = tuple(named) or tuple(references)
        self._certain = rhythm.certain
        self._sightings = Sightings(
            api, namespace=namespace, references=references, named=tuple(named), clock=clock, rhythm=rhythm
        )

    def components(self) -> tuple[str, ...]:
        """Return the named components, or all whose workload is there."""
        with _translated():
            return self._sightings.components()

    def workload(self, component: str) -> Workload:
        """Return what runs a component, for who checks it."""
        with _translated():
            return self._sightings.workload(component)

    def pods(self, component: str) -> tuple[Object, ...]:
        """Return a component's own pods, trimmed, for who checks them."""
        with _translated():
            return self._sightings.sight(component)[0].own

    def stamp(self, component: str) -> Stamp:
        """Return the revision in the component's pod template."""
        with _translated():
            return self._sightings.workload(component).stamp()

    def check_restart(self, component: str) -> None:
        """Try the stamp as a dry run, which admission sees too, then ask for all else that a rollback may need."""
        with _translated():
            workload = self._sightings.workload(component)
            stamping.require_supported(workload)
            revision = min((workload.stamp().revision or 0) + 1, _LARGEST_STAMP)
            self._patch(component, workload, revision, dry_run=True)
            permissions.require(self._api, self._namespace, permissions.of_target({workload.kind: (workload.name,)}))

    def restart(self, component: str, revision: int, expected: str) -> None:
        """Stamp the component's pod template with the revision."""
        with _translated():
            workload = self._sightings.workload(component)
            stamping.require_supported(workload)
            self._set_stamp(component, workload, revision, expected)

    def restore(self, component: str, stamp: int | None, expected: str) -> None:
        """Give the pod template its previous stamp: it then equals the previous one, and its pods are kept."""
        with _translated():
            self._set_stamp(component, self._sightings.workload(component), stamp, expected)

    def by_hand(self, component: str, stamp: int | None) -> str:
        """Return the `kubectl` command, with the pods that stand in its way now."""
        with _translated():
            workload = self._sightings.workload(component)
            stuck: list[str] = []
            if workload.kind == STATEFUL_SET:
                seen, _ = self._sightings.sight(component)
                told = stamping.stamp_of(workload.template) == stamp
                found = status.stuck(seen) if told else status.stuck_once_restored(seen)
                stuck = [str(pod["metadata"]["name"]) for pod in found]
            return stamping.by_hand(workload, self._namespace, stamp, stuck)

    def observe(self, component: str, wanted: str | None) -> ComponentStatus:
        """Return how the component's pods stand."""
        with _translated():
            found, age = self._judged(component, wanted)
            if wanted is not None and found.status is Status.CURRENT and age > self._certain:
                found, _ = self._judged(component, wanted, certain=True)  # a rollout goes on by it
            return found

    def discard_stuck(self, component: str) -> None:
        """Delete one pod of the failed revision that nothing replaces by itself; it may heal or vanish meanwhile."""
        with _translated():
            workload = self._sightings.workload(component)
            if workload.kind != STATEFUL_SET:
                return
            found = self._sightings.pods_of(workload.selector)
            for pod in status.stuck(status.sight_of_stateful_set(workload, found))[:1]:
                metadata = pod["metadata"]
                with contextlib.suppress(Conflict):  # another pod of this name is there already
                    self._api.delete(POD, self._namespace, str(metadata["name"]), uid=str(metadata["uid"]))

    def check_preflight(self) -> None:
        """Try to create a Job as a dry run, which admission sees too: of a revision that nobody has."""
        self._create_preflight(_LARGEST_STAMP, (), dry_run=True)

    def start_preflight(self, revision: int, directs: Sequence[str]) -> None:
        """Create the Job; one that is there already is the same one."""
        self._create_preflight(revision, directs)

    def observe_preflight(self, revision: int) -> PreflightStatus:
        """Return how the Job's check stands."""
        with _translated():
            # Pods first: a Job that is over its deadline says so before its pod is told to stop.
            found = self._sightings.pods_of(preflight_job.pod_selector(revision))
            try:
                job = self._api.get(JOB, self._namespace, preflight_job.name(revision))
            except Absent:
                return preflight_verdict.NOT_FOUND
            refusal = None if found else self._sightings.refusal(str(job["metadata"]["uid"]))
            return preflight_verdict.verdict(
                job,
                found,
                installer=self._preflight.installer,
                now=self._clock(),
                limits=self._limits,
                refusal=refusal,
            )

    def end_preflight(self, revision: int) -> None:
        """Delete the Job and, by its controller, its pod."""
        with _translated():
            self._api.delete(JOB, self._namespace, preflight_job.name(revision), propagation="Background")

    def close(self) -> None:
        """Let the watches end."""
        self._sightings.close()

    def _judged(self, component: str, wanted: str | None, *, certain: bool = False) -> tuple[ComponentStatus, float]:
        """Return how the pods stand, and the age in seconds of what is known of them."""
        seen, age = self._sightings.sight(component, certain=certain)
        workload, now = seen.workload, self._clock()
        installer = self._preflight.installer
        against = Wanted(
            digest=wanted if wanted is not None else self._digest(stamping.stamp_of(workload.template)),
            main=workload.main,
            installer=installer if workload.has_container(installer) else None,
            now=now,
            limits=self._limits,
            unused=pod_template.unused(workload, installer),
        )
        return status.component_status(component, seen, against, now - age), age

    def _set_stamp(self, component: str, workload: Workload, revision: int | None, expected: str) -> None:
        found = workload.stamp()
        if found.version != expected:
            raise _restamped(component)
        if found.revision != revision:
            self._patch(component, workload, revision)

    def _patch(self, component: str, workload: Workload, revision: int | None, *, dry_run: bool = False) -> None:
        patch = stamping.stamp_patch(workload, revision)
        try:
            self._api.patch(workload.kind, self._namespace, workload.name, patch, dry_run=dry_run)
        except Conflict as error:
            raise _restamped(component) from error
        except Invalid as error:
            after = self._sightings.workload(component)
            if after.version == workload.version:
                raise UnsupportedWorkload(
                    f"The API server does not take a stamp of {workload.kind.name} {workload.name}: {error}",
                    next_action="Correct the workload; 'kubectl describe' shows it.",
                    workload=workload.name,
                ) from error
            if dry_run or after.stamp().revision != revision:  # else an answer was lost, and this is our own stamp
                raise _restamped(component) from error

    def _create_preflight(self, revision: int, directs: Sequence[str], *, dry_run: bool = False) -> None:
        with _translated():
            model = self._model()
            job = preflight_job.make(model, revision, directs, self._preflight)
            try:
                self._api.create(JOB, self._namespace, job, dry_run=dry_run)
            except AlreadyThere:
                return
            except Invalid as error:
                raise UnsupportedWorkload(
                    f"No check can be made from the pod template of {model.name}: {error}",
                    next_action="Correct the template, or let another component be the model of the check.",
                ) from error

    def _model(self) -> Workload:
        """Return the workload whose template the check is made from."""
        there = self._sightings.components()
        names = [name for name in (self._preflight.component, *self._order) if name in there]
        if not names:
            raise NoComponents(f"There is no component in namespace {self._namespace} to make a check from.")
        return self._sightings.workload(names[0])

    def _digest(self, stamp: int | None) -> str | None:
        """Return the digest of the lock that a stamp means, None where nobody can tell."""
        text = None if stamp is None else self._snapshot().locks.get(stamp)
        try:
            return None if text is None else locks.parse(text).digest()
        except locks.InvalidLock:
            return None


def _restamped(component: str) -> StampConflict:
    return StampConflict(f"{component} was changed by somebody else meanwhile.", component=component)


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Let nothing out that is not a member of `errors`."""
    try:
        yield
    except PackageManagerError:
        raise
    except Absent as error:
        raise NoComponents(f"It is not there any more: {error}") from error
    except (Gone, Conflict, AlreadyThere, Invalid) as error:
        raise ClusterUnavailable(f"The API server's answer does not fit: {error}.") from error
