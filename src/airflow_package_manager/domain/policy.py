"""What may be asked and what may come of it: rules as data, each with a stable name and a way out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from packaging.requirements import Requirement

from airflow_package_manager.domain.inventory import LineKind
from airflow_package_manager.domain.lock import AIRFLOW_PREFIX, RESERVED, Lock, normalised, pins_by_name
from airflow_package_manager.domain.requirement_door import DIRECT_REFERENCE_WAY_OUT, applies, shown
from airflow_package_manager.domain.requirements import RequirementsFile
from airflow_package_manager.domain.resolution import Image
from airflow_package_manager.refusals import InvalidRequirementsFile, PolicyViolation

MAXIMUM_NAMED = 100
"""Violations that one refusal names; its sentence counts them all."""

LINE_RULES = {
    LineKind.OPTION: (
        "option-line",
        "Remove the line; index addresses are the settings index_url and extra_index_urls.",
    ),
    LineKind.FILE: ("file-line", "Remove the line and write the requirements of that file into this one."),
    LineKind.EDITABLE: ("editable", "Remove the line; build a wheel, publish it on an index and ask for it by name."),
    LineKind.DIRECT_REFERENCE: ("direct-reference", DIRECT_REFERENCE_WAY_OUT),
    LineKind.INVALID: ("invalid-line", "Correct or remove the line; one requirement per line, as in pandas>=2.1,<3."),
}
"""Rule and way out for each kind of line that is kept when it stands there already, and refused when it is new."""
_RULES_OF_LINES = frozenset(rule for rule, _way_out in LINE_RULES.values())


@dataclass(frozen=True)
class Violation:
    """One rule that forbids something."""

    rule: str
    """protected, denied, option-line, file-line, editable, direct-reference, or invalid-line."""
    name: str
    """Normalised project, or the line as it may be shown."""
    message: str
    next_action: str
    line: int | None = None
    """1-based number in the proposed text, where one line is meant."""


@dataclass(frozen=True)
class Policy:
    """The rules of one installation."""

    protected: frozenset[str] = frozenset()
    """Normalised names of the setting `protected_packages`."""
    denied: frozenset[str] = frozenset()
    """Normalised names of the setting `denied_packages`."""

    def protected_in(self, image: Image) -> frozenset[str]:
        """Return the distributions of the image that may not move."""
        return frozenset(name for name in image.distributions if self._is_protected(name))

    def check_request(self, file: RequirementsFile, base: RequirementsFile, image: Image) -> tuple[Violation, ...]:
        """Return what is wrong with a proposed file before anything is resolved.

        A line that stands in `base` already and cannot be used is inert and no violation; a requirement for a
        protected project is none while the image fulfils it.
        """
        return (*_new_lines(file, base), *self._requirements(file, image))

    def check_closure(self, lock: Lock, image: Image, current_lock: Lock | None) -> tuple[Violation, ...]:
        """Return what is wrong with the pins of a lock.

        `current_lock` says which pins are there already: they are judged alike, and the message tells.
        """
        present = pins_by_name(current_lock.pins) if current_lock else {}
        found = []
        for pin in lock.pins:
            there = " It is part of the current lock already." if present.get(pin.name) == pin else ""
            if self._is_reserved(pin.name) or (pin.name in image.distributions and self._is_protected(pin.name)):
                message = f"{_has(pin.name, image)}; the change would bring {pin.name} {pin.version}.{there}"
                found.append(Violation("protected", pin.name, message, self._way_out(pin.name)))
            if pin.name in self.denied:
                message = f"{pin.name} {pin.version} would be installed, and {pin.name} is denied here.{there}"
                found.append(Violation("denied", pin.name, message, _DENIED_WAY_OUT))
        return tuple(found)

    def needed_acknowledgements(self, lock: Lock, image: Image, current_lock: Lock | None) -> frozenset[str]:
        """Return ``shadows:<name>`` for each new or changed pin that hides the image's copy."""
        present = {pin.name: pin.version for pin in current_lock.pins} if current_lock else {}
        return frozenset(
            f"shadows:{pin.name}"
            for pin in lock.pins
            if pin.name in image.distributions and present.get(pin.name) != pin.version
        )

    def _requirements(self, file: RequirementsFile, image: Image) -> Iterator[Violation]:
        for entry in file.entries:
            requirement = entry.requirement
            if not applies(requirement, image.markers):
                continue
            if entry.name in self.denied:
                message = f"Line {entry.number} asks for {entry.name}, which is denied here."
                yield Violation("denied", entry.name, message, _DENIED_WAY_OUT, entry.number)
            there = entry.name in image.distributions
            guarded = self._is_reserved(entry.name) or (there and self._is_protected(entry.name))
            if guarded and not _fulfilled(requirement, image):
                wanted = str(requirement.specifier)
                asked = f"asks for {entry.name}{wanted}" if wanted else f"asks for {entry.name}"
                message = f"{_has(entry.name, image)}; line {entry.number} {asked}."
                yield Violation("protected", entry.name, message, self._way_out(entry.name), entry.number)

    def _is_reserved(self, name: str) -> bool:
        return name in RESERVED or name in self.protected

    def _is_protected(self, name: str) -> bool:
        return self._is_reserved(name) or name.startswith(AIRFLOW_PREFIX)

    def _way_out(self, name: str) -> str:
        if name in self.protected:
            return "Ask for a version that the image fulfils; whoever sets protected_packages can lift this."
        return (
            "Ask for something that fits the image; to change Airflow, its providers, this plugin or uv, build and"
            " roll out another image."
        )


