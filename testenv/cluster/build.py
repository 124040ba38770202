"""The programs of a real Kubernetes, built from pinned Go modules and cached outside the repository.

One module of our own per upstream project, under `go/`; a program is cached by the hash of that module's `go.mod` and
`go.sum` and of the flags it is built with, so that building happens once per machine. Who has the programs already
names them: `KUBEBUILDER_ASSETS` (a directory), or `TEST_ASSET_ETCD`, `TEST_ASSET_KUBE_APISERVER` (a file each).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from testenv.airflow_environment import cache_directory
from testenv.cluster.toolchain import ProgramMissing, go_command

MODULES = Path(__file__).parent / "go"
KEPT_SECONDS = 7 * 24 * 3600
"""Programs of other pins that were asked for more recently belong to another checkout: they stay."""
BUILD_SECONDS = 3600.0
_VERSION = "k8s.io/component-base/version"
_KUBERNETES_FLAGS = (
    f"-X {_VERSION}.gitVersion=v{{version}} -X {_VERSION}.gitMajor=1 -X {_VERSION}.gitMinor=34 "
    "-X k8s.io/client-go/pkg/version.gitVersion=v{version}"
)


@dataclass(frozen=True)
class Program:
    """One program and where it comes from."""

    name: str
    module: str
    """Directory under `go/`."""
    package: str
    """Go's import path of its main package."""
    linker_flags: str = ""


def _kubernetes(name: str, module: str = "kubernetes") -> Program:
    flags = _KUBERNETES_FLAGS.format(version=_pinned(module, "k8s.io/kubernetes"))
    return Program(name, module, f"k8s.io/kubernetes/cmd/{name}", flags)


def _pinned(module: str, requirement: str) -> str:
    for line in (MODULES / module / "go.mod").read_text().splitlines():
        words = line.removeprefix("require ").split()
        if words[:1] == [requirement]:
            return words[1].removeprefix("v")
    raise ProgramMissing(f"{MODULES / module / 'go.mod'} does not require {requirement}.")


CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok")
NODE = ("kubelet",)
KUBECTL = ("kubectl",)
CHART = ("helm",)
PROGRAMS: Mapping[str, Program] = {
    program.name: program
    for program in (
        Program("etcd", "etcd", "go.etcd.io/etcd/server/v3"),
        *(_kubernetes(name) for name in (*CONTROL_PLANE[1:4], *NODE)),
        *(_kubernetes(name, module=name) for name in KUBECTL),
        Program("kwok", "kwok", "sigs.k8s.io/kwok/cmd/kwok"),
        Program("helm", "helm", "helm.sh/helm/v3/cmd/helm"),
    )
}


def programs(*names: str) -> dict[str, Path]:
    """Return where each of these programs is; builds what is missing, which takes minutes.

    Raises `ProgramMissing`, which says what to install or to set, when that is not possible.
    """
    found = {name: path for name in names if (path := _given(name)) is not None}
    wanted = [PROGRAMS[name] for name in names if name not in found]
    for module in dict.fromkeys(program.module for program in wanted):
        found |= _of_module(module, [program for program in wanted if program.module == module])
    return found


def are_there(*names: str) -> bool:
    """Tell whether all of these programs are there without building any."""
    modules = {name: PROGRAMS[name].module for name in names if _given(name) is None}
    return all((_home(module) / name).exists() for name, module in modules.items())


def _given(name: str) -> Path | None:
    """Return the program that the environment names, by the convention of Kubernetes' own test tools."""
    variable = f"TEST_ASSET_{name.upper().replace('-', '_')}"
    if exact := os.environ.get(variable):
        if not os.access(exact, os.X_OK):
            raise ProgramMissing(f"{variable} names {exact}, which is no program.")
        return Path(exact)
    directory = os.environ.get("KUBEBUILDER_ASSETS")
    if directory and os.access(Path(directory) / name, os.X_OK):
        return Path(directory) / name
    return None


def _of_module(module: str, wanted: list[Program]) -> dict[str, Path]:
    home = _home(module)
    home.mkdir(parents=True, exist_ok=True)
    found = {program.name: home / program.name for program in wanted}
    if not all(path.exists() for path in found.values()):
        with _locked(home / "lock"):  # another process may be building the same: then it is there when we get the lock
            missing = [program for program in wanted if not found[program.name].exists()]
            if missing:
                _build(module, missing, home)
    os.utime(home)
    _prune(home)
    return found


def _home(module: str) -> Path:
    return cache_directory() / "cluster" / f"{module}-{_digest(module)[:16]}"


def _build(module: str, missing: list[Program], home: Path) -> None:
    go = go_command()
    print(f"Building {', '.join(program.name for program in missing)} (once per machine)", flush=True)
    with tempfile.TemporaryDirectory(dir=home, prefix="building-") as made:
        for flags in dict.fromkeys(program.linker_flags for program in missing):
            together = [program for program in missing if program.linker_flags == flags]
            # Into a directory Go gives each program the last element of its package, which may be "v3".
            output = f"{made}/" if len(together) > 1 else f"{made}/{together[0].name}"
            command = [go, "build", *_flags(flags), "-o", output, *(program.package for program in together)]
            _run(command, MODULES / module)
        for program in missing:
            (Path(made) / program.name).rename(home / program.name)


def _flags(linker_flags: str) -> list[str]:
    return ["-trimpath", "-buildvcs=false", "-mod=readonly", "-ldflags", f"-s -w {linker_flags}".strip()]


def _run(command: list[str], directory: Path) -> None:
    environment = {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off"}
    done = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False
    )
    if done.returncode:
        raise ProgramMissing(
            f"'{' '.join(command)}' in {directory} ended with {done.returncode}. Where it could not fetch modules, "
            f"give Go a module proxy that this machine reaches (go env -w GOPROXY=…).\n{done.stderr.strip()[-3000:]}"
        )


def _digest(module: str) -> str:
    digest = hashlib.sha256(f"{platform.system()} {platform.machine()}\n".encode())
    for name in ("go.mod", "go.sum"):
        digest.update((MODULES / module / name).read_bytes())
    for program in PROGRAMS.values():
        if program.module == module:
            digest.update(f"{program.package} {_flags(program.linker_flags)}\n".encode())
    return digest.hexdigest()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _prune(keep: Path) -> None:
    module = keep.name.rpartition("-")[0]
    for path in keep.parent.glob(f"{module}-*"):
        if path != keep and path.stat().st_mtime < time.time() - KEPT_SECONDS:
            shutil.rmtree(path, ignore_errors=True)
