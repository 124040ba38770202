"""`python -m airflow_package_manager.installer`: brings the site of one component up to date before it starts.

Chooses `lock.<stamp>` of the component, else `lock.<current>`, waits a bounded time for a lock that is not there yet,
and answers with one JSON line (`domain.report.InstallReport`). Exit status: 0, 1 (final), 75 (trying again may help).
With `--stamp` it is the init container of a pod: other rules for a lock that is missing (`pod`, `revision_choice`).
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from pathlib import Path

from airflow_package_manager import __version__
from airflow_package_manager.domain import report
from airflow_package_manager.domain.report import InstallReport
from airflow_package_manager.errors import PackageManagerError
from airflow_package_manager.installer.directory import Directory

TYPE_CHECKING = False  # importing typing would cost each start of a component 4 ms
if TYPE_CHECKING:
    from airflow_package_manager.settings import Settings

USAGE = """\
usage: python -m airflow_package_manager.installer [--directory D] [--component C | --revision N]
                                                   [--wait SECONDS] [--report FILE]
       python -m airflow_package_manager.installer [--directory D] --stamp N [--locks M] [--active LINK]
                                                   [--wait SECONDS] [--report FILE]

Installs the lock of one component into the shared directory D (default: the setting of that name): what the component
C is stamped with, or revision N, else the current one. Waits for a lock that is not there yet. Prints one JSON line,
and writes it to FILE too. Exit status: 0, 1 (final), 75 (trying again may help).

With --stamp, in a pod before its main container: N is the pod's stamp, empty when it has none; the locks are read
where their ConfigMap is mounted (M, default: D); LINK then leads to the site, and is removed when there is none.
"""
_EXIT_USAGE = 2


def main(arguments: list[str]) -> int:
    """Return the exit status; prints the report, and writes it to `--report`."""
    try:
        given = _options(arguments)
        wait = float(given.get("--wait", "0"))
        revision = int(given["--revision"]) if "--revision" in given else None
    except ValueError as error:
        _say(f"{error}\n{USAGE}" if str(error) else USAGE)
        return _EXIT_USAGE
    try:
        answer = _answer(given, revision, wait)
    except PackageManagerError as error:
        answer = InstallReport(report.FAILED, code="install-failed", cause=f"{error.detail} {error.next_action}")
    line = report.dump(dataclasses.replace(answer, package_manager=__version__))
    print(line)  # noqa: T201 - this is the answer
    if "--report" in given:
        try:
            # In place: the kubelet made the file, mounted it alone, and reads that very file.
            Path(given["--report"]).write_text(line, encoding="ascii")
        except OSError as error:  # what was installed is installed
            _say(f"The report cannot be written: {error}\n")
    return answer.exit_status


def _answer(given: Mapping[str, str], revision: int | None, wait: float) -> InstallReport:
    directory = Directory(given.get("--directory") or _settings().directory)
    if "--stamp" not in given:
        from airflow_package_manager.installer import machine  # noqa: PLC0415 - a pod has no use for it

        component = given.get("--component")
        return machine.run(directory, component=component, revision=revision, wait=wait, settings=_settings)
    from airflow_package_manager.installer import pod  # noqa: PLC0415 - a machine has no use for it

    locks, active = given.get("--locks") or str(directory.root), given.get("--active")
    return pod.run(
        directory,
        locks=locks,
        stamp=given["--stamp"],
        active=Path(active) if active else None,
        wait=wait,
        settings=_settings,
    )


def _say(words: str) -> None:
    sys.stderr.write(words)


def _settings() -> Settings:
    from airflow_package_manager import settings  # noqa: PLC0415 - as above

    return settings.load()


def _options(arguments: list[str]) -> dict[str, str]:
    """Return option → value (argparse would cost a fifth of what this process may); raises `ValueError`."""
    known = {"--directory", "--component", "--revision", "--stamp", "--locks", "--active", "--wait", "--report"}
    found = {}
    words = iter(arguments)
    for word in words:
        name, equals, value = word.partition("=")
        if name not in known:
            raise ValueError("" if name in {"-h", "--help"} else f"unknown: {word}")
        given = value if equals else next(words, None)
        if not given and (given is None or name != "--stamp"):
            raise ValueError(f"{name} needs a value")
        found[name] = given
    if len({"--component", "--revision", "--stamp"} & set(found)) > 1:
        raise ValueError("--component, --revision and --stamp exclude each other")
    if {"--locks", "--active"} & set(found) and "--stamp" not in found:
        raise ValueError("--locks and --active go with --stamp")
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
