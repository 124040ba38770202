"""The recorded answers are still what a real API server says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_package_manager.adapters.kubernetes.failures import failure
from airflow_package_manager.errors import PackageManagerError
from tests.contract.kubernetes_refusals import EXPECTED, Scene, provoke

if TYPE_CHECKING:
    from testenv.cluster import Cluster


@pytest.mark.cluster
@pytest.mark.parametrize("name", [pytest.param(name, id=f"kubernetes: {name}") for name in EXPECTED])
def test_a_refusal_is_understood(name: str, cluster: Cluster, namespace: str) -> None:
    request, answer = provoke(name, Scene(cluster, namespace))
    error = failure(answer.status, answer.body, request)
    expected = EXPECTED[name]
    assert type(error) is expected.error, answer.body
    assert expected.says in str(error)
    carried = error.context if isinstance(error, PackageManagerError) else vars(error)
    assert {**carried, **(expected.context or {})} == carried
