"""Programs of Kubernetes that are there already are used as their own test tools name them; nothing is built."""

from __future__ import annotations

from pathlib import Path

import pytest

from testenv.cluster import build
from testenv.cluster.toolchain import ProgramMissing


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KUBEBUILDER_ASSETS", *(f"TEST_ASSET_{name.upper().replace('-', '_')}" for name in build.PROGRAMS)):
        monkeypatch.delenv(name, raising=False)


def program(path: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_a_directory_of_assets_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    there = {name: program(tmp_path / name) for name in ("etcd", "kube-apiserver")}
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    assert build.are_there(*there)
    assert build.programs(*there) == there


def test_one_program_that_is_named_goes_before_the_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program(tmp_path / "assets" / "kube-apiserver")
    named = program(tmp_path / "mine")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path / "assets"))
    monkeypatch.setenv("TEST_ASSET_KUBE_APISERVER", str(named))
    assert build.programs("kube-apiserver") == {"kube-apiserver": named}


def test_a_name_that_leads_nowhere_is_refused_by_its_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TEST_ASSET_ETCD", str(tmp_path / "nothing"))
    with pytest.raises(ProgramMissing, match=r"TEST_ASSET_ETCD names .*nothing"):
        build.programs("etcd")
