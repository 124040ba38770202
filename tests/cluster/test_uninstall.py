"""`kubernetes uninstall` on a real API server: stamps and locks go, in that order, and people's text stays."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from airflow_package_manager import wiring
from airflow_package_manager.adapters.kubernetes.kinds import DEPLOYMENT, STATEFUL_SET
from airflow_package_manager.adapters.kubernetes.manifests import Installation, manifest, manifests
from airflow_package_manager.cli.application import Application
from airflow_package_manager.cli.main import main
from airflow_package_manager.domain.plan import Action, Change
from airflow_package_manager.domain.removal import Removed
from testenv.cluster import Cluster
from testenv.cluster.build import programs
from testenv.package_index import PackageIndexServer
from tests.cluster.chart_like import policies
from tests.cluster.preparing import ADMIN, LOCK_MAP, MINE, OLD, TEXT_MAP, Base, Preparations, accepted
from tests.cluster.trial import Trial, Works, abuses, trial

WORKS = {"scheduler": Works(), "worker": Works("StatefulSet", 2)}
REST = "airflow-package-manager kubernetes uninstall --dry-run"


@dataclass(frozen=True)
class Said:
    """What one command ended with."""

    status: int
    out: str
    err: str

    @property
    def removed(self) -> list[str]:
        return [line.partition(": ")[2] for line in self.out.splitlines() if line.startswith("Removed: ")]


@dataclass(frozen=True)
class Desk:
    """Somebody at a keyboard, where Airflow runs."""

    one: Trial
    app: wiring.Application
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *words: str) -> Said:
        self.capsys.readouterr()
        status = main(["kubernetes", "uninstall", *words], opened=self._open)
        out, err = self.capsys.readouterr()
        return Said(status, out, err)

    def _open(self, *, drive: bool) -> Application:
        assert not drive
        return Application(
            manager=self.app.manager,
            principal=ADMIN,
            planning_deadline=60,
            drive=self.app.drives.soon,
            close=lambda _: None,
        )


@pytest.fixture
def installed(
    cluster: Cluster, preparations: Preparations, package_index: PackageIndexServer, tmp_path: Path
) -> Iterator[Trial]:
    """Two components that were restarted on revision 1, whose lock is there."""
    prepared = preparations.get(Base.INSTALLED, *WORKS)
    with trial(cluster, tmp_path / "home", prepared, WORKS, index_url=package_index.url) as one:
        yield one


@pytest.fixture
def idle(installed: Trial) -> Iterator[wiring.Application]:
    """The application, whose accepted operation was cancelled."""
    with installed.application() as (app, _):
        app.manager.cancel(ADMIN, installed.prepared.operation.id)
        app.driver.run(installed.prepared.operation.id)
        assert app.manager.active(ADMIN) is None
        assert set(installed.stamps().values()) == {1}
        yield app


@pytest.fixture
def desk(installed: Trial, idle: wiring.Application, capsys: pytest.CaptureFixture[str]) -> Desk:
    return Desk(installed, idle, capsys)


# --- by itself ---------------------------------------------------------------------------------------------------


def test_stamps_go_then_locks_and_the_text_of_people_stays(desk: Desk) -> None:
    one, text = desk.one, desk.one.data(TEXT_MAP)
    said = desk("--yes")
    assert said.status == 0, said.err
    assert said.removed == ["stamp 1 of scheduler", "stamp 1 of worker", f"ConfigMap {LOCK_MAP} (current, lock.1)"]
    assert "This is removed, in this order:" in said.err
    assert REST in said.out
    assert set(one.stamps().values()) == {None}
    assert one.data(LOCK_MAP) is None
    assert one.data(TEXT_MAP) == text
    assert text == {"requirements.txt": f"{MINE}{OLD}\n"}
    one.settled()


def test_each_thing_goes_when_what_went_before_has_restarted(desk: Desk) -> None:
    """One component is away at a time, and as long as a new pod is on its way, the locks that it reads stay."""
    one, removed = desk.one, []
    waited: dict[int, set[str]] = {}
    step = desk.app.manager.uninstall
    while (found := step(ADMIN, text=False)) is not None:
        if isinstance(found, Removed):
            removed.append(found.what)
            assert (one.data(LOCK_MAP) is None) == (len(removed) == 3)
        else:
            waited.setdefault(len(removed), set()).add(found.component)
    assert removed == ["stamp 1 of scheduler", "stamp 1 of worker", f"ConfigMap {LOCK_MAP} (current, lock.1)"]
    assert waited == {1: {"scheduler"}, 2: {"worker"}}


def test_it_may_be_run_again(desk: Desk) -> None:
    assert desk("--yes").status == 0
    before = desk.one.versions()
    again = desk("--yes")
    assert (again.status, again.removed) == (0, [])
    assert "Nothing is left to remove." in again.out
    assert desk.one.versions() == before


def test_it_goes_on_where_it_was_stopped(desk: Desk) -> None:
    assert desk.app.manager.uninstall(ADMIN, text=False) is not None
    said = desk("--yes")
    assert said.removed == ["stamp 1 of worker", f"ConfigMap {LOCK_MAP} (current, lock.1)"]


def test_the_requirements_go_when_somebody_asks_for_it(desk: Desk) -> None:
    said = desk("--yes", "--requirements")
    assert said.removed[-1] == f"ConfigMap {TEXT_MAP} (requirements.txt)"
    assert desk.one.data(TEXT_MAP) is None


def test_keys_of_others_stay(desk: Desk) -> None:
    one = desk.one
    for name in (LOCK_MAP, TEXT_MAP):
        one.admin.request("PATCH", one.inside(f"configmaps/{name}"), {"data": {"theirs": "x"}})
    said = desk("--yes", "--requirements")
    assert said.status == 0, said.err
    assert "because it holds theirs too" in said.removed[-1]
    assert one.data(LOCK_MAP) == {"theirs": "x"}
    assert one.data(TEXT_MAP) == {"theirs": "x"}
    assert desk("--yes", "--requirements").removed == []


def test_a_program_gets_what_was_removed(desk: Desk) -> None:
    found = json.loads(desk("--yes", "--output", "json").out)
    assert len(found["removed"]) == 3


def test_what_was_removed_is_on_record(desk: Desk) -> None:
    desk("--yes")
    events, _ = desk.app.manager.audit(ADMIN)
    said = [one.message for one in events if one.kind == "uninstall.removed"]
    assert said[-1] == "Removed to uninstall the package manager: stamp 1 of scheduler."
    assert len(said) == 3


# --- refused -----------------------------------------------------------------------------------------------------


def test_an_active_operation_refuses_it(installed: Trial, capsys: pytest.CaptureFixture[str]) -> None:
    before = installed.versions()
    with installed.application() as (app, _):
        said = Desk(installed, app, capsys)("--yes")
        assert said.status == 8, said.err
        assert "is applying" in said.err
        assert installed.versions() == before


def test_an_operation_that_begins_meanwhile_stops_it(desk: Desk) -> None:
    assert desk.app.manager.uninstall(ADMIN, text=False) is not None
    accepted(desk.app, Change(Action.REMOVE, "good-package"))
    said = desk("--yes")
    assert said.status == 8
    assert desk.one.stamps() == {"scheduler": None, "worker": 1}
    assert desk.one.data(LOCK_MAP) is not None


def test_nobody_is_asked_where_nobody_can_answer(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    before = desk.one.versions()
    said = desk()
    assert said.status == 2
    assert "--yes" in said.err
    assert desk.one.versions() == before


@pytest.mark.parametrize(("typed", "status"), [("y\n", 0), ("n\n", 11), ("", 11)])
def test_a_person_is_asked(desk: Desk, monkeypatch: pytest.MonkeyPatch, typed: str, status: int) -> None:
    keyboard = io.StringIO(typed)
    keyboard.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr("sys.stdin", keyboard)
    said = desk()
    assert said.status == status, said.err
    assert (desk.one.data(LOCK_MAP) is None) == (status == 0)


def test_a_component_that_does_not_come_back_keeps_the_locks(
    cluster: Cluster, preparations: Preparations, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepared = preparations.get(Base.INSTALLED, *WORKS)
    with trial(cluster, tmp_path / "home", prepared, WORKS) as one, one.application() as (app, _):
        app.manager.cancel(ADMIN, prepared.operation.id)
        app.driver.run(prepared.operation.id)
        words = {"package-manager-test/outcome-none": "crash-at-start", "package-manager-test/exit-none": "3"}
        patch = {"spec": {"template": {"metadata": {"annotations": words}}}}
        one.admin.request("PATCH", one.path("scheduler"), patch)
        one.settled()
        said = Desk(one, app, capsys)("--yes")
        assert said.status == 9, said.err
        assert "scheduler: main ended with status 3" in said.err
        assert "The locks are kept" in said.err
        assert one.data(LOCK_MAP) is not None
        assert one.stamps() == {"scheduler": None, "worker": 1}, "nobody else goes down"


# --- with what we ship -------------------------------------------------------------------------------------------


def shipped(namespace: str) -> Installation:
    return Installation(
        namespace=namespace,
        workloads={DEPLOYMENT: ("scheduler",), STATEFUL_SET: ("worker",)},
        template=(DEPLOYMENT, "scheduler"),
    )


def test_role_and_policies_that_we_ship_empty_the_locks_and_say_what_stays(
    policed_cluster: Cluster, preparations: Preparations, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster = policed_cluster

    def ours(namespace: str) -> Path:
        role, _ = yaml.safe_load_all(manifest("role.yaml", shipped(namespace)))
        return cluster.account(namespace, "airflow-api-server", role["rules"])

    prepared = preparations.get(Base.INSTALLED, *WORKS)
    with (
        trial(cluster, tmp_path / "home", prepared, WORKS, kubeconfig=ours) as one,
        policies(cluster.admin, shipped(one.namespace), abuses(one)),
        one.application() as (app, _),
    ):
        app.manager.cancel(ADMIN, prepared.operation.id)
        app.driver.run(prepared.operation.id)
        desk = Desk(one, app, capsys)
        said = desk("--yes")
        assert said.status == 0, said.err
        assert f"kubectl delete configmap {LOCK_MAP} --namespace {one.namespace}" in said.removed[-1]
        assert one.data(LOCK_MAP) == {}
        assert set(one.stamps().values()) == {None}
        assert desk("--yes").removed == []


# --- by hand -----------------------------------------------------------------------------------------------------


def test_the_printed_commands_take_everything_back(
    desk: Desk, policed_cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As they are printed, by a shell with kubectl: and then again, which changes nothing."""
    one = desk.one
    kubectl = [str(programs("kubectl")["kubectl"]), "--kubeconfig", str(policed_cluster.kubeconfig)]
    made = manifests(shipped(one.namespace))
    applied = partial(subprocess.run, input=made, text=True, capture_output=True, check=True)
    applied([*kubectl, "apply", "--filename", "-"])
    for name, value in one.environ.items():
        monkeypatch.setenv(name, value)
    words = ["--workload", "Deployment/scheduler", "--workload", "StatefulSet/worker"]
    printed = desk("--dry-run", *words).out
    monkeypatch.setenv("PATH", f"{Path(kubectl[0]).parent}:/usr/bin:/bin")
    monkeypatch.setenv("KUBECONFIG", str(policed_cluster.kubeconfig))
    assert "# Stamps that are there: scheduler 1, worker 1." in printed
    for _ in range(2):
        done = subprocess.run(["/bin/sh", "-e"], input=printed, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert set(one.stamps().values()) == {None}
    assert one.data(LOCK_MAP) is None
    assert one.data(TEXT_MAP) is not None
    for document in yaml.safe_load_all(made):
        assert not _is_there(one, document), document["metadata"]["name"]
    one.settled()
    after = desk("--dry-run", *words).out
    assert "# Stamps: no workload carries one." in after


def test_a_printed_command_that_fails_keeps_what_comes_after_it(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pasted: the shell goes on after an error, and a component that does not come back must not lose the locks."""
    one = desk.one
    for name, value in one.environ.items():
        monkeypatch.setenv(name, value)
    words = ["--workload", "Deployment/scheduler", "--workload", "StatefulSet/worker"]
    printed = desk("--dry-run", *words).out.replace("--timeout 30m", "--timeout 3s")
    broken = {"package-manager-test/outcome-none": "crash-at-start", "package-manager-test/exit-none": "3"}
    patch = {"spec": {"template": {"metadata": {"annotations": broken}}}}
    one.admin.request("PATCH", one.path("scheduler"), patch)
    one.settled()
    kubectl = [str(programs("kubectl")["kubectl"])]
    environ = {
        "PATH": f"{Path(kubectl[0]).parent}:/usr/bin:/bin",
        "HOME": str(one.home),  # kubectl keeps a cache there
        "KUBECONFIG": str(one.cluster.kubeconfig),
    }
    upto = printed[: printed.index("# Take init container")]
    done = subprocess.run(["/bin/sh"], input=upto, env=environ, capture_output=True, text=True, check=False)
    assert "timed out" in done.stderr
    assert one.stamps() == {"scheduler": None, "worker": 1}
    assert one.data(LOCK_MAP) is not None


def _is_there(one: Trial, document: dict[str, Any]) -> bool:
    kind, name = document["kind"], document["metadata"]["name"]
    group = f"/apis/{document['apiVersion']}"
    plural = {"ValidatingAdmissionPolicy": "validatingadmissionpolicies"}.get(kind, f"{kind.lower()}s")
    inside = f"/namespaces/{one.namespace}" if "namespace" in document["metadata"] else ""
    return name in {found["metadata"]["name"] for found in one.admin.items(f"{group}{inside}/{plural}")}


def test_a_dry_run_changes_nothing_and_needs_no_airflow(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in desk.one.environ.items():
        monkeypatch.setenv(name, value)
    before = desk.one.versions()
    said = desk("--dry-run", "--requirements")
    assert said.status == 0
    assert f"kubectl delete configmap {TEXT_MAP} " in said.out
    assert desk.one.versions() == before
