"""What may happen to an operation on a cluster, as data: kind and policy of the worker, failure, moment, verdict.

Three components are restarted in this order: scheduler, worker, triggerer. Each scenario says what its worker is and
does (or another component), who acts at which moment, and how it must end. Revision 2 updates revision 1, unless there
was nothing before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_package_manager.domain.operation import State
from tests.cluster import hands, webhooks
from tests.cluster.hands import Hand
from tests.cluster.preparing import TEXT_MAP, Base
from tests.cluster.trial import Works
from tests.cluster.workloads import SITE

BASE, TARGET = "base", "target"
WORKER, TRIGGERER, SCHEDULER = "worker", "triggerer", "scheduler"
STAMPED = "after patch statefulsets/worker"
"""Right after the worker was told to restart."""
STAMPED_DEPLOYMENT = "after patch deployments/worker"


@dataclass(frozen=True)
class Scenario:
    """One row; what is not said is the ordinary."""

    name: str
    worker: Works
    state: State = State.SUCCEEDED
    code: str | None = None
    """Of the problem; None without one."""
    says: str = ""
    """Words in the problem."""
    base: Base = Base.INSTALLED
    others: Mapping[str, Works] = field(default_factory=dict)
    """Instead of the ordinary scheduler or triggerer."""
    first: Hand | None = None
    """Acts after the plan was accepted, before anybody drives."""
    hands: Mapping[str, Hand] = field(default_factory=dict)
    """Moment on the line to the API server → who acts then, once."""
    line: str = ""
    """``conflicts``: every change is refused once by a conflict. ``cuts``: the connection breaks again and again.
    ``short-lived``: our own account, by a token that ends."""
    stamps: Mapping[str, int | None] = field(default_factory=dict)
    """Of components whose stamp in the end is not that of the verdict; absent workloads are left out of it."""
    gone: tuple[str, ...] = ()
    """Components without a workload in the end."""
    text: str | None = BASE
    """BASE, TARGET, the text itself, or None for no ConfigMap; a success has TARGET."""
    locks: frozenset[str] | None = frozenset({BASE})
    """Keys in the end: BASE or TARGET for what that means; None for no ConfigMap."""
    keeps: tuple[str, ...] = ()
    """Pods, or components with all their pods, that must keep their uid."""
    seen: tuple[str, ...] = ()
    """What hands tell."""
    verified: Mapping[str, str] = field(default_factory=dict)
    """Component → words of its event."""
    settles: bool = True
    """In the end every workload has its pods."""
    hasty: bool = False
    """It waits for a time-out, which is a short one here: all others are patient with a busy machine."""
    soak: int = 1
    """Seconds that pods must stay ready; more where they crash soon after, which a busy fake node plays late."""
    alone: bool = False
    """It disturbs whatever runs at the same time."""


def _deployment(outcome: str = "instant", replicas: int = 2, strategy: Any = None, **more: Any) -> Works:  # noqa: ANN401 - as Works takes them
    spec = {**more.pop("spec", {}), **({} if strategy is None else {"strategy": strategy})}
    return Works("Deployment", replicas, outcome, spec=spec, **_quick(more))


def _stateful(outcome: str = "instant", replicas: int = 2, policy: str = "OrderedReady", **more: Any) -> Works:  # noqa: ANN401 - as Works takes them
    return Works("StatefulSet", replicas, outcome, spec={"podManagementPolicy": policy}, **_quick(more))


def _quick(more: dict[str, Any]) -> dict[str, Any]:
    return {"pod": {"terminationGracePeriodSeconds": 1}, "words": {"back_off": "60"}, **more}


SURGE = {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
ONE_LESS = {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}
RECREATE = {"type": "Recreate"}
NO_WHEEL = "no such wheel any more"
AT_ONCE = {"crash_after": "200ms"}


def _back(name: str, worker: Works, code: str = "component-failed", says: str = "", **more: Any) -> Scenario:  # noqa: ANN401 - as Scenario takes them
    """Return a scenario that is rolled back; the triggerer was never touched."""
    keeps = more.pop("keeps", (TRIGGERER,))
    return Scenario(name, worker, State.ROLLED_BACK, code, says, keeps=keeps, **more)


def _failed(name: str, worker: Works, code: str, says: str = "", **more: Any) -> Scenario:  # noqa: ANN401 - as Scenario takes them
    return Scenario(name, worker, State.FAILED, code, says, **more)


GOOD = (
    Scenario("deployment, surge", _deployment(strategy=SURGE)),
    Scenario("deployment, one less", _deployment(strategy=ONE_LESS)),
    Scenario("deployment, recreated", _deployment(strategy=RECREATE)),
    Scenario("deployment, one replica, slow", _deployment("slow", 1)),
    Scenario(
        "deployment that its controller calls late",
        _deployment("slow", 1, spec={"progressDeadlineSeconds": 1}),
        hands={STAMPED_DEPLOYMENT: hands.sees_the_deadline_pass},
        seen=("ProgressDeadlineExceeded",),
    ),
    Scenario("deployment whose old pods never go", _deployment(was="stuck-terminating"), keeps=(), settles=False),
    Scenario("deployment whose old pods drain", _deployment(before={"drain": "6s"})),
    Scenario("stateful set, ordered", _stateful(replicas=3)),
    Scenario("stateful set, parallel", _stateful(replicas=3, policy="Parallel")),
    Scenario("stateful set, one replica", _stateful(replicas=1)),
    Scenario("no replica", _stateful(replicas=0), verified={WORKER: "no replica is wanted"}),
    Scenario("the first operation ever", _stateful(), base=Base.NOTHING),
    Scenario("a text that people wrote", _deployment(), base=Base.WRITTEN),
    Scenario(
        "a container with another image than its installer's",
        _deployment(pod={"containers": [{"name": "main", "image": "airflow:other", "env": SITE}]}),
        verified={WORKER: "another image"},
    ),
    Scenario("scaled up in the middle", _stateful(), hands={STAMPED: hands.scales_up}),
    Scenario(
        "scaled to zero in the middle",
        _deployment("slow"),
        hands={STAMPED_DEPLOYMENT: hands.scales_to_zero},
        verified={WORKER: "no replica is wanted"},
    ),
    Scenario("a conflict at each write", _stateful(), line="conflicts"),
    Scenario("looks and watches are cut again and again", _stateful(), line="cuts"),
    Scenario(
        "the token ends in the middle",
        _stateful(),
        line="short-lived",
        hands={STAMPED: hands.ends_our_token},
        seen=("the token ended",),
    ),
    Scenario(
        "the API server restarts in the middle",
        _stateful("slow"),
        hands={STAMPED: hands.restarts_the_api_server},
        alone=True,
    ),
)

BROKEN = (
    _back("ordered, install fails", _stateful("fail-install"), says=NO_WHEEL, keeps=("worker-0", TRIGGERER)),
    _back("ordered, three replicas", _stateful("fail-install", 3), keeps=("worker-0", "worker-1", TRIGGERER)),
    _back("ordered, one replica", _stateful("fail-install", 1)),
    _back(
        "ordered, crash at start", _stateful("crash-at-start"), says="ImportError: nope", keeps=("worker-0", TRIGGERER)
    ),
    _back(
        "ordered, crash after ready", _stateful("crash-after-ready", words=AT_ONCE), says="ImportError: nope", soak=8
    ),
    _back("ordered, no image", _stateful("image-pull"), "infrastructure", keeps=("worker-0", TRIGGERER)),
    _back("ordered, no configuration", _stateful("config-error"), "infrastructure", keeps=("worker-0", TRIGGERER)),
    _back(
        "ordered, never ready",
        _stateful("never-ready"),
        "component-timeout",
        keeps=("worker-0", TRIGGERER),
        hasty=True,
    ),
    _back(
        "ordered, install hangs",
        _stateful("hangs"),
        "component-timeout",
        keeps=("worker-0", TRIGGERER),
        hasty=True,
    ),
    _back("ordered, only the last pod fails", _stateful("fail-install", only="worker-0"), says=NO_WHEEL),
    _back("parallel, install fails", _stateful("fail-install", policy="Parallel"), keeps=("worker-0", TRIGGERER)),
    _back("parallel, crash at start", _stateful("crash-at-start", 3, "Parallel"), keeps=("worker-0", TRIGGERER)),
    _back("surge, install fails", _deployment("fail-install", strategy=SURGE), keeps=(WORKER, TRIGGERER)),
    _back("surge, crash at start", _deployment("crash-at-start", strategy=SURGE), keeps=(WORKER, TRIGGERER)),
    _back(
        "surge, crash after ready",
        _deployment("crash-after-ready", 1, SURGE, words=AT_ONCE),
        says="ImportError: nope",
        soak=8,
    ),
    _back("surge, no image", _deployment("image-pull", strategy=SURGE), "infrastructure", keeps=(WORKER, TRIGGERER)),
    _back("one less, install fails", _deployment("fail-install", strategy=ONE_LESS)),
    _back("recreated, install fails", _deployment("fail-install", strategy=RECREATE)),
    _back(
        "the first operation ever, ordered", _stateful("fail-install"), base=Base.NOTHING, keeps=("worker-0", TRIGGERER)
    ),
    _back(
        "the first operation ever, surge",
        _deployment("fail-install", strategy=SURGE),
        base=Base.NOTHING,
        keeps=(WORKER, TRIGGERER),
    ),
    _back("a text that people wrote comes back", _stateful("fail-install"), base=Base.WRITTEN),
    _back(
        "another lock than the wanted one",
        _stateful(words={"report": '{"v":1,"outcome":"installed","revision":2,"lock_digest":"' + "0" * 64 + '"}'}),
        says="not on the wanted lock",
    ),
    _back(
        "the first component fails",
        _stateful(),
        says=NO_WHEEL,
        others={SCHEDULER: Works(outcome="fail-install")},
        keeps=(SCHEDULER, WORKER, TRIGGERER),
    ),
    _back(
        "the last component fails",
        _deployment(),
        says=NO_WHEEL,
        others={TRIGGERER: _stateful("fail-install")},
        keeps=("triggerer-0",),
    ),
    _back("heals while it is rescued", _stateful("heals", words={"back_off": "1"}), keeps=("worker-0", TRIGGERER)),
    _back(
        "vanishes while it is rescued",
        _stateful("fail-install"),
        hands={"before delete pods/worker-1": hands.removes_the_stuck_pod},
        keeps=("worker-0", TRIGGERER),
    ),
    # The API server fills in `partition: 0`, by which the controller makes every new pod from the new template.
    _back(
        "a pod of a stateful set killed by hand in the middle",
        _stateful("fail-install"),
        hands={STAMPED: hands.kills_a_pod_that_waits},
        keeps=(TRIGGERER,),
        seen=("worker-0 came back on 2",),
    ),
    _back(
        "a conflict at each write, and back", _stateful("fail-install"), line="conflicts", keeps=("worker-0", TRIGGERER)
    ),
    _back("cut again and again, and back", _stateful("fail-install"), line="cuts", keeps=("worker-0", TRIGGERER)),
    _failed(
        "stateful set whose old pods never go",
        _stateful(was="stuck-terminating"),
        "rollback-incomplete",
        "kubectl",
        keeps=("worker-0", TRIGGERER),
        settles=False,
        hasty=True,
    ),
)

_ALL = (SCHEDULER, WORKER, TRIGGERER)
CHECKS = (
    _back(
        "the check fails",
        _stateful(),
        "preflight-failed",
        others={SCHEDULER: Works(preflight="fail-check")},
        keeps=_ALL,
    ),
    _back(
        "the check's installation fails",
        _stateful(),
        "preflight-failed",
        NO_WHEEL,
        others={SCHEDULER: Works(outcome="fail-install", preflight="fail-install")},
        keeps=_ALL,
    ),
    _back(
        "no image for the check",
        _stateful(),
        "infrastructure",
        others={SCHEDULER: Works(preflight="image-pull")},
        keeps=_ALL,
    ),
    _back(
        "no room for the check",
        _stateful(),
        "infrastructure",
        "quota",
        first=hands.sets_a_quota,
        keeps=_ALL,
        hasty=True,
    ),
)

OTHERS = (
    _failed(
        "edited before anything",
        _stateful(),
        "stale-plan",
        "# theirs",
        text="# theirs\n",
        first=hands.edits_the_text,
        keeps=_ALL,
    ),
    _failed(
        "forbidden by a policy",
        _stateful(),
        "admission-refused",
        "no restarts today",
        first=hands.forbids_stamps,
        keeps=_ALL,
    ),
    _failed(
        "the check forbidden by a policy",
        _stateful(),
        "admission-refused",
        "no Jobs today",
        first=hands.forbids_checks,
        keeps=_ALL,
    ),
    _back(
        "forbidden by a policy in the middle",
        _stateful(),
        "admission-refused",
        "no restarts today",
        hands={"before patch statefulsets/worker": hands.forbids_stamps},
        keeps=(WORKER, TRIGGERER),
    ),
    _back(
        "forbidden by a webhook in the middle",
        _stateful(),
        "admission-refused",
        webhooks.SAID,
        hands={"before patch statefulsets/worker": webhooks.denies},
        keeps=(WORKER, TRIGGERER),
    ),
    _back(
        "a webhook that cannot be asked any more",
        _stateful(),
        "cluster-unavailable",
        webhooks.NAME,
        hands={"before patch statefulsets/worker": webhooks.cannot_be_asked},
        keeps=(WORKER, TRIGGERER),
    ),
    _failed(
        "text edited in the middle",
        _stateful("slow"),
        "edited-meanwhile",
        "# theirs",
        text="# theirs\n",
        hands={STAMPED: hands.edits_the_text},
        keeps=(TRIGGERER,),
    ),
    _back(
        "text reverted by a controller",
        _stateful("slow"),
        "edited-meanwhile",
        "argocd-controller",
        hands={STAMPED: hands.syncs_the_text},
    ),
    _failed(
        "text deleted in the middle",
        _stateful("slow"),
        "edited-meanwhile",
        text=None,
        hands={STAMPED: hands.deletes_the_text},
    ),
    _back(
        "locks deleted in the middle",
        _stateful("slow"),
        "edited-meanwhile",
        locks=None,
        hands={STAMPED: hands.deletes_the_locks},
    ),
    _back(
        "text sealed in the middle",
        _stateful(),
        "store-unavailable",
        "immutable",
        hands={"before create jobs/airflow-package-manager-preflight-2": hands.seals_the_text},
        keeps=_ALL,
    ),
    _back("template changed, stateful set", _stateful("slow"), "component-changed", hands={STAMPED: hands.restarts}),
    _back(
        "template changed, deployment",
        _deployment("slow"),
        "component-changed",
        hands={STAMPED_DEPLOYMENT: hands.restarts},
    ),
    _back(
        "upgraded in the middle", _deployment("slow"), "component-changed", hands={STAMPED_DEPLOYMENT: hands.upgrades}
    ),
    _failed(
        "stamp removed in the middle",
        _stateful("slow"),
        "component-restamped",
        "kubectl",
        hands={STAMPED: hands.replaces},
        stamps={WORKER: None},
        keeps=(TRIGGERER,),
    ),
    _back(
        "stamp removed in the middle of the first operation",
        _deployment("slow"),
        "component-restamped",
        base=Base.NOTHING,
        hands={STAMPED_DEPLOYMENT: hands.replaces},
    ),
    _failed(
        "another stamp in the middle",
        _stateful("slow"),
        "component-restamped",
        hands={STAMPED: hands.stamps_another},
        stamps={WORKER: 7},
        keeps=(TRIGGERER,),
        settles=False,
    ),
    _failed(
        "workload deleted in the middle",
        _stateful("slow"),
        "rollback-incomplete",
        "patch deployments.apps scheduler",
        hands={STAMPED: hands.deletes_the_worker},
        gone=(WORKER,),
        keeps=(TRIGGERER,),
        locks=frozenset({BASE, TARGET}),
        settles=False,
    ),
    _failed(
        "workload made anew in the middle",
        _deployment("slow"),
        "component-restamped",
        hands={STAMPED_DEPLOYMENT: hands.makes_the_worker_anew},
        stamps={WORKER: None},
        keeps=(TRIGGERER,),
    ),
    _back(
        "paused in the middle",
        _deployment(strategy=SURGE),
        "component-timeout",
        "paused",
        hands={STAMPED_DEPLOYMENT: hands.pauses},
        settles=False,
        hasty=True,
    ),
    _back("cancelled in the middle", _stateful("slow"), "cancelled", hands={STAMPED: hands.cancels}),
    _back(
        "no room in the middle",
        _stateful(),
        "infrastructure",
        "quota",
        hands={
            "before patch statefulsets/worker": hands.sets_a_quota,
            f"after patch configmaps/{TEXT_MAP} 2": hands.lifts_the_quota,
        },
        keeps=("worker-0", TRIGGERER),
        hasty=True,
    ),
)

SCENARIOS: Mapping[str, Scenario] = {one.name: one for one in (*GOOD, *BROKEN, *CHECKS, *OTHERS)}
