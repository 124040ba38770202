"""How the text of a setting becomes a value: each parser raises `ValueError` with what is allowed.

Standard library only, as `settings`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

COMPONENTS = ("scheduler", "worker", "triggerer", "dag-processor", "api-server")
"""What Airflow 3 can run, in the default order of a rollout: what executes before what parses, the api-server last."""
_INDEX_ADDRESS = re.compile(
    r"https?://(?:[^\s/@:?#\[\]]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?(?:[/?#]\S*)?", re.IGNORECASE | re.ASCII
)


def choice(*allowed: str) -> Callable[[str], str]:
    """Return a parser that takes these words only."""

    def parse(raw: str) -> str:
        if raw not in allowed:
            raise ValueError("one of " + ", ".join(allowed))
        return raw

    return parse


def seconds(low: int, high: int) -> Callable[[str], int]:
    """Return a parser of whole seconds, both bounds included."""

    def parse(raw: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", raw) or not low <= int(raw) <= high:
            raise ValueError(f"a whole number of seconds from {low} to {high}")
        return int(raw)

    return parse


def names(raw: str) -> tuple[str, ...]:
    """Return the parts between commas; raises nothing."""
    return tuple(part.strip() for part in raw.split(",") if part.strip())


def components(raw: str) -> tuple[str, ...]:
    """Return some of `COMPONENTS`; empty for ``auto``."""
    given = names(raw)
    if given == ("auto",):
        return ()
    unknown = [name for name in given if name not in COMPONENTS]
    if not given or unknown or len(set(given)) != len(given):
        raise ValueError("auto, or some of " + ", ".join(COMPONENTS) + ", each once")
    return given


def order(raw: str) -> tuple[str, ...]:
    """Return all of `COMPONENTS`, each once, in the order given."""
    given = names(raw)
    if sorted(given) != sorted(COMPONENTS):
        raise ValueError("all of " + ", ".join(COMPONENTS) + " in the order wanted")
    return given


def url(raw: str) -> str:
    """Return the address of an index, or nothing."""
    if "@" in raw:
        raise ValueError("an address without credentials (they go into the environment, netrc, or a file)")
    if raw and not _INDEX_ADDRESS.fullmatch(raw):
        raise ValueError("an http or https address of a Simple API index")
    return raw


def urls(raw: str) -> tuple[str, ...]:
    """Return the addresses between spaces."""
    return tuple(url(part) for part in raw.split() if part)


def absolute_path(raw: str) -> str:
    """Return the path, or nothing."""
    if raw and not Path(raw).is_absolute():
        raise ValueError("an absolute path, or empty")
    return raw
