"""One change, planned, accepted and driven to its end by the whole application, in the interpreter of the image.

`python -m tests.node.a_driver` on the environment of the image: a plan is made on the distributions of the interpreter
that plans, and they must be those of the pods. Reads a JSON object from its standard input (see `run`), prints another.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from airflow_package_manager.adapters.kubernetes.connection import Answer
from airflow_package_manager.domain.plan import Action, Change
from tests.cluster.preparing import accepted, application

REPOSITORY = Path(__file__).resolve().parents[2]
SECONDS = 800
HELD = "held\n"


def run(
    image: Path,
    environ: Mapping[str, str],
    change: tuple[str, str],
    *,
    at: str = "",
    meanwhile: Callable[[], None] | None = None,
) -> dict[str, Any]:
    """Return how the change ended.

    `image` is the environment; `change` an action and a requirement. Right after the request `at` (a name of
    `tests.cluster.line`) the driver waits until `meanwhile` returns: it has slept.
    """
    python = str(image / "bin" / "python")
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    told = {"environ": dict(environ), "change": change, "at": at}
    with subprocess.Popen(
        [python, "-B", "-m", "tests.node.a_driver"],
        cwd=REPOSITORY,
        env={**kept, "PYTHONPATH": str(REPOSITORY)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as driver:
        assert driver.stdin is not None
        assert driver.stdout is not None
        try:
            _say(driver.stdin, json.dumps(told))
            if meanwhile is not None:
                first = driver.stdout.readline()
                assert first == HELD, f"it ended before {at}: {first}"
                meanwhile()
                _say(driver.stdin, "")
            said, _ = driver.communicate(timeout=SECONDS)
        finally:
            driver.kill()
    assert driver.returncode == 0, said
    found: dict[str, Any] = json.loads(said)
    return found


def main() -> None:
    """Do what the first line of the input tells."""
    told = json.loads(sys.stdin.readline())

    def hear(moment: str) -> Answer | None:
        if told["at"] and moment == f"after {told['at']}":
            _say(sys.stdout, HELD.strip())
            sys.stdin.readline()
        return None

    with application(told["environ"], hear) as (app, _):
        action, requirement = told["change"]
        done = app.driver.run(accepted(app, Change(Action(action), requirement)).id)
        warnings = [] if done.plan is None else [warning.code for warning in done.plan.warnings]
    found = {
        "state": done.state.name,
        "problem": done.problem,
        "verified": dict(done.progress.verified),
        "unverified": dict(done.progress.unverified),
        "warnings": warnings,
    }
    _say(sys.stdout, json.dumps(found))


def _say(to: IO[str], line: str) -> None:
    to.write(f"{line}\n")
    to.flush()


if __name__ == "__main__":
    main()
