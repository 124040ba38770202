"""One logical line of a requirements file: joined as pip joins, told apart, never changed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from packaging.requirements import Requirement

from airflow_package_manager.domain.inventory import KeptLine, LineKind
from airflow_package_manager.domain.lock import normalised
from airflow_package_manager.domain.requirement_door import (
    DirectReference,
    NotUsable,
    address_name,
    read_requirement,
    shown,
    strange_character,
)
from airflow_package_manager.domain.undecodable import without_bytes
from airflow_package_manager.redaction import without_credentials

_COMMENT = re.compile(r"(^|(?<!\s)\s+)#.*$")  # looks at a run of spaces from its start only: a million are read once
_LINE_END = re.compile(r"(?:\r\n|\n|\r|[\v\f\x1c-\x1e\x85\u2028\u2029])\Z")
_OPTIONS = re.compile(r"(?:\A| )-")
_HASH = re.compile(r"--hash(?:=| +)sha256:([0-9a-f]{64})(?!\S)", re.ASCII)
_ANY_HASH = re.compile(r"(?:\A| +)--hash(?:=| +)[^\s]+", re.ASCII)
_OWN_OPTION = re.compile(r"--(?:hash|config-settings?|global-option)(?:=| +)[^\s]+", re.ASCII)
_KINDS = (
    (re.compile(r"-e\b|--editable\b", re.ASCII), LineKind.EDITABLE),
    (re.compile(r"-[rc]\b|-[rc](?=\S)|--requirement\b|--constraint\b", re.ASCII), LineKind.FILE),
    (re.compile(r"-", re.ASCII), LineKind.OPTION),
)


@dataclass(frozen=True)
class RequirementLine:
    """A line that names a project and that we use."""

    name: str
    """Normalised."""
    requirement: Requirement
    number: int
    """1-based, of its first physical line."""
    hashes: frozenset[str] = frozenset()
    """SHA-256, 64 hex digits each."""
    other_options: tuple[str, ...] = ()
    """Options of this requirement that we do not use, credentials masked."""
    written: str = ""
    """The requirement as packaging writes it."""


@dataclass(frozen=True)
class Reading:
    """What a logical line says, wherever it stands."""

    requirement: Requirement | None = None
    name: str | None = None
    """Normalised, of the requirement."""
    written: str = ""
    """The requirement as packaging writes it."""
    hashes: frozenset[str] = frozenset()
    other_options: tuple[str, ...] = ()
    kind: LineKind | None = None
    """Why the line is kept and not used; None for a requirement, a comment, or a blank line."""
    reason: str = ""
    """For a kept line: the cause in one sentence."""
    direct_name: str | None = None
    """Normalised name in ``name @ address``."""


@dataclass(frozen=True)
class Line:
    """One logical line as it stands, its physical lines and line ends included."""

    raw: str
    number: int
    reading: Reading

    def kept(self) -> KeptLine | None:
        """Return the line as people may see it when it is kept and not used."""
        if self.reading.kind is None:
            return None
        text = without_credentials(self.raw.rstrip("\r\n"))
        text = "".join(part if part.isprintable() or part in "\t\n" else ascii(part)[1:-1] for part in text)
        return KeptLine(self.number, self.reading.kind, text)


@dataclass(frozen=True)
class Parts:
    """Where an edit may touch a logical line; the five texts joined are its logical text with its line end."""

    lead: str
    requirement: str
    options: str
    comment: str
    """With the white space before it."""
    end: str
    """The line end of its last physical line; empty at the end of a file without one."""


def split(text: str) -> Iterator[Line]:
    """Yield the logical lines of a text without BOM; their `raw` joined are the text."""
    pending: list[str] = []
    start = 1
    for number, physical in enumerate(text.splitlines(keepends=True), start=1):
        if not pending:
            start = number
        pending.append(physical)
        body = _body(physical)
        if body.endswith("\\") and not _COMMENT.match(body):
            continue
        yield _line("".join(pending), start)
        pending = []
    if pending:
        yield _line("".join(pending), start)


def parts(raw: str) -> Parts:
    """Return the parts of a logical line that holds a requirement; continuations are joined."""
    logical, end = _logical(raw)
    comment = _COMMENT.search(logical)
    content = logical[: comment.start()] if comment else logical
    lead = content[: len(content) - len(content.lstrip())]
    options = _OPTIONS.search(content)
    requirement = content[len(lead) : options.start()] if options else content[len(lead) :]
    rest = content[options.start() :].strip() if options else ""
    return Parts(lead, requirement.rstrip(), rest, comment[0] if comment else "", end)


def without_hashes(options: str) -> str:
    """Return the options of a requirement but those that name a hash."""
    return _ANY_HASH.sub("", options).strip()


def dangling(raw: str) -> bool:
    """Tell whether the next line would be joined to this one."""
    physical = raw.splitlines()[-1] if raw else ""
    return physical.endswith("\\") and not _COMMENT.match(physical)


def _line(raw: str, number: int) -> Line:
    return Line(raw, number, _read(raw))


@lru_cache(maxsize=4096)
def _read(raw: str) -> Reading:
    """Say what a logical line is (a line is read alike wherever it stands, so this is remembered)."""
    for physical in raw.splitlines(keepends=True):
        end = physical[len(_body(physical)) :]
        if end not in {"", "\n", "\r\n", "\r"}:
            return Reading(
                kind=LineKind.INVALID,
                reason=f"it ends with U+{ord(end):04X}, which some programs take for a line end and others do not.",
            )
        problem = strange_character(_COMMENT.sub(_without_bytes, _body(physical)), ascii_only=False)
        if problem:
            return Reading(kind=LineKind.INVALID, reason=problem)
    logical, _end = _logical(raw)
    content = _COMMENT.sub("", logical).strip()
    if not content:
        return Reading()
    for pattern, kind in _KINDS:
        if pattern.match(content):
            return Reading(kind=kind, reason=_REASONS[kind])
    return _read_requirement_line(content)


def _read_requirement_line(content: str) -> Reading:
    options = _OPTIONS.search(content)
    text = content[: options.start()] if options else content
    given = content[options.start() :].strip() if options else ""
    try:
        requirement = read_requirement(text.replace("\t", " "))
    except DirectReference as error:
        name = address_name(text.strip())
        return Reading(
            kind=LineKind.DIRECT_REFERENCE, reason=str(error), direct_name=normalised(name) if name else None
        )
    except NotUsable as error:
        return Reading(kind=LineKind.INVALID, reason=str(error))
    hashes = frozenset(_HASH.findall(given))
    own = [option[0] for option in _OWN_OPTION.finditer(given)]
    others = tuple(shown(option, quoted=False) for option in own if not _HASH.fullmatch(option))
    if _OWN_OPTION.sub("", given).strip():
        return Reading(kind=LineKind.INVALID, reason="an option stands behind the requirement that belongs elsewhere.")
    return Reading(
        requirement=requirement,
        name=normalised(requirement.name),
        written=str(requirement),
        hashes=hashes,
        other_options=others,
    )


_REASONS = {
    LineKind.EDITABLE: "it would install from a directory and run what stands there.",
    LineKind.FILE: "it refers to another file.",
    LineKind.OPTION: "it is an option of pip.",
}


def _without_bytes(comment: re.Match[str]) -> str:
    return without_bytes(comment[0])  # nobody reads a comment: in which encoding it was written is nothing to us


def _body(physical: str) -> str:
    return _LINE_END.sub("", physical)


def _logical(raw: str) -> tuple[str, str]:
    """Return the joined text and the last line end, by pip's rules (a comment line ends a continuation)."""
    bodies = []
    physical = ""
    for physical in raw.splitlines(keepends=True):
        body = _body(physical)
        if _COMMENT.match(body):
            bodies.append(" " + body)
        else:
            bodies.append(body.strip("\\") if body.endswith("\\") else body)
    if len(bodies) == 1 and _COMMENT.match(bodies[0]):
        bodies[0] = bodies[0].removeprefix(" ")
    return "".join(bodies), physical[len(_body(physical)) :]
