"""Measures everything, one after another, and writes `benchmarks/RESULTS.md`: `python -m benchmarks.run`.

The part on Kubernetes needs the programs of a control plane, which take minutes to build: without them it is left out,
and the results say so.

Meant for a machine that does nothing else; the load average before and after stands in the results.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

from benchmarks import activation, installer, kubernetes, plan, polling, web
from benchmarks.measuring import Measurement

RESULTS = Path(__file__).parent / "RESULTS.md"
SCRIPTS: tuple[Callable[[], Measurement], ...] = (
    plan.measure,
    installer.measure,
    activation.measure,
    web.measure,
    polling.measure,
)
ON_KUBERNETES: tuple[Callable[[], Measurement], ...] = (kubernetes.measure,)


def machine() -> str:
    """Return what these figures were measured on, in one line."""
    information = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    models = [line.partition(":")[2].strip() for line in information if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    model = models[0] if models else platform.machine()
    return f"{os.cpu_count()} cores of {model}, {memory:.0f} GiB, {platform.system()}"


def versions() -> str:
    """Return the versions that count, in one line."""
    uv = str(Path(sys.executable).parent / "uv")
    said = subprocess.run([uv, "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    names = ("apache-airflow", "pydantic", "fastapi", "uvicorn")
    return ", ".join(
        [f"Python {platform.python_version()}", f"uv {said}", *(f"{name} {version(name)}" for name in names)]
    )


def load() -> str:
    """Return the load averages of 1, 5 and 15 minutes."""
    return " ".join(f"{value:.2f}" for value in os.getloadavg())


def main() -> int:
    """Write the results; the exit status is 1 when a goal was not reached."""
    began, before = time.monotonic(), load()
    found = []
    there = kubernetes.is_possible()
    scripts = SCRIPTS + (ON_KUBERNETES if there else ())
    for number, script in enumerate(scripts, start=1):
        print(f"[{number}/{len(scripts)}] {script.__module__} …", flush=True)
        measurement = script()
        found.append(measurement)
        for figure in measurement.figures:
            print(f"  {figure.row()}", flush=True)
    figures = [figure for measurement in found for figure in measurement.figures if figure.goal is not None]
    missed = [figure for figure in figures if not figure.reached]
    head = [
        "# Results",
        "",
        "Written by `make bench`. A ratio compares two ways within one run; medians unless it says otherwise.",
        "",
        f"* Date: {datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC, after {time.monotonic() - began:.0f} s",
        f"* Machine: {machine()}",
        f"* Versions: {versions()}",
        *([] if there else ["* Left out: Kubernetes; `make control-plane` and `testenv.cluster build kubectl` first"]),
        f"* Load average before {before}, after {load()}",
        f"* {len(figures) - len(missed)} of {len(figures)} goals reached"
        + (f"; missed: {', '.join(figure.question for figure in missed)}" if missed else ""),
        "",
    ]
    RESULTS.write_text("\n".join(head) + "\n" + "\n".join(measurement.markdown() for measurement in found))
    print(f"{RESULTS}: {len(missed)} of {len(figures)} goals missed, {time.monotonic() - began:.0f} s")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
