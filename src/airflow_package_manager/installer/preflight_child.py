"""The child of the preflight: runs with the new site on, and writes its answer at the very end.

Airflow, packaging and the packages under test are imported by name at run time: they are what is being examined, so
nothing here depends on them. A caught failure is an answer; a process that ends, hangs or forks gives none.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.metadata
import json
import os
import signal
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from airflow_package_manager.domain.lock import normalised
from airflow_package_manager.installer.preflight_record import (
    AIRFLOW_BROKEN,
    IMPORT_FAILED,
    IMPORT_FORKED,
    REQUIREMENTS_BROKEN,
)
from airflow_package_manager.installer.top_level import top_level_modules
from airflow_package_manager.redaction import without_credentials

_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG


class _Examination:
    """Collects what is found; each step is noted first, so that the parent can name it when we do not return."""

    def __init__(self, work: Path, question: Mapping[str, Any]) -> None:
        self._work = work
        self._pid = os.getpid()
        self._forks = 0
        self._site = str(question["site"])
        self._changed = frozenset(question["changed"])
        self._directs = frozenset(question["directs"])
        self._nonce = question["nonce"]
        self._failures: list[tuple[str, str]] = []
        self._warnings: list[str] = []
        self._imported = 0
        os.register_at_fork(before=self._count_fork)

    def run(self) -> None:
        """Examine, and write the answer."""
        if os.path.realpath(self._site) not in sys.path:
            self._failures.append((IMPORT_FAILED, "The site is not active in this interpreter."))
        elif self._import("airflow", direct=True, code=AIRFLOW_BROKEN):
            distributions = _merged()
            self._require(distributions)
            self._import_all(distributions)
        self._answer()

    # --- imports -------------------------------------------------------------------------------------------------

    def _import_all(self, distributions: Mapping[str, importlib.metadata.Distribution]) -> None:
        for name in sorted(self._changed, key=lambda name: (name not in self._directs, name)):
            distribution = distributions.get(name)
            if distribution is None:
                self._failures.append((IMPORT_FAILED, f"{name} is in the lock, but not in the site."))
                continue
            for module in top_level_modules(str(path) for path in distribution.files or ()):
                self._import(module, direct=name in self._directs, of=name)

    def _import(self, module: str, *, direct: bool, code: str = IMPORT_FAILED, of: str = "") -> bool:
        owner = f" (of {of})" if of else ""
        self._note(f"importing {module}{owner}")
        forks = self._forks
        try:
            importlib.import_module(module)
        except BaseException as error:  # noqa: BLE001 - SystemExit too is an answer here
            ends = "ends the process" if isinstance(error, SystemExit) else "fails"
            # Masked before it is cut: half of an address does not look like one.
            said = without_credentials(f"import {module}{owner} {ends}: {type(error).__name__}: {error}")
            self._found(direct, code, said[:500] + ".")
            return False
        if os.getpid() != self._pid:
            os._exit(0)  # the other half of a fork: only the original may answer
        if self._forks != forks:
            self._failures.append((IMPORT_FORKED, f"import {module}{owner} forks the process."))
            return False
        self._imported += 1
        return True

    def _count_fork(self) -> None:
        self._forks += 1

    # --- requirements --------------------------------------------------------------------------------------------

    def _require(self, distributions: Mapping[str, importlib.metadata.Distribution]) -> None:
        self._note("comparing what the packages require")
        try:
            parse = importlib.import_module("packaging.requirements").Requirement
        except Exception as error:  # noqa: BLE001 - a broken packaging breaks Airflow too
            self._failures.append((REQUIREMENTS_BROKEN, f"packaging cannot be imported: {error}."))
            return
        for name, distribution in sorted(distributions.items()):
            for text in distribution.requires or ():
                if name in self._changed or any(_mentions(text, other) for other in self._changed):
                    try:
                        self._compare(name, parse(text), distributions)
                    except Exception as error:  # noqa: BLE001 - old metadata holds what packaging cannot read
                        self._warnings.append(f"{name} requires {text!r}, which cannot be judged: {error}"[:500] + ".")

    def _compare(self, name: str, wanted: Any, distributions: Mapping[str, Any]) -> None:  # noqa: ANN401 - packaging's
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            return
        other = normalised(wanted.name)
        if name not in self._changed and other not in self._changed:
            return
        found = distributions.get(other)
        if found is None:
            message = f"{name} requires {wanted}, which is not installed."
        elif not wanted.specifier.contains(found.version, prereleases=True):
            message = f"{name} requires {wanted}, but {other} {found.version} is there."
        else:
            return
        # What the image's own packages disagreed on before this change is not the change's fault.
        mine = name in self._changed or not self._broken_before(wanted, other)
        self._found(mine, REQUIREMENTS_BROKEN, message)

    def _broken_before(self, wanted: Any, other: str) -> bool:  # noqa: ANN401 - packaging's
        before = next(
            (found for found in _all() if found.name and normalised(found.name) == other and not self._in_site(found)),
            None,
        )
        return before is not None and not wanted.specifier.contains(before.version, prereleases=True)

    def _in_site(self, distribution: importlib.metadata.Distribution) -> bool:
        return os.path.realpath(str(distribution.locate_file(""))) == os.path.realpath(self._site)

    # --- answer --------------------------------------------------------------------------------------------------

    def _found(self, direct: bool, code: str, message: str) -> None:  # noqa: FBT001 - private, always by name of its fact
        if direct:
            self._failures.append((code, message))
        else:
            self._warnings.append(message)

    def _note(self, step: str) -> None:
        (self._work / "step").write_text(step, encoding="utf-8", errors="replace")

    def _answer(self) -> None:
        if os.getpid() != self._pid:
            os._exit(0)
        answer = {
            "nonce": self._nonce,
            "failures": self._failures,
            "warnings": self._warnings,
            "summary": f"Airflow imports with {len(self._changed)} changed distributions; {self._imported - 1} of"
            " their packages were imported.",
        }
        fresh = self._work / "answer.json.new"
        fresh.write_text(json.dumps(answer), encoding="ascii")
        fresh.replace(self._work / "answer.json")


def main() -> None:
    """Answer the question in the working directory named by the environment, then end without further ado."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    work = Path(os.environ["AIRFLOW_PACKAGE_MANAGER_PREFLIGHT_WORK"])
    question = json.loads((work / "question.json").read_text(encoding="ascii"))
    _Examination(work, question).run()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # threads and exit handlers of what was imported have no say


def _merged() -> dict[str, importlib.metadata.Distribution]:
    """Return what this interpreter sees, site before image, each name once."""
    found: dict[str, importlib.metadata.Distribution] = {}
    for distribution in _all():
        if distribution.name:
            found.setdefault(normalised(distribution.name), distribution)
    return found


def _all() -> Iterable[importlib.metadata.Distribution]:
    return importlib.metadata.distributions(path=[entry for entry in sys.path if entry])


def _mentions(requirement: str, name: str) -> bool:
    """Tell quickly whether a requirement may be for the project (the parser then knows)."""
    return normalised(requirement[: len(name) + 8]).startswith(name)
