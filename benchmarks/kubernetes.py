"""On a real API server: how soon a bad package is noticed, and what a rollout over a thousand pods costs.

`python -m benchmarks.kubernetes [PODS [ROUNDS]]`, from the root of the repository.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.kubernetes_house import application
from benchmarks.measuring import Figure, Measurement, ratio

from airflow_package_manager.domain import report
from airflow_package_manager.domain.plan import Action, Change
from airflow_package_manager.domain.report import InstallReport
from testenv.cluster import Cluster, build, control_plane, script
from testenv.package_index import serve_catalogue
from tests.cluster import workloads
from tests.cluster.preparing import NEW, OLD, PASSED, TEXT_MAP, Base, Preparations, accepted, environment
from tests.cluster.trial import Works, trial
from tests.cluster.workloads import rolled_out

COMPONENTS = ("scheduler", "worker", "triggerer", "dag-processor", "api-server")
FEW = 50
ROUNDS_OF_BAD = 5
BAD = {"scheduler": Works(), "worker": Works("StatefulSet", 2, "fail-install", words={"back_off": "60"})}
_PROGRAMS = (*build.CONTROL_PLANE, *build.KUBECTL)
_METHOD = (
    "Real kube-apiserver, controllers and etcd; KWOK plays pods that are ready at once. The driver is a process of its"
    " own at the pace of a server, soak and heartbeat set to zero. Bad package: from the piece of the watch that"
    " carries the installer's exit until the first request of going back, a StatefulSet of two, each round in a"
    " namespace of its own. Rollout: {pods} pods in {components} Deployments of the default strategy on one node,"
    " restarted one after another; ours from entering ROLLING_OUT until VERIFYING, `kubectl rollout restart` and"
    " `kubectl rollout status` on the same objects in the same order and in turns. Memory: the driver's peak resident"
    " size less what it had with the client imported. Requests: those made during ROLLING_OUT, by its duration."
)


def is_possible() -> bool:
    """Tell whether the programs are there; building them would take minutes."""
    return build.are_there(*_PROGRAMS)


class Crowd:
    """Many pods in one namespace, restarted again and again."""

    def __init__(self, cluster: Cluster, namespace: str, environ: Mapping[str, str], kubectl: Path) -> None:
        """Take the place; `environ` are the settings of the application."""
        self._cluster, self._namespace, self._environ, self._kubectl = cluster, namespace, environ, kubectl
        self._numbers = itertools.count()
        self.answers: list[dict[str, Any]] = []

    def ours(self) -> float:
        """Update the package to the other version; return the seconds that the rollout took."""
        number = next(self._numbers)
        change = Change(Action.UPDATE if number else Action.ADD, (OLD, NEW)[number % 2])
        with application(self._environ) as (app, _):
            accepted(app, change)
        answer = driven(self._environ)
        assert answer["state"] == "SUCCEEDED", answer["problem"]
        self.answers.append(answer)
        self.settle()
        began, ended = span(answer)
        return ended - began

    def kubectl(self) -> float:
        """Restart the same workloads in the same order by hand; return the seconds that it took."""
        began = time.perf_counter()
        for component in COMPONENTS:
            for words in (("restart",), ("status", "--timeout=20m")):
                command = [str(self._kubectl), "--kubeconfig", str(self._cluster.kubeconfig)]
                command += ["--namespace", self._namespace, "rollout", words[0], f"deployment/{component}", *words[1:]]
                subprocess.run(command, check=True, capture_output=True)
        taken = time.perf_counter() - began
        self.settle()
        return taken

    def settle(self) -> None:
        """Wait until every workload has all its pods."""
        for component in COMPONENTS:
            path = f"/apis/apps/v1/namespaces/{self._namespace}/deployments/{component}"
            self._cluster.admin.until(path, rolled_out, 600)


def driven(environ: Mapping[str, str]) -> dict[str, Any]:
    """Drive the active operation in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.kubernetes_house"]
    done = subprocess.run(
        command, input=json.dumps(dict(environ)), text=True, capture_output=True, check=False, env=os.environ
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def span(answer: Mapping[str, Any]) -> tuple[float, float]:
    """Return when the rollout began and ended."""
    at = dict(answer["events"])
    return at["operation.rolling-out"], at["operation.verifying"]


def per_minute(answer: Mapping[str, Any]) -> float:
    """Return the requests of a minute of the rollout."""
    began, ended = span(answer)
    return len([at for _, at in answer["requests"] if began <= at <= ended]) / (ended - began) * 60


@dataclass(frozen=True)
class Bench:
    """What every part needs."""

    cluster: Cluster
    preparations: Preparations
    home: Path
    index: str
    kubectl: Path


def crowd(bench: Bench, pods: int) -> Crowd:
    """Make so many pods in all, evenly in all components."""
    cluster, preparations, home = bench.cluster, bench.preparations, bench.home / f"crowd-{pods}"
    home.mkdir()
    locks = [preparations.get(Base.NOTHING, *COMPONENTS, wanted=wanted).lock for wanted in (OLD, NEW)]
    annotations = script(None, "instant")
    for revision in range(1, 40):
        lock = locks[(revision - 1) % 2]
        said = InstallReport(report.INSTALLED, revision, lock.digest(), len(lock.pins), image=lock.image)
        annotations |= script(revision, "instant", report=report.dump(said), check=PASSED)
    # Nobody waits for a thousand pods to be deleted: the namespace goes with the control plane.
    namespace = home.name
    cluster.admin.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    environ = environment(home, namespace, cluster.kubeconfig, bench.index, COMPONENTS)
    environ = {**environ, "AIRFLOW__PACKAGE_MANAGER__COMPONENTS": ",".join(COMPONENTS)}
    environ |= {"AIRFLOW__PACKAGE_MANAGER__READY_TIMEOUT": "600"}
    made = Crowd(cluster, namespace, environ, bench.kubectl)
    for name in COMPONENTS:
        pod = workloads.template(name, None, annotations, nodeName="kwok-0")
        cluster.admin.create(workloads.deployment(namespace, name, pod, replicas=pods // len(COMPONENTS)))
    made.settle()
    return made


def bad_package(bench: Bench, number: int) -> float:
    """Return the seconds from the watch's piece to the first act of going back."""
    prepared = bench.preparations.get(Base.INSTALLED, *BAD)
    with trial(bench.cluster, bench.home / f"bad-{number}", prepared, BAD) as one:
        answer = driven(one.environ)
        assert answer["state"] == "ROLLED_BACK", answer["problem"]
        changes = [at for name, at in answer["requests"] if name == f"patch configmaps/{TEXT_MAP} 2"]
        return float(changes[0]) - float(answer["heard_at"])


def measure(pods: int = 1000, rounds: int = 5) -> Measurement:
    """Return what a driver on a cluster costs."""
    kubectl = build.programs(*build.KUBECTL)["kubectl"]
    with tempfile.TemporaryDirectory() as folder, serve_catalogue() as index, control_plane() as cluster:
        prepared = Path(folder) / "prepared"
        prepared.mkdir()
        bench = Bench(cluster, Preparations(cluster, index.url, prepared), Path(folder), index.url, kubectl)
        noticed = [bad_package(bench, number) for number in range(ROUNDS_OF_BAD)]
        few = crowd(bench, FEW)
        few.ours()
        times: dict[str, list[float]] = {"ours": [], "kubectl": []}
        many = crowd(bench, pods)
        for _ in range(rounds):
            times["kubectl"].append(many.kubectl())
            times["ours"].append(many.ours())
    costs = [per_minute(answer) for answer in many.answers]
    memory = max(answer["memory"] for answer in many.answers)
    figures = (
        Figure("bad package, watch event to going back, slowest round", max(noticed), "s", 1.0),
        Figure(f"{pods} pods, memory above the imported client, greatest round", memory, "MiB", 100),
        Figure(f"requests per minute, {pods} pods / {FEW} pods", max(costs) / per_minute(few.answers[0]), "times", 1.1),
        Figure(f"requests per minute, {pods} pods", max(costs), "requests"),
        Figure(f"rollout of {pods} pods, ours / kubectl", ratio(times, "ours", "kubectl"), "times", 1.05),
    )
    method = _METHOD.format(pods=pods, components=len(COMPONENTS))
    return Measurement("Kubernetes", method, figures, {"bad package": noticed, **times})


if __name__ == "__main__":
    print(measure(*map(int, sys.argv[1:])).markdown())
