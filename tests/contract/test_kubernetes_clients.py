"""The real half of the contract again, with each version of the client that Airflow brings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from testenv import library_versions
from tests.contract.kubernetes_refusals import forget

if TYPE_CHECKING:
    from testenv.cluster import Cluster

HERE = Path(__file__).parent


def _run(version: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        env={**library_versions.environment("kubernetes", version), **variables},
        cwd=HERE.parents[1],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


@pytest.mark.cluster
@pytest.mark.parametrize(
    "version", [pytest.param(version, id=f"kubernetes-{version}") for version in library_versions.KUBERNETES]
)
def test_the_contract_holds_with_each_version_of_the_client(version: str, cluster: Cluster) -> None:
    found = _run(version, "-c", "import kubernetes; print(kubernetes.__version__)")
    assert found.stdout.strip() == version, found.stderr
    suites = [str(HERE / "test_kubernetes_api.py"), str(HERE / "test_kubernetes_connection.py")]
    forget(cluster)  # the other process may not restart our server
    done = _run(
        version,
        *("-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not airflow", "-k", "kubernetes and not fake"),
        *suites,
        USE_EXISTING_CLUSTER="true",
        KUBECONFIG=str(cluster.kubeconfig),
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout
