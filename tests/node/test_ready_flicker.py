"""A crash loop without startup and readiness probe on a real kubelet: it is Ready for a moment after each start.

The controller believes it and ends the good old pod; we do not, whenever the driver looks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.cluster.at_once import AtOnce, selected
from tests.cluster.preparing import TEXT_MAP
from tests.cluster.workloads import container, is_ready, pods, revision_of, rolled_out
from tests.node import a_driver, small_pods
from tests.plugin import journey

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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
SOAK = "8"
"""Seconds: longer than the main process lives."""


@pytest.fixture(scope="module")
def flickers(
    request: pytest.FixtureRequest,
    node_with_image: NodeWithImage,
    package_index: PackageIndexServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[AtOnce]:
    """The crash loops, side by side: most of their time they wait for a kubelet."""

    def run(restarts: str) -> None:
        _is_no_success(node_with_image, package_index.url, tmp_path_factory.mktemp("flicker"), int(restarts))

    made = AtOnce(run, selected(request, "restarts"))
    yield made
    made.close()


@pytest.mark.parametrize("restarts", [0, 1])
def test_a_pod_that_is_ready_for_a_moment_between_two_crashes_is_no_success(flickers: AtOnce, restarts: int) -> None:
    """`restarts` is how often it had died when the driver first looked: it was Ready then."""
    flickers.result(str(restarts))


def _is_no_success(on: NodeWithImage, url: str, home: Path, restarts: int) -> None:
    admin = on.node.cluster.admin
    with on.node.cluster.namespace() as namespace:
        index = {"AIRFLOW__PACKAGE_MANAGER__INDEX_URL": url}
        crashes = ["python", "-c", MAIN]
        admin.create(small_pods.deployment(on, namespace, "triggerer", crashes, environ=index))
        admin.until(small_pods.path(namespace, "triggerer"), rolled_out)
        before = small_pods.the_pod(on, namespace, "triggerer")
        assert "runs" in small_pods.printed(on, namespace, before)

        def flicker() -> bool | None:
            found = pods(admin, namespace, "triggerer")
            ready = [_restarts(pod) for pod in found if revision_of(pod) is not None and is_ready(pod)]
            return True if ready and ready[0] >= restarts else None

        def wait_for_the_flicker() -> None:
            journey.until(flicker, "a crash loop that is Ready", 60, every=0.05)
            journey.until(lambda: _ends(on, namespace, before) or None, "the end of the good old pod", 20, every=0.05)

        settings = small_pods.settings(on, home, namespace, url, "triggerer", soak=SOAK)
        done = a_driver.run(
            on.environment,
            settings,
            ("add", "plain-two"),
            at="patch deployments/triggerer",
            meanwhile=wait_for_the_flicker,
        )

        assert done["state"] == "ROLLED_BACK", done
        assert (done["problem"]["code"], done["problem"]["component"]) == ("component-failed", "triggerer")
        assert "main ended with status 1" in done["problem"]["detail"]
        assert "dies of plain-two, as asked" in done["problem"]["detail"]
        workload = admin.until(small_pods.path(namespace, "triggerer"), rolled_out)
        assert not workload["spec"]["template"]["metadata"].get("annotations")
        assert "runs" in small_pods.printed(on, namespace, small_pods.the_pod(on, namespace, "triggerer"))
        text = admin.get(f"/api/v1/namespaces/{namespace}/configmaps/{TEXT_MAP}")
        assert text["data"] == {"requirements.txt": ""}


def _restarts(pod: dict[str, Any]) -> int:
    return int(container(pod, small_pods.MAIN)["restartCount"])


def _ends(on: NodeWithImage, namespace: str, before: dict[str, Any]) -> bool:
    """Say whether the controller has taken the good old pod away."""
    found = {pod["metadata"]["uid"]: pod for pod in pods(on.node.cluster.admin, namespace, "triggerer")}
    old = found.get(before["metadata"]["uid"])
    return old is None or "deletionTimestamp" in old["metadata"]
