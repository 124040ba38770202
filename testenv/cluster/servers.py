"""Starting and stopping a whole control plane: etcd, API server, controllers, scheduler, and KWOK for the kubelet."""

from __future__ import annotations

import os
import secrets
import shutil
import ssl
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from testenv.cluster import flags, pki, stages
from testenv.cluster.build import CONTROL_PLANE, programs
from testenv.cluster.client import Client
from testenv.cluster.cluster import NODE, Cluster, add_fake_node, has_fake_node, node_is_ready
from testenv.cluster.kubeconfig import Access
from testenv.cluster.server import Server, Starter, StartFailed

SECONDS_TO_START = 90.0
"""Per server, on a machine that is busy with other things."""
_ATTEMPTS = 3


@contextmanager
def control_plane(*, fake_node: bool = True) -> Iterator[Cluster]:
    """Start a control plane of one's own, or use the current cluster when `USE_EXISTING_CLUSTER` is true.

    Without `fake_node` there is no node at all, and no KWOK. Builds the programs when they are not there yet. Raises
    `build.ProgramMissing`, or `server.StartFailed` with the ends of the logs. Whatever happens, also when this process
    is killed, no server is left.
    """
    if os.environ.get("USE_EXISTING_CLUSTER", "").lower() == "true":
        with _existing() as cluster:
            yield cluster
        return
    found = programs(*(name for name in CONTROL_PLANE if fake_node or name != "kwok"))
    with ExitStack() as last:
        starter = Starter()
        last.callback(starter.close)
        servers = _started(found, starter)
        last.callback(shutil.rmtree, servers.home)
        last.callback(servers.stop)
        yield Cluster(
            kubeconfig=servers.kubeconfig,
            url=servers.access.url,
            token=servers.access.token,
            authority=servers.access.authority,
            home=servers.home,
            admin=Client(servers.access),
            control=servers,
        )


class _Servers:
    """All servers of one control plane."""

    def __init__(self, found: Mapping[str, Path], starter: Starter, home: Path) -> None:
        self.home = home
        keys, ports = pki.make(home / "pki"), flags.Ports.free()
        url = f"https://127.0.0.1:{ports.apiserver}"
        self.access = Access(url, keys.authority, token=secrets.token_urlsafe(24))
        tokens = home / "tokens.csv"
        tokens.touch(mode=0o600)
        tokens.write_text(f'{self.access.token},admin,1,"system:masters"\n')
        self.kubeconfig = self.access.write(home / "admin.kubeconfig")
        self._ports = ports
        self._trusted = ssl.create_default_context(cafile=str(keys.authority))
        commands = {
            "etcd": flags.etcd(found["etcd"], home, ports),
            "kube-apiserver": flags.apiserver(found["kube-apiserver"], home, ports, keys),
            "kube-controller-manager": flags.controller_manager(
                found["kube-controller-manager"], self.kubeconfig, ports, keys
            ),
            "kube-scheduler": flags.scheduler(found["kube-scheduler"], home, self.kubeconfig, ports, keys),
        }
        if "kwok" in found:
            commands["kwok"] = flags.kwok(found["kwok"], self.kubeconfig, stages.write(home / "stages.yaml"))
        self._servers = {name: Server(starter, command, home / f"{name}.log") for name, command in commands.items()}

    def start(self) -> None:
        self._servers["etcd"].start()
        self.start_apiserver()
        others = {
            "kube-controller-manager": f"https://127.0.0.1:{self._ports.controller_manager}/healthz",
            "kube-scheduler": f"https://127.0.0.1:{self._ports.scheduler}/healthz",
        }
        for name in others:
            self._servers[name].start()
        kwok = self._servers.get("kwok")
        if kwok is not None:
            kwok.start()
        for name, address in others.items():
            self._servers[name].await_answer(lambda address=address: self._answers(address), SECONDS_TO_START)  # type: ignore[misc]
        if kwok is not None:
            admin = Client(self.access)
            add_fake_node(admin)
            kwok.await_answer(lambda: node_is_ready(admin), SECONDS_TO_START)

    def stop(self) -> None:
        """Stop them all. Nothing that they hold is wanted any more, so none is asked to finish its work."""
        for server in reversed(self._servers.values()):
            server.stop(at_once=True)

    def stop_apiserver(self, *, at_once: bool) -> None:
        self._servers["kube-apiserver"].stop(at_once=at_once)

    def start_apiserver(self) -> None:
        server = self._servers["kube-apiserver"]
        server.start()
        server.await_answer(lambda: self._answers(f"{self.access.url}/readyz"), SECONDS_TO_START)

    def log_end(self) -> str:
        return "\n".join(f"== {name}\n{server.log_end()}" for name, server in self._servers.items())

    def _answers(self, address: str) -> bool:
        request = urllib.request.Request(address, headers={"Authorization": f"Bearer {self.access.token}"})  # noqa: S310
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self._trusted)
        )
        try:
            with opener.open(request, timeout=5) as answer:
                return bool(answer.read() == b"ok")
        except OSError:  # not yet listening, or not yet ready (an HTTP error is one too)
            return False


def _started(found: Mapping[str, Path], starter: Starter) -> _Servers:
    """Start all; another process may take one of the ports that we chose, so there is more than one attempt."""
    failure: StartFailed | None = None
    for _ in range(_ATTEMPTS):
        home = Path(tempfile.mkdtemp(prefix="package-manager-cluster-"))
        servers = _Servers(found, starter, home)
        try:
            servers.start()
        except BaseException as error:
            logs = servers.log_end()
            servers.stop()
            if not isinstance(error, StartFailed) or "address already in use" not in logs:
                raise
            shutil.rmtree(home)
            failure = error
        else:
            return servers
    raise StartFailed(f"no free ports in {_ATTEMPTS} attempts") from failure


@contextmanager
def _existing() -> Iterator[Cluster]:
    """Use the current kubeconfig; KWOK and its node are added, unless somebody else plays scripted pods there."""
    source = Path(os.environ.get("KUBECONFIG", "").split(os.pathsep)[0] or Path.home() / ".kube" / "config")
    with ExitStack() as last:
        home = Path(tempfile.mkdtemp(prefix="package-manager-cluster-"))
        last.callback(shutil.rmtree, home)
        access = Access.read(source, home)
        kubeconfig = access.write(home / "admin.kubeconfig")
        admin = Client(access)
        if not has_fake_node(admin):
            starter = Starter()
            last.callback(starter.close)
            command = flags.kwok(programs("kwok")["kwok"], kubeconfig, stages.write(home / "stages.yaml"))
            kwok = Server(starter, command, home / "kwok.log")
            last.callback(kwok.stop, at_once=True)
            kwok.start()
            add_fake_node(admin)
            last.callback(admin.delete, f"/api/v1/nodes/{NODE}")
            kwok.await_answer(lambda: node_is_ready(admin), SECONDS_TO_START)
        yield Cluster(kubeconfig, access.url, access.token, access.authority, home, admin)
