"""helm itself with a chart of one Deployment: an upgrade keeps our stamp, `--force` takes it away, and neither fails.

What `helm upgrade` does to a stamp is the same for every chart that does not know of it, so a chart of our own will do.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from airflow_package_manager.adapters.kubernetes.stamping import ANNOTATION
from airflow_package_manager.domain.rollout import Status
from testenv.cluster import Cluster, script
from testenv.cluster.build import programs
from tests.cluster import workloads
from tests.cluster.installation import Installation, installed
from tests.cluster.workloads import Object

ABOUT = {"apiVersion": "v2", "name": "small", "version": "1.0.0"}


@pytest.fixture
def house(cluster: Cluster, namespace: str) -> Iterator[Installation]:
    made = Installation(cluster, namespace)
    yield made
    made.close()


class Helm:
    """One release of a chart whose one template is a worker."""

    def __init__(self, house: Installation, home: Path) -> None:
        self._house, self._home = house, home
        self._program = programs("helm")["helm"]
        unstamped = script(None, report=installed(None, house.digest(1)))
        words = {**unstamped, **house.scripted(1), **house.scripted(2)}
        worker = workloads.deployment(house.namespace, "worker", workloads.template("worker", None, words))
        self._write("Chart.yaml", ABOUT)
        self._write("templates/worker.yaml", worker)

    def _write(self, name: str, body: Object) -> None:
        path = self._home / "small" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(body))

    def next_image(self, image: str) -> None:
        """Let the next version of the chart name another image."""
        path = self._home / "small" / "templates" / "worker.yaml"
        worker = yaml.safe_load(path.read_text())
        for container in worker["spec"]["template"]["spec"]["containers"]:
            container["image"] = image
        self._write("templates/worker.yaml", worker)

    def run(self, *words: str) -> None:
        cluster, namespace = self._house.cluster, self._house.namespace
        command = [str(self._program), *words, "small", str(self._home / "small"), "--namespace", namespace]
        environ = {"PATH": os.defpath, "HOME": str(self._home), "KUBECONFIG": str(cluster.kubeconfig)}
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr

    @property
    def worker(self) -> Object:
        found: Object = self._house.admin.get(self._house.path("deployment", "worker"))
        return found


@pytest.fixture
def helm(house: Installation, tmp_path: Path) -> Helm:
    """The release, installed and then restarted by us at revision 2."""
    made = Helm(house, tmp_path)
    made.run("install")
    house.current("worker")
    house.restart("worker", 2)
    house.current("worker", house.digest(2))
    return made


def stamp(worker: Object) -> str | None:
    found: str | None = (worker["spec"]["template"]["metadata"].get("annotations") or {}).get(ANNOTATION)
    return found


@pytest.mark.parametrize("image", ["airflow:test", "airflow:next"])
def test_an_upgrade_keeps_the_stamp_whether_it_changes_the_pods_or_not(
    house: Installation, helm: Helm, image: str
) -> None:
    helm.next_image(image)
    helm.run("upgrade")
    assert helm.worker["spec"]["template"]["spec"]["containers"][0]["image"] == image
    assert stamp(helm.worker) == "2"
    found = house.current("worker", house.digest(2))
    assert {row.stamp for row in found.instances if row.status is Status.CURRENT} == {2}


def test_a_forced_upgrade_takes_the_stamp_away_and_the_component_stands_on_what_is_current(
    house: Installation, helm: Helm
) -> None:
    helm.next_image("airflow:next")
    helm.run("upgrade", "--force")
    assert stamp(helm.worker) is None
    assert house.target.stamp("worker").revision is None
    found = house.current("worker", house.digest(1))
    assert {row.stamp for row in found.instances if row.status is Status.CURRENT} == {None}
