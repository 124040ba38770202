"""The requirements file, lossless: what nobody edits stays byte for byte."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import zip_longest

from packaging.requirements import Requirement

from airflow_package_manager.domain.inventory import KeptLine
from airflow_package_manager.domain.lock import normalised
from airflow_package_manager.domain.plan import Action, Change
from airflow_package_manager.domain.requirement_door import parse_requirement
from airflow_package_manager.domain.requirement_lines import (
    Line,
    Reading,
    RequirementLine,
    dangling,
    parts,
    split,
    without_hashes,
)
from airflow_package_manager.refusals import (
    AlreadyRequired,
    AmbiguousRequirement,
    InvalidRequirementsFile,
    RequirementNotFound,
)

__all__ = ["RequirementLine", "RequirementsFile", "apply_change_set", "parse_requirement"]

_BOM = "\ufeff"
_BY_HAND = "Edit the whole file."


@dataclass(frozen=True)
class RequirementsFile:
    """A value; an edit returns another one that differs in its own line only."""

    bom: str
    lines: tuple[Line, ...]
    """Every logical line, comments and blank ones included."""

    @classmethod
    def parse(cls, text: str) -> RequirementsFile:
        """Return the file; there is no text that cannot be read, only lines that are kept and not used."""
        bom = _BOM if text.startswith(_BOM) else ""
        return cls(bom, tuple(split(text.removeprefix(_BOM))))

    def render(self) -> str:
        """Return the text."""
        return self.bom + "".join(line.raw for line in self.lines)

    @property
    def entries(self) -> tuple[RequirementLine, ...]:
        """The lines that name a project and that we use, in their order."""
        return tuple(
            RequirementLine(
                reading.name, reading.requirement, line.number, reading.hashes, reading.other_options, reading.written
            )
            for line in self.lines
            if (reading := line.reading).requirement is not None and reading.name is not None
        )

    def kept_lines(self) -> tuple[KeptLine, ...]:
        """Return the lines that are shown and never used, credentials masked."""
        return tuple(kept for line in self.lines if (kept := line.kept()) is not None)

    def names(self) -> tuple[str, ...]:
        """Return the normalised names of the entries, each once, in order."""
        return tuple(dict.fromkeys(line.reading.name for line in self.lines if line.reading.name is not None))

    def add(self, requirement: Requirement) -> RequirementsFile:
        """Append one line; raises `AlreadyRequired`, and `InvalidRequirementsFile` as every edit (see `_checked`)."""
        name = normalised(requirement.name)
        found = [line for line in self.lines if name in (line.reading.name, line.reading.direct_name)]
        if found:
            by_address = all(line.reading.direct_name == name for line in found)
            raise AlreadyRequired(
                f"Line {found[0].number} names {name} already.",
                next_action=_BY_HAND if by_address else None,
                project=name,
                lines=[line.number for line in found],
            )
        newline = next((end for line in reversed(self.lines) if (end := _line_end(line.raw))), "\n")
        before = self.lines[-1].raw if self.lines else ""
        separator = ""
        if before and not before.endswith(("\n", "\r")):
            separator = newline
        if before and dangling(before):
            separator += newline  # else the new line would be read as the continuation of the last one
        edited = RequirementsFile.parse(self.render() + separator + str(requirement) + newline)
        return self._checked(edited, name, str(requirement))

    def update(self, requirement: Requirement) -> RequirementsFile:
        """Rewrite the project's line; raises `RequirementNotFound`, `AmbiguousRequirement`.

        Extras and marker stay unless given; comment and place stay; hashes of another version go.
        """
        old_name = normalised(requirement.name)
        index = self._only(old_name)
        line = self.lines[index]
        old = line.reading.requirement
        if old is None:
            raise AssertionError("an entry has a requirement")
        new = Requirement(str(requirement))
        new.name = old.name
        new.extras = new.extras or set(old.extras)
        new.marker = new.marker or old.marker
        if str(new) == str(old):
            return self
        part = parts(line.raw)
        options = part.options
        if new.specifier != old.specifier and line.reading.hashes:
            options = without_hashes(options)
        start = len(line.raw) - len(line.raw.lstrip(" \t\r\n\\"))
        if options == part.options and line.raw.startswith(part.requirement, start):
            raw = line.raw[:start] + str(new) + line.raw[start + len(part.requirement) :]
        else:
            comment = part.comment.rstrip("\\")  # of a line of its own it may end so, here it would go on
            raw = part.lead + str(new) + (" " + options if options else "") + comment + part.end
        return self._checked(self._with(index, raw), old_name, str(new))

    def remove(self, name: str) -> RequirementsFile:
        """Drop the project's line, its continuations included; raises as `update` does."""
        name = normalised(name)
        return self._checked(self._with(self._only(name), ""), name, None)

    def _only(self, name: str) -> int:
        found = [index for index, line in enumerate(self.lines) if line.reading.name == name]
        numbers = [self.lines[index].number for index in found]
        if len(found) > 1:
            raise AmbiguousRequirement(
                f"Lines {', '.join(map(str, numbers))} all name {name}.", project=name, lines=numbers
            )
        if not found:
            by_address = [line.number for line in self.lines if line.reading.direct_name == name]
            if by_address:
                raise RequirementNotFound(
                    f"Line {by_address[0]} names {name} by an address; such a line is not edited here.",
                    next_action=_BY_HAND,
                    project=name,
                    lines=by_address,
                )
            raise RequirementNotFound(f"No line of the file names {name}.", project=name)
        return found[0]

    def _with(self, index: int, raw: str) -> RequirementsFile:
        changed = replace(self.lines[index], raw=raw)
        lines = (*self.lines[:index], changed, *self.lines[index + 1 :])
        return RequirementsFile.parse(self.bom + "".join(line.raw for line in lines))

    def _checked(self, edited: RequirementsFile, name: str, wanted: str | None) -> RequirementsFile:
        """Return the edited file, or raise unless it asks `wanted` of the project and every other line says the same.

        How lines are joined depends on their neighbours, and in a person's file anything may stand beside anything.
        """
        before, after = _sayings(self, name), _sayings(edited, name)
        for (number, was), (_, now) in zip_longest(before, after, fillvalue=(1, Reading())):
            if was != now:
                raise _not_by_itself(name, number)
        found = [line.reading.written for line in edited.lines if line.reading.name == name]
        if found != ([] if wanted is None else [wanted]):
            raise _not_by_itself(name, next((line.number for line in self.lines if line.reading.name == name), 1))
        return edited


