"""Settings become a connected client, at first use: the account of this pod, or a kubeconfig file with a context.

The official client knows every form of credentials, proxies and TLS; it reads the configuration, keeps tokens fresh,
and lends its pool of connections. Requests are made on that pool directly, because the client's own ways of sending
raw JSON differ between the versions that Airflow brings (31, 36 and 37 behave alike here).
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_package_manager.errors import ClusterUnavailable, InvalidSetting
from airflow_package_manager.redaction import without_credentials

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds its account: token, ca.crt and namespace."""
CONNECT_SECONDS = 5.0
_POOL = 16
_CHUNK = 65_536


class Lost(Exception):
    """The connection could not be made, or broke; says whether the request may have been carried out."""

    def __init__(self, detail: str, *, sent: bool) -> None:
        """Take the cause; `sent` False means that the server never saw the request."""
        super().__init__(detail)
        self.sent = sent


@dataclass(frozen=True)
class Answer:
    """One response."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def inside_cluster(environ: Mapping[str, str] = os.environ, account: Path = ACCOUNT) -> bool:
    """Tell whether this process runs in a pod that has an account."""
    return bool(environ.get("KUBERNETES_SERVICE_HOST")) and (account / "token").is_file()


class Connection:
    """The way to one API server; costs nothing until the first request, and survives a fork."""

    def __init__(
        self,
        *,
        kubeconfig: str = "",
        context: str = "",
        account: Path = ACCOUNT,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """Take a kubeconfig file and a context of it; without both it is the account of this pod."""
        self._kubeconfig = kubeconfig
        self._context = context
        self._account = account
        self._environ = environ
        self._guard = threading.Lock()
        self._client: Any = None
        self._process = 0

    def renew(self) -> None:
        """Read credentials anew with the next request: a token was rotated, a file rewritten."""
        with self._guard:
            self._client = None

    def send(
        self, method: str, address: str, *, headers: Mapping[str, str], body: bytes | None = None, read: float
    ) -> Answer:
        """Return the response to one request.

        `address` is path and query, `read` the seconds without a byte after which it is given up. Raises `Lost`,
        `ClusterUnavailable` and `InvalidSetting`.
        """
        response = self._request(method, address, headers, body, read)
        try:
            return Answer(response.status, response.headers, response.read())
        except self._broken() as error:
            raise Lost(_cause(error), sent=True) from error
        finally:
            response.release_conn()

    @contextlib.contextmanager
    def stream(
        self, address: str, *, headers: Mapping[str, str], read: float
    ) -> Iterator[tuple[Answer, Iterator[bytes]]]:
        """Yield the head of a response (its body only when it is no success) and the pieces of its body as they come.

        The pieces raise `Lost` when the connection breaks or nothing comes for `read` seconds.
        """
        response = self._request("GET", address, headers, None, read)
        try:
            good = response.status == 200  # noqa: PLR2004  OK
            body = b"" if good else response.read()
            yield Answer(response.status, response.headers, body), self._pieces(response)
        finally:
            response.close()

    def _pieces(self, response: Any) -> Iterator[bytes]:  # noqa: ANN401  urllib3 is imported late
        try:
            yield from response.stream(_CHUNK, decode_content=True)
        except self._broken() as error:
            raise Lost(_cause(error), sent=True) from error

    def _request(self, method: str, address: str, headers: Mapping[str, str], body: bytes | None, read: float) -> Any:  # noqa: ANN401  urllib3 is imported late
        import urllib3  # noqa: PLC0415  the client brings it

        client = self._connected()
        credentials = _credentials(client.configuration)
        try:
            return client.rest_client.pool_manager.request(
                method,
                client.configuration.host.rstrip("/") + address,
                body=body,
                headers={**headers, **credentials},
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=read),
                preload_content=False,
                redirect=False,
                retries=False,
            )
        except urllib3.exceptions.HTTPError as error:
            unsent = (
                urllib3.exceptions.ConnectTimeoutError,
                urllib3.exceptions.NewConnectionError,
                urllib3.exceptions.ProxyError,
                urllib3.exceptions.SSLError,
            )
            raise Lost(_cause(error), sent=not isinstance(error, unsent)) from error
        except OSError as error:
            raise Lost(_cause(error), sent=True) from error

    def _connected(self) -> Any:  # noqa: ANN401  the client is imported late
        with self._guard:
            if self._client is None or self._process != os.getpid():
                self._client = self._load()
                self._process = os.getpid()
            return self._client

    def _load(self) -> Any:  # noqa: ANN401  the client is imported late
        try:
            import yaml  # type: ignore[import-untyped]  # noqa: PLC0415  the client brings it
            from kubernetes import config  # noqa: PLC0415  seconds and 60 to 130 MB, for who needs it
            from kubernetes.client import ApiClient, Configuration  # noqa: PLC0415  same
            from kubernetes.config.incluster_config import InClusterConfigLoader  # noqa: PLC0415  same
        except ImportError as error:
            raise InvalidSetting(
                f"The Kubernetes client cannot be imported: {error}.",
                next_action="Install the distribution 'kubernetes' (31 or newer) in the image.",
                setting="target",
            ) from error
        # Another part of this process may have set the client's defaults for itself.
        configuration = type.__call__(Configuration)
        configuration.connection_pool_maxsize = _POOL
        try:
            if self._kubeconfig or self._context:
                config.load_kube_config(
                    config_file=self._kubeconfig or None,
                    context=self._context or None,
                    client_configuration=configuration,
                    persist_config=False,
                )
            else:
                InClusterConfigLoader(
                    token_filename=str(self._account / "token"),
                    cert_filename=str(self._account / "ca.crt"),
                    environ=self._environ,
                ).load_and_set(configuration)
        except (config.ConfigException, yaml.YAMLError, ValueError) as error:
            raise self._unusable(error) from error
        except OSError as error:
            raise ClusterUnavailable(f"The credentials for the cluster cannot be read: {error.strerror}.") from error
        return ApiClient(configuration)

    def _unusable(self, error: Exception) -> InvalidSetting:
        if self._kubeconfig or self._context:
            where = self._kubeconfig or "the default kubeconfig"
            in_context = f", context {self._context!r}," if self._context else ""
            return InvalidSetting(
                f"{where}{in_context} cannot be used: {_cause(error)}",
                next_action="Correct kubeconfig and kube_context in [package_manager].",
                setting="kubeconfig",
            )
        return InvalidSetting(
            f"This process is in no pod with an account of the cluster: {_cause(error)}",
            next_action="Set kubeconfig in [package_manager], or run in a pod whose account's token is mounted.",
            setting="kubeconfig",
        )

    @staticmethod
    def _broken() -> tuple[type[Exception], ...]:
        import urllib3  # noqa: PLC0415  the client brings it

        return (urllib3.exceptions.HTTPError, OSError)


def _credentials(configuration: Any) -> dict[str, str]:  # noqa: ANN401  the client is imported late
    """Return the headers that say who we are; the client reads a token anew here when its time has come."""
    try:
        return {row["key"]: row["value"] for row in configuration.auth_settings().values()}
    except Exception as error:  # whatever a file, a command or another service of the kubeconfig raises
        raise Lost(f"the credentials cannot be read ({type(error).__name__})", sent=False) from error


def _cause(error: BaseException) -> str:
    return without_credentials(" ".join(str(error).split()))[:300]
