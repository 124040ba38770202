"""Which indexes are asked, and with whose credentials; standard library only, so that the installer can use it.

Credentials come from the environment (`AIRFLOW_PACKAGE_MANAGER_INDEX_CREDENTIALS`), from the file named by
`index_credentials_file`, or from the usual netrc. They reach uv in the environment of that one child only: its argv is
readable by everybody in `/proc`, its environment by its own user alone, and no file of ours ever holds them.
"""

from __future__ import annotations

import netrc
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from airflow_package_manager.errors import InvalidSetting

if TYPE_CHECKING:
    from airflow_package_manager.settings import Settings  # the installer reads few settings, and late

CREDENTIALS_VARIABLE = "AIRFLOW_PACKAGE_MANAGER_INDEX_CREDENTIALS"
"""Addresses separated by spaces, such as ``https://user:password@packages.example.com``; one per host."""
MASK = "****"
_USERINFO = re.compile(r"(?<=://)[^/\s'\"`]*@")
_LONGEST_NAME = 12
"""Characters of a user beside a password; a longer one may be a token, and masking a name costs nothing."""


@dataclass(frozen=True)
class Credentials:
    """User and password; never shown."""

    user: str = field(repr=False)
    password: str = field(repr=False)

    def secrets(self) -> tuple[str, ...]:
        """Return what may not be shown: some indexes take a token as the user."""
        return (self.password, self.user) if not self.password or len(self.user) > _LONGEST_NAME else (self.password,)


@dataclass(frozen=True)
class IndexAccess:
    """The indexes in uv's order and how to get in."""

    index_url: str = ""
    """Without credentials; empty means uv's own default."""
    extra_index_urls: tuple[str, ...] = ()
    """Asked before `index_url`."""
    wheelhouse: str = ""
    """A directory of wheels, asked in the place of every index; empty means the indexes."""
    netrc_file: str = ""
    """Handed to uv as NETRC; empty means none beside the environment's own."""
    by_host: Mapping[str, Credentials] = field(default_factory=dict, repr=False)
    """Host, with its port when the address names one → credentials out of the environment variable or netrc."""

    def credentials(self, url: str) -> Credentials | None:
        """Return what the address wants to see, None when nothing is known for its host."""
        parts = urlsplit(url)
        return self.by_host.get(_host(url)) or self.by_host.get(parts.hostname or "")

    def arguments(self) -> tuple[str, ...]:
        """Return the options by which uv learns that it must ask nobody."""
        return ("--no-index", "--find-links", self.wheelhouse) if self.wheelhouse else ()

    def environment(self) -> dict[str, str]:
        """Return the variables by which uv learns of indexes and credentials."""
        values = {"UV_INDEX_STRATEGY": "first-index"}
        if self.index_url:
            values["UV_DEFAULT_INDEX"] = self._with_credentials(self.index_url)
        if self.extra_index_urls:
            values["UV_INDEX"] = " ".join(map(self._with_credentials, self.extra_index_urls))
        if self.netrc_file:
            values["NETRC"] = self.netrc_file
        return values

    @staticmethod
    def redact_addresses(text: str) -> str:
        """Return the text without user and password of any address."""
        return _USERINFO.sub(f"{MASK}@", text)

    def redact(self, text: str) -> str:
        """Return the text without user and password of any address, and without any secret known here."""
        text = self.redact_addresses(text)
        secrets = {secret for known in self.by_host.values() for secret in known.secrets()}
        for secret in sorted(secrets | {quote(secret, safe="") for secret in secrets}, key=len, reverse=True):
            if secret:
                text = text.replace(secret, MASK)
        return text

    def _with_credentials(self, url: str) -> str:
        known = self.credentials(url)
        if known is None:
            return url
        parts = urlsplit(url)
        userinfo = f"{quote(known.user, safe='')}:{quote(known.password, safe='')}"
        return urlunsplit(parts._replace(netloc=f"{userinfo}@{parts.netloc}"))


def index_access(settings: Settings, environ: Mapping[str, str] = os.environ) -> IndexAccess:
    """Return what the settings and the environment say; raises `InvalidSetting` for credentials nobody can read."""
    by_host: dict[str, Credentials] = {}
    file = settings.index_credentials_file or environ.get("NETRC", "")
    usual = Path(environ.get("HOME") or "~").expanduser() / ".netrc"
    path = Path(file) if file else usual
    if settings.index_credentials_file or path.is_file():
        by_host.update(_from_netrc(path, settings.index_credentials_file))
    by_host.update(_from_variable(environ.get(CREDENTIALS_VARIABLE, "")))
    return IndexAccess(settings.index_url, settings.extra_index_urls, settings.wheelhouse, file, by_host)


def _from_netrc(path: Path, setting: str) -> dict[str, Credentials]:
    try:
        hosts = netrc.netrc(str(path)).hosts
    except (OSError, netrc.NetrcParseError, UnicodeDecodeError) as error:
        # The parser's own message quotes the file: it may hold the secret.
        reason = error.strerror if isinstance(error, OSError) else "it is not a netrc file"
        raise InvalidSetting(
            f"The credentials file {path} cannot be read: {reason}.",
            next_action="Write lines such as 'machine packages.example.com login NAME password SECRET', readable by"
            " Airflow's user only.",
            setting="index_credentials_file" if setting else "NETRC",
            value=str(path),
            allowed="a netrc file",
        ) from None
    return {
        host.lower(): Credentials(login or "", password or "")
        for host, (login, _, password) in hosts.items()
        if password
    }


def _from_variable(raw: str) -> dict[str, Credentials]:
    found = {}
    for number, address in enumerate(raw.split(), start=1):
        try:
            parts = urlsplit(address)
            host = _host(address)
        except ValueError:
            parts, host = urlsplit(""), ""
        if parts.scheme not in {"http", "https"} or not host or not parts.username:
            raise InvalidSetting(
                f"Address {number} of {CREDENTIALS_VARIABLE} is not of the form https://user:password@host.",
                next_action=f"Correct {CREDENTIALS_VARIABLE}; special characters of a password are percent-encoded.",
                setting=CREDENTIALS_VARIABLE,
                value=MASK,
                allowed="https://user:password@host",
            )
        found[host] = Credentials(unquote(parts.username), unquote(parts.password or ""))
    return found


def _host(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname or ""
