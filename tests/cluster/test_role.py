"""With exactly the Role and the policies that we ship everything works; whatever the Role lacks is named at once."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from airflow_package_manager.adapters.kubernetes import permissions
from airflow_package_manager.adapters.kubernetes.api import Api
from airflow_package_manager.adapters.kubernetes.connection import Connection
from airflow_package_manager.adapters.kubernetes.kinds import DEPLOYMENT, STATEFUL_SET
from airflow_package_manager.adapters.kubernetes.manifests import Installation, manifest
from airflow_package_manager.adapters.kubernetes.permissions import PERMISSIONS
from airflow_package_manager.domain.operation import State
from testenv.cluster import Cluster
from tests.cluster.chart_like import policies
from tests.cluster.preparing import LOCK_MAP, TEXT_MAP, Base, Preparations, eventually
from tests.cluster.trial import Trial, Works, abuses, trial
from tests.cluster.workloads import Object

ACCOUNT = "airflow-api-server"
WORKS = {"scheduler": Works(), "worker": Works("StatefulSet", 2)}
BROKEN = {**WORKS, "worker": Works("StatefulSet", 2, "fail-install", words={"back_off": "60"})}
EXISTING_TEXT = "sqlalchemy>=1.4"
"""What the image has already: only the text changes."""


def shipped(namespace: str) -> Installation:
    return Installation(
        namespace=namespace,
        account=ACCOUNT,
        workloads={DEPLOYMENT: ("scheduler",), STATEFUL_SET: ("worker",)},
        template=(DEPLOYMENT, "scheduler"),
    )


def rules(namespace: str) -> list[Object]:
    """Return the rules of the Role as it would be applied."""
    role, _ = yaml.safe_load_all(manifest("role.yaml", shipped(namespace)))
    found: list[Object] = role["rules"]
    return found


def given(cluster: Cluster, namespace: str, name: str, kept: list[Object]) -> Path:
    """Return the kubeconfig of an account with these rules, once the API server knows all of them."""
    kubeconfig = cluster.account(namespace, name, kept)
    api = Api(Connection(kubeconfig=str(kubeconfig)))
    wanted = permissions.needs(shipped(namespace).config_maps, shipped(namespace).workloads)
    needs = [need for need in wanted if any(_covers(rule, need) for rule in kept)]
    eventually(lambda: all(api.allowed(one.kind, namespace, one.verb, one.name) for one in needs), "its Role")
    return kubeconfig


def _covers(rule: Object, need: permissions.Need) -> bool:
    named = rule.get("resourceNames")
    return (
        need.kind.group in rule["apiGroups"]
        and need.kind.plural in rule["resources"]
        and need.verb in rule["verbs"]
        and (named is None or need.name in named)
    )


# --- everything --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.ROLLED_BACK])
def test_the_role_and_the_policies_that_we_ship_are_enough(
    policed_cluster: Cluster, preparations: Preparations, tmp_path: Path, state: State
) -> None:
    cluster = policed_cluster
    good = state is State.SUCCEEDED
    base, works = (Base.NOTHING, WORKS) if good else (Base.INSTALLED, BROKEN)

    def ours(namespace: str) -> Path:
        return given(cluster, namespace, ACCOUNT, rules(namespace))

    prepared = preparations.get(base, *works)
    with (
        trial(cluster, tmp_path / "home", prepared, works, kubeconfig=ours) as one,
        policies(cluster.admin, shipped(one.namespace), abuses(one)),
        one.application() as (app, line),
    ):
        ended = app.driver.run(prepared.operation.id)
        assert ended.state is state, ended.problem
        assert set(one.stamps().values()) == {1}
        eventually(lambda: one.checks() == [], "the end of the check")
        one.settled()
        if not good:
            assert "delete pods/worker-1" in line.changes


# --- one rule less -----------------------------------------------------------------------------------------------


def _lacks() -> Iterator[tuple[int, tuple[str, ...]]]:
    for number, row in enumerate(PERMISSIONS):
        yield number, row.verbs
        if len(row.verbs) > 1:
            yield from ((number, (verb,)) for verb in row.verbs)


@pytest.fixture(scope="module")
def untouched(
    cluster: Cluster, preparations: Preparations, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Trial]:
    """A namespace without our ConfigMaps, in which nothing may ever change."""
    home = tmp_path_factory.mktemp("untouched") / "home"
    with trial(cluster, home, preparations.get(Base.NOTHING, *WORKS), WORKS) as one:
        yield one


@pytest.mark.parametrize(
    ("number", "verbs"),
    list(_lacks()),
    ids=[f"{PERMISSIONS[number].kind.plural}-{'-'.join(verbs)}-{number}" for number, verbs in _lacks()],
)
def test_what_the_role_lacks_is_named_before_anything_is_changed(
    cluster: Cluster, untouched: Trial, tmp_path: Path, number: int, verbs: tuple[str, ...]
) -> None:
    whole = rules(untouched.namespace)
    left = [verb for verb in whole[number]["verbs"] if verb not in verbs]
    kept = whole[:number] + ([{**whole[number], "verbs": left}] if left else []) + whole[number + 1 :]
    kubeconfig = given(cluster, untouched.namespace, f"lacks-{number}-{'-'.join(verbs)}", kept)
    before = untouched.versions()
    with _as(untouched, tmp_path, kubeconfig).application() as (app, line):
        ended = app.driver.run(untouched.prepared.operation.id)
    assert line.changes == []
    assert untouched.versions() == before
    _require_named(ended.problem, number, verbs)
    assert ended.state is State.FAILED


@pytest.mark.parametrize("verb", ["create", "get", "patch"])
def test_what_a_change_of_the_text_alone_needs_is_asked_for_too(
    cluster: Cluster, preparations: Preparations, tmp_path: Path, verb: str
) -> None:
    number = next(number for number, row in enumerate(PERMISSIONS) if verb in row.verbs)
    prepared = preparations.get(Base.WRITTEN, *WORKS, wanted=EXISTING_TEXT)
    assert prepared.operation.plan is not None
    assert not prepared.operation.plan.lock_changes()

    def ours(namespace: str) -> Path:
        whole = rules(namespace)
        kept = [{**rule, "verbs": [one for one in rule["verbs"] if one != verb]} for rule in whole[:2]]
        return given(cluster, namespace, ACCOUNT, [rule for rule in kept if rule["verbs"]] + whole[2:])

    with trial(cluster, tmp_path / "home", prepared, WORKS, kubeconfig=ours) as one:
        before = one.versions()
        with one.application() as (app, line):
            ended = app.driver.run(prepared.operation.id)
        assert line.changes == []
        assert one.versions() == before
    assert ended.state is State.FAILED
    _require_named(ended.problem, number, (verb,))


def _as(one: Trial, home: Path, kubeconfig: Path) -> Trial:
    """Return the same namespace for an application with another account and a database of its own."""
    shutil.copy(one.prepared.database, home)
    environ = {key: str(kubeconfig) if key.endswith("KUBECONFIG") else value for key, value in one.environ.items()}
    return dataclasses.replace(one, home=home, environ={**environ, "AIRFLOW_HOME": str(home)}, kubeconfig=kubeconfig)


def _require_named(problem: Mapping[str, Any] | None, number: int, verbs: tuple[str, ...]) -> None:
    assert problem is not None
    row = PERMISSIONS[number]
    assert problem["code"] == "cluster-forbidden", problem
    assert problem["verb"] in verbs, problem
    assert problem["resource"] == row.kind.resource
    rule = yaml.safe_load(problem["rule"])[0]
    assert (rule["apiGroups"], rule["resources"], rule["verbs"]) == (
        [row.kind.group],
        [row.kind.plural],
        [problem["verb"]],
    )
    assert problem["rule"] in problem["detail"]
    if row.names == permissions.STORE:
        assert rule["resourceNames"][0] in {TEXT_MAP, LOCK_MAP}