_DENIED_WAY_OUT = "Use another project; whoever sets denied_packages can lift this."


def raise_for(violations: Sequence[Violation]) -> None:
    """Raise all violations as one error, or return when there are none.

    `InvalidRequirementsFile` when lines cannot be used (context: `lines`, and `violations` of the other rules),
    else `PolicyViolation`. Of each at most `MAXIMUM_NAMED` are named, so that an answer stays small.
    """
    if not violations:
        return
    lines = [violation for violation in violations if violation.rule in _RULES_OF_LINES]
    others = [asdict(violation) for violation in violations if violation.rule not in _RULES_OF_LINES]
    if lines:
        named = [
            {
                "number": violation.line,
                "text": violation.name,
                "rule": violation.rule,
                "reason": violation.message,
                "next_action": violation.next_action,
            }
            for violation in lines[:MAXIMUM_NAMED]
        ]
        more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
        raise InvalidRequirementsFile(
            lines[0].message + more,
            next_action=lines[0].next_action if len(lines) == 1 else None,
            lines=named,
            violations=others[:MAXIMUM_NAMED],
        )
    more = f" (and {len(others) - 1} more)" if len(others) > 1 else ""
    raise PolicyViolation(
        violations[0].message + more,
        next_action=violations[0].next_action if len(others) == 1 else None,
        violations=others[:MAXIMUM_NAMED],
    )


def _new_lines(file: RequirementsFile, base: RequirementsFile) -> Iterator[Violation]:
    there = Counter(line.raw.strip() for line in base.lines if line.reading.kind is not None)
    options_there = Counter(line.raw.strip() for line in base.lines if line.reading.other_options)
    for line in file.lines:
        raw, reading = line.raw.strip(), line.reading
        if reading.kind is not None:
            if there[raw] > 0:
                there[raw] -= 1
                continue
            rule, way_out = LINE_RULES[reading.kind]
            message = f"Line {line.number} cannot be used: {reading.reason}"
            yield Violation(rule, shown(raw, quoted=False), message, way_out, line.number)
        elif reading.other_options:
            if options_there[raw] > 0:
                options_there[raw] -= 1
                continue
            option = reading.other_options[0]
            message = f"Line {line.number} carries an option that is not used here: {option}"
            way_out = "Remove the option; of a requirement's options only --hash=sha256: is used."
            yield Violation("option-line", shown(raw, quoted=False), message, way_out, line.number)


def _fulfilled(requirement: Requirement, image: Image) -> bool:
    there = image.distributions.get(normalised(requirement.name))
    return there is not None and requirement.specifier.contains(there.version, prereleases=True)


def _has(name: str, image: Image) -> str:
    if name in image.distributions:
        return f"The image has {name} {image.distributions[name].version}, which may not change"
    return f"{name} is protected and no part of the image"