def apply_change_set(text: str, changes: Iterable[Change]) -> str:
    """Return the text with every change applied in order.

    Raises what the door and the edits raise, naming the change's place; the text is all or nothing.
    """
    file = RequirementsFile.parse(text)
    for number, change in enumerate(changes):
        requirement = parse_requirement(change.requirement, f"changes[{number}].requirement")
        if change.action is Action.ADD:
            file = file.add(requirement)
        elif change.action is Action.UPDATE:
            file = file.update(requirement)
        else:
            file = file.remove(requirement.name)
    return file.render()


def _sayings(file: RequirementsFile, name: str) -> list[tuple[int, Reading]]:
    """Return number and reading of the lines that say something, those of one project left out."""
    return [
        (line.number, line.reading)
        for line in file.lines
        if line.reading.name != name and (line.reading.requirement is not None or line.reading.kind is not None)
    ]


def _not_by_itself(name: str, number: int) -> InvalidRequirementsFile:
    reason = f"it would say something else once the line of {name} is changed."
    line = {"number": number, "text": "", "rule": "invalid-line", "reason": reason, "next_action": _BY_HAND}
    return InvalidRequirementsFile(f"Line {number}: {reason}", next_action=_BY_HAND, lines=[line], violations=[])


def _line_end(raw: str) -> str:
    if raw.endswith("\r\n"):
        return "\r\n"
    return raw[-1] if raw.endswith(("\n", "\r")) else ""
