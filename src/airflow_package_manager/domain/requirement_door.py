"""The door for one requirement that a person writes: limits first, then PEP 508, never an echo of raw bytes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache

from packaging.markers import UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement as NotPep508
from packaging.requirements import Requirement
from packaging.version import InvalidVersion, Version

from airflow_package_manager.domain.undecodable import byte_of
from airflow_package_manager.redaction import without_credentials
from airflow_package_manager.refusals import InvalidRequirement, PolicyViolation

MAXIMUM_CHARACTERS = 1_000
MAXIMUM_MARKER_DEPTH = 20
"""packaging parses markers recursively; a request must not decide how deep."""
_MAXIMUM_SHOWN = 120
_LOOKED_AT = 4_096
_BEFORE_CREDENTIALS = re.compile("[:@?&]")
_ARCHIVE = re.compile(
    r"\.(?:whl|zip|egg|tar|tgz|tbz|txz|tlz|tar\.(?:gz|bz2|xz|lz|lzma|zst))\Z", re.IGNORECASE | re.ASCII
)
_ADDRESS = re.compile(r"\A(?:[A-Za-z][A-Za-z0-9+.-]*:|[./~\\])|[/\\]", re.ASCII)
_NAMED_ADDRESS = re.compile(r"\A([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*@", re.ASCII)
_OPTION = re.compile(r"(?:\A|\s)-")
DIRECT_REFERENCE_WAY_OUT = (
    "Publish a wheel on a package index (setting extra_index_urls) and ask for it by name and version."
)


class NotUsable(ValueError):
    """A text is no requirement that we use; says why in one sentence."""


class DirectReference(NotUsable):
    """A URL, a path, or a VCS reference."""


class OptionGiven(NotUsable):
    """An option of pip stands where a requirement is wanted."""


def parse_requirement(text: str, field: str) -> Requirement:
    """Return the requirement of a change; `field` names its place in errors.

    Raises `InvalidRequirement`, and `PolicyViolation` for a direct reference.
    """
    try:
        return Requirement(str(read_requirement(text)))  # a value of the caller's own: Requirement is mutable
    except DirectReference as error:
        violation = {
            "rule": "direct-reference",
            "name": shown(text),
            "message": str(error),
            "next_action": DIRECT_REFERENCE_WAY_OUT,
        }
        raise PolicyViolation(
            f"{field}: {error}", next_action=DIRECT_REFERENCE_WAY_OUT, field=field, violations=[violation]
        ) from None
    except OptionGiven as error:
        raise InvalidRequirement(
            f"{field}: {error}",
            next_action="Give the requirement alone; indexes and other options are settings of [package_manager].",
            field=field,
            requirement=shown(text),
        ) from None
    except NotUsable as error:
        raise InvalidRequirement(f"{field}: {error}", field=field, requirement=shown(text)) from None


def read_requirement(text: str) -> Requirement:
    """Return the requirement, or raise `NotUsable` with the cause; what it accepts survives re-serialisation."""
    if len(text) > MAXIMUM_CHARACTERS:
        raise NotUsable(f"it has {len(text)} characters; at most {MAXIMUM_CHARACTERS} are taken.")
    text = text.strip(" ")
    if not text:
        raise NotUsable("it is empty.")
    problem = strange_character(text, ascii_only=True)
    if problem:
        raise NotUsable(problem)
    return _read(text)


@lru_cache(maxsize=4096)
def _read(text: str) -> Requirement:
    _require_plain(text)
    try:
        requirement = Requirement(text)
        for specifier in requirement.specifier:
            if specifier.operator != "===":
                Version(specifier.version.removesuffix(".*"))
        if str(Requirement(str(requirement))) != str(requirement):
            raise NotUsable(f"{shown(text)} cannot be written down unambiguously.")
    except NotPep508 as error:
        reason = shown(str(error).partition("\n")[0], quoted=False)
        raise NotUsable(f"{shown(text)} is not a requirement: {reason}.") from None
    except (InvalidVersion, ValueError, RecursionError) as error:
        if isinstance(error, NotUsable):
            raise
        raise NotUsable(f"{shown(text)} has a version or marker that cannot be read.") from None
    return requirement


def _require_plain(text: str) -> None:
    """Raise `NotUsable` for what must not even be tried as PEP 508."""
    if "${" in text:
        raise NotUsable(f"{shown(text)} contains '${{': environment variables are not expanded here.")
    if _NAMED_ADDRESS.match(text) or _ADDRESS.search(text.partition(";")[0]) or _ARCHIVE.search(text):
        raise DirectReference(f"{shown(text)} is a direct reference (an address, a path, or a repository).")
    if _OPTION.search(text.partition(";")[0]) or text.rpartition('"')[2].rpartition("'")[2].find(" -") >= 0:
        raise OptionGiven(f"{shown(text)} contains an option.")
    if _depth(text) > MAXIMUM_MARKER_DEPTH:
        raise NotUsable(f"its marker nests deeper than {MAXIMUM_MARKER_DEPTH} parentheses.")


def applies(requirement: Requirement, markers: Mapping[str, str]) -> bool:
    """Tell whether the requirement counts in this environment; a marker that cannot be decided counts."""
    if requirement.marker is None:
        return True
    try:
        return requirement.marker.evaluate({**markers, "extra": ""})
    except (UndefinedComparison, UndefinedEnvironmentName, ValueError):
        return True


def address_name(text: str) -> str | None:
    """Return the project that ``name @ address`` names, None when it names none."""
    found = _NAMED_ADDRESS.match(text)
    return found[1] if found else None


def strange_character(text: str, *, ascii_only: bool) -> str | None:
    """Return the sentence that names the first character that no requirement may hold, None when there is none.

    With `ascii_only` no other alphabet is taken (look-alikes); without it (whole lines, comments) tabs and letters
    of any script are.
    """
    if text.isascii() and text.isprintable():
        return None
    for position, character in enumerate(text, start=1):
        byte = byte_of(character)
        if byte is not None:
            return f"character {position} is the byte 0x{byte:02X}, which is not UTF-8."
        category = unicodedata.category(character)
        if (not ascii_only and character == "\t") or (character.isprintable() and not ascii_only):
            continue
        if character.isascii() and character.isprintable():
            continue
        if category == "Cs":
            kind = "half of a surrogate pair"
        elif category in {"Cc", "Zl", "Zp"}:
            kind = "a control character or line separator"
        elif not ascii_only:
            if category in {"Zs", "Cf", "Co", "Cn"}:
                continue  # spaces and joiners of other scripts, harmless in a comment
            kind = "an unprintable character"
        else:
            kind = "not an ASCII character"
        return f"character {position} (U+{ord(character):04X}) is {kind}."
    return None


def shown(text: str, *, quoted: bool = True) -> str:
    """Return the text safe to print: credentials masked, everything but printable ASCII escaped, bounded."""
    masked = without_credentials(_beginning(text))
    short = masked if len(masked) <= _MAXIMUM_SHOWN else masked[: _MAXIMUM_SHOWN - 1] + "…"
    escaped = ascii(short)
    return escaped if quoted else escaped[1:-1]


def _beginning(text: str) -> str:
    """Return the text, of a long one only what comes first: no credentials are looked for in a million characters.

    A word is not cut where its credentials would lose the sign by which they are known.
    """
    if len(text) <= _LOOKED_AT:
        return text
    words, space, cut = text[:_LOOKED_AT].rpartition(" ")
    return f"{words}{space}{_BEFORE_CREDENTIALS.split(cut, maxsplit=1)[0]}…"


def _depth(text: str) -> int:
    """Return how deep parentheses nest, text in quotes left out."""
    deepest = depth = 0
    quote = ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character == "(":
            depth += 1
            deepest = max(deepest, depth)
        elif character == ")":
            depth -= 1
    return deepest
