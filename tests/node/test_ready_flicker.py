"""A crash loop without startup and readiness probe on a real kubelet: it is Ready for a moment after each start.

The controller believes it and ends the good old pod; we do not, whenever the driver looks. With the hook that our
values give to components for which the chart has no startup probe, it is never Ready, and the good old pod stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from testenv.node import manifests
from tests.cluster.at_once import AtOnce, selected
from tests.cluster.preparing import TEXT_MAP
from tests.cluster.workloads import container, is_ready, pods, revision_of, rolled_out
from tests.node import a_driver, small_pods
from tests.plugin import journey

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from testenv.cluster.client import Client
    from testenv.node.airflow import NodeWithImage
    from testenv.package_index import PackageIndexServer

MAIN = """
import importlib.util, time
if importlib.util.find_spec("plain_two"):
    time.sleep(3)
    raise SystemExit("dies of plain-two, as asked")
print("runs", flush=True)
time.sleep(86400)
"""
Object = dict[str, Any]
NAME = "triggerer"
HOOK = "hook"
SECONDS = 120
SOAK = "8"
"""Seconds: longer than the main process lives."""


@pytest.fixture(scope="module")
def loops(
    request: pytest.FixtureRequest,
    node_with_image: NodeWithImage,
    package_index: PackageIndexServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[AtOnce]:
    """The crash loops, side by side: most of their time they wait for a kubelet."""

    def run(restarts: str) -> None:
        with node_with_image.node.cluster.namespace() as namespace:
            loop = Loop(node_with_image, package_index.url, tmp_path_factory.mktemp("loop"), namespace)
            if restarts == HOOK:
                _is_never_ready(loop)
            else:
                _is_no_success(loop, int(restarts))

    made = AtOnce(run, selected(request, "restarts"))
    yield made
    made.close()


@pytest.mark.parametrize("restarts", [0, 1])
def test_a_pod_that_is_ready_for_a_moment_between_two_crashes_is_no_success(loops: AtOnce, restarts: int) -> None:
    """`restarts` is how often it had died when the driver first looked: it was Ready then."""
    loops.result(str(restarts))


@pytest.mark.parametrize("restarts", [HOOK])
def test_with_the_hook_of_our_values_it_is_never_ready_and_the_old_pod_stays(loops: AtOnce, restarts: str) -> None:
    loops.result(restarts)


@dataclass(frozen=True)
class Loop:
    """A Deployment whose one pod dies, again and again, of a package."""

    on: NodeWithImage
    index: str
    home: Path
    namespace: str

    def begin(self, **container: Any) -> Object:  # noqa: ANN401 - fields of a container
        """Create it without the package; return its pod, which is well."""
        environ = {"AIRFLOW__PACKAGE_MANAGER__INDEX_URL": self.index}
        crashes = ["python", "-c", MAIN]
        deployment = small_pods.deployment(self.on, self.namespace, NAME, crashes, environ=environ, **container)
        self.admin.create(deployment)
        self.admin.until(self.path, rolled_out, SECONDS)
        pod = self.pod()
        assert "runs" in small_pods.printed(self.on, self.namespace, pod)
        return pod

    def change(self, **how: Any) -> Object:  # noqa: ANN401 - as `a_driver.run` takes them
        """Add the package; return how that ended."""
        settings = small_pods.settings(self.on, self.home, self.namespace, self.index, NAME, soak=SOAK)
        return a_driver.run(self.on.environment, settings, ("add", "plain-two"), **how)

    def require_rolled_back(self, done: Object) -> None:
        assert done["state"] == "ROLLED_BACK", done
        assert (done["problem"]["code"], done["problem"]["component"]) == ("component-failed", NAME)
        assert "main ended with status 1" in done["problem"]["detail"]
        assert "dies of plain-two, as asked" in done["problem"]["detail"]
        workload = self.admin.until(self.path, rolled_out, SECONDS)
        assert not workload["spec"]["template"]["metadata"].get("annotations")
        text = self.admin.get(f"/api/v1/namespaces/{self.namespace}/configmaps/{TEXT_MAP}")
        assert text["data"] == {"requirements.txt": ""}

    def pod(self) -> Object:
        return small_pods.the_pod(self.on, self.namespace, NAME)

    def pods(self) -> list[Object]:
        return pods(self.admin, self.namespace, NAME)

    @property
    def admin(self) -> Client:
        return self.on.node.cluster.admin

    @property
    def path(self) -> str:
        return small_pods.path(self.namespace, NAME)


def _is_no_success(loop: Loop, restarts: int) -> None:
    before = loop.begin()

    def flicker() -> bool | None:
        ready = [_restarts(pod) for pod in loop.pods() if revision_of(pod) is not None and is_ready(pod)]
        return True if ready and ready[0] >= restarts else None

    def wait_for_the_flicker() -> None:
        journey.until(flicker, "a crash loop that is Ready", 60, every=0.05)
        journey.until(lambda: _ends(loop, before) or None, "the end of the good old pod", 20, every=0.05)

    loop.require_rolled_back(loop.change(at=f"patch deployments/{NAME}", meanwhile=wait_for_the_flicker))
    assert "runs" in small_pods.printed(loop.on, loop.namespace, loop.pod())


def _is_never_ready(loop: Loop) -> None:
    before = loop.begin(lifecycle=manifests.values(loop.namespace, loop.on.version)[NAME]["containerLifecycleHooks"])

    def crash() -> bool | None:
        new = [pod for pod in loop.pods() if revision_of(pod) is not None]
        assert not any(is_ready(pod) for pod in new)
        return True if new and _restarts(new[0]) >= 1 else None

    def wait_for_a_crash() -> None:
        journey.until(crash, "a crash of the new pod", SECONDS, every=0.05)

    loop.require_rolled_back(loop.change(at=f"patch deployments/{NAME}", meanwhile=wait_for_a_crash))
    after = loop.pod()
    assert after["metadata"]["uid"] == before["metadata"]["uid"], "the good old pod has run all the time"
    assert "deletionTimestamp" not in after["metadata"]


def _restarts(pod: Object) -> int:
    return int(container(pod, small_pods.MAIN)["restartCount"])


def _ends(loop: Loop, before: Object) -> bool:
    """Say whether the controller has taken the good old pod away."""
    found = {pod["metadata"]["uid"]: pod for pod in loop.pods()}
    old = found.get(before["metadata"]["uid"])
    return old is None or "deletionTimestamp" in old["metadata"]
