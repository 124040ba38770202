"""A pod that installs the requirements by itself, as installations without us do, on a real node.

Its start script runs `pip install -r` on the mounted ConfigMap; nothing of ours is in its template.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_package_manager.adapters.kubernetes.stamping import ANNOTATION
from airflow_package_manager.adapters.kubernetes.status import SILENT
from tests.cluster.preparing import TEXT_MAP, config_map
from tests.cluster.workloads import rolled_out
from tests.node import a_driver, small_pods

if TYPE_CHECKING:
    from pathlib import Path

    from testenv.node.airflow import NodeWithImage
    from testenv.package_index import PackageIndexServer

SCRIPT = """
pip install --quiet --no-cache-dir --disable-pip-version-check --target /opt/own -r /etc/own/requirements.txt
exec python -c '
import importlib.metadata, pathlib, time
import good_package
print("runs with good-package", importlib.metadata.version("good-package"), "from", good_package.__file__, flush=True)
pathlib.Path("/opt/own/.works").touch()
time.sleep(86400)
'
"""
WORKS = {"exec": {"command": ["test", "-e", "/opt/own/.works"]}, "periodSeconds": 1, "failureThreshold": 120}


def test_a_pod_that_only_does_pip_install_from_the_config_map_keeps_working(
    node_with_image: NodeWithImage, package_index: PackageIndexServer, tmp_path: Path
) -> None:
    admin = node_with_image.node.cluster.admin
    with node_with_image.node.cluster.namespace() as namespace:
        admin.create(config_map(namespace, TEXT_MAP, {"requirements.txt": "# by hand\ngood-package==1.0\n"}))
        made = small_pods.deployment(
            node_with_image,
            namespace,
            "worker",
            ["bash", "-ec", SCRIPT],
            environ={
                "PIP_INDEX_URL": package_index.url,
                "PYTHONPATH": "/opt/own",
                "AIRFLOW__PACKAGE_MANAGER__INDEX_URL": package_index.url,  # for the check, which is ours
            },
            volumes={
                "requirements": ("/etc/own", {"configMap": {"name": TEXT_MAP}}),
                "own": ("/opt/own", {"emptyDir": {}}),
            },
            installs=False,
            startupProbe=WORKS,
        )
        assert "package-manager" not in str(made["spec"]["template"]["spec"]["containers"][0]["args"])
        admin.create(made)
        admin.until(small_pods.path(namespace, "worker"), rolled_out)
        before = small_pods.the_pod(node_with_image, namespace, "worker")
        assert "runs with good-package 1.0 from /opt/own/" in small_pods.printed(node_with_image, namespace, before)

        settings = small_pods.settings(node_with_image, tmp_path, namespace, package_index.url, "worker")
        done = a_driver.run(node_with_image.environment, settings, ("update", "good-package==2.0"))

        assert done["state"] == "SUCCEEDED", done
        assert done["verified"] == {"worker": "not verified"}
        assert done["unverified"] == {"worker": SILENT}
        assert "image-unknown" in done["warnings"]
        path = f"/api/v1/namespaces/{namespace}/configmaps/{TEXT_MAP}"
        assert admin.get(path)["data"]["requirements.txt"] == "# by hand\ngood-package==2.0\n"
        workload = admin.until(small_pods.path(namespace, "worker"), rolled_out)
        assert workload["spec"]["template"]["metadata"]["annotations"] == {ANNOTATION: "1"}
        after = small_pods.the_pod(node_with_image, namespace, "worker")
        assert after["metadata"]["uid"] != before["metadata"]["uid"]
        assert "runs with good-package 2.0 from /opt/own/" in small_pods.printed(node_with_image, namespace, after)
