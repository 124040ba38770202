"""What one endpoint is: a row of the table in `endpoints`, and the errors that it may answer with."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from airflow_package_manager import errors, refusals
from airflow_package_manager.domain.access import Permission, Principal
from airflow_package_manager.errors import PackageManagerError
from airflow_package_manager.web import requests, schemas
from airflow_package_manager.web.body import MAXIMUM_BYTES
from airflow_package_manager.web.handlers import Api, Call

PREFIX = "api/v1/"
"""Below the address where the plugin is mounted."""

Handler = Callable[[Api, Principal, Call], schemas.Answer]

PATH_VALUES: Mapping[str, re.Pattern[str]] = {
    "id": re.compile(r"[0-9a-f]{32}"),
    "name": re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,198}[A-Za-z0-9])?"),
    "n": re.compile(r"0|[1-9][0-9]{0,8}"),
}
"""What may stand in an address; anything else names nothing."""


@dataclass(frozen=True)
class Endpoint:
    """One row."""

    method: str
    path: str
    """Template below `PREFIX`; names in braces are those of `PATH_VALUES`."""
    permission: Permission
    response: type[schemas.Answer]
    handler: Handler
    summary: str
    query: type[requests.Query] = requests.NoQuery
    request: type[requests.Request] | None = None
    body_limit: int = MAXIMUM_BYTES
    status: int = 200
    refuses: tuple[type[PackageManagerError], ...] = ()
    """Beyond those of every endpoint (see `refusals_of`)."""

    @property
    def name(self) -> str:
        """Return the operation id of the OpenAPI document."""
        return self.handler.__name__


_ALWAYS: tuple[type[PackageManagerError], ...] = (
    refusals.Malformed,
    errors.NotAuthenticated,
    errors.Forbidden,
    PackageManagerError,
    errors.DatabaseBusy,
)
_WITH_BODY: tuple[type[PackageManagerError], ...] = (
    errors.CrossOrigin,
    errors.CsrfFailed,
    refusals.BodyTooLarge,
    refusals.UnsupportedMediaType,
)


def refusals_of(endpoint: Endpoint) -> tuple[type[PackageManagerError], ...]:
    """Return every error that the endpoint may answer with; the OpenAPI document and its test keep to it."""
    found = [*_ALWAYS, *endpoint.refuses]
    if "{" in endpoint.path:
        found.append(refusals.NotFound)
    if endpoint.request is not None:
        found.extend(_WITH_BODY)
    return tuple(dict.fromkeys(found))
