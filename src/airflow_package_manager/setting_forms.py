"""How the text of a setting becomes a value; each form raises `ValueError` with what is allowed.

Standard library only, as `settings`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

from airflow_package_manager.domain.components import COMPONENTS, WEB_SERVERS
from airflow_package_manager.web_address import host_of

_LONGEST_NAME = 256
_EVERYBODY = frozenset({"anonymous", "public"})
"""What Airflow calls whoever is not logged in, and the role of all who are not."""
_INDEX_ADDRESS = re.compile(
    r"https?://(?:[^\s/@:?#\[\]]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?(?:[/?#]\S*)?", re.IGNORECASE | re.ASCII
)
_DNS_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?", re.ASCII)
_LABEL = re.compile(r"(?:[a-z0-9][a-z0-9.-]{0,252}/)?[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?", re.ASCII)
_LABEL_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?", re.ASCII)


def text(raw: str) -> str:
    """Return it as it is."""
    return raw


def choice(*allowed: str) -> Callable[[str], str]:
    """Return a form that allows these words."""

    def parse(raw: str) -> str:
        if raw not in allowed:
            raise ValueError("one of " + ", ".join(allowed))
        return raw

    return parse


def seconds(low: int, high: int) -> Callable[[str], int]:
    """Return a form that allows whole seconds in a range."""

    def parse(raw: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", raw) or not low <= int(raw) <= high:
            raise ValueError(f"a whole number of seconds from {low} to {high}")
        return int(raw)

    return parse


def names(raw: str) -> tuple[str, ...]:
    """Return what stands between commas."""
    return tuple(part.strip() for part in raw.split(",") if part.strip())


def people(raw: str) -> tuple[str, ...]:
    """Return names of users or roles; never a pattern, and never whoever is not logged in."""
    found = names(raw)
    wrong = [
        name
        for name in found
        if "*" in name or not name.isprintable() or len(name) > _LONGEST_NAME or name.lower() in _EVERYBODY
    ]
    if wrong or len(set(found)) != len(found):
        raise ValueError("names separated by commas, each once and in full: no '*', not Anonymous, not Public")
    return found


def words(raw: str) -> tuple[str, ...]:
    """Return the words of a command, the first of them an absolute path; none for an empty text."""
    try:
        found = tuple(shlex.split(raw))
    except ValueError:
        found = ("",)
    if found and not Path(found[0]).is_absolute():
        raise ValueError("the absolute path of a program and its words, quoted as in a shell, or empty")
    return found


def components(raw: str) -> tuple[str, ...]:
    """Return names of components, none for `auto`."""
    found = names(raw)
    if found == ("auto",):
        return ()
    unknown = [name for name in found if name not in COMPONENTS]
    if not found or unknown or len(set(found)) != len(found):
        raise ValueError("auto, or some of " + ", ".join(COMPONENTS) + ", each once")
    return found


def order(raw: str) -> tuple[str, ...]:
    """Return all components, each once; a web server that is not named comes last, where it is restarted anyway."""
    found = names(raw)
    found += tuple(name for name in WEB_SERVERS if name not in found)
    if sorted(found) != sorted(COMPONENTS):
        raise ValueError("all of " + ", ".join(COMPONENTS) + " in the order wanted")
    return found


def url(raw: str) -> str:
    """Return an address, or an empty text."""
    if "@" in raw:
        raise ValueError("an address without credentials (they go into the environment, netrc, or a file)")
    if raw and (not _INDEX_ADDRESS.fullmatch(raw) or host_of(raw) is None):
        raise ValueError("an http or https address of a Simple API index")
    return raw


def urls(raw: str) -> tuple[str, ...]:
    """Return addresses that spaces separate."""
    return tuple(url(part) for part in raw.split() if part)


def absolute_path(raw: str) -> str:
    """Return an absolute path, or an empty text."""
    if raw and not Path(raw).is_absolute():
        raise ValueError("an absolute path, or empty")
    return raw


def kubernetes_name(longest: int) -> Callable[[str], str]:
    """Return a form for the name of an object of at most so many characters."""

    def parse(raw: str) -> str:
        if len(raw) > longest or not _DNS_NAME.fullmatch(raw):
            raise ValueError(f"a name of lower-case letters, digits, '-' and '.', {longest} characters at most")
        return raw

    return parse


def label_value(raw: str) -> str:
    """Return the value of a label, or an empty text."""
    if not _LABEL_VALUE.fullmatch(raw):
        raise ValueError("the value of a label, or empty")
    return raw


def labels(raw: str) -> tuple[tuple[str, str], ...]:
    """Return label → value."""
    parts = names(raw)
    found = tuple(_pair(part) for part in parts)
    if any("=" not in part for part in parts) or any(
        not _LABEL.fullmatch(key) or not _LABEL_VALUE.fullmatch(value) for key, value in found
    ):
        raise ValueError("labels as key=value, separated by commas")
    return found


def workloads(raw: str) -> tuple[tuple[str, str], ...]:
    """Return component → ``Kind/name`` or a label selector; the room for Kubernetes reads the second half."""
    found = tuple(_pair(part.strip()) for part in raw.split(";") if part.strip())
    known = [component for component, _ in found]
    if set(known) - set(COMPONENTS) or len(set(known)) != len(known) or not all(wanted for _, wanted in found):
        raise ValueError(
            "entries component=Deployment/name, component=StatefulSet/name or component=label selector, separated by"
            " semicolons; components are " + ", ".join(COMPONENTS) + ", each at most once"
        )
    return found


def _pair(text: str) -> tuple[str, str]:
    key, _, value = text.partition("=")
    return key.strip(), value.strip()
