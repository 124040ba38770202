"""The commands of the Kubernetes page, run as they stand there against a real API server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from testenv.cluster import Cluster
from testenv.cluster.build import programs
from tests.cluster import official_chart

PAGE = Path(__file__).parents[2] / "docs" / "kubernetes.md"
COMMANDS = re.findall(r"^ *```sh\n(.*?)^ *```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def typed(part: str, namespace: str) -> str:
    """Return the one block that has these words, for another namespace; what kubectl writes is tried only."""
    (found,) = [block for block in COMMANDS if part in block]
    text = re.sub(r"^(\s*kubectl (?:apply|create) .*)$", r"\1 --dry-run=server", found, flags=re.MULTILINE)
    return text.replace("data-orchestration", namespace)


@pytest.fixture
def shell(cluster: Cluster, namespace: str, tmp_path: Path) -> dict[str, str]:
    """The environment of an administrator in whose namespace the chart's Airflow is."""
    for one in official_chart.components(3, "CeleryExecutor").values():
        cluster.admin.create(official_chart.workload(one, namespace, replicas=0))
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube" / "config").write_bytes(cluster.kubeconfig.read_bytes())
    paths = [Path(sys.executable).parent, programs("kubectl")["kubectl"].parent]
    return {
        "PATH": os.pathsep.join([*map(str, paths), os.defpath]),
        "HOME": str(tmp_path),
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__PACKAGE_MANAGER__NAMESPACE": namespace,
    }


def run(command: str, environ: dict[str, str], said: str = "") -> subprocess.CompletedProcess[str]:
    shell = ["/bin/sh", "-ec", command]
    done = subprocess.run(
        shell, env=environ, cwd=environ["HOME"], input=said, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done


def test_values_are_printed_into_the_file_that_helm_gets(shell: dict[str, str], namespace: str) -> None:
    block = typed("kubernetes values", namespace)
    ours = [line for line in block.splitlines() if "helm" not in line]
    run("\n".join(ours), shell)
    (file,) = re.findall(r"> (\S+)", block)
    written = (Path(shell["HOME"]) / file).read_text()
    assert f"value: {namespace}" in written
    assert "REGISTRY/airflow-package-manager" in written
    assert f"--values {file}" in typed("helm upgrade", namespace)


def test_permissions_are_taken_by_the_api_server(shell: dict[str, str], namespace: str) -> None:
    done = run(typed("kubernetes install", namespace), shell)
    made = [line for line in done.stdout.splitlines() if "(server dry run)" in line]
    assert len(made) == 8
    assert "airflow-package-manager" in made[0]


def test_the_secret_of_an_index_is_read_from_the_keyboard(shell: dict[str, str], namespace: str) -> None:
    done = run(typed("kubectl create secret", namespace), shell, "https://user:password@packages.example.com\n")
    assert done.stdout.startswith("secret/package-index created")
    assert "password" not in " ".join(COMMANDS)
